//! What is published about the authority and its tokens. Any origin may read it: apps that run in a
//! browser begin here.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use crate::authority::app::Authority;
use crate::authority::http::envelope::decorate;
use crate::authority::keys::JWKS_CACHE_CONTROL;
use crate::authority::oauth::metadata;

use super::cors::{any_origin, let_any_origin_read};

const OPENID_CONFIGURATION: &str = "/.well-known/openid-configuration";
const OAUTH_AUTHORIZATION_SERVER: &str = "/.well-known/oauth-authorization-server";
const JWKS: &str = "/.well-known/jwks.json";

pub(super) fn routes() -> Router<Arc<Authority>> {
    Router::new()
        .route(OPENID_CONFIGURATION, get(document))
        .route(OAUTH_AUTHORIZATION_SERVER, get(document))
        .route(JWKS, get(jwks))
        .layer(from_fn(any_origin))
}

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery §4) and
/// `GET /.well-known/oauth-authorization-server` (RFC 8414 §3): one document for both.
async fn document(State(authority): State<Arc<Authority>>) -> Response {
    (headers(metadata::CACHE_CONTROL), metadata::body(&authority)).into_response()
}

/// `GET /.well-known/jwks.json`: the keys of access and ID tokens.
async fn jwks(State(authority): State<Arc<Authority>>) -> Response {
    (headers(JWKS_CACHE_CONTROL), authority.keys.jwks()).into_response()
}

fn headers(cache_control: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static(cache_control)),
    ])
}

/// The same documents with all that stands around an answer, ready to be sent.
#[derive(Debug)]
pub(in crate::authority::http) struct Published {
    metadata: HeaderMap,
    jwks: HeaderMap,
}

/// An answer that only lacks its request's id.
#[derive(Debug)]
pub(in crate::authority::http) struct Ready {
    pub(in crate::authority::http) route: &'static str,
    pub(in crate::authority::http) headers: HeaderMap,
    pub(in crate::authority::http) body: Bytes,
}

impl Published {
    pub(in crate::authority::http) fn new() -> Self {
        let ready = |cache_control| {
            let mut headers = headers(cache_control);
            let_any_origin_read(&mut headers);
            decorate(&mut headers, HeaderValue::from_static("-"));
            headers
        };
        Self {
            metadata: ready(metadata::CACHE_CONTROL),
            jwks: ready(JWKS_CACHE_CONTROL),
        }
    }

    /// What a `GET` of `path` answers, if it is one of these.
    pub(in crate::authority::http) fn get(
        &self,
        path: &str,
        authority: &Authority,
    ) -> Option<Ready> {
        let (route, headers, body) = match path {
            JWKS => (JWKS, &self.jwks, authority.keys.jwks()),
            OPENID_CONFIGURATION => (
                OPENID_CONFIGURATION,
                &self.metadata,
                metadata::body(authority),
            ),
            OAUTH_AUTHORIZATION_SERVER => (
                OAUTH_AUTHORIZATION_SERVER,
                &self.metadata,
                metadata::body(authority),
            ),
            _ => return None,
        };
        Some(Ready {
            route,
            headers: headers.clone(),
            body,
        })
    }
}
