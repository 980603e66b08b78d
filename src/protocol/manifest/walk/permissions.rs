//! `permissions` and `grantable_by`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::domain::identifier::identifier;
use crate::domain::manifest::{DeclaredPermission, limits};
use crate::domain::{ActionName, PermissionKey, ResourceName, ServiceName};
use crate::protocol::problem::Pointer;

use super::document::{Walk, kind};

const FIELDS: &[&str] = &["description", "deprecated"];

impl Walk<'_> {
    pub(super) fn permissions(
        &mut self,
        root: &Pointer<'_>,
        document: &Map<String, Value>,
        service: &ServiceName,
    ) -> BTreeMap<PermissionKey, DeclaredPermission> {
        let mut permissions = BTreeMap::new();
        let at = &root.key("permissions");
        let Some(value) = document.get("permissions") else {
            self.note(
                at,
                "`permissions` is missing",
                "an object of resources, each an object of actions; it may be empty",
            );
            return permissions;
        };
        let Some(resources) = self.object(at, value, "an object of resources") else {
            return permissions;
        };
        let mut identifiers: HashMap<String, ResourceName> = HashMap::new();
        for (resource, actions) in resources {
            let at = &at.key(resource);
            let name = self.name::<ResourceName>(at, resource, ResourceName::ALLOWED);
            if let Some(name) = &name
                && let Some(other) = identifiers.insert(identifier(name.as_str()), name.clone())
            {
                self.note(
                    at,
                    format!("`{name}` and `{other}` are the same to the policy engine"),
                    "resources that differ in more than `-`, `_`, `.` and `/`",
                );
            }
            let Some(actions) = self.object(at, actions, "an object of actions") else {
                continue;
            };
            for (action, value) in actions {
                let at = &at.key(action);
                let action = self.name::<ActionName>(at, action, ActionName::ALLOWED);
                let permission = self.permission(at, value);
                if let (Some(resource), Some(action)) = (&name, action) {
                    let key = PermissionKey {
                        service: service.clone(),
                        resource: resource.clone(),
                        action,
                    };
                    permissions.insert(key, permission);
                }
            }
        }
        self.at_most(
            at,
            permissions.len(),
            limits::MAX_PERMISSIONS,
            "permissions",
        );
        permissions
    }

    pub(super) fn permission(&mut self, at: &Pointer<'_>, value: &Value) -> DeclaredPermission {
        match value {
            Value::Null => DeclaredPermission::default(),
            Value::String(_) => DeclaredPermission {
                description: self.description(at, Some(value)),
                deprecated: false,
            },
            Value::Object(object) => {
                self.known_fields(at, object, FIELDS);
                DeclaredPermission {
                    description: self
                        .description(&at.key("description"), object.get("description")),
                    deprecated: self.flag(&at.key("deprecated"), object.get("deprecated")),
                }
            }
            other => {
                self.note(
                    at,
                    format!("{} does not describe a permission", kind(other)),
                    "a description, null, or an object with description and deprecated",
                );
                DeclaredPermission::default()
            }
        }
    }

    pub(super) fn grantable_by(
        &mut self,
        root: &Pointer<'_>,
        document: &Map<String, Value>,
        service: &ServiceName,
    ) -> BTreeSet<ServiceName> {
        let mut grantees = BTreeSet::new();
        let at = &root.key("grantable_by");
        let Some(value) = document.get("grantable_by") else {
            return grantees;
        };
        for (index, value) in self
            .list(at, value, "a list of services")
            .iter()
            .enumerate()
        {
            let at = &at.index(index);
            let Some(text) = self.text(at, value, "the name of a service") else {
                continue;
            };
            let Some(name) = self.name::<ServiceName>(at, text, ServiceName::ALLOWED) else {
                continue;
            };
            if name == *service {
                self.note(
                    at,
                    "a service may always grant its own permissions",
                    "other services",
                );
            }
            grantees.insert(name);
        }
        self.at_most(at, grantees.len(), limits::MAX_GRANTEES, "services");
        grantees
    }
}
