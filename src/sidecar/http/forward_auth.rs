//! A proxy's question on its way in and out.

use std::sync::{Mutex, PoisonError};

use http::request::Parts;
use http::uri::PathAndQuery;

use crate::protocol::forward_auth::{self, Dialect};
use crate::protocol::problem::Problem;
use crate::sidecar::decide::Worker;
use crate::sidecar::forward_auth::{Asked, answer};
use crate::sidecar::http::door::{Door, Reply};

impl Door {
    /// Answers a proxy. The query of its own request is not looked at: Caddy puts the client's there.
    pub(super) fn forward_auth(
        &self,
        worker: &Mutex<Worker>,
        dialect: Dialect,
        parts: &Parts,
    ) -> Result<Reply, Box<Problem>> {
        let doors = self.shared.forward_auth.as_ref();
        let Some(doors) = doors.filter(|_| self.forward_auth) else {
            return Err(Problem::not_found("proxies are not answered here").into());
        };
        let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
        let target = target
            .strip_prefix("/forward-auth/")
            .and_then(|rest| rest.strip_prefix(dialect.name()))
            .unwrap_or_default();
        let original = forward_auth::read(dialect, &parts.method, target, &parts.headers);
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = match &original {
            Ok(original) => doors.ask(
                &self.shared.state,
                &mut worker,
                original,
                &parts.headers,
                self.deny_beyond,
            ),
            Err(error) => {
                // Whoever configures a proxy must be able to find out; a client could fill a log.
                tracing::debug!(%error, %dialect, "a request was refused for its form");
                Asked::malformed()
            }
        };
        worker.counts.count_door(dialect, asked.outcome());
        Ok(answer(dialect, &asked))
    }
}
