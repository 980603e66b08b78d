//! `login`: where a sign-in begins.

use http::StatusCode;
use http::request::Parts;

use super::endpoint::{Context, Reply, redirect};
use super::outcome::GateOutcome;
use super::pages::{self, Page};
use super::transaction;
use crate::protocol::gate::return_to;
use crate::protocol::oidc::upstream::AuthorizationRequest;

/// Where the authority's endpoint is.
const AUTHORIZE: &str = "/oauth2/authorize";

/// Sends the browser to the authority.
pub(super) fn begin(cx: &Context<'_>, parts: &Parts) -> Reply {
    let query = parts.uri.query().unwrap_or_default();
    let Some(return_to) = return_to(query, &cx.site.gate().path) else {
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
