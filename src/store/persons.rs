//! Everything that is held on a person, across tables: to be shown, and to be erased.

use uuid::Uuid;

use crate::domain::{OrganizationId, RoleKey, Timestamp, UserId};

use super::{Row, StoreError, Tx, Val};

/// What a login told beside the profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The language, as the provider says.
    pub locale: Option<String>,
    /// The last login.
    pub last_login_at: Option<Timestamp>,
}

/// What is kept beside the profile.
pub fn details(tx: &mut dyn Tx, user: UserId) -> Result<Details, StoreError> {
    let rows = tx.rows(
        "SELECT locale, last_login_at FROM user_details WHERE user_id = ?1",
        &[user.into()],
    )?;
    rows.first().map_or(Ok(Details::default()), |row| {
        Ok(Details {
            locale: row.optional_text(0)?.map(str::to_owned),
            last_login_at: row.optional_time(1)?,
        })
    })
}

/// A grant in the words of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldGrant {
    /// Its id.
    pub id: Uuid,
    /// The client's public name.
    pub client: String,
    /// What was granted.
    pub scope: String,
    /// When.
    pub created_at: Timestamp,
    /// The last use.
    pub last_used_at: Timestamp,
    /// Its end.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Every grant of a person that is still kept.
pub fn grants(tx: &mut dyn Tx, user: UserId) -> Result<Vec<HeldGrant>, StoreError> {
    tx.rows(
        "SELECT g.id, c.client_id, g.scope, g.created_at, g.last_used_at, g.expires_at, \
         g.revoked_at FROM grants g JOIN oauth_clients c ON c.id = g.client_id \
         WHERE g.user_id = ?1 ORDER BY g.id",
        &[user.into()],
    )?
    .iter()
    .map(|row| {
        Ok(HeldGrant {
            id: row.uuid(0)?,
            client: row.text(1)?.to_owned(),
            scope: row.text(2)?.to_owned(),
            created_at: row.time(3)?,
            last_used_at: row.time(4)?,
            expires_at: row.time(5)?,
            revoked_at: row.optional_time(6)?,
        })
    })
    .collect()
}

/// What a person consented to: the client's public name, the scope, when.
pub fn consents(
    tx: &mut dyn Tx,
    user: UserId,
) -> Result<Vec<(String, String, Timestamp)>, StoreError> {
    tx.rows(
        "SELECT c.client_id, s.scope, s.granted_at FROM consents s \
         JOIN oauth_clients c ON c.id = s.client_id WHERE s.user_id = ?1 \
         ORDER BY c.client_id, s.scope",
        &[user.into()],
    )?
    .iter()
    .map(|row| {
        Ok((
            row.text(0)?.to_owned(),
            row.text(1)?.to_owned(),
            row.time(2)?,
        ))
    })
    .collect()
}

/// The roles that a person holds: in which organization, which, since when the person is in it.
pub fn roles(
    tx: &mut dyn Tx,
    user: UserId,
) -> Result<Vec<(OrganizationId, RoleKey, Timestamp)>, StoreError> {
    tx.rows(
        "SELECT m.organization_id, r.service, r.name, m.created_at FROM organization_members m \
         JOIN roles r ON r.id = m.role_id WHERE m.user_id = ?1 \
         UNION ALL \
         SELECT m.organization_id, r.service, r.name, m.created_at FROM organization_members m \
         JOIN organization_member_roles f \
         ON f.organization_id = m.organization_id AND f.user_id = m.user_id \
         JOIN roles r ON r.id = f.role_id WHERE m.user_id = ?1",
        &[user.into()],
    )?
    .iter()
    .map(role)
    .collect()
}

fn role(row: &Row) -> Result<(OrganizationId, RoleKey, Timestamp), StoreError> {
    let key = RoleKey {
        service: row.parse(1)?,
        name: row.parse(2)?,
    };
    Ok((OrganizationId::from_uuid(row.uuid(0)?), key, row.time(3)?))
}

/// An audit row by a person or about one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldAudit {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What.
    pub event: String,
    /// To what.
    pub target: Option<String>,
    /// More.
    pub details: String,
}

/// The newest `most` audit rows by a person or about one.
pub fn audit(tx: &mut dyn Tx, user: UserId, most: u32) -> Result<Vec<HeldAudit>, StoreError> {
    tx.rows(
        "SELECT at, actor, event, target, details FROM audit_log \
         WHERE actor = ?1 OR target = ?1 ORDER BY at DESC, id DESC LIMIT ?2",
        &[format!("user:{user}").into(), i64::from(most).into()],
    )?
    .iter()
    .map(|row| {
        Ok(HeldAudit {
            at: row.time(0)?,
            actor: row.text(1)?.to_owned(),
            event: row.text(2)?.to_owned(),
            target: row.optional_text(3)?.map(str::to_owned),
            details: row.text(4)?.to_owned(),
        })
    })
    .collect()
}

/// Erases what is personal: accounts at providers with their tokens, what a login told, grants,
/// codes, tokens, consents, memberships, invitations to the address. The row stays, with nothing
/// in it but its id, and so does the audit log, which holds ids only. Sessions are the caller's to
/// end.
pub fn erase(
    tx: &mut dyn Tx,
    (user, address): (UserId, &str),
    (placeholder, name): (&str, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    for table in [
        "oauth_accounts",
        "user_details",
        "authorization_codes",
        "refresh_tokens",
        "grants",
        "consents",
        "organization_member_roles",
        "organization_members",
    ] {
        tx.exec(
            &format!("DELETE FROM {table} WHERE user_id = ?1"),
            &[user.into()],
        )?;
    }
    tx.exec(
        "DELETE FROM organization_invitations WHERE lower(email) = lower(?1)",
        &[address.into()],
    )?;
    tx.exec(
        "UPDATE users SET email = ?2, display_name = ?3, avatar_url = NULL, updated_at = ?4 \
         WHERE id = ?1",
        &[user.into(), placeholder.into(), name.into(), now.into()],
    )?;
    Ok(())
}

/// Ids of users whose address or name begins with `prefix`, in order of id, from after `after` on.
/// The case of ASCII letters does not count.
pub fn search(
    tx: &mut dyn Tx,
    prefix: &str,
    (after, limit): (UserId, i64),
) -> Result<Vec<UserId>, StoreError> {
    let params: [Val; 3] = [
        beginning_with(&prefix.to_lowercase()).into(),
        after.into(),
        limit.into(),
    ];
    tx.rows(
        "SELECT id FROM users WHERE (lower(email) LIKE ?1 ESCAPE '\\' \
         OR lower(display_name) LIKE ?1 ESCAPE '\\') AND id > ?2 ORDER BY id LIMIT ?3",
        &params,
    )?
    .iter()
    .map(|row| row.uuid(0).map(UserId::from_uuid))
    .collect()
}

/// A pattern of texts that begin with `text`, whatever is in it.
fn beginning_with(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_no_pattern() {
        assert_eq!(beginning_with("50%_a\\"), "50\\%\\_a\\\\%");
    }
}
