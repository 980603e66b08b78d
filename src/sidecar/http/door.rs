//! One listener's door: who may ask what, and where a request goes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::uri::Authority;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::protocol::authzen::{RequestError, Target};
use crate::protocol::forward_auth::Dialect;
use crate::protocol::problem::{PROBLEM_JSON, Problem};
use crate::runtime::limits;
use crate::sidecar::callers::{Admitted, Ask, Callers, Rights, Transport};
use crate::sidecar::config::Protocol;
use crate::sidecar::decide::Worker;
use crate::sidecar::decision_log::{self, Asker, LogCounts};
use crate::sidecar::forward_auth::{ForwardAuth, headers_document};
use crate::sidecar::http::body;
use crate::sidecar::http::checks::{self, Query, Terms};
use crate::sidecar::http::endpoints::Endpoint;
use crate::sidecar::http::head::{Head, freshness_token, name, staleness};
use crate::sidecar::http::searches::{self, SearchError};
use crate::sidecar::view::State;
use crate::sidecar::watch::Places;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What all doors share.
pub(in crate::sidecar) struct Shared {
    pub(in crate::sidecar) state: Arc<State>,
    /// The doors of proxies; `None` without routes. Replaced whole when the configuration is read again.
    pub(in crate::sidecar) forward_auth: ArcSwapOption<ForwardAuth>,
    pub(in crate::sidecar) workers: Vec<Arc<Mutex<Worker>>>,
    pub(in crate::sidecar) callers: Callers,
    pub(in crate::sidecar) metadata: Bytes,
    pub(in crate::sidecar) metadata_path: String,
    pub(in crate::sidecar) at_least_wait: Duration,
    pub(in crate::sidecar) body_timeout: Duration,
    pub(in crate::sidecar) listeners: Vec<String>,
    pub(in crate::sidecar) process_metrics: Option<PrometheusHandle>,
    /// The places of watches.
    pub(in crate::sidecar) watches: Arc<Places>,
    /// `None` without a decision log.
    pub(in crate::sidecar) log_counts: Option<Arc<LogCounts>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("state", &self.state)
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

/// One listener's rules.
#[derive(Debug)]
pub(in crate::sidecar) struct Door {
    pub(in crate::sidecar) shared: Arc<Shared>,
    pub(in crate::sidecar) transport: Transport,
    pub(in crate::sidecar) protocol: Protocol,
    /// What those may ask who are no known caller.
    pub(in crate::sidecar) anonymous: Rights,
    pub(in crate::sidecar) hosts: Vec<String>,
    pub(in crate::sidecar) deny_beyond: Option<Duration>,
    pub(in crate::sidecar) open_metrics: bool,
    /// Whether proxies are answered here.
    pub(in crate::sidecar) forward_auth: bool,
}

pub(super) type Reply = Response<Full<Bytes>>;

/// Which kind of check a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Evaluation,
    Evaluations,
    Explain,
}

impl Kind {
    const fn ask(self) -> Ask {
        match self {
            Self::Evaluation | Self::Evaluations => Ask::Check,
            Self::Explain => Ask::Explain,
        }
    }

    const fn door(self) -> decision_log::Door {
        match self {
            Self::Evaluation | Self::Evaluations => decision_log::Door::Authzen,
            Self::Explain => decision_log::Door::Explain,
        }
    }
}

impl Door {
    /// Answers a request.
    ///
    /// `uid` is the user at the other end of a Unix socket.
    pub(super) async fn answer(
        &self,
        worker: &Mutex<Worker>,
        uid: Option<u32>,
        request: Request<Incoming>,
    ) -> Reply {
        let (parts, body) = request.into_parts();
        let head = Head {
            uid,
            ..Head::read(&parts.headers)
        };
        let path = parts.uri.path();
        let proxied = path
            .strip_prefix("/forward-auth/")
            .and_then(Dialect::of_path);
        if proxied.is_none() {
            let doors = self.shared.forward_auth.load();
            if let Some(visit) = self.visit(doors.as_deref(), &parts) {
                return Box::pin(self.gate(worker, visit, &parts)).await;
            }
        }
        // Envoy's `Host` is the original request's, and a matter of the routes.
        let host = match proxied {
            Some((Dialect::Envoy, _)) if parts.uri.authority().is_none() => Ok(()),
            _ => self.admit_host(&head, parts.uri.authority()),
        };
        let outcome = match (host, proxied) {
            (Ok(()), Some((dialect, _))) => self.forward_auth(worker, dialect, &head, &parts),
            (Ok(()), None) => self.at(worker, &head, &parts, body).await,
            (Err(problem), _) => Err(problem),
        };
        let mut reply = outcome.unwrap_or_else(|problem| {
            worker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .counts
                .refused += 1;
            refuse(&problem)
        });
        if let Some(id) = head.request_id {
            reply.headers_mut().insert(REQUEST_ID, id.clone());
        }
        reply
    }

    async fn ask(
        &self,
        worker: &Mutex<Worker>,
        head: &Head<'_>,
        body: Incoming,
        kind: Kind,
    ) -> Result<Reply, Box<Problem>> {
        let admitted = self.admit(head, kind.ask())?;
        let explain = head.explain || kind == Kind::Explain;
        if explain {
            self.admit(head, Ask::Explain)?;
        }
        head.expect_json()?;
        let terms = self
            .terms(
                head.at_least.map(HeaderValue::as_bytes),
                head.max_staleness.map(HeaderValue::as_bytes),
                (admitted, explain),
                head.asker(kind.door()),
            )
            .await?;
        let body = body::read(body, limits::BATCH_BYTES, self.shared.body_timeout).await?;
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &self.shared.state;
        let answered = if kind == Kind::Evaluations {
            checks::evaluations(state, &mut worker, &terms, &body)
        } else {
            checks::evaluation(state, &mut worker, &terms, &body)
        };
        Ok(json(answered.map_err(|error| bad_request(&error))?))
    }

    async fn search(
        &self,
        worker: &Mutex<Worker>,
        head: &Head<'_>,
        body: Incoming,
        target: Target,
    ) -> Result<Reply, Box<Problem>> {
        let admitted = self.admit(
            head,
            if target == Target::Plan {
                Ask::Plan
            } else {
                Ask::Search
            },
        )?;
        head.expect_json()?;
        let terms = self
            .terms(
                head.at_least.map(HeaderValue::as_bytes),
                head.max_staleness.map(HeaderValue::as_bytes),
                (admitted, false),
                head.asker(decision_log::Door::Authzen),
            )
            .await?;
        let body = body::read(body, limits::BODY_BYTES, self.shared.body_timeout).await?;
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = searches::search(&self.shared.state, &mut worker, &terms, target, &body);
        Ok(json(answered.map_err(|error| match &error {
            SearchError::Request(error) => bad_request(error),
            SearchError::PerResource => error.problem(),
        })?))
    }

    async fn check(
        &self,
        worker: &Mutex<Worker>,
        head: &Head<'_>,
        query: &str,
    ) -> Result<Reply, Box<Problem>> {
        let admitted = self.admit(head, Ask::Check)?;
        let query = Query::parse(query).map_err(|error| bad_request(&error))?;
        let explain = head.explain || query.explain;
        if explain {
            self.admit(head, Ask::Explain)?;
        }
        let of_query = |text: &Option<std::borrow::Cow<'_, str>>| {
            text.as_ref().map(|text| text.as_bytes().to_vec())
        };
        let (at_least, most) = (of_query(&query.at_least), of_query(&query.max_staleness));
        let terms = self
            .terms(
                at_least
                    .as_deref()
                    .or(head.at_least.map(HeaderValue::as_bytes)),
                most.as_deref()
                    .or(head.max_staleness.map(HeaderValue::as_bytes)),
                (admitted, explain),
                head.asker(decision_log::Door::Check),
            )
            .await?;
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let answered = checks::check(&self.shared.state, &mut worker, &terms, &query);
        Ok(json(answered.map_err(|error| bad_request(&error))?))
    }

    /// What the caller and this listener ask of freshness. Waits, if a revision is asked for that
    /// has not arrived.
    async fn terms<'r>(
        &self,
        at_least: Option<&[u8]>,
        max_staleness: Option<&[u8]>,
        (admitted, explain): (Admitted<'r>, bool),
        from: Asker<'r>,
    ) -> Result<Terms<'r>, Box<Problem>> {
        let asked = max_staleness.map(staleness).transpose()?;
        let max_staleness = match (asked, self.deny_beyond) {
            (Some(asked), Some(own)) => Some(asked.min(own)),
            (asked, own) => asked.or(own),
        };
        let unreached = match at_least {
            None => None,
            Some(text) => {
                let token = freshness_token(text)?;
                let wait = self.shared.at_least_wait;
                Box::pin(self.shared.state.reach(token, wait)).await.err()
            }
        };
        Ok(Terms {
            max_staleness,
            unreached,
            explain,
            services: admitted.rights.services.as_deref(),
            asker: Asker {
                unix: self.transport == Transport::Unix,
                caller: admitted.name,
                ..from
            },
        })
    }

    /// Answers at a path that has one meaning.
    async fn at(
        &self,
        worker: &Mutex<Worker>,
        head: &Head<'_>,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Reply, Box<Problem>> {
        let endpoint = self.endpoint(parts.uri.path())?;
        let method = endpoint.method();
        if parts.method != method {
            return Err(
                Problem::new(405, "method-not-allowed", "this path takes another method")
                    .with("allow", method.as_str())
                    .into(),
            );
        }
        match endpoint {
            Endpoint::Evaluation => self.ask(worker, head, body, Kind::Evaluation).await,
            Endpoint::Evaluations => self.ask(worker, head, body, Kind::Evaluations).await,
            Endpoint::Explain => self.ask(worker, head, body, Kind::Explain).await,
            Endpoint::SearchSubject => {
                Box::pin(self.search(worker, head, body, Target::Subject)).await
            }
            Endpoint::SearchResource => {
                Box::pin(self.search(worker, head, body, Target::Resource)).await
            }
            Endpoint::SearchAction => {
                Box::pin(self.search(worker, head, body, Target::Action)).await
            }
            Endpoint::Plan => Box::pin(self.search(worker, head, body, Target::Plan)).await,
            Endpoint::Check => {
                let query = parts.uri.query().unwrap_or_default();
                self.check(worker, head, query).await
            }
            Endpoint::Metadata => Ok(reply(JSON, self.shared.metadata.clone())),
            Endpoint::DoorHeaders => Ok(headers_document()),
            Endpoint::Status => {
                self.admit(head, Ask::Status)?;
                Ok(json(self.shared.status().to_string().into_bytes()))
            }
            Endpoint::Metrics => {
                if !self.open_metrics {
                    self.admit(head, Ask::Metrics)?;
                }
                Ok(reply(
                    HeaderValue::from_static("text/plain; version=0.0.4"),
                    self.shared.metrics().into(),
                ))
            }
            Endpoint::Ready if self.shared.state.view().position.is_none() => {
                Err(Problem::unavailable("there is no copy of the facts yet").into())
            }
            Endpoint::Live | Endpoint::Ready => Ok(reply(
                HeaderValue::from_static("text/plain"),
                Bytes::from_static(b"ok\n"),
            )),
            // It never ends, so it is taken before anything that does.
            Endpoint::Watch => Err(nothing_here()),
        }
    }

    /// The endpoint of a path. The metadata is looked for where `public_url` puts it.
    fn endpoint(&self, path: &str) -> Result<Endpoint, Box<Problem>> {
        match Endpoint::find(path) {
            Some(Endpoint::Metadata) | None if path == self.shared.metadata_path => {
                Ok(Endpoint::Metadata)
            }
            Some(Endpoint::Metadata) | None => Err(nothing_here()),
            Some(endpoint) => Ok(endpoint),
        }
    }

    /// A web page that resolves a name of its own to this address sends that name in `Host`.
    /// One that is written into the request line counts as well: it goes before `Host`.
    pub(super) fn admit_host(
        &self,
        head: &Head<'_>,
        target: Option<&Authority>,
    ) -> Result<(), Box<Problem>> {
        if self.transport == Transport::Unix {
            return Ok(());
        }
        // The usual spellings first, without making a text of them.
        if head.hosts == 1
            && target.is_none()
            && let Some(host) = head.host
            && (host == "localhost" || host == "127.0.0.1")
        {
            return Ok(());
        }
        let known = |name: String| {
            matches!(name.as_str(), "localhost" | "127.0.0.1" | "[::1]")
                || self.hosts.contains(&name)
        };
        // With a user's name before it, an authority is no known name.
        if head.hosts == 1
            && head.host_name().is_some_and(known)
            && target.is_none_or(|target| known(name(target.as_str())))
        {
            Ok(())
        } else {
            Err(Problem::new(
                421,
                "misdirected-request",
                "the `Host` is not one this sidecar answers to",
            )
            .because("send a loopback name, or add the name to the listener's `hosts`")
            .into())
        }
    }

    /// Lets in who may ask for this.
    pub(super) fn admit(&self, head: &Head<'_>, ask: Ask) -> Result<Admitted<'_>, Box<Problem>> {
        let authorization = head.authorization.map(HeaderValue::as_bytes);
        match self.shared.callers.find(authorization, head.uid) {
            Some((name, rights)) if rights.may(ask) => Ok(Admitted {
                name: Some(name),
                rights,
            }),
            Some((name, _)) => Err(Problem::forbidden(format!(
                "caller `{name}` may not ask for this: `{}` is not in its `may`",
                ask.word()
            ))
            .into()),
            None if self.anonymous.may(ask) => Ok(Admitted {
                name: None,
                rights: &self.anonymous,
            }),
            None => Err(Problem::unauthenticated()
                .because(
                    "ask over the Unix socket, or send a credential of the sidecar's as a bearer \
                     token",
                )
                .into()),
        }
    }
}

fn nothing_here() -> Box<Problem> {
    Problem::not_found("there is nothing at this path").into()
}

pub(super) fn bad_request(error: &RequestError) -> Box<Problem> {
    match error.status() {
        403 => Problem::forbidden(error.to_string()).into(),
        _ => Problem::malformed(error.to_string()).into(),
    }
}

fn json(body: Vec<u8>) -> Reply {
    reply(JSON, body.into())
}

fn reply(content_type: HeaderValue, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

pub(super) fn refuse(problem: &Problem) -> Reply {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut reply = reply(HeaderValue::from_static(PROBLEM_JSON), body.into());
    *reply.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    if problem.status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some("GET") = problem.extensions.get("allow").and_then(|v| v.as_str()) {
        headers.insert(ALLOW, HeaderValue::from_static("GET"));
    } else if problem.status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    reply
}
