//! Wire form: instances of resources, as services register them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::instance::Attributes;
use crate::domain::{Instance, InstanceId, OrganizationId, ResourceName, Slug, Timestamp};

/// The most items of one batch, what is put and what is removed together.
pub const MAX_BATCH: usize = 1_000;

/// An organization by its id or its slug.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub enum OrganizationRef {
    /// Its id.
    Id(OrganizationId),
    /// A slug that it has or had.
    Slug(Slug),
}

/// A text that is neither an id nor a slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an organization's id or slug is wanted")]
pub struct OrganizationRefError;

impl FromStr for OrganizationRef {
    type Err = OrganizationRefError;

    fn from_str(text: &str) -> Result<Self, OrganizationRefError> {
        text.parse()
            .map(Self::Id)
            .or_else(|_| text.parse().map(Self::Slug))
            .map_err(|_| OrganizationRefError)
    }
}

impl TryFrom<Cow<'_, str>> for OrganizationRef {
    type Error = OrganizationRefError;

    fn try_from(text: Cow<'_, str>) -> Result<Self, OrganizationRefError> {
        text.parse()
    }
}

impl From<OrganizationRef> for String {
    fn from(named: OrganizationRef) -> Self {
        named.to_string()
    }
}

impl fmt::Display for OrganizationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Slug(slug) => slug.fmt(f),
        }
    }
}

/// `PUT /v1/services/{service}/resources`: all of it or nothing. At most [`MAX_BATCH`] items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InstanceBatch {
    /// What is to be so, whether or not it was registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<PutInstance>,
    /// What is not to be registered, whether or not it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delete: Vec<InstanceRef>,
}

/// An instance to be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PutInstance {
    /// The resource of the service that it is one of.
    #[serde(rename = "type")]
    pub resource: ResourceName,
    /// Its id, in the service's own terms.
    pub id: InstanceId,
    /// Where it belongs.
    pub organization: OrganizationRef,
    /// What policies may read of it. They replace those before.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

/// Which instance of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InstanceRef {
    /// The resource of the service that it is one of.
    #[serde(rename = "type")]
    pub resource: ResourceName,
    /// Its id.
    pub id: InstanceId,
}

/// What a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BatchView {
    /// Registered now and not before.
    pub created: usize,
    /// Of another organization or with other attributes than before.
    pub updated: usize,
    /// Registered just so before.
    pub unchanged: usize,
    /// Registered before and not now. What was not is not counted.
    pub deleted: usize,
}

/// A registered instance as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct InstanceView {
    /// The resource of the service that it is one of.
    #[serde(rename = "type")]
    pub resource: ResourceName,
    /// Its id.
    pub id: InstanceId,
    /// Where it belongs.
    pub organization: OrganizationId,
    /// What policies may read of it.
    pub attributes: Attributes,
    /// When its organization or attributes last changed.
    pub updated_at: Timestamp,
}

impl From<Instance> for InstanceView {
    fn from(instance: Instance) -> Self {
        Self {
            resource: instance.key.resource,
            id: instance.key.id,
            organization: instance.organization,
            attributes: instance.attributes,
            updated_at: instance.updated_at,
        }
    }
}

/// Which instances a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InstanceQuery {
    /// Of this resource only.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceName>,
    /// Of this organization only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<OrganizationRef>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
}
