//! Founding, renaming and deleting organizations.

use serde_json::json;

use crate::authority::access::{OWNER, no_organization};
use crate::authority::change::{Change, Event};
use crate::authority::credentials::Actor;
use crate::domain::member::Member;
use crate::domain::organization::Organization;
use crate::domain::{MemberId, OrganizationId, OrganizationName, RoleKey, Slug, UserId};
use crate::store::organizations::SlugOwner;
use crate::store::{Lock, StoreError, Tx, members, organizations};

use super::error::OrganizationsError;
use super::membership::{existing_user, role_named};

/// An organization to be made, with the ids minted for it.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    /// Its id.
    pub id: OrganizationId,
    /// The id of the owner's membership.
    pub member_id: MemberId,
    /// The name people see.
    pub name: OrganizationName,
    /// Its place in URLs.
    pub slug: Slug,
    /// Who owns it; `None` means the actor, which then must be a user.
    pub owner: Option<UserId>,
}

/// Makes an organization that belongs to its owner.
///
/// # Errors
///
/// A reserved slug, one that is or once was another organization's, an unknown owner.
pub fn found(
    tx: &mut dyn Tx,
    change: &Change,
    new: &NewOrganization,
) -> Result<Organization, OrganizationsError> {
    let owner = match (&change.actor, new.owner) {
        (_, Some(owner)) => owner,
        (Actor::User { user_id, .. }, None) => *user_id,
        (Actor::Client { .. }, None) => return Err(OrganizationsError::NoOwner),
    };
    change.access.check_founding(tx, &change.actor, owner)?;
    free(tx, &new.slug)?;
    existing_user(tx, owner)?;
    let role = role_named(tx, &owner_role()?)?;
    let organization = Organization {
        id: new.id,
        name: new.name.clone(),
        slug: new.slug.clone(),
        created_at: change.now,
        updated_at: change.now,
    };
    organizations::insert(tx, &organization).map_err(|error| taken(error, &new.slug))?;
    let member = Member {
        id: new.member_id,
        organization_id: new.id,
        user_id: owner,
        role_id: role.id,
        further_role_ids: Vec::new(),
        created_at: change.now,
        updated_at: change.now,
    };
    members::insert(tx, &member)?;
    change.record(
        tx,
        Event {
            name: "organization.created",
            organization: Some(new.id),
            target: Some(format!("user:{owner}")),
            details: json!({ "slug": new.slug }),
        },
    )?;
    Ok(organization)
}

/// Gives an organization another name, another slug, or both. Its old slugs stay reserved for it
/// and lead to it; it may take one of them back.
pub fn rename(
    tx: &mut dyn Tx,
    change: &Change,
    id: OrganizationId,
    (name, slug): (Option<&OrganizationName>, Option<&Slug>),
) -> Result<Organization, OrganizationsError> {
    tx.lock(Lock::Organization(id))?;
    change
        .access
        .check(tx, &change.actor, "auth:organization:rename", id)?;
    let old = present(tx, id)?;
    let name = name.unwrap_or(&old.name);
    let slug = slug.unwrap_or(&old.slug);
    if *name == old.name && *slug == old.slug {
        return Ok(old);
    }
    if *slug != old.slug && !is_own(tx, id, slug)? {
        free(tx, slug)?;
        organizations::reserve_slug(tx, slug, id, change.now)
            .map_err(|error| taken(error, slug))?;
    }
    organizations::update(tx, id, name, slug, change.now)?;
    change.record(
        tx,
        Event {
            name: "organization.renamed",
            organization: Some(id),
            target: None,
            details: json!({ "from": old.slug, "slug": slug }),
        },
    )?;
    present(tx, id)
}

/// Deletes an organization with its memberships. Its slugs stay taken for ever.
pub fn delete(
    tx: &mut dyn Tx,
    change: &Change,
    id: OrganizationId,
) -> Result<(), OrganizationsError> {
    tx.lock(Lock::Organization(id))?;
    change
        .access
        .check(tx, &change.actor, "auth:organization:delete", id)?;
    let old = present(tx, id)?;
    organizations::delete(tx, id)?;
    change.record(
        tx,
        Event {
            name: "organization.deleted",
            organization: Some(id),
            target: None,
            details: json!({ "slug": old.slug }),
        },
    )?;
    Ok(())
}

fn present(tx: &mut dyn Tx, id: OrganizationId) -> Result<Organization, OrganizationsError> {
    organizations::find(tx, id)?.ok_or_else(|| OrganizationsError::Denied(no_organization(id)))
}

fn owner_role() -> Result<RoleKey, StoreError> {
    OWNER
        .parse()
        .map_err(|_| StoreError::Other("the owner's role has no name".to_owned()))
}

fn is_own(tx: &mut dyn Tx, id: OrganizationId, slug: &Slug) -> Result<bool, StoreError> {
    Ok(organizations::slug_owner(tx, slug)? == SlugOwner::Organization(id))
}

/// Refuses a slug that may not be taken.
fn free(tx: &mut dyn Tx, slug: &Slug) -> Result<(), OrganizationsError> {
    slug.check_unreserved()
        .map_err(|_| OrganizationsError::ReservedSlug(slug.clone()))?;
    match organizations::slug_owner(tx, slug)? {
        SlugOwner::Nobody => Ok(()),
        SlugOwner::Organization(_) | SlugOwner::Deleted => {
            Err(OrganizationsError::SlugTaken(slug.clone()))
        }
    }
}

/// Two requests may find the same slug free: the constraint settles it.
fn taken(error: StoreError, slug: &Slug) -> OrganizationsError {
    match error {
        StoreError::Unique { .. } => OrganizationsError::SlugTaken(slug.clone()),
        other => OrganizationsError::Store(other),
    }
}
