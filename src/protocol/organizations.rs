//! Wire form: organizations, members and users.

use serde::{Deserialize, Serialize};

use crate::domain::organization::Organization;
use crate::domain::user::{DisplayName, EmailAddress, Provider, ProviderAccount, User};
use crate::domain::{
    FreshnessToken, OrganizationId, OrganizationName, RoleKey, Slug, Timestamp, UserId,
};

/// The most items a page holds.
pub const MAX_PAGE: u16 = 200;

/// How many items a page holds when the caller does not say.
pub const DEFAULT_PAGE: u16 = 50;

/// `POST /v1/organizations`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateOrganization {
    /// The name people see.
    pub name: OrganizationName,
    /// Its place in URLs.
    pub slug: Slug,
    /// Who is to own it; the caller, when it is a user and says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
}

/// `PATCH /v1/organizations/{organization}`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UpdateOrganization {
    /// The new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<OrganizationName>,
    /// The new slug; the old one stays reserved and redirects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<Slug>,
}

/// `POST /v1/organizations/{organization}/members`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    /// Who.
    pub user: UserId,
    /// The primary role.
    pub role: RoleKey,
}

/// `PUT /v1/organizations/{organization}/members/{user}`: makes the user a member with this primary
/// role, whether or not it was one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PutMember {
    /// Who, again: when given, the same as in the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The primary role.
    pub role: RoleKey,
}

/// `POST /v1/users`: a user known before the first login.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// The name people see.
    pub display_name: DisplayName,
    /// An address that the caller vouches for; a placeholder under `.invalid` stands in for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailAddress>,
    /// The account by which an identity provider will know the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}

/// A user's account at an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The provider: `google`.
    pub provider: Provider,
    /// The account's id there (`sub`).
    pub provider_account_id: ProviderAccount,
}

/// An organization as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OrganizationView {
    /// Its id.
    pub id: OrganizationId,
    /// The name people see.
    pub name: OrganizationName,
    /// Its place in URLs.
    pub slug: Slug,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        Self {
            id: organization.id,
            name: organization.name,
            slug: organization.slug,
            created_at: organization.created_at,
            updated_at: organization.updated_at,
        }
    }
}

/// A member as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct MemberView {
    /// The organization.
    pub organization: OrganizationId,
    /// The user.
    pub user: UserId,
    /// The name the user shows.
    pub display_name: String,
    /// The primary role.
    pub role: RoleKey,
    /// Further roles, by name.
    pub further_roles: Vec<RoleKey>,
    /// When the user joined.
    pub created_at: Timestamp,
    /// When the primary role last changed.
    pub updated_at: Timestamp,
}

/// A user as callers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserView {
    /// The id, the only thing tokens and sidecars know.
    pub id: UserId,
    /// A verified address, or a placeholder under `.invalid`.
    pub email: String,
    /// The name people see.
    pub display_name: String,
    /// A picture, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
    /// `active`, `suspended` or `deleted`.
    pub state: String,
    /// When the user became known.
    pub created_at: Timestamp,
    /// When the profile last changed.
    pub updated_at: Timestamp,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            display_name: user.display_name,
            avatar_url: user.avatar_url,
            state: user.state.as_str().to_owned(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "{T}Page")
)]
pub struct Page<T> {
    /// The items, in an order that never changes.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; absent on the last one. Opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many items, 1 to [`MAX_PAGE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = MAX_PAGE)))]
    pub limit: Option<u16>,
}

/// What a write answers: the thing as it is now, and the token to ask for answers that know of the
/// write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(rename = "{T}Changed")
)]
pub struct Changed<T> {
    /// The thing itself.
    #[serde(flatten)]
    pub view: T,
    /// "At least as new as this write."
    pub freshness: FreshnessToken,
}

/// What a delete answers beside the freshness token: nothing is left to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Gone {}
