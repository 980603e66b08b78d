//! What happens, as it happens: decisions, revisions, staleness.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::BufRead;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use super::super::error::CliError;
use super::super::output::Output;
use super::super::profile::ProfileFile;
use super::daemons::{AuthorityHandle, SidecarHandle};
use super::demo;
use crate::domain::{OrganizationId, UserId};
use crate::sidecar::recent::Decided;
use crate::store::replica::ReplicaReader;

/// How often the view is looked at: decisions leave no log line, so the sidecar is asked for them.
const LOOK: Duration = Duration::from_millis(200);

/// With the authority down, how often the growing staleness is shown.
const REMIND: Duration = Duration::from_secs(5);

/// One line of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Line {
    authority: bool,
    head: u64,
    revision: u64,
    staleness_ms: Option<u64>,
    allowed: u64,
    denied: u64,
    /// Since the line before.
    newly_allowed: u64,
    newly_denied: u64,
}

/// One decision. The sidecar keeps the last few only: what is missing is in the counts.
#[derive(Debug, Serialize)]
struct DecisionLine<'a> {
    decision: bool,
    reason: &'static str,
    user: String,
    organization: String,
    permission: &'a str,
}

/// What people call the ids that decisions have.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: HashMap<UserId, String>,
    organizations: HashMap<OrganizationId, &'static str>,
}

impl Names {
    /// Those of the demo. Whatever is not found is shown by its id.
    pub(super) fn of(profile: &ProfileFile, sidecar: &SidecarHandle) -> Self {
        let users = profile.users.iter().map(|(name, id)| (*id, name.clone()));
        let reader = sidecar.sidecar().state().copy_path();
        let mut reader = reader.and_then(|path| ReplicaReader::open(&path).ok());
        let organizations = demo::slugs()
            .filter_map(|slug| Some((reader.as_mut()?.organization_by_slug(slug).ok()??, slug)));
        Self {
            users: users.collect(),
            organizations: organizations.collect(),
        }
    }

    fn line<'a>(&self, decided: &'a Decided) -> DecisionLine<'a> {
        let (user, organization) = (decided.user, decided.organization);
        DecisionLine {
            decision: decided.outcome.decision.is_allow(),
            reason: decided.outcome.why.code(),
            user: self
                .users
                .get(&user)
                .map_or_else(|| user.to_string(), Clone::clone),
            organization: self
                .organizations
                .get(&organization)
                .map_or_else(|| organization.to_string(), ToString::to_string),
            permission: &decided.permission,
        }
    }
}

fn human_decision(line: &DecisionLine<'_>) -> String {
    format!(
        "{}  {} at {}: {} ({})",
        if line.decision { "allow" } else { "deny " },
        line.user,
        line.organization,
        line.permission,
        line.reason
    )
}

/// Shows changes for as long as it is polled.
pub(super) async fn watch(
    authority: &mut AuthorityHandle,
    sidecar: &SidecarHandle,
    names: &Names,
    output: Output,
) -> Result<(), CliError> {
    let mut keys = keyboard();
    let mut ticks = tokio::time::interval(LOOK);
    let mut last = line(authority, sidecar, None);
    let mut quiet_for = Duration::ZERO;
    output.event(&last, human);
    sidecar.sidecar().watch();
    loop {
        tokio::select! {
            Some(()) = keys.recv() => toggle(authority, output).await?,
            _ = ticks.tick() => {}
        }
        for decided in sidecar.sidecar().watch() {
            output.event(&names.line(&decided), human_decision);
        }
        let now = line(authority, sidecar, Some(&last));
        quiet_for += LOOK;
        if changed(&last, &now) || (!now.authority && quiet_for >= REMIND) {
            output.event(&now, human);
            last = now;
            quiet_for = Duration::ZERO;
        }
    }
}

async fn toggle(authority: &mut AuthorityHandle, output: Output) -> Result<(), CliError> {
    let word = if authority.is_running() {
        "stopping the authority: the sidecar goes on answering, and says how stale it is"
    } else {
        "starting the authority"
    };
    output.note(word);
    authority.toggle().await
}

/// `a` and Enter, from a thread of its own: standard input cannot be awaited portably. The thread
/// ends with the process.
fn keyboard() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if line.trim() == "a" && sender.blocking_send(()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn line(authority: &AuthorityHandle, sidecar: &SidecarHandle, last: Option<&Line>) -> Line {
    let running = sidecar.sidecar();
    let view = running.state().view();
    let freshness = running.state().freshness(&view);
    let counts = running.counts();
    let allowed = counts.allowed.iter().sum();
    let denied = counts.denied.iter().sum();
    Line {
        authority: authority.is_running(),
        head: authority.head().revision.get(),
        revision: freshness.revision.get(),
        staleness_ms: freshness
            .staleness
            .map(|staleness| u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX)),
        allowed,
        denied,
        newly_allowed: last.map_or(0, |last| allowed - last.allowed),
        newly_denied: last.map_or(0, |last| denied - last.denied),
    }
}

fn changed(last: &Line, now: &Line) -> bool {
    let facts = |line: &Line| {
        (
            line.authority,
            line.head,
            line.revision,
            line.allowed,
            line.denied,
        )
    };
    facts(last) != facts(now)
}

fn human(line: &Line) -> String {
    let authority = if line.authority {
        format!("authority at {}", line.head)
    } else {
        "authority STOPPED".to_owned()
    };
    let staleness = match line.staleness_ms {
        Some(ms) => format!("{}.{:03} s stale", ms / 1000, ms % 1000),
        None => "staleness unknown".to_owned(),
    };
    let mut text = format!("{authority}, sidecar at {}, {staleness}", line.revision);
    for (word, number) in [
        ("allowed", line.newly_allowed),
        ("denied", line.newly_denied),
    ] {
        if number > 0 {
            let _ = write!(text, ", {word} {number}");
        }
    }
    text
}
