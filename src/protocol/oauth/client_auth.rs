//! How a client says who it is: RFC 6749 §2.3, RFC 7523 §2.2.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::PlainToken;

use super::{Form, OAuthError};

/// The one `client_assertion_type` there is.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client as it presents itself. Nothing about it is believed yet.
#[derive(Debug, Clone)]
pub struct PresentedClient {
    /// The name; it may be no client identifier at all.
    pub client_id: String,
    /// What it offers for a proof.
    pub proof: Proof,
}

/// What a client offers for a proof of being who it says.
#[derive(Debug, Clone)]
pub enum Proof {
    /// Nothing: a public client.
    None,
    /// A secret in the `Authorization` header.
    Basic(PlainToken),
    /// A secret in the form.
    Post(PlainToken),
    /// An assertion that it signed.
    Assertion(PlainToken),
}

/// The claims of a client's assertion (RFC 7523 §3).
#[derive(Debug, Clone, Deserialize)]
pub struct AssertionClaims {
    /// The client.
    pub iss: String,
    /// The client again.
    pub sub: String,
    /// For whom: one text. A list is refused: it is how an assertion for one server is used at
    /// another.
    pub aud: String,
    /// Its end.
    pub exp: i64,
    /// When it was made.
    #[serde(default)]
    pub iat: Option<i64>,
    /// Not to be believed before.
    #[serde(default)]
    pub nbf: Option<i64>,
    /// Its own name: it counts once.
    pub jti: String,
}

impl PresentedClient {
    /// Reads the client from the `Authorization` header, if there is one, and the form.
    ///
    /// # Errors
    ///
    /// `invalid_request` for two ways to authenticate, `invalid_client` for none that is known.
    pub fn read(authorization: Option<&[u8]>, form: &mut Form) -> Result<Self, OAuthError> {
        let client_id = form.take("client_id").map(|text| text.to_string());
        let secret = form.take_secret("client_secret");
        let assertion_type = form.take("client_assertion_type");
        let assertion = form.take_secret("client_assertion");
        let ways = [authorization.is_some(), secret.is_some()]
            .into_iter()
            .chain([assertion.is_some() || assertion_type.is_some()])
            .filter(|used| *used)
            .count();
        if ways > 1 {
            return Err(OAuthError::invalid_request(
                "the client authenticated in two ways at once",
            ));
        }
        let presented = if let Some(header) = authorization {
            basic(header).ok_or_else(OAuthError::invalid_client)?
        } else if let Some(assertion) = assertion {
            if assertion_type.is_none_or(|text| text.as_str() != JWT_BEARER) {
                return Err(OAuthError::invalid_request(
                    "`client_assertion_type` must be the one of RFC 7523",
                ));
            }
            Self {
                client_id: issuer_of(&assertion).ok_or_else(OAuthError::invalid_client)?,
                proof: Proof::Assertion(assertion),
            }
        } else {
            if assertion_type.is_some() {
                return Err(OAuthError::invalid_request("`client_assertion` is missing"));
            }
            Self {
                client_id: client_id.clone().ok_or_else(OAuthError::invalid_client)?,
                proof: secret.map_or(Proof::None, Proof::Post),
            }
        };
        if client_id.is_some_and(|client_id| client_id != presented.client_id) {
            return Err(OAuthError::invalid_request(
                "`client_id` is not the client that authenticated",
            ));
        }
        Ok(presented)
    }
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they are joined and put in base64.
fn basic(header: &[u8]) -> Option<PresentedClient> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64.decode(encoded.trim_ascii()).ok()?);
    let text = std::str::from_utf8(&decoded).ok()?;
    let (client_id, secret) = text.split_once(':')?;
    Some(PresentedClient {
        client_id: form_decoded(client_id)?,
        proof: Proof::Basic(PlainToken::presented(form_decoded(secret)?)),
    })
}

/// One form-encoded value. `&` and `=` would have been encoded: raw, they are part of the value.
fn form_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whom an assertion names, unverified: it only tells whose keys to look for.
fn issuer_of(assertion: &PlainToken) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        iss: String,
    }
    let payload = assertion.expose().split('.').nth(1)?;
    let json = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
    serde_json::from_slice::<Named>(&json)
        .ok()
        .map(|named| named.iss)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::oauth::OAuthErrorCode::{self, InvalidClient, InvalidRequest};

    fn read(authorization: Option<&str>, body: &str) -> Result<PresentedClient, OAuthErrorCode> {
        let mut form = Form::parse(body.as_bytes()).unwrap();
        PresentedClient::read(authorization.map(str::as_bytes), &mut form)
            .map_err(|error| error.error)
    }

    fn basic_of(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text.as_bytes()))
    }

    fn assertion_of(payload: &str) -> String {
        format!("e30.{}.sig", BASE64URL_NOPAD.encode(payload.as_bytes()))
    }

    #[test]
    fn every_way_to_authenticate_is_read() {
        let client = read(Some(&basic_of("billing%2Dx:s%3A+%26")), "").unwrap();
        assert_eq!(client.client_id, "billing-x");
        assert!(matches!(client.proof, Proof::Basic(secret) if secret.expose() == "s: &"));

        let client = read(None, "client_id=billing&client_secret=a%3Db").unwrap();
        assert!(matches!(client.proof, Proof::Post(secret) if secret.expose() == "a=b"));

        let client = read(None, "client_id=spa&client_secret=").unwrap();
        assert!(matches!(client.proof, Proof::None));

        let assertion = assertion_of(r#"{"iss":"billing"}"#);
        let body = format!("client_assertion={assertion}&client_assertion_type={JWT_BEARER}");
        let client = read(None, &body).unwrap();
        assert_eq!(client.client_id, "billing");
        assert!(matches!(client.proof, Proof::Assertion(_)));
    }

    #[test]
    fn what_is_wrong_is_told_in_the_words_of_the_rfc() {
        let ok = basic_of("a:b");
        let broken = basic_of("a%2:b");
        let assertion = assertion_of(r#"{"iss":"a"}"#);
        let typed =
            format!("client_assertion={assertion}&client_assertion_type={JWT_BEARER}&client_id=");
        for (header, body, wanted) in [
            (None, String::new(), InvalidClient),
            (Some("Bearer abc"), String::new(), InvalidClient),
            (Some("Basic"), String::new(), InvalidClient),
            (Some("Basic !"), String::new(), InvalidClient),
            (Some(broken.as_str()), String::new(), InvalidClient),
            (Some(ok.as_str()), "client_id=other".into(), InvalidRequest),
            (Some(ok.as_str()), "client_secret=b".into(), InvalidRequest),
            (Some(ok.as_str()), typed.clone(), InvalidRequest),
            (None, format!("{typed}b"), InvalidRequest),
            (None, format!("{typed}a&client_secret=x"), InvalidRequest),
            (
                None,
                format!("client_assertion={assertion}"),
                InvalidRequest,
            ),
            (
                None,
                format!("client_assertion_type={JWT_BEARER}&client_id=a"),
                InvalidRequest,
            ),
            (
                None,
                format!("client_assertion=x&client_assertion_type={JWT_BEARER}"),
                InvalidClient,
            ),
        ] {
            assert_eq!(
                read(header, &body).unwrap_err(),
                wanted,
                "{header:?} {body}"
            );
        }
        assert!(read(None, &format!("{typed}a")).is_ok());
    }

    #[test]
    fn an_assertion_for_several_audiences_cannot_even_be_read() {
        let claims = |aud: &str| {
            let json =
                format!(r#"{{"iss":"a","sub":"a","aud":{aud},"exp":1,"jti":"x","other":1}}"#);
            serde_json::from_str::<AssertionClaims>(&json)
        };
        assert!(claims(r#""https://id.example""#).is_ok());
        assert!(claims(r#"["https://id.example"]"#).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(header in any::<Vec<u8>>(), body in any::<Vec<u8>>()) {
            if let Ok(mut form) = Form::parse(&body) {
                let _ = PresentedClient::read(Some(&header), &mut form);
            }
            if let Ok(mut form) = Form::parse(&body) {
                let _ = PresentedClient::read(None, &mut form);
            }
        }

        #[test]
        fn any_secret_survives_basic(secret in "\\PC+", client in "[a-z~._-]{1,20}") {
            let encode = |text: &str| {
                form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
            };
            let header = basic_of(&format!("{}:{}", encode(&client), encode(&secret)));
            let presented = read(Some(&header), "").unwrap();
            prop_assert_eq!(presented.client_id, client);
            let Proof::Basic(read) = presented.proof else { panic!("not basic") };
            prop_assert_eq!(read.expose(), secret);
        }
    }
}
