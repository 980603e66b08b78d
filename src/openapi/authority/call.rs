//! Operations as handlers of the authority answer them.

use http::Method;
use schemars::JsonSchema;

use crate::openapi::operation::{JSON, Operation, of};

/// An access token, as `Authorization: Bearer` or, bound to a key, as `Authorization: DPoP`.
const ACCESS_TOKEN: &[&str] = &["accessToken"];

/// What every request with an access token may be answered.
const ANY: &[u16] = &[400, 401, 403, 500, 503];
/// What a JSON body may be answered beside.
const BODY: &[u16] = &[413, 415, 422];
/// What a write may be answered beside.
const WRITE: &[u16] = &[409, 507];

/// An operation of a bearer's.
pub(super) fn call(
    method: Method,
    path: &str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    Operation::new(method, path, id, summary)
        .secured(ACCESS_TOKEN)
        .may(ANY)
}

pub(super) fn get(path: &str, id: &'static str, summary: &'static str) -> Operation {
    call(Method::GET, path, id, summary)
}

pub(super) fn post(path: &str, id: &'static str, summary: &'static str) -> Operation {
    call(Method::POST, path, id, summary).may(WRITE)
}

pub(super) fn put(path: &str, id: &'static str, summary: &'static str) -> Operation {
    call(Method::PUT, path, id, summary).may(WRITE)
}

pub(super) fn patch(path: &str, id: &'static str, summary: &'static str) -> Operation {
    call(Method::PATCH, path, id, summary).may(WRITE)
}

pub(super) fn delete(path: &str, id: &'static str, summary: &'static str) -> Operation {
    call(Method::DELETE, path, id, summary).may(WRITE)
}

impl Operation {
    /// A JSON body.
    pub(super) fn json<T: JsonSchema>(self) -> Self {
        self.wants(JSON, of::<T>()).may(BODY)
    }

    /// 200 with what was changed, and the freshness token.
    pub(super) fn changed<T: JsonSchema>(self, about: &'static str) -> Self {
        self.shows(200, about, of::<T>())
            .with(&["DoorwardFreshness"])
    }

    /// 201 with what was made, its path and the freshness token.
    pub(super) fn created<T: JsonSchema>(self, about: &'static str) -> Self {
        self.shows(201, about, of::<T>())
            .with(&["DoorwardFreshness", "Location"])
    }

    /// An answer that nobody on the way may keep.
    pub(super) fn once<T: JsonSchema>(self, status: u16, about: &'static str) -> Self {
        self.shows(status, about, of::<T>()).with(&["CacheControl"])
    }
}
