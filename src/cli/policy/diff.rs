//! `doorward policy diff`: what a change widens and narrows, and for how many.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::error::CliError;
use super::super::manifest::put;
use super::super::output::Output;
use super::super::profile::Profile;
use super::super::session::Session;
#[cfg(feature = "prove")]
use super::solver::SolverArgs;
use super::source::{Declared, Policies, Source};
use crate::domain::{PermissionKey, ServiceName};
use crate::policy::RoleDifference;
#[cfg(feature = "prove")]
use crate::policy::prove::{ActionDifference, Answer, Comparison, Example, compare};
use crate::protocol::manifest::PlanView;

/// Permissions of one role that are listed; more are counted.
const LISTED: usize = 12;

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// What was: a manifest, a directory, or `live`
    old: Source,
    /// What is to be: a manifest or a directory
    new: Source,
    /// Directory of hand-written policies for both sides, in place of the sources' own
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Ask the authority how many members it would reach; as `live` does by itself
    #[arg(long)]
    members: bool,
    /// Compare roles only: needs no solver
    #[arg(long)]
    roles_only: bool,
    /// Exit with 1 if anything is allowed that was not, or may be
    #[arg(long)]
    fail_if_wider: bool,
    #[cfg(feature = "prove")]
    #[command(flatten)]
    solver: SolverArgs,
}

/// What is shown.
#[derive(Debug, Serialize)]
struct Shown {
    roles: RoleDifference,
    #[cfg(feature = "prove")]
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<Comparison>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    members: BTreeMap<ServiceName, Reach>,
}

/// Whom the change of one service's manifest reaches.
#[derive(Debug, Serialize)]
struct Reach {
    members: u64,
    gaining: u64,
    losing: u64,
}

pub(super) async fn run(
    args: &DiffArgs,
    profile: impl Fn() -> Result<Profile, CliError>,
    output: Output,
) -> Result<ExitCode, CliError> {
    let policies = args.policies.as_deref();
    let old = Declared::read(&args.old, policies, &profile).await?;
    let mut new = Declared::read(&args.new, policies, &profile).await?;
    let members = if args.members || args.old == Source::Live {
        reached(&Session::open(&profile()?).await?, &new).await?
    } else {
        BTreeMap::new()
    };
    if args.old == Source::Live {
        // Services that the new source says nothing of stay as they are.
        new.over(&old.manifests);
    }
    let (before, now) = (old.compile()?, new.compile()?);
    let shown = Shown {
        roles: RoleDifference::between(&before.facts, &now.facts),
        #[cfg(feature = "prove")]
        policies: compared(args, &before, &now).await?,
        members,
    };
    let wider = shown.may_be_wider(&before, &now);
    output.show(&shown, Shown::words);
    Ok(ExitCode::from(u8::from(args.fail_if_wider && wider)))
}

async fn reached(
    session: &Session,
    new: &Declared,
) -> Result<BTreeMap<ServiceName, Reach>, CliError> {
    let mut members = BTreeMap::new();
    for manifest in &new.manifests {
        let plan: PlanView = put(session, manifest, &[("dry_run", "true")]).await?;
        let radius = plan.blast_radius;
        members.insert(
            manifest.service.clone(),
            Reach {
                members: radius.members,
                gaining: radius.gaining,
                losing: radius.losing,
            },
        );
    }
    Ok(members)
}

/// Permissions in which a hand-written policy of either side has a say.
fn depending<'a>(old: &'a Policies, new: &'a Policies) -> BTreeSet<&'a PermissionKey> {
    [&old.engine, &new.engine]
        .into_iter()
        .flat_map(|engine| {
            engine
                .permissions()
                .filter(|key| engine.permission(key).is_some_and(|at| engine.depends(at)))
        })
        .collect()
}

#[cfg(feature = "prove")]
async fn compared(
    args: &DiffArgs,
    old: &Policies,
    new: &Policies,
) -> Result<Option<Comparison>, CliError> {
    if args.roles_only || depending(old, new).is_empty() {
        return Ok(None);
    }
    let mut solver = args.solver.start().await.map_err(|error| {
        error.about("hand-written policies have a say (--roles-only leaves them out)")
    })?;
    Ok(Some(compare(&old.engine, &new.engine, &mut solver).await))
}

impl Shown {
    /// Whether anything is allowed that was not, or nobody knows.
    #[cfg(feature = "prove")]
    fn may_be_wider(&self, old: &Policies, new: &Policies) -> bool {
        match &self.policies {
            Some(policies) => {
                self.widens_roles_outside(policies)
                    || policies
                        .permissions
                        .values()
                        .any(|one| one.no_wider != Answer::Proved)
            }
            None => self.roles.widens() || !depending(old, new).is_empty(),
        }
    }

    /// Whether a role gains a permission that no solver compared.
    #[cfg(feature = "prove")]
    fn widens_roles_outside(&self, policies: &Comparison) -> bool {
        let gained = self.roles.changed.values().flat_map(|role| &role.gained);
        self.roles
            .added
            .values()
            .flatten()
            .chain(gained)
            .any(|key| !policies.permissions.contains_key(key))
    }

    #[cfg(not(feature = "prove"))]
    fn may_be_wider(&self, old: &Policies, new: &Policies) -> bool {
        self.roles.widens() || !depending(old, new).is_empty()
    }

    fn words(&self) -> String {
        let mut lines = Vec::new();
        for key in &self.roles.permissions_added {
            lines.push(format!("+ permission {key}"));
        }
        for key in &self.roles.permissions_removed {
            lines.push(format!("- permission {key}"));
        }
        for (role, granted) in &self.roles.added {
            lines.push(format!("+ role {role}"));
            listed(&mut lines, '+', granted);
        }
        for (role, granted) in &self.roles.removed {
            lines.push(format!("- role {role}"));
            listed(&mut lines, '-', granted);
        }
        for (role, change) in &self.roles.changed {
            lines.push(format!("~ role {role}"));
            listed(&mut lines, '+', &change.gained);
            listed(&mut lines, '-', &change.lost);
        }
        if self.roles.is_empty() {
            lines.push("no role changes".to_owned());
        }
        #[cfg(feature = "prove")]
        for (key, difference) in self.policies.iter().flat_map(|all| &all.permissions) {
            differing(&mut lines, key, difference);
        }
        for (service, reach) in &self.members {
            lines.push(format!(
                "{service}: reaches {} members: {} gain, {} lose by their roles",
                reach.members, reach.gaining, reach.losing
            ));
        }
        lines.join("\n")
    }
}

fn listed(lines: &mut Vec<String>, sign: char, keys: &BTreeSet<PermissionKey>) {
    lines.extend(
        keys.iter()
            .take(LISTED)
            .map(|key| format!("    {sign} {key}")),
    );
    if keys.len() > LISTED {
        lines.push(format!("    {sign} and {} more", keys.len() - LISTED));
    }
}

#[cfg(feature = "prove")]
fn differing(lines: &mut Vec<String>, key: &PermissionKey, difference: &ActionDifference) {
    if difference.is_same() {
        lines.push(format!("= {key}: the policies allow the same"));
        return;
    }
    let mut side = |sign: char, word: &str, answer: &Answer<Example>| match answer {
        Answer::Proved => {}
        Answer::Disproved { example } => {
            lines.push(format!("{sign} {key}: {word}, for example:"));
            lines.push(format!("    {example}"));
        }
        Answer::Undecided { why } => {
            lines.push(format!("? {key}: whether it is {word} is undecided: {why}"));
        }
        Answer::Contradiction { what } => {
            lines.push(format!("! {key}: a bug, please report it: {what}"));
        }
    };
    side('+', "wider", &difference.no_wider);
    side('-', "narrower", &difference.no_narrower);
}
