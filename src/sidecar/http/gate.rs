//! A browser at a gate's reserved path.

use std::sync::Mutex;

use http::request::Parts;

use crate::sidecar::decide::Worker;
use crate::sidecar::forward_auth::ForwardAuth;
use crate::sidecar::gate::{self, Context, Site};
use crate::sidecar::http::door::{Door, Reply};
use crate::sidecar::tokens::Rules;

/// A request that is for a gate.
pub(super) struct Visit<'a> {
    site: &'a Site,
    rules: &'a Rules,
    /// What stands behind the reserved path.
    rest: &'a str,
}

impl Door {
    /// Whether a request is for a gate: by its `Host` and its path. Whoever may ask for proxies may
    /// hand browsers on.
    pub(super) fn visit<'a>(
        &self,
        doors: Option<&'a ForwardAuth>,
        parts: &'a Parts,
    ) -> Option<Visit<'a>> {
        let doors = doors?;
        let rules = doors.tokens.as_ref().filter(|_| self.forward_auth)?;
        let (site, rest) = doors.gates.visited(&parts.headers, parts.uri.path())?;
        // An absolute form would name another host to whoever believes it.
        parts
            .uri
            .authority()
            .is_none()
            .then_some(Visit { site, rules, rest })
    }

    /// Answers it.
    pub(super) async fn gate(
        &self,
        worker: &Mutex<Worker>,
        visit: Visit<'_>,
        parts: &Parts,
    ) -> Reply {
        let cx = Context {
            site: visit.site,
            rules: visit.rules,
            state: &self.shared.state,
            worker,
        };
        gate::answer(cx, visit.rest, parts).await
    }
}
