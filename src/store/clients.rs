//! Rows of clients: who they are, what they may ask for, the hashes of their secrets, and whether
//! they may act.

use uuid::Uuid;

use crate::domain::{ClientId, ClientIdentifier, ClientKind, Scopes, Timestamp, TokenDigest};

use super::{Row, StoreError, Tx};

/// Whether a client may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    /// As usual.
    Active,
    /// For ever out: its secrets and tokens are refused.
    Retired,
}

impl ClientState {
    /// The text in rows and in the feed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// A client as the store tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its row.
    pub id: ClientId,
    /// Its public name.
    pub identifier: ClientIdentifier,
    /// A name for people.
    pub name: String,
    /// What it is for.
    pub kind: ClientKind,
    /// The most it may ask for.
    pub scopes: Scopes,
    /// Whether it may act.
    pub state: ClientState,
    /// Tokens minted under a lower number are refused.
    pub token_epoch: i64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One of a client's live secrets, by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSecret {
    /// The hash.
    pub digest: TokenDigest,
    /// Refused from then on; the newest secret has no end.
    pub expires_at: Option<Timestamp>,
}

/// Where a client's row, kind, state, secrets and registration are. Nothing else cascades into them.
const OF_A_CLIENT: &[&str] = &[
    "oauth_clients",
    "client_settings",
    "client_states",
    "client_secrets",
    "client_details",
];

/// Whether a statement may change what a client is. Of one that cannot be read it is believed.
pub(super) fn may_change(sql: &str) -> bool {
    if sql.starts_with("SELECT") {
        return false;
    }
    ["INSERT INTO ", "UPDATE ", "DELETE FROM "]
        .iter()
        .find_map(|begin| sql.strip_prefix(begin))
        .and_then(|rest| rest.split([' ', '(', '\n']).next())
        .is_none_or(|table| OF_A_CLIENT.contains(&table))
}

/// What [`from_row`] reads, first in the row.
pub(super) const COLUMNS: &str = "c.id, c.client_id, c.name, k.kind, k.service, k.scopes, \
     COALESCE(s.state, 'active'), COALESCE(s.token_epoch, 0), c.created_at";
/// Where [`COLUMNS`] are.
pub(super) const TABLES: &str = "oauth_clients c JOIN client_settings k ON k.client_id = c.id \
     LEFT JOIN client_states s ON s.client_id = c.id";

fn select(condition: &str) -> String {
    format!("SELECT {COLUMNS} FROM {TABLES} WHERE {condition}")
}

pub(super) fn from_row(row: &Row) -> Result<Client, StoreError> {
    let unknown = |column, wanted| StoreError::Inconsistent { column, wanted };
    let kind = match row.text(3)? {
        "operator" => ClientKind::Operator,
        "service" => ClientKind::Service(row.parse(4)?),
        "sidecar" => ClientKind::Sidecar,
        "app" => ClientKind::App,
        _ => return Err(unknown(3, "a client's kind")),
    };
    let state = match row.text(6)? {
        "active" => ClientState::Active,
        "retired" => ClientState::Retired,
        _ => return Err(unknown(6, "a client's state")),
    };
    Ok(Client {
        id: ClientId::from_uuid(row.uuid(0)?),
        identifier: row.parse(1)?,
        name: row.text(2)?.to_owned(),
        kind,
        scopes: Scopes::parse(row.text(5)?).map_err(|_| unknown(5, "scopes"))?,
        state,
        token_epoch: row.int(7)?,
        created_at: row.time(8)?,
    })
}

const fn kind_text(kind: &ClientKind) -> &'static str {
    match kind {
        ClientKind::Operator => "operator",
        ClientKind::Service(_) => "service",
        ClientKind::Sidecar => "sidecar",
        ClientKind::App => "app",
    }
}

/// The client of this public name.
pub fn find_by_identifier(
    tx: &mut dyn Tx,
    identifier: &ClientIdentifier,
) -> Result<Option<Client>, StoreError> {
    let sql = select("c.client_id = ?1");
    tx.rows(&sql, &[identifier.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// The client of this row.
pub fn find(tx: &mut dyn Tx, id: ClientId) -> Result<Option<Client>, StoreError> {
    let sql = select("c.id = ?1");
    tx.rows(&sql, &[id.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// Clients in order of id, from after `after` on.
pub fn page(tx: &mut dyn Tx, after: ClientId, limit: i64) -> Result<Vec<Client>, StoreError> {
    let sql = select("c.id > ?1 ORDER BY c.id LIMIT ?2");
    tx.rows(&sql, &[after.into(), limit.into()])?
        .iter()
        .map(from_row)
        .collect()
}

/// Adds a client, active unless its state says otherwise. `secret` is `None` for a public client.
///
/// # Errors
///
/// [`StoreError::Unique`] when the public name is taken.
pub fn insert(
    tx: &mut dyn Tx,
    client: &Client,
    secret: Option<TokenDigest>,
) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO oauth_clients \
         (id, client_id, client_secret, name, redirect_uris, created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        &[
            client.id.into(),
            (&client.identifier).into(),
            secret.into(),
            client.name.as_str().into(),
            Vec::<String>::new().into(),
            client.created_at.into(),
        ],
    )?;
    let service = match &client.kind {
        ClientKind::Service(service) => Some(service.as_str()),
        _ => None,
    };
    tx.exec(
        "INSERT INTO client_settings (client_id, kind, service, scopes) VALUES (?1, ?2, ?3, ?4)",
        &[
            client.id.into(),
            kind_text(&client.kind).into(),
            service.into(),
            client.scopes.to_string().into(),
        ],
    )?;
    Ok(())
}

/// The hashes of a client's secrets, the newest first; none for a public client.
pub fn secrets(tx: &mut dyn Tx, id: ClientId) -> Result<Vec<StoredSecret>, StoreError> {
    let digest = |row: &Row| {
        TokenDigest::from_hex(row.text(0)?).ok_or(StoreError::Inconsistent {
            column: 0,
            wanted: "a SHA-256 in hex",
        })
    };
    let mut secrets = Vec::new();
    for row in tx.rows(
        "SELECT client_secret FROM oauth_clients WHERE id = ?1 AND client_secret IS NOT NULL",
        &[id.into()],
    )? {
        secrets.push(StoredSecret {
            digest: digest(&row)?,
            expires_at: None,
        });
    }
    for row in tx.rows(
        "SELECT secret_hash, expires_at FROM client_secrets WHERE client_id = ?1 \
         ORDER BY created_at DESC",
        &[id.into()],
    )? {
        secrets.push(StoredSecret {
            digest: digest(&row)?,
            expires_at: row.optional_time(1)?,
        });
    }
    Ok(secrets)
}

/// What a rotation writes.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// The id of the row that keeps the secret replaced.
    pub id: Uuid,
    /// The new secret's hash.
    pub secret: TokenDigest,
    /// Until when the secret replaced still works; `None` ends it at once.
    pub previous_until: Option<Timestamp>,
    /// The present.
    pub now: Timestamp,
}

/// Makes `rotation.secret` the client's secret. Of the earlier ones only the last lives on, and
/// only until `previous_until`: a client never has more than two. Call under the client's lock.
pub fn rotate_secret(tx: &mut dyn Tx, id: ClientId, rotation: &Rotation) -> Result<(), StoreError> {
    tx.exec(
        "DELETE FROM client_secrets WHERE client_id = ?1",
        &[id.into()],
    )?;
    if let Some(until) = rotation.previous_until {
        tx.exec(
            "INSERT INTO client_secrets (id, client_id, secret_hash, expires_at, created_at) \
             SELECT ?1, id, client_secret, ?2, ?3 FROM oauth_clients \
             WHERE id = ?4 AND client_secret IS NOT NULL",
            &[
                rotation.id.into(),
                until.into(),
                rotation.now.into(),
                id.into(),
            ],
        )?;
    }
    tx.exec(
        "UPDATE oauth_clients SET client_secret = ?1, updated_at = ?2 WHERE id = ?3",
        &[rotation.secret.into(), rotation.now.into(), id.into()],
    )?;
    Ok(())
}

/// Takes all secrets of a client away: it proves itself otherwise from now on.
pub fn clear_secrets(tx: &mut dyn Tx, id: ClientId, now: Timestamp) -> Result<(), StoreError> {
    tx.exec(
        "DELETE FROM client_secrets WHERE client_id = ?1",
        &[id.into()],
    )?;
    tx.exec(
        "UPDATE oauth_clients SET client_secret = NULL, updated_at = ?1 WHERE id = ?2",
        &[now.into(), id.into()],
    )?;
    Ok(())
}

/// Ends a client for ever: no secret is left, and every token of it is refused. A client whose row has
/// been deleted meanwhile gets no state: that would outlive it, and keep out whoever has its id next.
///
/// # Errors
///
/// [`StoreError::ForeignKey`] where the row is gone.
pub fn retire(tx: &mut dyn Tx, client: &Client, now: Timestamp) -> Result<(), StoreError> {
    tx.exec(
        "DELETE FROM client_secrets WHERE client_id = ?1",
        &[client.id.into()],
    )?;
    let there = tx.exec(
        "UPDATE oauth_clients SET client_secret = NULL, updated_at = ?1 WHERE id = ?2",
        &[now.into(), client.id.into()],
    )?;
    if there == 0 {
        return Err(StoreError::ForeignKey);
    }
    tx.exec(
        "INSERT INTO client_states (client_id, state, token_epoch) VALUES (?1, ?2, ?3) \
         ON CONFLICT (client_id) DO UPDATE SET state = excluded.state, \
         token_epoch = excluded.token_epoch",
        &[
            client.id.into(),
            ClientState::Retired.as_str().into(),
            client.token_epoch.saturating_add(1).into(),
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_may_change_a_client_are_told_from_others() {
        for sql in [
            "UPDATE client_secrets SET expires_at = ?1",
            "INSERT INTO oauth_clients (id) VALUES (?1)",
            "INSERT INTO client_states(client_id) VALUES (?1)",
            "DELETE FROM client_details WHERE client_id = ?1",
            "INSERT OR REPLACE INTO leases VALUES (?1)",
            "WITH x AS (SELECT 1) UPDATE client_settings SET scopes = ''",
            " UPDATE grants SET scope = ''",
            "",
        ] {
            assert!(may_change(sql), "{sql}");
        }
        for sql in [
            "SELECT client_id FROM client_secrets",
            "INSERT INTO grants (id, client_id) VALUES (?1, ?2)",
            "UPDATE grants SET client_id = ?1",
            "DELETE FROM refresh_tokens WHERE client_id = ?1",
        ] {
            assert!(!may_change(sql), "{sql}");
        }
    }
}
