//! What the endpoints that clients call read of a request.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::protocol::oauth::{FORM, OAuthError};

/// Refuses a body that is not a form.
pub(super) fn require_form(headers: &HeaderMap) -> Result<(), OAuthError> {
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case(FORM));
    if form {
        Ok(())
    } else {
        Err(OAuthError::invalid_request(format!(
            "the body must be `{FORM}`"
        )))
    }
}

/// The one `Authorization` header, if there is one.
pub(super) fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, OAuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let first = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() {
        return Err(OAuthError::invalid_request(
            "several `Authorization` headers",
        ));
    }
    Ok(first)
}
