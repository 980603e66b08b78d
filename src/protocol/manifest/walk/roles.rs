//! `roles` and `replaces`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::domain::manifest::{DeclaredRole, default_assignable_by, limits};
use crate::domain::{PermissionKey, RoleName};
use crate::protocol::problem::Pointer;

use super::document::{AUTH, Walk, short};
use super::references::{Own, Reference};

const FIELDS: &[&str] = &["description", "permissions", "assignable_by", "deprecated"];

impl Walk<'_> {
    pub(super) fn roles(
        &mut self,
        root: &Pointer<'_>,
        document: &Map<String, Value>,
        own: &Own<'_>,
    ) -> BTreeMap<RoleName, DeclaredRole> {
        let mut roles = BTreeMap::new();
        let at = &root.key("roles");
        let Some(declared) = document
            .get("roles")
            .and_then(|value| self.object(at, value, "an object of roles"))
        else {
            return roles;
        };
        let mut grants = 0;
        for (text, value) in declared {
            let at = &at.key(text);
            let name = self.name::<RoleName>(at, text, RoleName::ALLOWED);
            let Some(object) = self.object(at, value, "a role") else {
                continue;
            };
            self.known_fields(at, object, FIELDS);
            let granted = &at.key("permissions");
            let permissions = if let Some(value) = object.get("permissions") {
                let budget = limits::MAX_GRANTS.saturating_sub(grants);
                self.references(granted, value, own, budget, true)
            } else {
                self.note(
                    granted,
                    "`permissions` is missing",
                    "a list of permissions; it may be empty",
                );
                BTreeSet::new()
            };
            grants += permissions.len();
            let role = DeclaredRole {
                description: self.description(&at.key("description"), object.get("description")),
                permissions,
                assignable_by: self.assignable_by(at, object, own),
                deprecated: self.flag(&at.key("deprecated"), object.get("deprecated")),
            };
            if let Some(name) = name {
                roles.insert(name, role);
            }
        }
        self.at_most(at, roles.len(), limits::MAX_ROLES, "roles");
        self.at_most(
            at,
            grants,
            limits::MAX_GRANTS,
            "grants, wildcards written out,",
        );
        roles
    }

    pub(super) fn assignable_by(
        &mut self,
        at: &Pointer<'_>,
        role: &Map<String, Value>,
        own: &Own<'_>,
    ) -> PermissionKey {
        const ALLOWED: &str = "one permission of this service or of `auth`";
        let at = &at.key("assignable_by");
        let default = default_assignable_by();
        let Some(value) = role.get("assignable_by").filter(|value| !value.is_null()) else {
            return default;
        };
        let Some(text) = self.text(at, value, ALLOWED) else {
            return default;
        };
        if text.contains('*') {
            self.note(
                at,
                format!("`{}` is not one permission", short(text)),
                ALLOWED,
            );
            return default;
        }
        match self.reference(at, text, own) {
            Some(Reference::Own(keys)) => keys.first().map_or(default, |key| (*key).clone()),
            Some(Reference::Foreign(key)) if key.service.as_str() == AUTH => key,
            Some(Reference::Foreign(key)) => {
                self.note(at, format!("`{key}` belongs to another service"), ALLOWED);
                default
            }
            None => default,
        }
    }

    pub(super) fn replaces(
        &mut self,
        root: &Pointer<'_>,
        document: &Map<String, Value>,
        roles: &BTreeMap<RoleName, DeclaredRole>,
    ) -> BTreeMap<RoleName, RoleName> {
        let mut replaces = BTreeMap::new();
        let at = &root.key("replaces");
        let Some(declared) = document
            .get("replaces")
            .and_then(|value| self.object(at, value, "an object of roles"))
        else {
            return replaces;
        };
        for (text, value) in declared {
            let at = &at.key(text);
            let old = self.name::<RoleName>(at, text, RoleName::ALLOWED);
            let new = self
                .text(at, value, "the role that takes over")
                .and_then(|text| self.name::<RoleName>(at, text, RoleName::ALLOWED));
            let (Some(old), Some(new)) = (old, new) else {
                continue;
            };
            if roles.contains_key(&old) {
                self.note(
                    at,
                    format!("`{old}` is declared under `roles`, so nothing replaces it"),
                    "a role that is no longer declared",
                );
            }
            if !roles.contains_key(&new) {
                self.note(
                    at,
                    format!("`{new}` is not declared under `roles`"),
                    "a declared role",
                );
            }
            replaces.insert(old, new);
        }
        self.at_most(at, replaces.len(), limits::MAX_ROLES, "replaced roles");
        replaces
    }
}
