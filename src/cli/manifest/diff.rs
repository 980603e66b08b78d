//! A plan in words: what comes, what goes, and whom it reaches.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::super::profile::Profile;
use crate::domain::PermissionKey;
use crate::domain::manifest::{Plan, RoleChange};
use crate::protocol::manifest::{Affected, BlastRadius};

/// Roles with more changed permissions than this are summed up.
const MAX_PERMISSIONS_SHOWN: usize = 12;

/// The changes, one a line, as a diff: `+` comes, `-` goes, `~` changes.
pub(super) fn plan(plan: &Plan) -> String {
    let mut text = format!("service {}", plan.service);
    if plan.version.from != plan.version.to {
        let version = |value: Option<i64>| {
            value.map_or_else(|| "none".to_owned(), |number| number.to_string())
        };
        let _ = write!(
            text,
            ", version {} -> {}",
            version(plan.version.from),
            version(plan.version.to)
        );
    }
    if plan.is_empty() {
        text.push_str("\n  nothing changes");
        return text;
    }
    let mut line = |sign: char, what: String| {
        let _ = write!(text, "\n  {sign} {what}");
    };
    for key in plan.permissions.added.keys() {
        line('+', format!("permission {}:{}", key.resource, key.action));
    }
    for key in plan.permissions.removed.keys() {
        line('-', format!("permission {}:{}", key.resource, key.action));
    }
    for (key, change) in &plan.permissions.changed {
        let what = if change.from.deprecated == change.to.deprecated {
            "described anew"
        } else if change.to.deprecated {
            "deprecated"
        } else {
            "no longer deprecated"
        };
        line(
            '~',
            format!("permission {}:{} {what}", key.resource, key.action),
        );
    }
    for (name, role) in &plan.roles.added {
        line(
            '+',
            format!(
                "role {name} with {}",
                count(role.permissions.len() as u64, "permission")
            ),
        );
    }
    for name in plan.roles.removed.keys() {
        let moved = plan
            .moves
            .get(name)
            .map_or_else(String::new, |new| format!(", its holders move to {new}"));
        line('-', format!("role {name}{moved}"));
    }
    for (name, change) in &plan.roles.changed {
        line('~', format!("role {name}{}", role(change)));
    }
    for (scope, change) in &plan.scopes {
        line(
            '~',
            format!(
                "scope {scope}{}",
                grants(&change.granted, &change.withdrawn)
            ),
        );
    }
    for service in &plan.grantable_by.added {
        line('+', format!("grantable by {service}"));
    }
    for service in &plan.grantable_by.removed {
        line('-', format!("grantable by {service}"));
    }
    for warning in &plan.warnings {
        line('!', format!("{} ({})", warning.detail, warning.code));
    }
    text
}

fn role(change: &RoleChange) -> String {
    let mut text = String::new();
    if let Some(by) = &change.assignable_by {
        let _ = write!(text, ", assignable by {} (was {})", by.to, by.from);
    }
    match &change.deprecated {
        Some(deprecated) if deprecated.to => text.push_str(", deprecated"),
        Some(_) => text.push_str(", no longer deprecated"),
        None => {}
    }
    if change.description.is_some() {
        text.push_str(", described anew");
    }
    text.push_str(&grants(&change.granted, &change.withdrawn));
    text
}

fn grants(granted: &BTreeSet<PermissionKey>, withdrawn: &BTreeSet<PermissionKey>) -> String {
    let mut text = String::new();
    for (sign, keys) in [('+', granted), ('-', withdrawn)] {
        for key in keys.iter().take(MAX_PERMISSIONS_SHOWN) {
            let _ = write!(text, "\n      {sign} {key}");
        }
        if keys.len() > MAX_PERMISSIONS_SHOWN {
            let _ = write!(
                text,
                "\n      {sign} and {} more",
                keys.len() - MAX_PERMISSIONS_SHOWN
            );
        }
    }
    text
}

/// Whom the plan reaches.
pub(super) fn blast_radius(radius: &BlastRadius, profile: &Profile) -> String {
    if radius.members == 0 {
        return "reaches no member".to_owned();
    }
    let mut text = format!(
        "reaches {}: {} gain, {} lose",
        count(radius.members, "member"),
        radius.gaining,
        radius.losing
    );
    for (name, holders) in &radius.roles {
        let _ = write!(
            text,
            "\n  role {name}: {}",
            count(holders.holders, "holder")
        );
    }
    for affected in &radius.page {
        let _ = write!(text, "\n  {}", member(affected, profile));
    }
    if radius.next.is_some() {
        let _ = write!(text, "\n  and more: --members-after shows the next ones");
    }
    text
}

fn member(affected: &Affected, profile: &Profile) -> String {
    let user = profile
        .name_of(affected.user)
        .map_or_else(|| affected.user.to_string(), str::to_owned);
    let mut text = format!("{user} in {}:", affected.organization);
    for (word, number, keys) in [
        ("gains", affected.gains_count, &affected.gains),
        ("loses", affected.loses_count, &affected.loses),
    ] {
        if number == 0 {
            continue;
        }
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let _ = write!(text, " {word} {}", names.join(", "));
        if number > keys.len() {
            let _ = write!(text, " and {} more", number - keys.len());
        }
    }
    text
}

fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::Live;
    use crate::protocol::manifest::from_json;

    #[test]
    fn a_plan_reads_like_a_diff() {
        let read = |text: &str| from_json(text.as_bytes(), None).unwrap();
        let old = read(
            r#"{"service":"billing","version":1,"permissions":{"invoice":{"read":"See","void":"Void"}},
                "roles":{"clerk":{"permissions":["invoice:*"]},"old":{"permissions":[]}}}"#,
        );
        let new = read(
            r#"{"service":"billing","version":2,"permissions":{"invoice":{"read":"See","send":"Send"}},
                "roles":{"clerk":{"permissions":["invoice:*"]}},"replaces":{"old":"clerk"}}"#,
        );
        let live = Live {
            version: old.version,
            content_hash: Some(old.content_hash()),
            declared: old.declared,
        };
        let shown = plan(&Plan::new(&live, &new));
        for line in [
            "service billing, version 1 -> 2",
            "  + permission invoice:send",
            "  - permission invoice:void",
            "  - role old, its holders move to clerk",
            "  ~ role clerk",
            "      + billing:invoice:send",
            "      - billing:invoice:void",
        ] {
            assert!(
                shown.lines().any(|shown| shown == line),
                "{line}\nin\n{shown}"
            );
        }
    }
}
