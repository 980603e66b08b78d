//! Cross-origin requests, for apps that run in a browser and have no server of their own.
//!
//! Any origin may ask: what is answered here is never decided by a cookie, and whoever has the code
//! or the token can ask from anywhere else too. The authorization endpoint and the pages have none
//! of this (RFC 9700 §2.6).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const ANY: HeaderValue = HeaderValue::from_static("*");

/// Lets browsers of any origin read the answer.
pub(super) async fn any_origin(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    if preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-type, dpop",
            ),
            (header::ACCESS_CONTROL_MAX_AGE, "3600"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    } else {
        let_any_origin_read(headers);
    }
    response
}

/// What an answer says that browsers may give to any origin.
pub(super) fn let_any_origin_read(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("dpop-nonce, www-authenticate"),
    );
}
