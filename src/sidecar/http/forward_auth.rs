//! A proxy's question on its way in and out.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::protocol::forward_auth::{self, Dialect, Original};
use crate::protocol::problem::Problem;
use crate::sidecar::callers::Transport;
use crate::sidecar::decide::Worker;
use crate::sidecar::decision_log::Asker;
use crate::sidecar::forward_auth::answer;
use crate::sidecar::http::door::{Door, Reply};
use crate::sidecar::http::head::Head;

impl Door {
    /// Answers a proxy. The query of its own request is not looked at: Caddy puts the client's there.
    pub(super) fn forward_auth(
        &self,
        worker: &Mutex<Worker>,
        dialect: Dialect,
        head: &Head<'_>,
        parts: &Parts,
    ) -> Result<Reply, Box<Problem>> {
        let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
        let target = target
            .strip_prefix("/forward-auth/")
            .and_then(|rest| rest.strip_prefix(dialect.name()))
            .unwrap_or_default();
        let original = forward_auth::read(dialect, &parts.method, target, &parts.headers);
        self.asked(worker, (dialect, head), &original, &parts.headers)
            .ok_or_else(|| Problem::not_found("proxies are not answered here").into())
    }

    /// What a proxy is answered about a request, which could perhaps not be read; `None` where proxies
    /// are not.
    pub(super) fn asked(
        &self,
        worker: &Mutex<Worker>,
        (dialect, head): (Dialect, &Head<'_>),
        original: &Result<Original<'_>, impl fmt::Display>,
        headers: &HeaderMap,
    ) -> Option<Reply> {
        let doors = self.shared.forward_auth.load();
        let doors = doors.as_deref().filter(|_| self.forward_auth)?;
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = original {
            // Whoever configures a proxy must be able to find out; a client could fill a log.
            tracing::debug!(%error, %dialect, "a request was refused for its form");
        }
        let from = Asker {
            unix: self.transport == Transport::Unix,
            ..head.asker(dialect.into())
        };
        let (asked, id) = doors.ask(
            &self.shared.state,
            &mut worker,
            (original.as_ref().ok(), from),
            headers,
            self.deny_beyond,
        );
        worker.counts.count_door(dialect, asked.outcome());
        Some(answer(dialect, &asked, id))
    }
}
