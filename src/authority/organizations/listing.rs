//! Reading organizations and members, as far as the actor sees them.

use std::collections::HashMap;

use crate::authority::access::{Access, Denied, no_organization};
use crate::authority::credentials::Actor;
use crate::domain::member::Member;
use crate::domain::organization::Organization;
use crate::domain::{MemberId, OrganizationId, RoleId, RoleKey, Slug, UserId};
use crate::protocol::organizations::{MemberView, OrganizationView, Page};
use crate::store::{StoreError, Tx, members, organizations, roles, users};

use super::error::OrganizationsError;

/// What stands for an organization in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// Its id.
    Id(OrganizationId),
    /// A slug that it has or had.
    Slug(Slug),
}

impl Named {
    /// Reads a path segment: an id if it looks like one, else a slug. `None` when it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse()
            .map(Self::Id)
            .or_else(|_| text.parse().map(Self::Slug))
            .ok()
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Slug(slug) => slug.fmt(f),
        }
    }
}

/// The organization that a path names, if the actor may see it. Compare its slug with the path's:
/// an old slug still leads to it.
pub fn find(
    tx: &mut dyn Tx,
    access: &Access,
    actor: &Actor,
    named: &Named,
) -> Result<Organization, Denied> {
    let found = match named {
        Named::Id(id) => organizations::find(tx, *id)?,
        Named::Slug(slug) => organizations::find_by_slug(tx, slug)?,
    };
    // Ask the judge also when there is none: whether a token's scopes cover the question must not
    // depend on it.
    let id = found
        .as_ref()
        .map_or(OrganizationId::from_u128(0), |found| found.id);
    match access.check(tx, actor, "auth:organization:read", id) {
        Ok(_) => found.ok_or_else(|| no_organization(named)),
        Err(Denied::NotFound(_)) => Err(no_organization(named)),
        Err(denied) => Err(denied),
    }
}

/// A page of the organizations that the actor sees.
pub fn page(
    tx: &mut dyn Tx,
    access: &Access,
    actor: &Actor,
    (after, limit): (OrganizationId, u16),
) -> Result<Page<OrganizationView>, Denied> {
    let shown = access.shown_organizations(tx, actor)?;
    let mut found = organizations::page(tx, shown, after, i64::from(limit) + 1)?;
    let next = cut(&mut found, limit, |organization| {
        organization.id.to_string()
    });
    Ok(Page {
        items: found.into_iter().map(OrganizationView::from).collect(),
        next,
    })
}

/// A page of an organization's members.
pub fn members_page(
    tx: &mut dyn Tx,
    access: &Access,
    actor: &Actor,
    organization: OrganizationId,
    (after, limit): (MemberId, u16),
) -> Result<Page<MemberView>, Denied> {
    access.check(tx, actor, "auth:member:read", organization)?;
    let mut found = members::page(tx, organization, after, i64::from(limit) + 1)?;
    let next = cut(&mut found, limit, |(member, _)| member.id.to_string());
    let mut names = RoleNames::default();
    let items = found
        .into_iter()
        .map(|(member, name)| names.view(tx, &member, name))
        .collect::<Result<_, StoreError>>()?;
    Ok(Page { items, next })
}

/// One member.
pub fn member(
    tx: &mut dyn Tx,
    access: &Access,
    actor: &Actor,
    place: (OrganizationId, UserId),
) -> Result<MemberView, OrganizationsError> {
    access.check_member(tx, actor, "auth:member:read", place)?;
    let member = super::membership::present(tx, place)?;
    Ok(view(tx, &member)?)
}

/// A member as callers see it.
pub fn view(tx: &mut dyn Tx, member: &Member) -> Result<MemberView, StoreError> {
    let user = users::find(tx, member.user_id)?.ok_or(StoreError::ForeignKey)?;
    RoleNames::default().view(tx, member, user.display_name)
}

/// Keeps `limit` items of the `limit + 1` that were read, and tells where the next page begins.
pub(crate) fn cut<T>(
    items: &mut Vec<T>,
    limit: u16,
    cursor: impl Fn(&T) -> String,
) -> Option<String> {
    let more = items.len() > usize::from(limit);
    items.truncate(usize::from(limit));
    items.last().filter(|_| more).map(cursor)
}

/// Names of roles, each read once.
#[derive(Debug, Default)]
struct RoleNames(HashMap<RoleId, RoleKey>);

impl RoleNames {
    fn name(&mut self, tx: &mut dyn Tx, id: RoleId) -> Result<RoleKey, StoreError> {
        if let Some(key) = self.0.get(&id) {
            return Ok(key.clone());
        }
        let key = roles::find_by_id(tx, id)?
            .ok_or(StoreError::ForeignKey)?
            .key;
        self.0.insert(id, key.clone());
        Ok(key)
    }

    fn view(
        &mut self,
        tx: &mut dyn Tx,
        member: &Member,
        display_name: String,
    ) -> Result<MemberView, StoreError> {
        let role = self.name(tx, member.role_id)?;
        let mut further_roles = member
            .further_role_ids
            .iter()
            .map(|id| self.name(tx, *id))
            .collect::<Result<Vec<_>, _>>()?;
        further_roles.sort();
        Ok(MemberView {
            organization: member.organization_id,
            user: member.user_id,
            display_name,
            role,
            further_roles,
            created_at: member.created_at,
            updated_at: member.updated_at,
        })
    }
}
