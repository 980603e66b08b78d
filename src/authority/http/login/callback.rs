//! Coming back from a provider.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::authority::app::Authority;
use crate::authority::http::context::RequestId;
use crate::authority::http::load::Admitted;
use crate::authority::login::{self, Again, Ended, set_cookie};

use super::pages::{Visit, see_other};

/// `GET /login/callback/{provider}`
pub(super) async fn follow(
    State(authority): State<Arc<Authority>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    Admitted(address): Admitted,
    id: Option<Extension<RequestId>>,
    RawQuery(query): RawQuery,
) -> Response {
    let visit = Visit {
        authority: &authority,
        headers: &headers,
        request_id: id.map(|Extension(id)| id),
        from: address,
    };
    let query = query.unwrap_or_default();
    let finished = login::callback(&authority, &slug, &query, &headers, address).await;
    let mut response = match finished.end {
        Ok(Ended::LoggedIn { return_to, token }) => {
            let cookie = set_cookie(&token, authority.config.lifetimes.session);
            see_other(&return_to, [&cookie])
        }
        Ok(Ended::Linked { return_to } | Ended::Refused { return_to }) => see_other(&return_to, []),
        Ok(Ended::Again { path, why }) => {
            let notice = match why {
                Again::Cancelled => "cancelled",
                Again::Expired => "expired",
            };
            see_other(&format!("{path}&notice={notice}"), [])
        }
        Err(failure) => visit.callback_failure(&slug, &failure),
    };
    if let Some(clear) = finished.clear
        && let Ok(clear) = HeaderValue::from_str(&clear)
    {
        response.headers_mut().append(SET_COOKIE, clear);
    }
    response
}
