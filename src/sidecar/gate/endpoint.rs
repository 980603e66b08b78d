//! The reserved path: what stands behind it.

use std::sync::Mutex;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::Full;

use super::begin::begin;
use super::callback::callback;
use super::gates::Site;
use super::pages::{self, Page};
use super::sign_out::sign_out;
use crate::domain::Timestamp;
use crate::sidecar::decide::Worker;
use crate::sidecar::tokens::Rules;
use crate::sidecar::view::State;

pub(super) type Reply = Response<Full<Bytes>>;

/// What a visit needs.
#[derive(Clone, Copy)]
pub(in crate::sidecar) struct Context<'a> {
    pub(in crate::sidecar) site: &'a Site,
    /// By which the doors will judge the cookie.
    pub(in crate::sidecar) rules: &'a Rules,
    pub(in crate::sidecar) state: &'a State,
    pub(in crate::sidecar) worker: &'a Mutex<Worker>,
}

impl Context<'_> {
    pub(super) fn now(&self) -> Timestamp {
        self.state.clock().now()
    }
}

/// Answers a visit; `rest` is what stands behind the reserved path.
pub(in crate::sidecar) async fn answer(cx: Context<'_>, rest: &str, parts: &Parts) -> Reply {
    match (rest, &parts.method) {
        ("login", &Method::GET) => begin(&cx, parts),
        ("callback", &Method::GET) => callback(&cx, parts).await,
        ("sign-out", &Method::GET) => {
            pages::page(cx.site, StatusCode::OK, Page::AskSignOut, Some("/"))
        }
        ("sign-out", &Method::POST) => sign_out(&cx, parts),
        ("signed-out", &Method::GET) => {
            pages::page(cx.site, StatusCode::OK, Page::SignedOut, Some("/"))
        }
        ("style.css", &Method::GET) => pages::stylesheet(),
        ("login" | "callback" | "signed-out" | "style.css", _) => not_allowed(cx.site, "GET"),
        ("sign-out", _) => not_allowed(cx.site, "GET, POST"),
        _ => pages::page(cx.site, StatusCode::NOT_FOUND, Page::Nothing, None),
    }
}

fn not_allowed(site: &Site, allow: &'static str) -> Reply {
    let mut reply = pages::page(site, StatusCode::METHOD_NOT_ALLOWED, Page::Nothing, None);
    let allow = HeaderValue::from_static(allow);
    reply.headers_mut().insert(ALLOW, allow);
    reply
}

/// Sends the browser on. Codes and hints stand in these addresses: none is told as a referrer.
pub(super) fn redirect<'c>(location: &str, cookies: impl IntoIterator<Item = &'c str>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::new()));
    match HeaderValue::from_str(location) {
        Ok(location) => {
            *reply.status_mut() = StatusCode::SEE_OTHER;
            reply.headers_mut().insert(LOCATION, location);
        }
        Err(_) => *reply.status_mut() = StatusCode::BAD_REQUEST,
    }
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    with_cookies(&mut reply, cookies);
    reply
}

/// Adds `Set-Cookie` headers.
pub(super) fn with_cookies<'c>(reply: &mut Reply, cookies: impl IntoIterator<Item = &'c str>) {
    for cookie in cookies {
        if let Ok(mut value) = HeaderValue::from_str(cookie) {
            value.set_sensitive(true);
            reply.headers_mut().append(SET_COOKIE, value);
        }
    }
}
