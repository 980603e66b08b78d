//! What handlers show.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::domain::{FreshnessToken, Position};
use crate::protocol::organizations::Changed;

/// The freshness token of a write: what to pass to a sidecar to be answered with this write known.
pub const FRESHNESS: HeaderName = HeaderName::from_static("doorward-freshness");

/// 200 with a JSON body.
#[derive(Debug, Clone)]
pub struct Show<T>(pub T);

impl<T: Serialize> IntoResponse for Show<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

/// What a write answers: the thing, and the freshness token as header and as field.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    status: StatusCode,
    view: T,
    freshness: FreshnessToken,
    location: Option<String>,
}

impl<T: Serialize> Answer<T> {
    /// 200.
    pub fn ok(view: T, position: Position) -> Self {
        Self {
            status: StatusCode::OK,
            view,
            freshness: position.freshness_token(),
            location: None,
        }
    }

    /// 201 with the new thing's path.
    pub fn created(view: T, position: Position, location: String) -> Self {
        Self {
            status: StatusCode::CREATED,
            location: Some(location),
            ..Self::ok(view, position)
        }
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let freshness = HeaderValue::from_str(&self.freshness.to_string());
        let location = self.location.as_deref().map(HeaderValue::from_str);
        let body = Changed {
            view: self.view,
            freshness: self.freshness,
        };
        let mut response = json(self.status, &body);
        let headers = response.headers_mut();
        if let Ok(freshness) = freshness {
            headers.insert(FRESHNESS, freshness);
        }
        if let Some(Ok(location)) = location {
            headers.insert(LOCATION, location);
        }
        response
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let mut response = (status, body).into_response();
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
