//! The authority's HTTP API as what connections call.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures_util::future::Either;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::{TowerToHyperService, TowerToHyperServiceFuture};

use crate::authority::app::Authority;

use super::envelope::Envelopes;
use super::oauth::Published;
use super::router::router;

/// All routes. Documents that everybody asks for, and that are the same for everybody, are answered
/// before anything is routed: a route costs more than they do.
#[derive(Clone)]
pub struct Api {
    routed: TowerToHyperService<Router>,
    before: Arc<Before>,
}

struct Before {
    authority: Arc<Authority>,
    envelopes: Arc<Envelopes>,
    published: Published,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // With its routes: a test holds them and the OpenAPI document together.
        f.debug_struct("Api")
            .field("routed", &self.routed)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// The API of `authority`.
    pub fn new(authority: Arc<Authority>) -> Self {
        let envelopes = Arc::new(Envelopes::new(
            &*authority.entropy,
            authority.config.proxies.clone(),
        ));
        let routed = router(Arc::clone(&authority), Arc::clone(&envelopes));
        Self {
            routed: TowerToHyperService::new(routed),
            before: Arc::new(Before {
                authority,
                envelopes,
                published: Published::new(),
            }),
        }
    }
}

impl Before {
    fn answer<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if request.method() != Method::GET {
            return None;
        }
        let found = self.published.get(request.uri().path(), &self.authority)?;
        Some(self.envelopes.around(request, found))
    }
}

type Routed = TowerToHyperServiceFuture<Router, Request<Incoming>>;

impl Service<Request<Incoming>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, Routed>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        match self.before.answer(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.routed.call(request)),
        }
    }
}
