//! Domain words to Cedar entities: the only place that spells an entity's id.
//!
//! Only what a policy can tell apart is built. Users, organizations and roles have no attributes
//! and no parents, so leaving them out of an evaluation's entities changes no answer.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::LazyLock;

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use crate::domain::{OrganizationId, RoleKey, UserId};

/// The entity types that do not depend on what services declare.
pub(super) const STATIC_TYPES: [&str; 4] = ["Membership", "Organization", "Role", "User"];

struct Types {
    action: EntityTypeName,
    membership: EntityTypeName,
    organization: EntityTypeName,
    role: EntityTypeName,
    user: EntityTypeName,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let name = |text: &str| -> EntityTypeName {
        #[expect(clippy::expect_used, reason = "literals that are Cedar identifiers")]
        text.parse().expect("an identifier")
    };
    Types {
        action: name("Action"),
        membership: name("Membership"),
        organization: name("Organization"),
        role: name("Role"),
        user: name("User"),
    }
});

pub(super) fn uid(type_name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
}

pub(super) fn action(id: &str) -> EntityUid {
    uid(&TYPES.action, id)
}

pub(super) fn role(key: &RoleKey) -> EntityUid {
    uid(&TYPES.role, &key.to_string())
}

pub(super) fn organization(id: OrganizationId) -> EntityUid {
    uid(&TYPES.organization, &id.to_string())
}

/// An organization by the text of the id, as a hand-written policy names it.
#[cfg(feature = "prove")]
pub(super) fn named_organization(id: &str) -> EntityUid {
    uid(&TYPES.organization, id)
}

/// The type of every principal.
#[cfg(feature = "prove")]
pub(super) fn membership_type() -> EntityTypeName {
    TYPES.membership.clone()
}

/// A user by the text of the id: callers name users that Doorward may not know.
pub(super) fn user(id: &str) -> EntityUid {
    uid(&TYPES.user, id)
}

/// `Membership::"<organization>/<user>"`.
pub(super) fn membership(organization: impl Display, user: UserId) -> EntityUid {
    uid(&TYPES.membership, &format!("{organization}/{user}"))
}

/// The principal: one user in one organization, with every role held there and nothing else.
pub(super) fn membership_entity(
    organization_id: OrganizationId,
    user_id: UserId,
    roles: impl IntoIterator<Item = EntityUid>,
    declared: Vec<(String, RestrictedExpression)>,
) -> Result<Entity, String> {
    // The replicated facts come last and win: a declaration cannot name them (see `attributes`).
    let attributes = declared.into_iter().chain([
        (
            "organization".to_owned(),
            RestrictedExpression::new_entity_uid(organization(organization_id)),
        ),
        (
            "user".to_owned(),
            RestrictedExpression::new_entity_uid(user(&user_id.to_string())),
        ),
    ]);
    Entity::new_with_tags(membership(organization_id, user_id), attributes, roles, [])
        .map_err(|source| source.to_string())
}

/// What is acted on, inside its organization.
pub(super) fn resource_entity(
    uid: EntityUid,
    organization_id: OrganizationId,
    declared: Vec<(String, RestrictedExpression)>,
) -> Result<Entity, String> {
    Entity::new_with_tags(uid, declared, [organization(organization_id)], [])
        .map_err(|source| source.to_string())
}

/// An entity that is only its id and its parents.
pub(super) fn bare(uid: EntityUid, parents: HashSet<EntityUid>) -> Entity {
    Entity::new_no_attrs(uid, parents)
}
