//! What tokens may be used for: which scope names which permission. Not Cedar's: a scope is a bound
//! on what roles allow, never a reason to allow.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::engine::{ActionIndex, Engine};
use crate::domain::{PermissionId, PermissionKey, Scope};

/// The permissions that each scope names, in one engine's terms.
#[derive(Debug, Default)]
pub struct ScopeMap {
    scopes: HashMap<Box<str>, Box<[ActionIndex]>, RandomState>,
}

impl ScopeMap {
    /// Takes the rows of scopes. One that names a permission which is not there names nothing.
    pub fn build(
        engine: &Engine,
        permissions: &[(PermissionId, PermissionKey)],
        rows: &[(Scope, PermissionId)],
    ) -> Self {
        if rows.is_empty() {
            return Self::default();
        }
        let keys: HashMap<PermissionId, &PermissionKey> =
            permissions.iter().map(|(id, key)| (*id, key)).collect();
        let mut named: HashMap<&str, Vec<ActionIndex>> = HashMap::new();
        for (scope, permission) in rows {
            let action = keys.get(permission).and_then(|key| engine.permission(key));
            named.entry(scope.as_str()).or_default().extend(action);
        }
        let sorted = |mut actions: Vec<ActionIndex>| {
            actions.sort_unstable_by_key(|action| action.place());
            actions.dedup();
            actions.into_boxed_slice()
        };
        Self {
            scopes: named
                .into_iter()
                .map(|(scope, actions)| (scope.into(), sorted(actions)))
                .collect(),
        }
    }

    /// Whether a scope names the permission. The index is of the engine this was built with.
    pub fn names(&self, scope: &str, action: ActionIndex) -> bool {
        self.scopes.get(scope).is_some_and(|actions| {
            actions
                .binary_search_by_key(&action.place(), |named| named.place())
                .is_ok()
        })
    }

    /// How many scopes name anything.
    pub fn len(&self) -> usize {
        self.scopes.len()
    }

    /// Whether no scope names anything.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::{CustomPolicies, PolicyFacts, RoleSets};

    #[test]
    fn a_scope_names_what_its_rows_name_and_nothing_else() {
        let id = PermissionId::from_u128;
        let permissions: Vec<(PermissionId, PermissionKey)> =
            ["docs:page:read", "docs:page:write", "docs:page:publish"]
                .iter()
                .zip(1..)
                .map(|(key, n)| (id(n), key.parse().unwrap()))
                .collect();
        let facts = PolicyFacts {
            roles: Vec::new(),
            permissions: permissions.clone(),
            grants: Vec::new(),
        };
        let sets = Arc::new(RoleSets::new(8));
        let engine = Engine::build(&facts, &CustomPolicies::none(), sets).unwrap();
        let scope = |text: &str| text.parse::<Scope>().unwrap();
        let rows = [
            (scope("docs:edit"), id(2)),
            (scope("docs:edit"), id(1)),
            (scope("docs:edit"), id(1)),
            (scope("docs:read"), id(1)),
            (scope("docs:gone"), id(9)),
        ];
        let map = ScopeMap::build(&engine, &permissions, &rows);
        let action = |name: &str| engine.action("docs:page", name).unwrap();
        for (scope, read, write, publish) in [
            ("docs:edit", true, true, false),
            ("docs:read", true, false, false),
            ("docs:gone", false, false, false),
            ("docs:unknown", false, false, false),
        ] {
            assert_eq!(map.names(scope, action("read")), read, "{scope}");
            assert_eq!(map.names(scope, action("write")), write, "{scope}");
            assert_eq!(map.names(scope, action("publish")), publish, "{scope}");
        }
    }
}
