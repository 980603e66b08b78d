//! Everything that is held on a person, for the person.

use crate::authority::access::no_user;
use crate::authority::change::{Change, Event};
use crate::domain::UserId;
use crate::protocol::users::{
    ExportedAccount, ExportedAudit, ExportedConsent, ExportedGrant, ExportedRole, ExportedSession,
    UserExport,
};
use crate::store::{StoreError, Tx, accounts, persons, sessions, users};

use super::UsersError;

/// The most audit rows that an export holds.
const AUDIT_MOST: u32 = 10_000;

/// Writes down what is held on a user. Who exported whom is audited.
pub fn export(tx: &mut dyn Tx, change: &Change, id: UserId) -> Result<UserExport, UsersError> {
    change
        .access
        .check_installation(tx, &change.actor, "auth:user:export")?;
    let user = users::find(tx, id)?.ok_or_else(|| no_user(id))?;
    let details = persons::details(tx, id)?;
    let audit = persons::audit(tx, id, AUDIT_MOST)?;
    let export = UserExport {
        exported_at: change.now,
        user: user.into(),
        locale: details.locale,
        last_login_at: details.last_login_at,
        accounts: accounts_of(tx, id)?,
        sessions: sessions::of_user(tx, id, change.now)?
            .into_iter()
            .map(|session| ExportedSession {
                id: session.id,
                provider: session.provider,
                created_at: session.created_at,
                last_seen_at: session.last_seen_at,
                expires_at: session.expires_at,
                user_agent: session.user_agent,
                address: session.address,
            })
            .collect(),
        grants: grants_of(tx, id)?,
        consents: persons::consents(tx, id)?
            .into_iter()
            .map(|(client_id, scope, granted_at)| ExportedConsent {
                client_id,
                scope,
                granted_at,
            })
            .collect(),
        roles: persons::roles(tx, id)?
            .into_iter()
            .map(|(organization, role, member_since)| ExportedRole {
                organization,
                role,
                member_since,
            })
            .collect(),
        audit_truncated: audit.len() >= usize::try_from(AUDIT_MOST).unwrap_or(usize::MAX),
        audit: audit
            .into_iter()
            .map(|row| ExportedAudit {
                at: row.at,
                actor: row.actor,
                event: row.event,
                target: row.target,
                details: serde_json::from_str(&row.details).unwrap_or_default(),
            })
            .collect(),
    };
    change.record(
        tx,
        Event {
            name: "user.exported",
            organization: None,
            target: Some(format!("user:{id}")),
            details: serde_json::json!({}),
        },
    )?;
    Ok(export)
}

fn accounts_of(tx: &mut dyn Tx, id: UserId) -> Result<Vec<ExportedAccount>, StoreError> {
    accounts::of_user(tx, id)?
        .into_iter()
        .map(|account| {
            let tokens = accounts::tokens(tx, account.id)?;
            Ok(ExportedAccount {
                provider: account.provider,
                subject: account.subject,
                email: account.email,
                email_verified: account.email_verified,
                created_at: account.created_at,
                last_login_at: account.last_login_at,
                tokens_kept: tokens.access.is_some() || tokens.refresh.is_some(),
            })
        })
        .collect()
}

fn grants_of(tx: &mut dyn Tx, id: UserId) -> Result<Vec<ExportedGrant>, StoreError> {
    Ok(persons::grants(tx, id)?
        .into_iter()
        .map(|grant| ExportedGrant {
            client_id: grant.client,
            scope: grant.scope,
            created_at: grant.created_at,
            last_used_at: grant.last_used_at,
            expires_at: grant.expires_at,
            revoked_at: grant.revoked_at,
        })
        .collect())
}
