//! One rule.

use std::fmt;
use std::time::Duration;

use http::HeaderName;

use super::origin::Origin;
use super::path::{PathTemplate, Place};
use crate::domain::PermissionKey;

/// A route: what it is called and what it asks of a request. Where it applies is the table's.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name, in answers of `doorward routes test`.
    pub name: Box<str>,
    /// The path it was declared with.
    pub path: PathTemplate,
    /// Who may.
    pub access: Access,
    /// Whether CORS preflights for it are let through.
    pub preflight: bool,
    /// Under which origin clients know it; without, proofs of possession cannot be checked.
    pub origin: Option<Origin>,
    /// Deny when staler than this.
    pub deny_beyond: Option<Duration>,
}

/// Who may.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody; credentials are not looked at.
    Public,
    /// Every user with a token that counts.
    SignedIn,
    /// Who has the permission in the organization.
    Permission(Box<Wanted>),
}

/// A permission that is wanted, and where.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The permission.
    pub permission: PermissionKey,
    /// Its `service:resource`.
    pub resource_type: Box<str>,
    /// Which organization.
    pub organization: OrganizationSource,
    /// Where the resource's id stands, if it is asked about.
    pub resource_id: Option<Place>,
}

/// From where the organization is taken: its id or slug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrganizationSource {
    /// A capture of the path.
    Capture(Place),
    /// What stands for the `*` of the host.
    Subdomain,
    /// A header of the request, which may stand once.
    Header(HeaderName),
    /// The organization that the token is bound to.
    Claim,
    /// Always this one.
    Constant(Box<str>),
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::SignedIn => f.write_str("signed_in"),
            Self::Permission(wanted) => write!(f, "permission {}", wanted.permission),
        }
    }
}
