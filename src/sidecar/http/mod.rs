//! The sidecar's endpoints, on hyper alone.
//!
//! | route | who |
//! |---|---|
//! | `POST /access/v1/evaluation`, `POST /access/v1/evaluations`, `GET /v1/check` | who may `check` |
//! | `POST /v1/watch` | who may `check` |
//! | `POST /access/v1/search/{subject,resource,action}` | who may `search` |
//! | `POST /v1/plan` | who may `plan` |
//! | `POST /v1/explain`, and `Doorward-Explain: true` on a check | who may `explain` |
//! | `GET /v1/status` | who may ask for `status` |
//! | `GET /metrics` | who may ask for `metrics`, or everybody where the listener says `metrics = true` |
//! | `GET /.well-known/authzen-configuration`, `GET /forward-auth`, `GET /healthz`, `GET /readyz` | everybody |
//! | `/forward-auth/<dialect>` | proxies on loopback and the Unix socket; others where the listener says `forward_auth = true` |
//! | the reserved path of a gate, by the `Host` of a guarded app | browsers, where proxies are answered |
//!
//! Over the Unix socket that is everybody unless its listener says otherwise, over loopback TCP
//! everybody may `check`, and the rest are callers with a credential ([`super::callers`]).
//!
//! Over TCP the `Host` must be a loopback name or a configured one, so that no web page can reach a
//! sidecar through a name of its own. Envoy sends the original request's, which the routes judge.
//!
//! A listener with `protocol = "envoy-grpc"` answers Envoy's `Check` over HTTP/2 and nothing else.
//!
//! One acceptor per address deals its sockets round-robin to one single-threaded runtime per core.
//! Nothing on the way of a check leaves its thread.

mod body;
mod checks;
mod content;
mod door;
mod endpoints;
mod forward_auth;
mod gate;
mod grpc;
mod head;
mod pages;
mod searches;
mod watch;
mod workers;

pub(super) use checks::watched;
pub use checks::{Terms, evaluation, evaluations};
pub(super) use door::{Door, Shared};
pub use endpoints::Endpoint;
pub use searches::{SearchError, search};
pub(super) use workers::{Workers, accept};
