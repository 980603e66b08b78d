//! Rows of apps: clients that people log in through, with all that their registration says.
//!
//! Secrets, states and retirement are a client's ([`super::clients`]); this is the rest.

use crate::domain::app::{AppSpec, ClientSource};
use crate::domain::{ClientId, ClientIdentifier, ClientKind, Timestamp, TokenDigest, UserId};

use super::clients::{self, Client, ClientState};
use super::{Row, StoreError, Tx};

/// An app as the store tells it: its registration, and what only a row has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its row.
    pub id: ClientId,
    /// What it is registered as.
    pub spec: AppSpec,
    /// Whether it may act.
    pub state: ClientState,
    /// Tokens of an earlier epoch are refused.
    pub token_epoch: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where this row came from.
    pub source: ClientSource,
    /// When a registered or fetched one goes.
    pub expires_at: Option<Timestamp>,
}

impl App {
    /// A new app of this registration.
    pub const fn new(id: ClientId, spec: AppSpec, source: ClientSource, now: Timestamp) -> Self {
        Self {
            id,
            spec,
            state: ClientState::Active,
            token_epoch: 0,
            created_at: now,
            source,
            expires_at: None,
        }
    }

    /// The same client, registered otherwise. Its public name stays.
    #[must_use]
    pub fn with(&self, spec: AppSpec) -> Self {
        Self {
            spec: AppSpec {
                identifier: self.spec.identifier.clone(),
                ..spec
            },
            ..self.clone()
        }
    }

    /// What it is among clients.
    pub fn client(&self) -> Client {
        Client {
            id: self.id,
            identifier: self.spec.identifier.clone(),
            name: self.spec.name.clone(),
            kind: ClientKind::App,
            scopes: self.spec.scopes.clone(),
            state: self.state,
            token_epoch: self.token_epoch,
            created_at: self.created_at,
        }
    }
}

const COLUMNS: usize = 9;

fn select(condition: &str) -> String {
    format!(
        "SELECT {}, c.redirect_uris, d.application_type, d.auth_method, d.grant_types, \
         d.resources, d.post_logout_redirect_uris, d.backchannel_logout_uri, d.jwks, \
         d.first_party, d.require_par, d.dpop_bound, d.refresh_binding, d.id_token_alg, \
         d.logo_uri, d.client_uri, d.policy_uri, d.tos_uri, d.source, d.expires_at \
         FROM {} JOIN client_details d ON d.client_id = c.id WHERE {condition}",
        clients::COLUMNS,
        clients::TABLES
    )
}

fn from_row(row: &Row) -> Result<App, StoreError> {
    let text = |index: usize| Ok(row.optional_text(COLUMNS + index)?.map(str::to_owned));
    let client = clients::from_row(row)?;
    Ok(App {
        id: client.id,
        spec: AppSpec {
            identifier: client.identifier,
            name: client.name,
            scopes: client.scopes,
            redirect_uris: row.text_array(COLUMNS)?,
            application_type: row.parse(COLUMNS + 1)?,
            auth_method: row.parse(COLUMNS + 2)?,
            grant_types: row.parse(COLUMNS + 3)?,
            resources: row.text_array(COLUMNS + 4)?,
            post_logout_redirect_uris: row.text_array(COLUMNS + 5)?,
            backchannel_logout_uri: text(6)?,
            jwks: text(7)?,
            first_party: row.bool(COLUMNS + 8)?,
            require_par: row.bool(COLUMNS + 9)?,
            dpop_bound: row.bool(COLUMNS + 10)?,
            refresh_binding: row.parse(COLUMNS + 11)?,
            id_token_alg: row.parse(COLUMNS + 12)?,
            logo_uri: text(13)?,
            client_uri: text(14)?,
            policy_uri: text(15)?,
            tos_uri: text(16)?,
        },
        state: client.state,
        token_epoch: client.token_epoch,
        created_at: client.created_at,
        source: row.parse(COLUMNS + 17)?,
        expires_at: row.optional_time(COLUMNS + 18)?,
    })
}

/// The app of this public name. `None` for a client that is no app.
pub fn find_by_identifier(
    tx: &mut dyn Tx,
    identifier: &ClientIdentifier,
) -> Result<Option<App>, StoreError> {
    tx.rows(&select("c.client_id = ?1"), &[identifier.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// The app of this row.
pub fn find(tx: &mut dyn Tx, id: ClientId) -> Result<Option<App>, StoreError> {
    tx.rows(&select("c.id = ?1"), &[id.into()])?
        .first()
        .map(from_row)
        .transpose()
}

/// Apps in order of id, from after `after` on.
pub fn list(tx: &mut dyn Tx, after: ClientId, limit: i64) -> Result<Vec<App>, StoreError> {
    let sql = select("c.id > ?1 ORDER BY c.id LIMIT ?2");
    tx.rows(&sql, &[after.into(), limit.into()])?
        .iter()
        .map(from_row)
        .collect()
}

/// How many apps of this source the user has agreed to: by a consent, or by a grant that is not over,
/// withdrawn ones included.
pub fn agreed_to(tx: &mut dyn Tx, user: UserId, source: ClientSource) -> Result<i64, StoreError> {
    tx.rows(
        "SELECT count(*) FROM (SELECT client_id FROM grants WHERE user_id = ?1 \
         UNION SELECT client_id FROM consents WHERE user_id = ?1) u \
         JOIN client_details d ON d.client_id = u.client_id WHERE d.source = ?2",
        &[user.into(), source.as_str().into()],
    )?
    .first()
    .map_or(Ok(0), |row| row.int(0))
}

/// Every app of one source, in order of its public name.
pub fn of_source(tx: &mut dyn Tx, source: ClientSource) -> Result<Vec<App>, StoreError> {
    tx.rows(
        &select("d.source = ?1 ORDER BY c.client_id"),
        &[source.as_str().into()],
    )?
    .iter()
    .map(from_row)
    .collect()
}

/// Registered and fetched apps whose time is over, at most `limit`.
pub fn expired(tx: &mut dyn Tx, now: Timestamp, limit: i64) -> Result<Vec<App>, StoreError> {
    let sql = select("d.expires_at <= ?1 ORDER BY d.expires_at LIMIT ?2");
    tx.rows(&sql, &[now.into(), limit.into()])?
        .iter()
        .map(from_row)
        .collect()
}

fn details(app: &App) -> Vec<super::Val> {
    let spec = &app.spec;
    vec![
        app.id.into(),
        spec.application_type.as_str().into(),
        spec.auth_method.as_str().into(),
        spec.grant_types.to_string().into(),
        spec.resources.clone().into(),
        spec.post_logout_redirect_uris.clone().into(),
        spec.backchannel_logout_uri.clone().into(),
        spec.jwks.clone().into(),
        spec.first_party.into(),
        spec.require_par.into(),
        spec.dpop_bound.into(),
        spec.refresh_binding.as_str().into(),
        spec.id_token_alg.as_str().into(),
        spec.logo_uri.clone().into(),
        spec.client_uri.clone().into(),
        spec.policy_uri.clone().into(),
        spec.tos_uri.clone().into(),
        app.source.as_str().into(),
        app.expires_at.into(),
    ]
}

/// Adds an app with its client. `secret` is `None` for one that has no secret.
///
/// # Errors
///
/// [`StoreError::Unique`] when the public name is taken.
pub fn insert(
    tx: &mut dyn Tx,
    app: &App,
    secret: Option<TokenDigest>,
    now: Timestamp,
) -> Result<(), StoreError> {
    clients::insert(tx, &app.client(), secret)?;
    set_redirect_uris(tx, app, now)?;
    tx.exec(
        "INSERT INTO client_details (client_id, application_type, auth_method, grant_types, \
         resources, post_logout_redirect_uris, backchannel_logout_uri, jwks, first_party, \
         require_par, dpop_bound, refresh_binding, id_token_alg, logo_uri, client_uri, \
         policy_uri, tos_uri, source, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, \
         ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        &details(app),
    )?;
    Ok(())
}

/// Makes the rows say what `app` says, all but its public name, its secrets and its state. Call
/// under the client's lock.
pub fn update(tx: &mut dyn Tx, app: &App, now: Timestamp) -> Result<(), StoreError> {
    set_redirect_uris(tx, app, now)?;
    tx.exec(
        "UPDATE client_settings SET scopes = ?1 WHERE client_id = ?2",
        &[app.spec.scopes.to_string().into(), app.id.into()],
    )?;
    tx.exec(
        "UPDATE client_details SET application_type = ?2, auth_method = ?3, grant_types = ?4, \
         resources = ?5, post_logout_redirect_uris = ?6, backchannel_logout_uri = ?7, jwks = ?8, \
         first_party = ?9, require_par = ?10, dpop_bound = ?11, refresh_binding = ?12, \
         id_token_alg = ?13, logo_uri = ?14, client_uri = ?15, policy_uri = ?16, tos_uri = ?17, \
         source = ?18, expires_at = ?19 WHERE client_id = ?1",
        &details(app),
    )?;
    Ok(())
}

fn set_redirect_uris(tx: &mut dyn Tx, app: &App, now: Timestamp) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE oauth_clients SET name = ?1, redirect_uris = ?2, updated_at = ?3 WHERE id = ?4",
        &[
            app.spec.name.as_str().into(),
            app.spec.redirect_uris.clone().into(),
            now.into(),
            app.id.into(),
        ],
    )?;
    Ok(())
}

/// The hash by which a registered app manages its own registration (RFC 7592).
pub fn registration_token(
    tx: &mut dyn Tx,
    id: ClientId,
) -> Result<Option<TokenDigest>, StoreError> {
    let rows = tx.rows(
        "SELECT registration_token_hash FROM client_details \
         WHERE client_id = ?1 AND registration_token_hash IS NOT NULL",
        &[id.into()],
    )?;
    rows.first()
        .map(|row| {
            TokenDigest::from_hex(row.text(0)?).ok_or(StoreError::Inconsistent {
                column: 0,
                wanted: "a SHA-256 in hex",
            })
        })
        .transpose()
}

/// Sets the hash by which a registered app manages its own registration.
pub fn set_registration_token(
    tx: &mut dyn Tx,
    id: ClientId,
    digest: TokenDigest,
) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE client_details SET registration_token_hash = ?1 WHERE client_id = ?2",
        &[digest.into(), id.into()],
    )?;
    Ok(())
}

/// What a registered app may be, as JSON: the policy that it registered by.
pub fn registration_policy(tx: &mut dyn Tx, id: ClientId) -> Result<Option<String>, StoreError> {
    let rows = tx.rows(
        "SELECT registration_policy FROM client_details WHERE client_id = ?1",
        &[id.into()],
    )?;
    match rows.first() {
        Some(row) => Ok(row.optional_text(0)?.map(str::to_owned)),
        None => Ok(None),
    }
}

/// Sets what a registered app may be.
pub fn set_registration_policy(
    tx: &mut dyn Tx,
    id: ClientId,
    policy: &str,
) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE client_details SET registration_policy = ?1 WHERE client_id = ?2",
        &[policy.into(), id.into()],
    )?;
    Ok(())
}

/// Sets when a registered or fetched app goes.
pub fn set_expiry(tx: &mut dyn Tx, id: ClientId, at: Timestamp) -> Result<(), StoreError> {
    tx.exec(
        "UPDATE client_details SET expires_at = ?1 WHERE client_id = ?2",
        &[at.into(), id.into()],
    )?;
    Ok(())
}

/// Makes the row of an app that is known by a document stay for ever: without it the next consent
/// would make it anew. Whether it was to go until now.
pub fn keep_for_ever(tx: &mut dyn Tx, id: ClientId) -> Result<bool, StoreError> {
    let changed = tx.exec(
        "UPDATE client_details SET expires_at = NULL WHERE client_id = ?1 AND source = ?2 \
         AND expires_at IS NOT NULL",
        &[id.into(), ClientSource::Metadata.as_str().into()],
    )?;
    Ok(changed > 0)
}

/// Takes an app away with all that hangs on it. The row that says its tokens are refused stays.
pub fn delete(tx: &mut dyn Tx, id: ClientId) -> Result<bool, StoreError> {
    let deleted = tx.exec("DELETE FROM oauth_clients WHERE id = ?1", &[id.into()])?;
    Ok(deleted > 0)
}
