//! The one spelling of a manifest: what is stored, shown and hashed.
//!
//! Sorted, wildcards written out, defaults left out. Two documents that declare the same have the
//! same canonical form, whatever their order, format and white space.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::{PermissionKey, Scope, ServiceName};

use super::declaration::{Declaration, Manifest, default_assignable_by};

/// SHA-256 of a manifest's canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// From a row.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl Manifest {
    /// The canonical form: JSON that `protocol::manifest` reads back to the same manifest.
    pub fn canonical_json(&self) -> String {
        document(
            &self.service,
            self.version,
            &self.declared,
            self.replaces
                .iter()
                .map(|(old, new)| (old.as_str(), new.as_str()))
                .collect(),
        )
    }

    /// The hash of the canonical form.
    pub fn content_hash(&self) -> ContentHash {
        ContentHash(
            Sha256::new()
                .chain_update(b"doorward/manifest/v1\0")
                .chain_update(self.canonical_json())
                .finalize()
                .into(),
        )
    }
}

/// The canonical form of a declaration under a service's name.
pub(super) fn document(
    service: &ServiceName,
    version: Option<i64>,
    declared: &Declaration,
    replaces: BTreeMap<&str, &str>,
) -> String {
    let mut permissions: BTreeMap<&str, BTreeMap<&str, PermissionForm<'_>>> = BTreeMap::new();
    for (key, permission) in &declared.permissions {
        let form = if permission.deprecated {
            PermissionForm::Full {
                description: permission.description.as_deref(),
                deprecated: true,
            }
        } else {
            PermissionForm::Short(permission.description.as_deref())
        };
        permissions
            .entry(key.resource.as_str())
            .or_default()
            .insert(key.action.as_str(), form);
    }
    let default_assignable_by = default_assignable_by();
    let roles = declared
        .roles
        .iter()
        .map(|(name, role)| {
            let form = RoleForm {
                description: role.description.as_deref(),
                permissions: names(service, &role.permissions),
                assignable_by: (role.assignable_by != default_assignable_by)
                    .then(|| role.assignable_by.to_string()),
                deprecated: role.deprecated,
            };
            (name.as_str(), form)
        })
        .collect();
    let scopes = declared
        .scopes
        .iter()
        .map(|(scope, permissions)| (scope, names(service, permissions)))
        .collect();
    let form = DocumentForm {
        service,
        version,
        permissions,
        roles,
        scopes,
        grantable_by: &declared.grantable_by,
        replaces,
    };
    // Texts, numbers and maps with text keys: there is nothing in it that JSON cannot say.
    serde_json::to_string_pretty(&form).unwrap_or_default()
}

/// `resource:action` for the service's own, the full key for others'.
fn names(service: &ServiceName, permissions: &BTreeSet<PermissionKey>) -> Vec<String> {
    permissions
        .iter()
        .map(|key| {
            if key.service == *service {
                format!("{}:{}", key.resource, key.action)
            } else {
                key.to_string()
            }
        })
        .collect()
}

#[derive(Serialize)]
struct DocumentForm<'a> {
    service: &'a ServiceName,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    permissions: BTreeMap<&'a str, BTreeMap<&'a str, PermissionForm<'a>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    roles: BTreeMap<&'a str, RoleForm<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    scopes: BTreeMap<&'a Scope, Vec<String>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    grantable_by: &'a BTreeSet<ServiceName>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    replaces: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum PermissionForm<'a> {
    Short(Option<&'a str>),
    Full {
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        deprecated: bool,
    },
}

#[derive(Serialize)]
struct RoleForm<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    permissions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignable_by: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deprecated: bool,
}
