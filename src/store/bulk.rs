//! Whole tables' worth of rows at once: imports and generated worlds.
//!
//! The rules of services do not run here. A transaction beyond the frame's cap becomes a reset
//! marker in the feed, and followers take a snapshot.

use crate::domain::member::Member;
use crate::domain::organization::Organization;
use crate::domain::user::User;

use super::batch::insert;
use super::{StoreError, Tx, Val};

/// Adds organizations and reserves their slugs.
///
/// # Errors
///
/// [`StoreError::Unique`] when a slug is or was another's.
pub fn insert_organizations(tx: &mut dyn Tx, rows: &[Organization]) -> Result<(), StoreError> {
    insert(
        tx,
        "organizations",
        ["id", "name", "slug", "created_at", "updated_at"],
        rows.iter().map(|row| -> [Val; 5] {
            [
                row.id.into(),
                (&row.name).into(),
                (&row.slug).into(),
                row.created_at.into(),
                row.updated_at.into(),
            ]
        }),
    )?;
    insert(
        tx,
        "organization_slugs",
        ["slug", "organization_id", "created_at"],
        rows.iter()
            .map(|row| -> [Val; 3] { [(&row.slug).into(), row.id.into(), row.created_at.into()] }),
    )
}

/// Adds users, active.
///
/// # Errors
///
/// [`StoreError::Unique`] when an address is another's.
pub fn insert_users(tx: &mut dyn Tx, rows: &[User]) -> Result<(), StoreError> {
    insert(
        tx,
        "users",
        [
            "id",
            "email",
            "display_name",
            "avatar_url",
            "created_at",
            "updated_at",
        ],
        rows.iter().map(|row| -> [Val; 6] {
            [
                row.id.into(),
                row.email.as_str().into(),
                row.display_name.as_str().into(),
                row.avatar_url.as_deref().into(),
                row.created_at.into(),
                row.updated_at.into(),
            ]
        }),
    )
}

/// Adds members with all their roles.
///
/// # Errors
///
/// [`StoreError::Unique`] when a user is a member already; [`StoreError::ForeignKey`] when user,
/// organization or role is missing.
pub fn insert_members(tx: &mut dyn Tx, rows: &[Member]) -> Result<(), StoreError> {
    insert(
        tx,
        "organization_members",
        [
            "id",
            "organization_id",
            "user_id",
            "role_id",
            "created_at",
            "updated_at",
        ],
        rows.iter().map(|row| -> [Val; 6] {
            [
                row.id.into(),
                row.organization_id.into(),
                row.user_id.into(),
                row.role_id.into(),
                row.created_at.into(),
                row.updated_at.into(),
            ]
        }),
    )?;
    let further = rows
        .iter()
        .flat_map(|row| row.further_role_ids.iter().map(move |role| (row, *role)));
    insert(
        tx,
        "organization_member_roles",
        ["organization_id", "user_id", "role_id", "created_at"],
        further.map(|(row, role)| -> [Val; 4] {
            [
                row.organization_id.into(),
                row.user_id.into(),
                role.into(),
                row.created_at.into(),
            ]
        }),
    )
}
