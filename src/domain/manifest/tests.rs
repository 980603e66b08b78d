use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::domain::{PermissionKey, RoleId, RoleName, Scope, ServiceName};

fn key(text: &str) -> PermissionKey {
    text.parse().unwrap()
}

fn keys(texts: &[&str]) -> BTreeSet<PermissionKey> {
    texts.iter().copied().map(key).collect()
}

fn role_id(number: u128) -> RoleId {
    RoleId::from_u128(number)
}

fn live(declared: Declaration) -> Live {
    Live {
        version: None,
        content_hash: None,
        declared,
    }
}

fn manifest(declared: Declaration) -> Manifest {
    Manifest {
        service: "svc".parse().unwrap(),
        version: None,
        declared,
        replaces: BTreeMap::new(),
    }
}

/// What the rows say after a plan: the test's own reading of it, independent of the writer.
fn after(plan: &Plan, live: &Declaration) -> Declaration {
    let mut rows = live.clone();
    for key in plan.permissions.removed.keys() {
        rows.permissions.remove(key);
    }
    rows.permissions.extend(plan.permissions.added.clone());
    for (key, change) in &plan.permissions.changed {
        rows.permissions.insert(key.clone(), change.to.clone());
    }
    for name in plan.roles.removed.keys() {
        rows.roles.remove(name);
    }
    rows.roles.extend(plan.roles.added.clone());
    for (name, change) in &plan.roles.changed {
        let role = rows.roles.get_mut(name).unwrap();
        if let Some(change) = &change.description {
            role.description.clone_from(&change.to);
        }
        if let Some(change) = &change.assignable_by {
            role.assignable_by.clone_from(&change.to);
        }
        if let Some(change) = &change.deprecated {
            role.deprecated = change.to;
        }
        role.permissions
            .retain(|key| !change.withdrawn.contains(key));
        role.permissions.extend(change.granted.clone());
    }
    for (scope, change) in &plan.scopes {
        let permissions = rows.scopes.entry(scope.clone()).or_default();
        permissions.retain(|key| !change.withdrawn.contains(key));
        permissions.extend(change.granted.clone());
    }
    rows.scopes.retain(|_, permissions| !permissions.is_empty());
    rows.grantable_by
        .retain(|service| !plan.grantable_by.removed.contains(service));
    rows.grantable_by.extend(plan.grantable_by.added.clone());
    rows
}

prop_compose! {
    fn any_declaration()(
        permissions in proptest::collection::btree_map(0..6u8, (any::<bool>(), 0..3u8), 0..6),
        roles in proptest::collection::btree_map(0..5u8, (proptest::collection::btree_set(0..6u8, 0..6), any::<bool>(), 0..2u8), 0..5),
        scopes in proptest::collection::btree_map(0..3u8, proptest::collection::btree_set(0..6u8, 1..4), 0..3),
        grantable_by in proptest::collection::btree_set(0..3u8, 0..3),
    ) -> Declaration {
        let name = |number: u8| key(&format!("svc:thing-{number}:read"));
        let known = |numbers: BTreeSet<u8>| -> BTreeSet<PermissionKey> {
            numbers.into_iter().filter(|n| permissions.contains_key(n)).map(name).collect()
        };
        Declaration {
            roles: roles.into_iter().map(|(number, (granted, deprecated, text))| {
                let role = DeclaredRole {
                    description: (text > 0).then(|| format!("text {text}")),
                    permissions: known(granted),
                    deprecated,
                    ..DeclaredRole::default()
                };
                (format!("role-{number}").parse::<RoleName>().unwrap(), role)
            }).collect(),
            scopes: scopes.into_iter().filter_map(|(number, granted)| {
                let granted = known(granted);
                (!granted.is_empty()).then(|| (format!("svc:{number}").parse::<Scope>().unwrap(), granted))
            }).collect(),
            grantable_by: grantable_by.into_iter().map(|n| format!("other-{n}").parse::<ServiceName>().unwrap()).collect(),
            permissions: permissions.iter().map(|(number, (deprecated, text))| {
                (name(*number), DeclaredPermission { description: (*text > 0).then(|| format!("text {text}")), deprecated: *deprecated })
            }).collect(),
        }
    }
}

proptest! {
    #[test]
    fn carrying_out_a_plan_gives_what_the_manifest_declares(from in any_declaration(), to in any_declaration()) {
        let plan = Plan::new(&live(from.clone()), &manifest(to.clone()));
        prop_assert_eq!(after(&plan, &from), to.clone());
        prop_assert_eq!(plan.is_empty(), from == to);
    }

    #[test]
    fn a_plan_survives_its_own_wire_form(from in any_declaration(), to in any_declaration()) {
        let plan = Plan::new(&live(from), &manifest(to));
        let json = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }

    #[test]
    fn a_members_effect_is_the_difference_of_the_unions(
        from in any_declaration(),
        to in any_declaration(),
        held in proptest::collection::btree_set(0..6usize, 0..4),
        other in proptest::collection::btree_set(0..6u8, 0..4),
    ) {
        // Role 5 belongs to somebody else and stays as it is.
        let other: BTreeSet<_> = other.iter().map(|n| key(&format!("svc:thing-{n}:read"))).collect();
        let names: Vec<RoleName> = (0..5).map(|n| format!("role-{n}").parse().unwrap()).collect();
        let grants = |declared: &Declaration, at: usize| match names.get(at) {
            Some(name) => declared.roles.get(name).map_or_else(BTreeSet::new, |role| role.permissions.clone()),
            None => other.clone(),
        };
        let sets: Vec<_> = (0..5).map(|at| (grants(&from, at), grants(&to, at))).collect();
        let roles: Vec<_> = sets.iter().enumerate().map(|(at, (before, after))| RoleEffect {
            role: role_id(at as u128), before, after,
        }).collect();
        let others = other.iter().map(|key| (role_id(5), key));
        let effects = Effects::new(&roles, others);
        let held: Vec<usize> = held.into_iter().collect();
        let before: BTreeSet<_> = held.iter().flat_map(|at| grants(&from, *at)).collect();
        let after: BTreeSet<_> = held.iter().flat_map(|at| grants(&to, *at)).collect();
        let ids: Vec<_> = held.iter().map(|at| role_id(*at as u128)).collect();
        let effect = effects.of(&ids);
        prop_assert_eq!(effect.gains, after.difference(&before).cloned().collect::<Vec<_>>());
        prop_assert_eq!(effect.loses, before.difference(&after).cloned().collect::<Vec<_>>());
    }
}

#[test]
fn a_permission_kept_through_another_role_is_not_lost() {
    let (before, after) = (keys(&["svc:a:read", "svc:a:write"]), keys(&["svc:a:read"]));
    let kept = key("svc:a:write");
    let effects = Effects::new(
        &[RoleEffect {
            role: role_id(1),
            before: &before,
            after: &after,
        }],
        [(role_id(2), &kept)],
    );
    assert_eq!(effects.of(&[role_id(1)]).loses, vec![kept.clone()]);
    assert!(effects.of(&[role_id(1), role_id(2)]).is_empty());
    assert!(effects.of(&[role_id(2)]).is_empty());
}

#[test]
fn a_replacement_counts_only_when_the_old_role_goes() {
    let role = |name: &str| (name.parse::<RoleName>().unwrap(), DeclaredRole::default());
    let mut wanted = manifest(Declaration {
        roles: [role("new")].into(),
        ..Declaration::default()
    });
    wanted
        .replaces
        .insert("old".parse().unwrap(), "new".parse().unwrap());
    let from = Declaration {
        roles: [role("old")].into(),
        ..Declaration::default()
    };
    let plan = Plan::new(&live(from), &wanted);
    assert_eq!(plan.moves.len(), 1);
    assert_eq!(plan.warnings, []);
    let later = Plan::new(&live(wanted.declared.clone()), &wanted);
    assert!(later.is_empty() && later.moves.is_empty());
}

#[test]
fn a_plan_hash_knows_the_state_it_starts_from() {
    let wanted = manifest(Declaration::default());
    let empty = Live::default();
    let other = live(Declaration {
        grantable_by: ["x".parse().unwrap()].into(),
        ..Declaration::default()
    });
    let hash = |live: &Live| Plan::new(live, &wanted).hash(live, &wanted);
    assert_eq!(hash(&empty), hash(&empty));
    assert_ne!(hash(&empty), hash(&other));
    let text = hash(&empty).to_string();
    assert_eq!(text.parse::<PlanHash>(), Ok(hash(&empty)));
    assert!("abc".parse::<PlanHash>().is_err());
}

#[test]
fn what_goes_unannounced_is_warned_about() {
    let declared = |deprecated| Declaration {
        permissions: [(
            key("svc:a:read"),
            DeclaredPermission {
                description: None,
                deprecated,
            },
        )]
        .into(),
        ..Declaration::default()
    };
    let warnings = |from| {
        Plan::new(&live(from), &manifest(Declaration::default()))
            .warnings
            .len()
    };
    assert_eq!(warnings(declared(false)), 1);
    assert_eq!(warnings(declared(true)), 0);
}
