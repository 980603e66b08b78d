//! Hand-written policies against the facts of the moment.
//!
//! They are validated strictly when the first copy arrives and whenever roles, permissions or grants
//! change, on a thread of its own: a large schema takes many seconds. A set that no longer holds is
//! reported and goes on serving; a policy that fails in it grants nothing, and a forbid that fails
//! denies.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::Revision;
use crate::policy::{CustomPolicies, PolicyFacts};
use crate::runtime::tasks::Tasks;
use crate::sidecar::view::State;
use crate::store::replica::{ReplicaError, ReplicaReader};

/// What a validation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// Of which facts.
    pub revision: Revision,
    /// What is wrong with the policies; `None`: nothing.
    pub problem: Option<String>,
}

/// Validates when it is told that facts changed. Changes that come meanwhile are one.
#[derive(Debug)]
pub struct Validating {
    changes: watch::Sender<()>,
    outcome: watch::Receiver<Option<Validated>>,
}

impl Validating {
    /// Starts the thread; `None` when there is nothing to validate.
    pub fn start(
        state: &Arc<State>,
        custom: CustomPolicies,
        tasks: &Tasks,
    ) -> io::Result<Option<Self>> {
        if custom.is_empty() {
            return Ok(None);
        }
        let (changes, mut news) = watch::channel(());
        let (outcome, outcomes) = watch::channel(None);
        let (state, stop) = (Arc::clone(state), tasks.stop());
        tasks.spawn_worker("policy-validation", move || async move {
            loop {
                let more = tokio::select! {
                    heard = news.changed() => heard.is_ok(),
                    () = stop.requested() => false,
                };
                if !more {
                    return;
                }
                match validate(&state, &custom) {
                    Ok(Some(validated)) => {
                        report(&validated);
                        state.judge_policies(validated.problem.clone());
                        outcome.send_replace(Some(validated));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(%error, "hand-written policies could not be validated");
                    }
                }
            }
        })?;
        Ok(Some(Self {
            changes,
            outcome: outcomes,
        }))
    }

    /// Tells that roles, permissions or grants are others now.
    pub fn facts_changed(&self) {
        self.changes.send_replace(());
    }

    /// The latest outcome, and those to come.
    pub fn outcome(&self) -> watch::Receiver<Option<Validated>> {
        self.outcome.clone()
    }
}

fn validate(state: &State, custom: &CustomPolicies) -> Result<Option<Validated>, ReplicaError> {
    let Some(path) = state.copy_path() else {
        return Ok(None);
    };
    let rows = ReplicaReader::open(&path)?.policy_facts()?;
    let facts = PolicyFacts {
        roles: rows.roles,
        permissions: rows.permissions,
        grants: rows.grants,
    };
    Ok(Some(Validated {
        revision: rows.position.revision,
        problem: custom.validate(&facts).err().map(|error| error.to_string()),
    }))
}

fn report(validated: &Validated) {
    let invalid = u8::from(validated.problem.is_some());
    metrics::gauge!("doorward_sidecar_policies_invalid").set(f64::from(invalid));
    if let Some(problem) = &validated.problem {
        metrics::counter!("doorward_sidecar_policies_refused_total").increment(1);
        tracing::warn!(
            revision = validated.revision.get(),
            problem,
            "hand-written policies do not hold against the facts: they serve on, and what fails in \
             them denies"
        );
    }
}
