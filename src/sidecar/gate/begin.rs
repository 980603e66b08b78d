//! `login`: where a sign-in begins.

use http::request::Parts;
use http::{HeaderValue, StatusCode};

use super::endpoint::{Context, Reply, redirect};
use super::gates::Site;
use super::outcome::GateOutcome;
use super::pages::{self, Page};
use super::transaction;
use crate::protocol::forward_auth::CanonicalPath;
use crate::protocol::local_path::is_local_path;
use crate::protocol::oidc::upstream::AuthorizationRequest;

/// Where the authority's endpoint is.
const AUTHORIZE: &str = "/oauth2/authorize";
/// The longest path and query that are carried; of a longer one the path, if that is shorter.
const RETURN_MAX: usize = 1536;

/// Sends the browser to the authority.
pub(super) fn begin(cx: &Context<'_>, parts: &Parts) -> Reply {
    let Some(return_to) = return_to(cx.site, parts.uri.query().unwrap_or_default()) else {
        GateOutcome::Malformed.count();
        return pages::page(cx.site, StatusCode::BAD_REQUEST, Page::BadReturn, None);
    };
    let begun = match transaction::begin(cx.site, &parts.headers, &return_to, cx.now()) {
        Ok(begun) => begun,
        Err(error) => {
            tracing::error!(%error, "a sign-in cannot begin");
            GateOutcome::Failed.count();
            return pages::page(
                cx.site,
                StatusCode::INTERNAL_SERVER_ERROR,
                Page::Failed,
                Some(&return_to),
            );
        }
    };
    GateOutcome::Begun.count();
    let gate = cx.site.gate();
    let location = AuthorizationRequest {
        client_id: gate.client_id.as_str(),
        redirect_uri: &cx.site.url("callback"),
        scope: &gate.scope,
        state: &begun.state,
        nonce: Some(&begun.transaction.nonce()),
        code_challenge: &begun.transaction.challenge(),
        prompt: None,
        max_age: None,
        login_hint: None,
        acr_values: None,
        hd: None,
        resource: gate.resource.as_deref(),
    }
    .url(&format!("{}{AUTHORIZE}", gate.issuer));
    redirect(&location, begun.cookies.iter().map(String::as_str))
}

/// Where a sign-in leads: `return_to` of the query, which may stand once and is a path of this host
/// outside the gate; `/` if nothing is said. `None` for anything else.
pub(super) fn return_to(site: &Site, query: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(query.as_bytes())
        .filter_map(|(name, value)| (name == "return_to").then_some(value));
    let Some(value) = values.next() else {
        return Some("/".to_owned());
    };
    if values.next().is_some() || !is_local_path(&value) || HeaderValue::from_str(&value).is_err() {
        return None;
    }
    let path = value.split('?').next().unwrap_or_default();
    let leads_back = CanonicalPath::parse(path).is_ok_and(|path| site.reserves(&path));
    Some(if leads_back {
        "/".to_owned()
    } else if value.len() <= RETURN_MAX {
        value.into_owned()
    } else if path.len() <= RETURN_MAX {
        path.to_owned()
    } else {
        "/".to_owned()
    })
}
