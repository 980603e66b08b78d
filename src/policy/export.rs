//! Everything as the stock Cedar tools take it: the same answers, without Doorward.
//!
//! One difference is Cedar's own: it skips a forbid that fails, Doorward denies.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::domain::{OrganizationId, RoleId, UserId};

use super::attributes;
use super::engine::Engine;
use super::entities;
use super::schema;

/// Policies, schema and the entities that follow from what services declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// Policies in Cedar's text form, each with its id as `@id`.
    pub policies: String,
    /// The schema in Cedar's text form.
    pub schema: String,
    /// Roles and actions with their groups, in Cedar's JSON form.
    pub entities: Vec<Value>,
}

/// A membership to export.
#[derive(Debug, Clone, Copy)]
pub struct ExportedMember<'a> {
    /// The organization.
    pub organization: OrganizationId,
    /// The user.
    pub user: UserId,
    /// Every role held.
    pub roles: &'a [RoleId],
    /// What is said of the subject; declared attributes only are exported.
    pub properties: Option<&'a Map<String, Value>>,
}

/// A resource to export.
#[derive(Debug, Clone, Copy)]
pub struct ExportedResource<'a> {
    /// Its type, as `service:resource`.
    pub resource_type: &'a str,
    /// Its id.
    pub id: &'a str,
    /// The organization it belongs to.
    pub organization: OrganizationId,
    /// What is said of it; declared attributes only are exported.
    pub properties: Option<&'a Map<String, Value>>,
}

/// Why something cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// An attribute is not of its declared type.
    #[error(transparent)]
    WrongType(#[from] attributes::WrongType),
    /// No service declares the resource type.
    #[error("no service declares the resource type `{0}`")]
    UnknownType(String),
    /// Cedar does not take it.
    #[error("`{0}` does not export")]
    Cedar(String),
}

impl Engine {
    /// What does not depend on who is a member of what. Add [`Self::export_member`] and
    /// [`Self::export_resource`] for the world to ask about.
    pub fn export(&self) -> Export {
        let mut policies = String::new();
        for role in &self.compiled.roles {
            _ = writeln!(policies, "@id(\"{}\")\n{}\n", role.name, role.policy);
        }
        for custom in self.custom.policies() {
            if custom.policy.annotation("id").is_none() {
                _ = writeln!(policies, "@id({:?})", custom.id);
            }
            _ = writeln!(policies, "{}\n", custom.policy);
        }
        let roles = self
            .compiled
            .roles
            .iter()
            .flat_map(|role| [role.uid.clone(), role.group.clone()])
            .map(|uid| entities::bare(uid, HashSet::new()));
        let actions = self.compiled.actions.iter().map(|action| {
            let groups = self.roles(&action.granting);
            let parents = groups.map(|role| role.group.clone()).collect();
            entities::bare(action.uid.clone(), parents)
        });
        Export {
            policies,
            schema: schema::render(&self.compiled, self.custom.attributes()),
            // Without attributes nothing in these entities can fail to serialize.
            entities: roles
                .chain(actions)
                .filter_map(|entity| entity.to_json_value().ok())
                .collect(),
        }
    }

    /// A membership in Cedar's JSON form.
    ///
    /// # Errors
    ///
    /// [`ExportError::WrongType`].
    pub fn export_member(&self, member: &ExportedMember<'_>) -> Result<Value, ExportError> {
        let declared = &self.custom.attributes().subject;
        let subject = attributes::expressions("subject", declared, member.properties, false)?;
        let roles = member.roles.iter().filter_map(|id| {
            let place = *self.compiled.role_index.get(id)? as usize;
            self.compiled.roles.get(place).map(|role| role.uid.clone())
        });
        entities::membership_entity(member.organization, member.user, roles, subject)
            .and_then(|entity| entity.to_json_value().map_err(|e| e.to_string()))
            .map_err(ExportError::Cedar)
    }

    /// A resource in Cedar's JSON form.
    ///
    /// # Errors
    ///
    /// [`ExportError::UnknownType`] and [`ExportError::WrongType`].
    pub fn export_resource(&self, resource: &ExportedResource<'_>) -> Result<Value, ExportError> {
        let unknown = || ExportError::UnknownType(resource.resource_type.to_owned());
        let (service, name) = resource.resource_type.split_once(':').ok_or_else(unknown)?;
        let action = self
            .compiled
            .actions
            .iter()
            .find(|action| {
                action.key.service.as_str() == service && action.key.resource.as_str() == name
            })
            .ok_or_else(unknown)?;
        let key = &action.key;
        let properties = match self
            .custom
            .attributes()
            .of_resource(&key.service, &key.resource)
        {
            Some(part) => attributes::expressions("resource", part, resource.properties, false)?,
            None => Vec::new(),
        };
        let uid = entities::uid(&action.resource_type, resource.id);
        entities::resource_entity(uid, resource.organization, properties)
            .and_then(|entity| entity.to_json_value().map_err(|e| e.to_string()))
            .map_err(ExportError::Cedar)
    }
}
