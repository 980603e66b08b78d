//! References to permissions: in roles, where another service's may stand, and in `scopes`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::domain::manifest::{DeclaredPermission, limits};
use crate::domain::{PermissionKey, Scope, ServiceName};
use crate::protocol::problem::Pointer;

use super::document::{AUTH, Walk, short};

/// Scopes that OpenID Connect gives a meaning to.
const OPENID_SCOPES: &[&str] = &[
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "offline_access",
];

/// The service's own permissions, indexed for references and wildcards.
pub(super) struct Own<'a> {
    service: &'a ServiceName,
    exact: HashMap<(&'a str, &'a str), &'a PermissionKey>,
    by_resource: HashMap<&'a str, Vec<&'a PermissionKey>>,
    by_action: HashMap<&'a str, Vec<&'a PermissionKey>>,
    all: Vec<&'a PermissionKey>,
    /// The `permissions` as sent: a reference to one whose name is wrong is no second mistake.
    raw: Option<&'a Value>,
}

impl<'a> Own<'a> {
    pub(super) fn new(
        service: &'a ServiceName,
        permissions: &'a BTreeMap<PermissionKey, DeclaredPermission>,
        raw: Option<&'a Value>,
    ) -> Self {
        let mut own = Self {
            service,
            exact: HashMap::with_capacity(permissions.len()),
            by_resource: HashMap::new(),
            by_action: HashMap::new(),
            all: permissions.keys().collect(),
            raw,
        };
        for key in permissions.keys() {
            let (resource, action) = (key.resource.as_str(), key.action.as_str());
            own.exact.insert((resource, action), key);
            own.by_resource.entry(resource).or_default().push(key);
            own.by_action.entry(action).or_default().push(key);
        }
        own
    }

    fn was_sent(&self, resource: &str, action: &str) -> bool {
        self.raw
            .and_then(|raw| raw.get(resource)?.get(action))
            .is_some()
    }
}

/// What a reference in a list of permissions means.
pub(super) enum Reference<'a> {
    Own(Vec<&'a PermissionKey>),
    Foreign(PermissionKey),
}

impl Walk<'_> {
    pub(super) fn scopes(
        &mut self,
        root: &Pointer<'_>,
        document: &Map<String, Value>,
        own: &Own<'_>,
    ) -> BTreeMap<Scope, BTreeSet<PermissionKey>> {
        let mut scopes = BTreeMap::new();
        let at = &root.key("scopes");
        let Some(declared) = document
            .get("scopes")
            .and_then(|value| self.object(at, value, "an object of scopes"))
        else {
            return scopes;
        };
        let mut count = 0;
        for (text, value) in declared {
            let at = &at.key(text);
            let scope = self.name::<Scope>(
                at,
                text,
                "1 to 100 printable ASCII characters without space, `\"` and `\\`",
            );
            let reserved = text.starts_with("doorward:") || OPENID_SCOPES.contains(&text.as_str());
            if reserved && own.service.as_str() != AUTH {
                self.note(
                    at,
                    format!("the scope `{}` belongs to the authority", short(text)),
                    "other names, such as `<service>:read`",
                );
            }
            let budget = limits::MAX_SCOPE_PERMISSIONS.saturating_sub(count);
            let permissions = self.references(at, value, own, budget, false);
            if permissions.is_empty() && value.as_array().is_some_and(Vec::is_empty) {
                self.note(at, "the scope has no permission", "at least one");
            }
            count += permissions.len();
            if let Some(scope) = scope {
                scopes.insert(scope, permissions);
            }
        }
        self.at_most(at, scopes.len(), limits::MAX_SCOPES, "scopes");
        self.at_most(
            at,
            count,
            limits::MAX_SCOPE_PERMISSIONS,
            "permissions of scopes, wildcards written out,",
        );
        scopes
    }

    /// A list of permissions, wildcards written out. Stops a little beyond `budget`: the caller tells.
    pub(super) fn references(
        &mut self,
        at: &Pointer<'_>,
        value: &Value,
        own: &Own<'_>,
        budget: usize,
        foreign_allowed: bool,
    ) -> BTreeSet<PermissionKey> {
        let mut permissions = BTreeSet::new();
        let list = self.list(at, value, "a list of permissions");
        for (index, value) in list.iter().enumerate() {
            let at = &at.index(index);
            let Some(text) = self.text(at, value, "a permission, `resource:action`") else {
                continue;
            };
            match self.reference(at, text, own) {
                Some(Reference::Own(keys)) => permissions.extend(keys.into_iter().cloned()),
                Some(Reference::Foreign(key)) if foreign_allowed => {
                    permissions.insert(key);
                }
                Some(Reference::Foreign(key)) => self.note(
                    at,
                    format!("`{key}` belongs to another service"),
                    "permissions of this service",
                ),
                None => {}
            }
            if permissions.len() > budget {
                break;
            }
        }
        permissions
    }

    pub(super) fn reference<'o>(
        &mut self,
        at: &Pointer<'_>,
        text: &str,
        own: &Own<'o>,
    ) -> Option<Reference<'o>> {
        const FORMS: &str = "`resource:action`, `resource:*`, `*:action`, `*:*`, or \
                             `service:resource:action` of another service";
        let parts: Vec<&str> = text.split(':').collect();
        let (resource, action) = match parts.as_slice() {
            [resource, action] => (*resource, *action),
            [service, resource, action] if *service == own.service.as_str() => (*resource, *action),
            [_, _, _] if text.contains('*') => {
                self.note(
                    at,
                    format!("`{}` is a wildcard over another service", short(text)),
                    "each permission of another service by its name",
                );
                return None;
            }
            [_, _, _] => return self.name(at, text, FORMS).map(Reference::Foreign),
            _ => {
                self.note(at, format!("`{}` is not a permission", short(text)), FORMS);
                return None;
            }
        };
        let keys = match (resource, action) {
            ("*", "*") => own.all.clone(),
            ("*", action) => own.by_action.get(action).cloned().unwrap_or_default(),
            (resource, "*") => own.by_resource.get(resource).cloned().unwrap_or_default(),
            exact => own
                .exact
                .get(&exact)
                .map(|key| vec![*key])
                .unwrap_or_default(),
        };
        if !keys.is_empty() {
            return Some(Reference::Own(keys));
        }
        if !own.was_sent(resource, action) {
            let detail = if text.contains('*') {
                format!("`{}` matches no permission declared here", short(text))
            } else {
                format!("`{}` is not declared under `permissions`", short(text))
            };
            self.note(at, detail, FORMS);
        }
        None
    }
}
