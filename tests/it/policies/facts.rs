//! Facts in a line.

use std::sync::Arc;

use doorward::domain::{PermissionId, RoleId};
use doorward::policy::{Attributes, CustomPolicies, Engine, PolicyFacts, RoleSets};

/// Roles with what they grant, and the permissions that there are.
pub fn facts(grants: &[(&str, &[&str])], permissions: &[&str]) -> PolicyFacts {
    let mut facts = PolicyFacts::default();
    for (n, key) in (1..).zip(permissions) {
        let id = PermissionId::from_u128(n);
        facts.permissions.push((id, key.parse().unwrap()));
    }
    for (n, (role, granted)) in (1..).zip(grants) {
        let id = RoleId::from_u128(n);
        facts.roles.push((id, role.parse().unwrap()));
        for key in *granted {
            let place = permissions.iter().position(|known| known == key).unwrap();
            let permission = PermissionId::from_u128(place as u128 + 1);
            facts.grants.push((id, permission));
        }
    }
    facts
}

/// Policies over facts, validated as a sidecar would.
pub fn engine(facts: &PolicyFacts, attributes: &str, policies: &str) -> Engine {
    let attributes = Attributes::parse("attributes.toml", attributes).unwrap();
    let files = vec![("site.cedar".to_owned(), policies.to_owned())];
    let custom = CustomPolicies::load(files, attributes, facts).unwrap();
    Engine::build(facts, &custom, Arc::new(RoleSets::new(64))).unwrap()
}
