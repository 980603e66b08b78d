//! Rows of organizations and of every slug that one ever had.

use crate::domain::organization::Organization;
use crate::domain::{OrganizationId, OrganizationName, Slug, Timestamp, UserId};

use super::{Row, StoreError, Tx};

const COLUMNS: &str = "o.id, o.name, o.slug, o.created_at, o.updated_at";

fn from_row(row: &Row) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: OrganizationId::from_uuid(row.uuid(0)?),
        name: row.parse(1)?,
        slug: row.parse(2)?,
        created_at: row.time(3)?,
        updated_at: row.time(4)?,
    })
}

fn first(rows: &[Row]) -> Result<Option<Organization>, StoreError> {
    rows.first().map(from_row).transpose()
}

/// The organization with this id.
pub fn find(tx: &mut dyn Tx, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM organizations o WHERE o.id = ?1");
    first(&tx.rows(&sql, &[id.into()])?)
}

/// The organization that has or once had this slug; compare its `slug` to tell which.
pub fn find_by_slug(tx: &mut dyn Tx, slug: &Slug) -> Result<Option<Organization>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM organization_slugs s \
         JOIN organizations o ON o.id = s.organization_id WHERE s.slug = ?1"
    );
    first(&tx.rows(&sql, &[slug.into()])?)
}

/// The organization of the operators, once `doorward-authority init` made it.
pub fn system(tx: &mut dyn Tx) -> Result<Option<OrganizationId>, StoreError> {
    let rows = tx.rows(
        "SELECT id FROM organizations WHERE slug = ?1",
        &[(&Slug::system()).into()],
    )?;
    rows.first()
        .map(|row| row.uuid(0).map(OrganizationId::from_uuid))
        .transpose()
}

/// Which organizations a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of them.
    All,
    /// Those that this user is a member of.
    MemberOf(UserId),
}

/// Organizations in order of id, from after `after` on.
pub fn page(
    tx: &mut dyn Tx,
    shown: Shown,
    after: OrganizationId,
    limit: i64,
) -> Result<Vec<Organization>, StoreError> {
    let rows = match shown {
        Shown::All => {
            let sql = format!(
                "SELECT {COLUMNS} FROM organizations o WHERE o.id > ?1 ORDER BY o.id LIMIT ?2"
            );
            tx.rows(&sql, &[after.into(), limit.into()])?
        }
        Shown::MemberOf(user) => {
            let sql = format!(
                "SELECT {COLUMNS} FROM organization_members m \
                 JOIN organizations o ON o.id = m.organization_id \
                 WHERE m.user_id = ?1 AND o.id > ?2 ORDER BY o.id LIMIT ?3"
            );
            tx.rows(&sql, &[user.into(), after.into(), limit.into()])?
        }
    };
    rows.iter().map(from_row).collect()
}

/// Whom a slug belongs to, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlugOwner {
    /// Nobody ever had it.
    Nobody,
    /// This organization has or had it.
    Organization(OrganizationId),
    /// An organization had it that is deleted.
    Deleted,
}

/// Whom `slug` belongs to.
pub fn slug_owner(tx: &mut dyn Tx, slug: &Slug) -> Result<SlugOwner, StoreError> {
    let rows = tx.rows(
        "SELECT organization_id FROM organization_slugs WHERE slug = ?1",
        &[slug.into()],
    )?;
    match rows.first() {
        None => Ok(SlugOwner::Nobody),
        Some(row) if row.is_null(0) => Ok(SlugOwner::Deleted),
        Some(row) => Ok(SlugOwner::Organization(OrganizationId::from_uuid(
            row.uuid(0)?,
        ))),
    }
}

/// Adds an organization and reserves its slug.
///
/// # Errors
///
/// [`StoreError::Unique`] when the slug is or was another's.
pub fn insert(tx: &mut dyn Tx, organization: &Organization) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO organizations (id, name, slug, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        &[
            organization.id.into(),
            (&organization.name).into(),
            (&organization.slug).into(),
            organization.created_at.into(),
            organization.updated_at.into(),
        ],
    )?;
    reserve_slug(
        tx,
        &organization.slug,
        organization.id,
        organization.created_at,
    )
}

/// Reserves a slug that nobody ever had.
///
/// # Errors
///
/// [`StoreError::Unique`] when somebody had.
pub fn reserve_slug(
    tx: &mut dyn Tx,
    slug: &Slug,
    organization: OrganizationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO organization_slugs (slug, organization_id, created_at) VALUES (?1, ?2, ?3)",
        &[slug.into(), organization.into(), now.into()],
    )?;
    Ok(())
}

/// Gives an organization this name and slug; the slug is already reserved for it.
pub fn update(
    tx: &mut dyn Tx,
    id: OrganizationId,
    name: &OrganizationName,
    slug: &Slug,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE organizations SET name = ?2, slug = ?3, updated_at = ?4 WHERE id = ?1",
        &[id.into(), name.into(), slug.into(), now.into()],
    )?;
    Ok(())
}

/// Deletes an organization with its memberships. Its slugs stay taken and lead nowhere.
pub fn delete(tx: &mut dyn Tx, id: OrganizationId) -> Result<bool, StoreError> {
    tx.exec(
        "UPDATE organization_slugs SET organization_id = NULL WHERE organization_id = ?1",
        &[id.into()],
    )?;
    Ok(tx.exec("DELETE FROM organizations WHERE id = ?1", &[id.into()])? > 0)
}
