//! `POST /v1/watch`: an evaluation whose answer comes again when it changes.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::FreshnessToken;
use crate::protocol::problem::Problem;
use crate::sidecar::callers::{Ask, Transport};
use crate::sidecar::http::body;
use crate::sidecar::http::content::Content;
use crate::sidecar::http::door::{Door, REQUEST_ID, bad_request, refuse};
use crate::sidecar::http::endpoints::Endpoint;
use crate::sidecar::http::head::{Head, freshness_token, staleness};
use crate::sidecar::http::workers::Connection;
use crate::sidecar::watch::{Place, Question, Watch, decision, run};

/// Events that may wait for a reader behind what its connection takes; with one more it is too slow.
const WAITING: usize = 16;

/// The longest question: it is kept, and asked anew with every change.
const QUESTION_MAX: usize = 16 * 1024;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

impl Door {
    /// Answers a request, whatever it is.
    pub(super) async fn respond(
        &self,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Response<Content> {
        if request.uri().path() == Endpoint::Watch.path() {
            return Box::pin(self.watch(connection, request)).await;
        }
        let Connection { worker, uid, .. } = connection;
        let reply = self.answer(worker, *uid, request).await;
        reply.map(Content::Whole)
    }

    async fn watch(
        &self,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Response<Content> {
        let (parts, body) = request.into_parts();
        let head = Head {
            uid: connection.uid,
            ..Head::read(&parts.headers)
        };
        let host = self.admit_host(&head, parts.uri.authority());
        let outcome = match (host, &parts.method) {
            (Ok(()), &Method::POST) => self.open(connection, (&head, &parts.headers), body).await,
            (Ok(()), _) => {
                Err(
                    Problem::new(405, "method-not-allowed", "this path takes another method")
                        .into(),
                )
            }
            (Err(problem), _) => Err(problem),
        };
        let mut response = outcome.unwrap_or_else(|problem| {
            let worker = connection.worker.lock();
            worker
                .unwrap_or_else(PoisonError::into_inner)
                .counts
                .refused += 1;
            refuse(&problem).map(Content::Whole)
        });
        if let Some(id) = head.request_id {
            response.headers_mut().insert(REQUEST_ID, id.clone());
        }
        response
    }

    async fn open(
        &self,
        connection: &Connection,
        (head, headers): (&Head<'_>, &HeaderMap),
        body: Incoming,
    ) -> Result<Response<Content>, Box<Problem>> {
        let admitted = self.admit(head, Ask::Check)?;
        head.expect_json()?;
        let places = &self.shared.watches;
        let place = places
            .take(admitted.name, self.transport)
            .ok_or_else(|| too_many(admitted.name))?;
        let own = |value: &HeaderValue| value.to_str().ok().map(Into::into);
        let asked = head.max_staleness.map(|text| staleness(text.as_bytes()));
        let question = Question {
            max_staleness: match (asked.transpose()?, self.deny_beyond) {
                (Some(asked), Some(own)) => Some(asked.min(own)),
                (asked, own) => asked.or(own),
            },
            at_least: head
                .at_least
                .map(|text| freshness_token(text.as_bytes()))
                .transpose()?,
            seen: headers.get(LAST_EVENT_ID).and_then(last_event),
            services: admitted.rights.services.clone(),
            unix: self.transport == Transport::Unix,
            caller: admitted.name.map(Into::into),
            uid: head.uid,
            request_id: head.request_id.and_then(own),
            body: question(body, self.shared.body_timeout).await?,
        };
        self.begin(connection, place, question).await
    }

    /// Asks for the first time, so that a question that cannot be asked is refused as one.
    async fn begin(
        &self,
        connection: &Connection,
        place: Place,
        question: Question,
    ) -> Result<Response<Content>, Box<Problem>> {
        let state = &self.shared.state;
        let asked = question
            .ask(state, &connection.worker, None)
            .await
            .map_err(|error| bad_request(&error))?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let told = asked.map(|asked| {
            // A channel just made has room.
            let _ = sender.try_send(decision(state, &asked.answer));
            asked.outcome
        });
        let watch = Watch {
            question,
            state: Arc::clone(state),
            worker: Arc::clone(&connection.worker),
            heartbeat: self.shared.watches.config().heartbeat,
            told,
            sender,
            spoke: Instant::now(),
            cut: Arc::clone(&connection.cut),
            stop: connection.tasks.stop(),
            _place: place,
        };
        connection.tasks.spawn("watch", run(watch));
        let mut response = Response::new(Content::Events(receiver));
        let headers = response.headers_mut();
        let events = HeaderValue::from_static("text/event-stream");
        headers.insert(CONTENT_TYPE, events);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// A question's bytes, on their own: what was read from a connection may be more.
async fn question(body: Incoming, patience: Duration) -> Result<Bytes, Box<Problem>> {
    let body = body::read(body, QUESTION_MAX, patience).await?;
    Ok(Bytes::copy_from_slice(&body))
}

/// The id of the last event that a reader saw, if it is one of ours.
fn last_event(value: &HeaderValue) -> Option<FreshnessToken> {
    value.to_str().ok()?.parse().ok()
}

fn too_many(caller: Option<&str>) -> Box<Problem> {
    let whose = caller.map_or_else(
        || "callers who are not known".to_owned(),
        |name| format!("caller `{name}`"),
    );
    Problem::new(
        429,
        "too-many-watches",
        "there are too many watches already",
    )
    .because(format!(
        "{whose} may have no more, or nobody may: end some first"
    ))
    .into()
}
