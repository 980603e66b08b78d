//! The sidecar's endpoints, on hyper alone.
//!
//! | route | who |
//! |---|---|
//! | `POST /access/v1/evaluation`, `POST /access/v1/evaluations`, `GET /v1/check` | everybody on loopback and the Unix socket; TCP from other hosts with the credential |
//! | `GET /.well-known/authzen-configuration`, `GET /forward-auth`, `GET /healthz`, `GET /readyz` | everybody |
//! | `/forward-auth/<dialect>` | proxies on loopback and the Unix socket; others where the listener says `forward_auth = true` |
//! | `POST /access/v1/search/…`, `POST /v1/plan`, `POST /v1/explain`, `Doorward-Explain: true`, `GET /v1/status` | the Unix socket, or the credential |
//! | `GET /metrics` | as status, or everybody where the listener says `metrics = true` |
//!
//! Over TCP the `Host` must be a loopback name or a configured one, so that no web page can reach a
//! sidecar through a name of its own. Envoy sends the original request's, which the routes judge.
//!
//! One acceptor per address deals its sockets round-robin to one single-threaded runtime per core.
//! Nothing on the way of a check leaves its thread.

mod body;
mod checks;
mod door;
mod forward_auth;
mod head;
mod pages;
mod searches;
mod workers;

pub use checks::{Terms, evaluation, evaluations};
pub(super) use door::{Door, Shared, Transport};
pub use searches::{SearchError, search};
pub(super) use workers::{Workers, accept};
