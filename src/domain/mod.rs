//! What exists, in the words of the field. Pure: no I/O, no clock, no randomness, no SQL, no HTTP.

pub mod app;
pub mod change;
pub mod client;
pub mod decision;
pub mod identifier;
pub mod ids;
pub mod instance;
pub mod manifest;
pub mod member;
pub mod names;
pub mod organization;
pub mod permission;
pub mod provider;
pub mod registration;
pub mod role;
pub mod secret;
pub mod session;
pub mod text;
pub mod time;
pub mod user;

pub use change::{Chain, Epoch, FeedName, FreshnessToken, Position, Revision};
pub use client::{ClientIdentifier, ClientKind, FULL_SCOPE, Scope, Scopes};
pub use decision::{Decision, DecisionId, Freshness};
pub use ids::{
    AccountId, ClientId, GrantId, InvitationId, MemberId, OrganizationId, PermissionId,
    RegistrationTokenId, RoleId, SessionId, SidecarId, UserId,
};
pub use instance::{Instance, InstanceId, InstanceKey};
pub use names::{
    ActionName, NameError, PermissionKey, ResourceName, RoleKey, RoleName, ServiceName,
};
pub use organization::{OrganizationName, Slug};
pub use secret::{PlainToken, Secret, TokenDigest};
pub use session::GATE_SESSION_MAX;
pub use time::Timestamp;
