//! Forms: what was sent, and whether a page of ours sent it.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::authority::app::Authority;
use crate::authority::brand::Brand;
use crate::authority::config::Issuer;
use crate::authority::http::context::RequestId;
use crate::crypto::digest::constant_time_eq;
use crate::domain::SessionId;

use super::error::{ErrorKind, ErrorPage};
use super::html::{Html, respond};
use super::locale::Locale;

/// The most bytes of a form: a sealed request and a few words.
const FORM_BYTES: usize = 32 * 1024;
/// The most fields of a form.
const FIELDS_MAX: usize = 32;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a form's token belongs to: somebody else's token is of no use.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    /// Who is signed in.
    Session(SessionId),
    /// Nobody yet: the id of a transaction, from a sealed value that this browser holds.
    Transaction(&'a str),
}

/// Why a form is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The browser says that another site sent it.
    #[error("another site sent the form")]
    CrossSite,
    /// Its token is missing, old or somebody else's.
    #[error("the form's token is not the one of this visitor")]
    Token,
}

impl FormError {
    /// The page that says so.
    pub fn page(self, locale: Locale, brand: &Brand, request_id: &str) -> Html {
        ErrorPage::new(ErrorKind::FormExpired, request_id).render(locale, brand)
    }
}

/// The token that a form carries in the hidden field `csrf`. The same for all forms of its holder:
/// several tabs do not disturb each other. It ends with the session or the transaction.
pub fn csrf_token(authority: &Authority, holder: Holder<'_>) -> String {
    let sealer = authority.keys.sealer();
    let token = match holder {
        Holder::Session(id) => {
            sealer.derive("csrf", &[b"session", id.as_uuid().as_bytes().as_slice()])
        }
        Holder::Transaction(id) => sealer.derive("csrf", &[b"transaction", id.as_bytes()]),
    };
    BASE64URL_NOPAD.encode(token.as_slice())
}

/// Whether a page of ours sent the form, and to this holder.
///
/// # Errors
///
/// [`FormError`]. Nothing of the form may be acted on.
pub fn check_csrf(
    authority: &Authority,
    headers: &HeaderMap,
    holder: Holder<'_>,
    presented: &str,
) -> Result<(), FormError> {
    check_site(headers, &authority.config.issuer)?;
    let wanted = csrf_token(authority, holder);
    if constant_time_eq(wanted.as_bytes(), presented.as_bytes()) {
        Ok(())
    } else {
        Err(FormError::Token)
    }
}

/// Whether the browser says that a page of ours sent the request. One that says nothing is left to
/// the token.
///
/// # Errors
///
/// [`FormError::CrossSite`].
pub fn check_site(headers: &HeaderMap, issuer: &Issuer) -> Result<(), FormError> {
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next();
        match values.next() {
            None => Ok(value.map(HeaderValue::as_bytes)),
            Some(_) => Err(FormError::CrossSite),
        }
    };
    if let Some(site) = one(SEC_FETCH_SITE)?
        && site != b"same-origin"
    {
        return Err(FormError::CrossSite);
    }
    match one(ORIGIN)? {
        Some(origin) if origin != origin_of(issuer).as_bytes() => Err(FormError::CrossSite),
        _ => Ok(()),
    }
}

/// The issuer's scheme, host and port, as browsers write an origin.
fn origin_of(issuer: &Issuer) -> String {
    let text = issuer.as_str();
    let start = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at_checked(start).unwrap_or(("", text));
    let authority = rest.split('/').next().unwrap_or_default();
    let default_port = if scheme == "https://" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default_port).unwrap_or(authority);
    format!("{scheme}{authority}").to_ascii_lowercase()
}

/// The fields of a form (`application/x-www-form-urlencoded`), each of which stands there once.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a body or a query; `None` when it is too long or a name stands there twice.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if fields.len() == FIELDS_MAX || fields.iter().any(|(known, _)| *known == name) {
                return None;
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Some(Self(fields))
    }

    /// A field's value, as sent; empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// A field's value if it is there and not empty.
    pub fn find(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }
}

impl FromRequest<Arc<Authority>> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, authority: &Arc<Authority>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let refuse = |status: StatusCode| {
            let id = parts.extensions.get::<RequestId>();
            let page = ErrorPage::new(ErrorKind::BadRequest, id.map_or("", RequestId::as_str));
            let html = page.render(Locale::of(&parts.headers), &authority.config.brand);
            respond(html.with_status(status))
        };
        let kind = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let media = kind.and_then(|kind| kind.split(|byte| *byte == b';').next());
        let is_form = media.is_some_and(|media| {
            media
                .trim_ascii()
                .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
        });
        if !is_form {
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let Ok(bytes) = to_bytes(body, FORM_BYTES).await else {
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE));
        };
        Self::parse(&bytes).ok_or_else(|| refuse(StatusCode::BAD_REQUEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(headers: &[(HeaderName, &'static str)], issuer: &str) -> Result<(), FormError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), HeaderValue::from_static(value));
        }
        check_site(&map, &issuer.parse().unwrap())
    }

    #[test]
    fn a_form_of_another_site_is_refused_by_what_the_browser_says() {
        let issuer = "https://auth.example.com/base";
        let ours = (ORIGIN, "https://auth.example.com");
        assert_eq!(site(&[], issuer), Ok(()));
        assert_eq!(site(std::slice::from_ref(&ours), issuer), Ok(()));
        assert_eq!(
            site(&[(SEC_FETCH_SITE, "same-origin"), ours.clone()], issuer),
            Ok(())
        );
        for wrong in [
            vec![(ORIGIN, "https://evil.example.com")],
            vec![(ORIGIN, "http://auth.example.com")],
            vec![(ORIGIN, "https://auth.example.com:8443")],
            vec![(ORIGIN, "null")],
            vec![ours.clone(), (ORIGIN, "https://evil.example.com")],
            vec![ours.clone(), (SEC_FETCH_SITE, "same-site")],
            vec![ours, (SEC_FETCH_SITE, "cross-site")],
            vec![(SEC_FETCH_SITE, "none")],
        ] {
            assert_eq!(site(&wrong, issuer), Err(FormError::CrossSite), "{wrong:?}");
        }
    }

    #[test]
    fn an_origin_has_no_path_and_no_default_port() {
        for (issuer, origin) in [
            (
                "https://auth.example.com:443/a/b",
                "https://auth.example.com",
            ),
            ("https://Auth.example.com", "https://auth.example.com"),
            ("http://127.0.0.1:7180", "http://127.0.0.1:7180"),
        ] {
            assert_eq!(origin_of(&issuer.parse().unwrap()), origin);
        }
    }

    #[test]
    fn a_field_stands_in_a_form_once() {
        let fields = Fields::parse(b"a=1&b=%C3%A4+%26").unwrap();
        assert_eq!(
            (fields.get("a"), fields.get("b"), fields.get("c")),
            ("1", "ä &", "")
        );
        assert_eq!(Fields::parse(b"a=&").unwrap().find("a"), None);
        assert!(Fields::parse(b"a=1&a=2").is_none());
        let many: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("f{n}=1")).collect();
        assert!(Fields::parse(many.join("&").as_bytes()).is_none());
    }
}
