//! One call: from its head to its answer.

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use super::codec::CheckCodec;
use crate::protocol::ext_authz::{Answer, CHECK_PATH, Told};
use crate::protocol::forward_auth::{Dialect, IDENTITY_HEADERS, read};
use crate::sidecar::decide::Worker;
use crate::sidecar::http::door::{Door, Reply};
use crate::sidecar::http::head::Head;
use crate::sidecar::http::workers::Connection;

/// The largest message. Envoy takes 60 KiB of headers unless it is told otherwise, and sends no body
/// unless it is told to.
const MESSAGE_BYTES: usize = 256 * 1024;

/// Answers a call. Its message has to be there within the time that a decision may take.
pub(super) async fn call(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let is_grpc = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| is_grpc(value.as_bytes()));
    if request.method() != Method::POST || !is_grpc {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    if request.uri().path() != CHECK_PATH {
        return Status::new(Code::Unimplemented, "only `Check` is answered").into_http();
    }
    let deadline = {
        let doors = connection.door.shared.forward_auth.load();
        doors
            .as_deref()
            .map_or(Duration::ZERO, |doors| doors.deadline)
    };
    let mut grpc = Grpc::new(CheckCodec).max_decoding_message_size(MESSAGE_BYTES);
    tokio::time::timeout(deadline, grpc.unary(Check(connection), request))
        .await
        .unwrap_or_else(|_| {
            Status::new(Code::DeadlineExceeded, "the message did not arrive in time").into_http()
        })
}

fn is_grpc(content_type: &[u8]) -> bool {
    content_type == b"application/grpc" || content_type == b"application/grpc+proto"
}

struct Check(Arc<Connection>);

impl UnaryService<Bytes> for Check {
    type Response = Answer;
    type Future = Ready<Result<tonic::Response<Answer>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let Connection {
            door, worker, uid, ..
        } = &*self.0;
        ready(
            door.check_call(worker, *uid, request.get_ref())
                .map(tonic::Response::new),
        )
    }
}

impl Door {
    fn check_call(
        &self,
        worker: &Mutex<Worker>,
        uid: Option<u32>,
        message: &[u8],
    ) -> Result<Answer, Status> {
        let dialect = Dialect::EnvoyGrpc;
        let told = Told::decode(message);
        let none = HeaderMap::new();
        let headers = told.as_ref().map_or(&none, |told| &told.headers);
        let head = Head {
            uid,
            ..Head::read(headers)
        };
        let original = told.as_ref().map_err(ToString::to_string).and_then(|told| {
            read(dialect, &told.method, &told.target, &told.headers)
                .map_err(|error| error.to_string())
        });
        let reply = self
            .asked(worker, (dialect, &head), &original, headers)
            .ok_or_else(|| Status::new(Code::Unimplemented, "proxies are not answered here"))?;
        Ok(translated(&reply))
    }
}

/// The same answer in Envoy's words. Exactly 200 allows, as over HTTP.
fn translated(reply: &Reply) -> Answer {
    let mut headers = reply.headers().clone();
    if reply.status() != StatusCode::OK {
        headers.remove(CONTENT_LENGTH);
        return Answer::Deny(reply.status(), headers);
    }
    let identity = IDENTITY_HEADERS.into_iter().map(|name| {
        let value = headers.remove(name);
        let value = value.unwrap_or(HeaderValue::from_static(""));
        (HeaderName::from_static(name), value)
    });
    Answer::Allow(identity.collect())
}
