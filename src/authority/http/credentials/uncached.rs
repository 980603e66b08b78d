//! Answers that hold a secret.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// A body that holds a secret: kept by nobody on the way (RFC 6749 §5.1).
pub(in crate::authority::http) struct Uncached<T>(pub(in crate::authority::http) T);

impl<T: serde::Serialize> IntoResponse for Uncached<T> {
    fn into_response(self) -> Response {
        let headers = [
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
        ];
        (headers, Json(self.0)).into_response()
    }
}
