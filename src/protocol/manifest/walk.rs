//! From a document to a [`Manifest`]: every rule that one document can be held to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::domain::manifest::{
    Declaration, DeclaredPermission, DeclaredRole, Manifest, default_assignable_by, limits,
};
use crate::domain::{ActionName, PermissionKey, ResourceName, RoleName, Scope, ServiceName};
use crate::protocol::problem::{Mistake, Pointer};

use super::MAX_MISTAKES;

const FIELDS: &[&str] = &[
    "service",
    "version",
    "permissions",
    "roles",
    "scopes",
    "grantable_by",
    "replaces",
    "$schema",
];
const PERMISSION_FIELDS: &[&str] = &["description", "deprecated"];
const ROLE_FIELDS: &[&str] = &["description", "permissions", "assignable_by", "deprecated"];

/// Scopes that OpenID Connect gives a meaning to.
const OPENID_SCOPES: &[&str] = &[
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "offline_access",
];

/// The service whose manifest ships with the authority.
const AUTH: &str = "auth";

/// Walks the document. Returns `None` when there is no service to speak of; what it returns holds
/// only if no mistake was noted.
pub(super) fn manifest(
    value: &Value,
    expected: Option<&ServiceName>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Manifest> {
    let mut walk = Walk { mistakes };
    let root = &Pointer::ROOT;
    let document = walk.object(root, value, "a manifest")?;
    walk.known_fields(root, document, FIELDS);
    let service = walk.service(root, document, expected);
    let version = walk.version(root, document);
    let service = service?;
    let permissions = walk.permissions(root, document, &service);
    let own = Own::new(&service, &permissions, document.get("permissions"));
    let grantable_by = walk.grantable_by(root, document, &service);
    let roles = walk.roles(root, document, &own);
    let scopes = walk.scopes(root, document, &own);
    let replaces = walk.replaces(root, document, &roles);
    Some(Manifest {
        version,
        declared: Declaration {
            roles,
            scopes,
            grantable_by,
            permissions,
        },
        replaces,
        service,
    })
}

/// The service's own permissions, indexed for references and wildcards.
struct Own<'a> {
    service: &'a ServiceName,
    exact: HashMap<(&'a str, &'a str), &'a PermissionKey>,
    by_resource: HashMap<&'a str, Vec<&'a PermissionKey>>,
    by_action: HashMap<&'a str, Vec<&'a PermissionKey>>,
    all: Vec<&'a PermissionKey>,
    /// The `permissions` as sent: a reference to one whose name is wrong is no second mistake.
    raw: Option<&'a Value>,
}

impl<'a> Own<'a> {
    fn new(
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
enum Reference<'a> {
    Own(Vec<&'a PermissionKey>),
    Foreign(PermissionKey),
}

struct Walk<'m> {
    mistakes: &'m mut Vec<Mistake>,
}

impl Walk<'_> {
    fn note(&mut self, at: impl fmt::Display, detail: impl Into<String>, allowed: &str) {
        // Past the number that is ever shown only the count matters.
        let mistake = if self.mistakes.len() > MAX_MISTAKES {
            Mistake::new("", "")
        } else {
            Mistake::new(at, detail).allowing(allowed)
        };
        self.mistakes.push(mistake);
    }

    fn object<'v>(
        &mut self,
        at: &Pointer<'_>,
        value: &'v Value,
        what: &str,
    ) -> Option<&'v Map<String, Value>> {
        let object = value.as_object();
        if object.is_none() {
            self.note(at, format!("{} is not {what}", kind(value)), "an object");
        }
        object
    }

    fn list<'v>(&mut self, at: &Pointer<'_>, value: &'v Value, of: &str) -> &'v [Value] {
        if let Some(list) = value.as_array() {
            list
        } else {
            self.note(at, format!("{} is not a list", kind(value)), of);
            &[]
        }
    }

    fn text<'v>(&mut self, at: &Pointer<'_>, value: &'v Value, what: &str) -> Option<&'v str> {
        let text = value.as_str();
        if text.is_none() {
            self.note(at, format!("{} is not a text", kind(value)), what);
        }
        text
    }

    fn known_fields(
        &mut self,
        at: &Pointer<'_>,
        object: &Map<String, Value>,
        fields: &'static [&'static str],
    ) {
        for key in object.keys() {
            if !fields.contains(&key.as_str()) {
                let allowed = fields.iter().filter(|field| !field.starts_with('$'));
                let allowed: Vec<_> = allowed.copied().collect();
                let key: String = key.chars().take(100).collect();
                self.note(
                    at.key(&key),
                    format!("`{key}` is not a field here"),
                    &allowed.join(", "),
                );
            }
        }
    }

    fn name<T: FromStr>(&mut self, at: &Pointer<'_>, text: &str, allowed: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.note(at, T::Err::to_string(&error), allowed);
                None
            }
        }
    }

    fn service(
        &mut self,
        root: &Pointer<'_>,
        document: &Map<String, Value>,
        expected: Option<&ServiceName>,
    ) -> Option<ServiceName> {
        let at = &root.key("service");
        let Some(value) = document.get("service") else {
            self.note(at, "`service` is missing", "the name of the service");
            return None;
        };
        let text = self.text(at, value, "the name of the service")?;
        let service: ServiceName = self.name(at, text, ServiceName::ALLOWED)?;
        if let Some(expected) = expected.filter(|expected| **expected != service) {
            self.note(
                at,
                format!("this is a manifest of `{service}`, sent as one of `{expected}`"),
                &format!("`{expected}`"),
            );
        }
        Some(service)
    }

    fn version(&mut self, root: &Pointer<'_>, document: &Map<String, Value>) -> Option<i64> {
        let value = document.get("version").filter(|value| !value.is_null())?;
        let version = value.as_i64().filter(|version| *version >= 0);
        if version.is_none() {
            self.note(
                root.key("version"),
                format!("`{}` is not a version", short(&value.to_string())),
                "a whole number from 0 to 9223372036854775807",
            );
        }
        version
    }

    fn permissions(
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

    fn permission(&mut self, at: &Pointer<'_>, value: &Value) -> DeclaredPermission {
        match value {
            Value::Null => DeclaredPermission::default(),
            Value::String(_) => DeclaredPermission {
                description: self.description(at, Some(value)),
                deprecated: false,
            },
            Value::Object(object) => {
                self.known_fields(at, object, PERMISSION_FIELDS);
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

    fn description(&mut self, at: &Pointer<'_>, value: Option<&Value>) -> Option<String> {
        let value = value.filter(|value| !value.is_null())?;
        let text = self.text(at, value, "a description")?.trim();
        let length = text.chars().count();
        if length > limits::MAX_DESCRIPTION {
            self.note(
                at,
                format!("the description has {length} characters"),
                &format!("at most {}", limits::MAX_DESCRIPTION),
            );
        }
        if text
            .chars()
            .any(|char| char.is_control() && !"\n\t".contains(char))
        {
            self.note(
                at,
                "the description holds control characters",
                "printable text, line breaks and tabs",
            );
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn flag(&mut self, at: &Pointer<'_>, value: Option<&Value>) -> bool {
        match value {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.note(
                    at,
                    format!("{} is not a boolean", kind(other)),
                    "true or false",
                );
                false
            }
        }
    }

    fn at_most(&mut self, at: &Pointer<'_>, count: usize, max: usize, what: &str) {
        if count > max {
            self.note(
                at,
                format!("there are {count} {what}"),
                &format!("at most {max}"),
            );
        }
    }

    fn grantable_by(
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

    fn roles(
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
            self.known_fields(at, object, ROLE_FIELDS);
            let permissions = match object.get("permissions") {
                Some(value) => {
                    let at = at.key("permissions");
                    let budget = limits::MAX_GRANTS.saturating_sub(grants);
                    self.references(&at, value, own, budget, true)
                }
                None => {
                    self.note(
                        at.key("permissions"),
                        "`permissions` is missing",
                        "a list of permissions; it may be empty",
                    );
                    BTreeSet::new()
                }
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

    fn assignable_by(
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

    fn scopes(
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
    fn references(
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

    fn reference<'o>(
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

    fn replaces(
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

/// How Cedar spells a resource: `policy::schema` maps what an identifier cannot hold to `_`.
fn identifier(name: &str) -> String {
    name.chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() {
                char
            } else {
                '_'
            }
        })
        .collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The beginning of what was sent: enough to find it, short enough to print.
fn short(text: &str) -> String {
    text.chars().take(120).collect()
}
