//! Signing out: of the app, and of the authority's session behind it.

use http::header::{HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::cookie::{self, HINT, SESSION};
use super::endpoint::{Context, Reply, redirect};
use super::gates::Purpose;
use super::outcome::GateOutcome;
use super::pages::{self, Page};
use crate::protocol::cookies;

/// Where the authority ends sessions (OpenID Connect RP-Initiated Logout).
const END_SESSION: &str = "/oauth2/logout";

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// `POST sign-out`: takes the cookies away and goes on to the authority, which ends its session and
/// with it every other app's.
pub(super) fn sign_out(cx: &Context<'_>, parts: &Parts) -> Reply {
    if !is_own_form(&parts.headers, cx.site.origin().as_str()) {
        GateOutcome::Malformed.count();
        return pages::page(cx.site, StatusCode::FORBIDDEN, Page::ForeignForm, None);
    }
    GateOutcome::SignedOut.count();
    let gate = cx.site.gate();
    let hint: Option<String> = cookies::cookie(&parts.headers, HINT)
        .and_then(|sealed| cx.site.open(Purpose::Hint, sealed));
    let back = cx.site.url("signed-out");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", gate.client_id.as_str());
    query.append_pair("post_logout_redirect_uri", &back);
    if let Some(hint) = &hint {
        query.append_pair("id_token_hint", hint);
    }
    redirect(
        &format!("{}{END_SESSION}?{}", gate.issuer, query.finish()),
        [
            cookie::clear(SESSION).as_str(),
            &cookie::set_hint(cx.site, "", std::time::Duration::ZERO),
        ],
    )
}

/// Whether the browser says that a page of this origin sent the request. One that says nothing at
/// all is none: browsers send `Origin` with every `POST`.
fn is_own_form(headers: &HeaderMap, origin: &str) -> bool {
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (value, None) => Ok(value.map(HeaderValue::as_bytes)),
            _ => Err(()),
        }
    };
    match (one(FETCH_SITE), one(ORIGIN)) {
        (Ok(site), Ok(from)) => {
            (site.is_some() || from.is_some())
                && site.is_none_or(|site| site == b"same-origin")
                && from.is_none_or(|from| from == origin.as_bytes())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_the_same_origin_signs_out() {
        let own = "https://app.example";
        for (lines, fits) in [
            (&[("origin", own)][..], true),
            (&[("origin", own), ("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", own), ("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("origin", "https://x.app.example"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
            (&[("origin", own), ("origin", own)], false),
            (&[("sec-fetch-site", "none")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(is_own_form(&headers, own), fits, "{lines:?}");
        }
    }
}
