//! Why a change of an organization or of its members is refused.

use crate::authority::access::Denied;
use crate::domain::{RoleKey, Slug, UserId};
use crate::store::StoreError;

/// Why a change was refused. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrganizationsError {
    /// The actor may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The slug would be read as something else.
    #[error("the slug `{0}` is reserved")]
    ReservedSlug(Slug),
    /// Another organization has or had the slug.
    #[error("the slug `{0}` is taken: a slug stays with its first organization for ever")]
    SlugTaken(Slug),
    /// A client founds an organization and names no owner.
    #[error("an owner is needed: a client cannot be one")]
    NoOwner,
    /// There is no such user.
    #[error("there is no user `{0}`")]
    UnknownUser(UserId),
    /// No service declares the role.
    #[error("no service declares the role `{0}`")]
    UnknownRole(RoleKey),
    /// The service announced the role's removal: it is held, no longer given.
    #[error("the role `{0}` is deprecated and no longer given")]
    DeprecatedRole(RoleKey),
    /// `auth/operator` is for `system`, and `system` for it.
    #[error(
        "the role `{0}` cannot be held in this organization: `auth/operator` is held in `system`, and nothing else is"
    )]
    MisplacedRole(RoleKey),
    /// The user is not a member of the organization.
    #[error("user `{0}` is not a member")]
    NotAMember(UserId),
    /// The user is a member, without the role that was to be given.
    #[error("user `{0}` is a member already, with other roles")]
    AlreadyMember(UserId),
    /// An organization keeps an owner who can act.
    #[error("the last owner stays: give the role `auth/owner` to another member first")]
    LastOwner,
    /// A member keeps a role.
    #[error("`{0}` is the member's only role: give another one first, or remove the member")]
    OnlyRole(RoleKey),
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
}

impl From<StoreError> for OrganizationsError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
