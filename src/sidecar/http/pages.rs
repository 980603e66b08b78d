//! What people and monitors look at.

use std::fmt::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use serde_json::json;

use crate::protocol::forward_auth::Dialect;
use crate::sidecar::counts::Counts;
use crate::sidecar::decision_log::LogCounts;
use crate::sidecar::forward_auth::DoorOutcome;
use crate::sidecar::http::door::Shared;
use crate::sidecar::recent::Decided;
use crate::sidecar::refusal::Refusal;
use crate::sidecar::tokens::Shown;
use crate::sidecar::why::Why;

impl Shared {
    /// All threads' counters, summed.
    pub(in crate::sidecar) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for worker in &self.workers {
            sum.add(&worker.lock().unwrap_or_else(PoisonError::into_inner).counts);
        }
        sum
    }

    /// The decisions since the last call, as far as they are kept; none before the first.
    pub(in crate::sidecar) fn watch(&self) -> Vec<Decided> {
        let mut decided = Vec::new();
        for worker in &self.workers {
            let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
            decided.extend(worker.recent.get_or_insert_default().take());
        }
        decided
    }

    /// `GET /metrics`, in Prometheus' text format. Label values come from closed sets.
    pub(super) fn metrics(&self) -> String {
        let counts = self.counts();
        let view = self.state.view();
        let mut text = String::with_capacity(4096);
        decisions(&mut text, &counts);
        family(
            &mut text,
            "doorward_sidecar_member_lookups_total",
            "counter",
            "Where members were found: the thread's front, moka, or neither.",
        );
        for (from, count) in [
            ("front", counts.front_hits),
            ("moka", counts.shared_hits),
            ("miss", counts.misses),
        ] {
            let _ = writeln!(
                text,
                "doorward_sidecar_member_lookups_total{{from=\"{from}\"}} {count}"
            );
        }
        family(
            &mut text,
            "doorward_sidecar_policy_answers_total",
            "counter",
            "Answers of hand-written policies: kept, or asked of Cedar.",
        );
        for (from, count) in [("moka", counts.depends_hits), ("cedar", counts.evaluations)] {
            let _ = writeln!(
                text,
                "doorward_sidecar_policy_answers_total{{from=\"{from}\"}} {count}"
            );
        }
        tokens(&mut text, &counts);
        proofs(&mut text, &counts);
        doors(&mut text, &counts);
        watches(&mut text, self.watches.taken());
        if let Some(counts) = &self.log_counts {
            decision_log(&mut text, counts);
        }
        for (name, kind, help, value) in [
            (
                "doorward_sidecar_cached_tokens",
                "gauge",
                "Verified tokens in moka, about.",
                self.state.tokens.len(),
            ),
            (
                "doorward_sidecar_remembered_proofs",
                "gauge",
                "Proofs of possession remembered against replay.",
                u64::try_from(self.state.proofs.len()).unwrap_or(u64::MAX),
            ),
            (
                "doorward_sidecar_copy_reads_total",
                "counter",
                "Reads of the SQLite copy.",
                counts.sqlite_reads,
            ),
            (
                "doorward_sidecar_refused_requests_total",
                "counter",
                "Requests refused with a 4xx status.",
                counts.refused,
            ),
            (
                "doorward_sidecar_cached_members",
                "gauge",
                "Members in moka, about.",
                self.state.members.len(),
            ),
            (
                "doorward_sidecar_revision",
                "gauge",
                "The last change that answers know of.",
                view.revision().get(),
            ),
            (
                "doorward_sidecar_connected",
                "gauge",
                "Whether the follower hears the authority.",
                u64::from(self.state.link().connected),
            ),
        ] {
            family(&mut text, name, kind, help);
            let _ = writeln!(text, "{name} {value}");
        }
        if let Some(staleness) = self.state.staleness() {
            let name = "doorward_sidecar_staleness_seconds";
            family(
                &mut text,
                name,
                "gauge",
                "Time since the copy was last known to be up to date. Absent while unknown.",
            );
            let _ = writeln!(text, "{name} {}", staleness.as_secs_f64());
        }
        if let Some(process) = &self.process_metrics {
            text.push_str(&process.render());
        }
        text
    }

    /// `GET /v1/status`.
    pub(super) fn status(&self) -> serde_json::Value {
        let counts = self.counts();
        let staleness = self.state.staleness();
        let view = self.state.view();
        let link = self.state.link();
        json!({
            "ready": view.position.is_some(),
            "epoch": view.position.map(|position| position.epoch.to_string()),
            "revision": view.revision().get(),
            "chain": view.position.map(|position| position.chain.to_string()),
            "staleness_ms": staleness.map(|staleness| {
                u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX)
            }),
            "connected": link.connected,
            "last_problem": link.last_problem,
            "policies_problem": self.state.policies_problem(),
            "roles_and_permissions": {
                "permissions": view.engine.permissions().len(),
                "role_sets": view.engine.sets().len(),
            },
            "members": {
                "cached": self.state.members.len(),
                "front_hits": counts.front_hits,
                "moka_hits": counts.shared_hits,
                "misses": counts.misses,
            },
            "copy_reads": counts.sqlite_reads,
            "decisions": {
                "allowed": counts.allowed.iter().sum::<u64>(),
                "denied": counts.denied.iter().sum::<u64>(),
            },
            "listeners": self.listeners,
        })
    }
}

fn decisions(text: &mut String, counts: &Counts) {
    family(
        text,
        "doorward_sidecar_decisions_total",
        "counter",
        "Decisions by outcome and reason.",
    );
    for (decision, by_why) in [("allow", &counts.allowed), ("deny", &counts.denied)] {
        for (why, count) in Why::ALL.iter().zip(by_why) {
            if *count > 0 {
                let _ = writeln!(
                    text,
                    "doorward_sidecar_decisions_total{{decision=\"{decision}\",reason=\"{}\"}} {count}",
                    why.code()
                );
            }
        }
    }
}

fn tokens(text: &mut String, counts: &Counts) {
    family(
        text,
        "doorward_sidecar_token_signatures_total",
        "counter",
        "Access tokens presented: their signature was known, or had to be checked.",
    );
    for (from, count) in [("moka", counts.token_hits), ("miss", counts.token_misses)] {
        let _ = writeln!(
            text,
            "doorward_sidecar_token_signatures_total{{from=\"{from}\"}} {count}"
        );
    }
    family(
        text,
        "doorward_sidecar_tokens_total",
        "counter",
        "Access tokens by what became of them.",
    );
    let name = "doorward_sidecar_tokens_total";
    let _ = writeln!(
        text,
        "{name}{{outcome=\"accepted\"}} {}",
        counts.tokens_accepted
    );
    for (refusal, count) in Refusal::ALL.iter().zip(counts.tokens_refused) {
        let code = refusal.code();
        let _ = writeln!(text, "{name}{{outcome=\"{code}\"}} {count}");
    }
}

fn proofs(text: &mut String, counts: &Counts) {
    let name = "doorward_sidecar_proofs_total";
    let help = "Proofs of possession that came with bound tokens, by what became of them.";
    family(text, name, "counter", help);
    let _ = writeln!(
        text,
        "{name}{{outcome=\"invalid\"}} {}",
        counts.proofs_invalid
    );
    for (shown, count) in Shown::ALL.iter().zip(counts.proofs) {
        let _ = writeln!(text, "{name}{{outcome=\"{}\"}} {count}", shown.code());
    }
}

fn watches(text: &mut String, taken: usize) {
    let name = "doorward_sidecar_watches";
    family(text, name, "gauge", "Questions that are watched.");
    let _ = writeln!(text, "{name} {taken}");
}

fn decision_log(text: &mut String, counts: &LogCounts) {
    let name = "doorward_sidecar_decision_log_records_total";
    let help = "Records of decisions, by what became of them.";
    family(text, name, "counter", help);
    for (outcome, count) in [
        ("written", &counts.written),
        ("dropped", &counts.dropped),
        ("lost", &counts.lost),
    ] {
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(text, "{name}{{outcome=\"{outcome}\"}} {count}");
    }
    for (name, help, count) in [
        (
            "doorward_sidecar_decision_log_failures_total",
            "Writes and syncs of the decision log that failed.",
            &counts.failures,
        ),
        (
            "doorward_sidecar_decision_log_torn_total",
            "Torn last lines of the decision log that were cut off.",
            &counts.torn,
        ),
    ] {
        family(text, name, "counter", help);
        let _ = writeln!(text, "{name} {}", count.load(Ordering::Relaxed));
    }
}

fn doors(text: &mut String, counts: &Counts) {
    let name = "doorward_sidecar_forward_auth_total";
    let help = "Requests that proxies asked about, by what became of them.";
    family(text, name, "counter", help);
    for (dialect, by_outcome) in Dialect::ALL.into_iter().zip(counts.doors) {
        for (outcome, count) in DoorOutcome::ALL.into_iter().zip(by_outcome) {
            if count > 0 {
                let outcome = outcome.code();
                let _ = writeln!(
                    text,
                    "{name}{{dialect=\"{dialect}\",outcome=\"{outcome}\"}} {count}"
                );
            }
        }
    }
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
