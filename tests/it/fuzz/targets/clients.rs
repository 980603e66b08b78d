//! How clients say who they are, and what they ask the token endpoint for.

use data_encoding::BASE64;
use doorward::protocol::oauth::{
    Form, OAuthError, PresentedClient, Proof, TokenGrant, parse_token_request,
};

use super::forms::sent;
use super::{Verdict, assert_hidden, first_line, verdict};

/// Everything that can be wrong with a client's proof; none repeats what was sent.
const WORDS: &[&str] = &[
    "the client authenticated in two ways at once",
    "the client's credentials are missing or wrong",
    "`client_assertion_type` must be the one of RFC 7523",
    "`client_assertion` is missing",
    "`client_id` is not the client that authenticated",
];

/// The `Authorization` header in the first line, if it is not empty, and a form.
fn request(data: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let (header, body) = first_line(data);
    ((!header.is_empty()).then_some(header), body)
}

/// Who a client says it is.
pub fn client_authentication(data: &[u8]) -> Verdict {
    let (header, body) = request(data);
    let Ok(mut form) = Form::parse(body) else {
        return 0;
    };
    let sent = sent(body);
    match PresentedClient::read(header, &mut form) {
        Ok(client) => {
            let ways = [
                header.is_some(),
                sent.contains_key("client_secret"),
                sent.contains_key("client_assertion"),
            ];
            assert!(ways.iter().filter(|used| **used).count() <= 1, "{sent:?}");
            if let Some(names) = sent.get("client_id") {
                assert_eq!(names.as_slice(), std::slice::from_ref(&client.client_id));
            }
            let printed = format!("{client:?}");
            let kind = match &client.proof {
                Proof::None => 0,
                Proof::Basic(secret) => {
                    assert_hidden(&printed, secret.expose(), &[&client.client_id]);
                    round_trip(&client.client_id, secret.expose());
                    1
                }
                Proof::Post(secret) => {
                    assert_hidden(&printed, secret.expose(), &[&client.client_id]);
                    let sent = sent["client_secret"].as_slice();
                    assert_eq!(sent, [secret.expose().to_owned()]);
                    2
                }
                Proof::Assertion(assertion) => {
                    assert_hidden(&printed, assertion.expose(), &[&client.client_id]);
                    3
                }
            };
            assert_eq!(header.is_some(), kind == 1);
            verdict(kind)
        }
        Err(error) => told(&error),
    }
}

/// What a careful client sends means the same (RFC 6749 §2.3.1).
fn round_trip(client_id: &str, secret: &str) {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let joined = format!("{}:{}", encode(client_id), encode(secret));
    let header = format!("Basic {}", BASE64.encode(joined.as_bytes()));
    let mut nothing = Form::parse(b"").unwrap();
    let again = PresentedClient::read(Some(header.as_bytes()), &mut nothing).unwrap();
    assert_eq!(again.client_id, client_id);
    let Proof::Basic(read) = again.proof else {
        panic!("it came in the header");
    };
    assert_eq!(read.expose(), secret);
}

fn told(error: &OAuthError) -> Verdict {
    assert!(WORDS.contains(&error.error_description.as_str()), "{error}");
    verdict(error)
}

/// A request of the token endpoint.
pub fn token_requests(data: &[u8]) -> Verdict {
    let (header, body) = request(data);
    let request = match parse_token_request(header, body) {
        Ok(request) => request,
        Err(error) => {
            let words = &error.error_description;
            // Words of ours only: the names of parameters stand in backticks.
            let fixed = words
                .split('`')
                .skip(1)
                .step_by(2)
                .all(|name| name.len() < 40 && name.is_ascii());
            assert!(fixed, "{words}");
            return verdict(error);
        }
    };
    let sent = sent(body);
    let one = |name: &str| sent.get(name).map(|values| values[0].as_str());
    let printed = format!("{request:?}");
    let mut shown: Vec<&str> = vec![&request.client.client_id];
    shown.extend(one("scope"));
    shown.extend(one("redirect_uri"));
    shown.extend(
        sent.get("resource")
            .into_iter()
            .flatten()
            .map(String::as_str),
    );
    let hidden = |secret: &str| assert_hidden(&printed, secret, &shown);
    let kind = match &request.grant {
        TokenGrant::ClientCredentials => "client_credentials",
        TokenGrant::AuthorizationCode {
            code,
            code_verifier,
            redirect_uri,
        } => {
            assert_eq!(Some(code.expose()), one("code"));
            assert_eq!(Some(code_verifier.expose()), one("code_verifier"));
            assert_eq!(redirect_uri.as_deref(), one("redirect_uri"));
            hidden(code.expose());
            hidden(code_verifier.expose());
            "authorization_code"
        }
        TokenGrant::RefreshToken { refresh_token } => {
            assert_eq!(Some(refresh_token.expose()), one("refresh_token"));
            hidden(refresh_token.expose());
            "refresh_token"
        }
        TokenGrant::DeviceCode { device_code } => {
            assert_eq!(Some(device_code.expose()), one("device_code"));
            hidden(device_code.expose());
            "urn:ietf:params:oauth:grant-type:device_code"
        }
    };
    assert_eq!(one("grant_type"), Some(kind));
    assert_eq!(
        request.resources.as_slice(),
        sent.get("resource").map_or(&[][..], Vec::as_slice)
    );
    verdict((kind, request.scope.is_some()))
}
