//! What a change of manifests widens and narrows as far as roles go: exact, by sets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::compile::PolicyFacts;
use crate::domain::{PermissionId, PermissionKey, RoleId, RoleKey};

/// How the roles of one state of the facts differ from those of another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RoleDifference {
    /// Permissions that are declared now.
    pub permissions_added: BTreeSet<PermissionKey>,
    /// Permissions that are declared no more.
    pub permissions_removed: BTreeSet<PermissionKey>,
    /// Roles that are declared now, with what they grant.
    pub added: BTreeMap<RoleKey, BTreeSet<PermissionKey>>,
    /// Roles that are declared no more, with what they granted.
    pub removed: BTreeMap<RoleKey, BTreeSet<PermissionKey>>,
    /// Roles that grant something else.
    pub changed: BTreeMap<RoleKey, GrantDifference>,
}

/// What a role grants now and did not before, and the other way round. One of the two is not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GrantDifference {
    /// Granted now.
    pub gained: BTreeSet<PermissionKey>,
    /// No longer granted.
    pub lost: BTreeSet<PermissionKey>,
}

impl RoleDifference {
    /// Compares two states.
    pub fn between(old: &PolicyFacts, new: &PolicyFacts) -> Self {
        let (before, now) = (grants(old), grants(new));
        let declared = |facts: &PolicyFacts| -> BTreeSet<PermissionKey> {
            facts
                .permissions
                .iter()
                .map(|(_, key)| key.clone())
                .collect()
        };
        let (permissions_before, permissions_now) = (declared(old), declared(new));
        let only = |some: &BTreeMap<RoleKey, BTreeSet<PermissionKey>>,
                    other: &BTreeMap<RoleKey, BTreeSet<PermissionKey>>| {
            some.iter()
                .filter(|(role, _)| !other.contains_key(*role))
                .map(|(role, granted)| (role.clone(), granted.clone()))
                .collect()
        };
        let changed = now
            .iter()
            .filter_map(|(role, granted)| {
                let granted_before = before.get(role)?;
                let difference = GrantDifference {
                    gained: granted - granted_before,
                    lost: granted_before - granted,
                };
                let any = !difference.gained.is_empty() || !difference.lost.is_empty();
                any.then(|| (role.clone(), difference))
            })
            .collect();
        Self {
            permissions_added: &permissions_now - &permissions_before,
            permissions_removed: &permissions_before - &permissions_now,
            added: only(&now, &before),
            removed: only(&before, &now),
            changed,
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether any role, new ones included, grants what it did not before.
    pub fn widens(&self) -> bool {
        self.added.values().any(|granted| !granted.is_empty())
            || self.changed.values().any(|role| !role.gained.is_empty())
    }

    /// Whether any role, former ones included, grants less.
    pub fn narrows(&self) -> bool {
        self.removed.values().any(|granted| !granted.is_empty())
            || self.changed.values().any(|role| !role.lost.is_empty())
    }
}

/// What each role grants, those that grant nothing included.
fn grants(facts: &PolicyFacts) -> BTreeMap<RoleKey, BTreeSet<PermissionKey>> {
    let permissions: HashMap<PermissionId, &PermissionKey> = facts
        .permissions
        .iter()
        .map(|(id, key)| (*id, key))
        .collect();
    let roles: HashMap<RoleId, &RoleKey> = facts.roles.iter().map(|(id, key)| (*id, key)).collect();
    let mut granted: BTreeMap<RoleKey, BTreeSet<PermissionKey>> = facts
        .roles
        .iter()
        .map(|(_, key)| (key.clone(), BTreeSet::new()))
        .collect();
    for (role, permission) in &facts.grants {
        if let (Some(role), Some(permission)) = (roles.get(role), permissions.get(permission))
            && let Some(granted) = granted.get_mut(*role)
        {
            granted.insert((*permission).clone());
        }
    }
    granted
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::{CustomPolicies, Engine, RoleSets, Verdict};

    const ROLES: usize = 4;
    const PERMISSIONS: usize = 5;

    /// Any roles, permissions and grants; ids are in no order of names.
    fn state() -> impl Strategy<Value = PolicyFacts> {
        let declared = |most: usize| prop::collection::btree_set(0..most, 0..=most);
        let pairs = prop::collection::btree_set((0..ROLES, 0..PERMISSIONS), 0..12);
        (declared(ROLES), declared(PERMISSIONS), pairs, 0..1000_u128).prop_map(
            |(roles, permissions, pairs, salt)| {
                let id = |n: usize| ((n as u128 + 1) * 1009) ^ salt;
                PolicyFacts {
                    roles: roles
                        .iter()
                        .map(|n| {
                            (
                                RoleId::from_u128(id(*n)),
                                format!("docs/r{n}").parse().unwrap(),
                            )
                        })
                        .collect(),
                    permissions: permissions
                        .iter()
                        .map(|n| {
                            let key = format!("docs:page:a{n}").parse().unwrap();
                            (PermissionId::from_u128(id(*n)), key)
                        })
                        .collect(),
                    grants: pairs
                        .iter()
                        .map(|(role, permission)| {
                            let role = RoleId::from_u128(id(*role));
                            (role, PermissionId::from_u128(id(*permission)))
                        })
                        .collect(),
                }
            },
        )
    }

    /// Whether the engine lets a member with just this role do it; `None` if there is no such role.
    fn allows(facts: &PolicyFacts, role: &str, permission: &str) -> Option<bool> {
        let sets = Arc::new(RoleSets::new(64));
        let engine = Engine::build(facts, &CustomPolicies::none(), Arc::clone(&sets)).unwrap();
        let (id, _) = facts
            .roles
            .iter()
            .find(|(_, key)| key.to_string() == role)?;
        let action = engine.permission(&permission.parse().unwrap());
        Some(action.is_some_and(|action| {
            engine.decide(sets.intern(&[*id]).unwrap(), action) == Verdict::Allow
        }))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_difference_of_roles_is_what_asking_each_role_for_each_permission_tells(
            old in state(), new in state(),
        ) {
            let difference = RoleDifference::between(&old, &new);
            let mut widens = false;
            let mut narrows = false;
            for r in 0..ROLES {
                let role = format!("docs/r{r}");
                let key: RoleKey = role.parse().unwrap();
                for p in 0..PERMISSIONS {
                    let permission = format!("docs:page:a{p}");
                    let wanted: PermissionKey = permission.parse().unwrap();
                    let before = allows(&old, &role, &permission);
                    let now = allows(&new, &role, &permission);
                    let of = |set: Option<&BTreeSet<PermissionKey>>| {
                        set.is_some_and(|set| set.contains(&wanted))
                    };
                    prop_assert_eq!(
                        of(difference.added.get(&key)), before.is_none() && now == Some(true)
                    );
                    prop_assert_eq!(
                        of(difference.removed.get(&key)), now.is_none() && before == Some(true)
                    );
                    let changed = difference.changed.get(&key);
                    prop_assert_eq!(
                        of(changed.map(|role| &role.gained)),
                        before == Some(false) && now == Some(true)
                    );
                    prop_assert_eq!(
                        of(changed.map(|role| &role.lost)),
                        before == Some(true) && now == Some(false)
                    );
                    widens |= now == Some(true) && before != Some(true);
                    narrows |= before == Some(true) && now != Some(true);
                }
            }
            prop_assert_eq!(difference.widens(), widens);
            prop_assert_eq!(difference.narrows(), narrows);
        }

        #[test]
        fn nothing_differs_from_itself(state in state()) {
            prop_assert!(RoleDifference::between(&state, &state).is_empty());
        }
    }
}
