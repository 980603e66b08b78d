//! Devices without a keyboard or a browser (RFC 8628): a person lets one in on another.
//!
//! The device polls with a long code of its own; the person types a short one. The page where it is
//! typed shows what it is that asks: [`waiting`], then [`approve`] or [`deny`].

use std::time::Duration;

use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::proxies::ClientAddress;
use crate::crypto::digest::token_digest;
use crate::domain::app::{GrantType, RefreshBinding};
use crate::domain::user::UserState;
use crate::domain::{GrantId, PlainToken, Scopes, Timestamp, TokenDigest};
use crate::protocol::oauth::device::{DeviceRequest, DeviceResponse, UserCode};
use crate::protocol::oauth::{OAuthError, OAuthErrorCode};
use crate::store::apps::{self, App};
use crate::store::clients::ClientState;
use crate::store::device_codes::{self, Device, DeviceState};
use crate::store::grants::Grant;
use crate::store::sessions::{self, Session};
use crate::store::{Lock, StoreError, Tx, audit, grants, users};

use super::client_auth::authenticate_client;
use super::{Refused, app_of};

/// The path of the device authorization endpoint, below the issuer.
pub const DEVICE_AUTHORIZATION_PATH: &str = "/oauth2/device_authorization";
/// The page where people type their code, below the issuer.
pub const DEVICE_PAGE: &str = "/device";

/// What device codes begin with, for secret scanners and people.
const PREFIX: &str = "dwd_";
/// How long a device waits between two polls, and by how much longer when it did not.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// How many devices of a client may wait at a time: anybody can say that they are a public client.
const WAITING_MAX: i64 = 1_000;

/// Starts a device's wait.
///
/// # Errors
///
/// As the token endpoint's.
pub async fn start(
    authority: &Authority,
    request: DeviceRequest,
    from: ClientAddress,
) -> Result<DeviceResponse, Refused> {
    let client = authenticate_client(authority, &request.client, from).await?;
    let app = app_of(&client, GrantType::DeviceCode)?;
    let scope = asked_scope(app, request.scope)?;
    asked_resources(authority, app, &request.resources)?;
    let now = authority.clock.now();
    let lifetime = authority.config.lifetimes.device_code;
    let device_code = PlainToken::from_random(PREFIX, authority.entropy.token_bits());
    let user_code = UserCode::from_random(authority.entropy.token_bits().as_slice())
        .ok_or_else(|| OAuthError::new(OAuthErrorCode::TemporarilyUnavailable, "try again"))?;
    let device = Device {
        device_digest: token_digest(&device_code),
        user_digest: user_digest(authority, &user_code),
        client_id: app.id,
        scope,
        resources: request.resources,
        state: DeviceState::Pending,
        interval: INTERVAL,
        last_polled_at: None,
        created_at: now,
        expires_at: now.plus(lifetime),
    };
    // No audit row: for a public client anybody can ask, and those rows stay.
    let started = authority
        .store
        .write::<_, StoreError>(move |tx| {
            if device_codes::waiting(tx, device.client_id, now)? >= WAITING_MAX {
                return Ok(false);
            }
            device_codes::insert(tx, &device)?;
            Ok(true)
        })
        .await?
        .value;
    if !started {
        return Err(Refused::Full(OAuthErrorCode::SlowDown));
    }
    metrics::counter!("doorward_authority_devices_started_total").increment(1);
    let page = format!("{}{DEVICE_PAGE}", authority.config.issuer);
    Ok(DeviceResponse {
        device_code: device_code.expose().to_owned(),
        user_code: user_code.shown(),
        verification_uri_complete: format!("{page}?user_code={}", user_code.shown()),
        verification_uri: page,
        expires_in: lifetime.as_secs(),
        interval: INTERVAL.as_secs(),
    })
}

/// All that the client may have, or what it asks for of it. Tokens that outlive the session must be
/// asked for.
fn asked_scope(app: &App, asked: Option<Scopes>) -> Result<Scopes, OAuthError> {
    let may = &app.spec.scopes;
    match asked {
        Some(scope) if scope.is_subset(may) => Ok(scope),
        Some(_) => Err(OAuthError::new(
            OAuthErrorCode::InvalidScope,
            "`scope` names a scope that the client may not have",
        )),
        None => Ok(may
            .iter()
            .filter(|scope| scope.as_str() != "offline_access")
            .cloned()
            .collect()),
    }
}

fn asked_resources(
    authority: &Authority,
    app: &App,
    resources: &[String],
) -> Result<(), OAuthError> {
    let issuer = authority.config.issuer.as_str();
    let known = |one: &String| one == issuer || app.spec.resources.contains(one);
    if resources.iter().all(known) {
        Ok(())
    } else {
        Err(OAuthError::new(
            OAuthErrorCode::InvalidTarget,
            "no tokens are issued to the client for this `resource`",
        ))
    }
}

/// Short codes could be tried out against a plain hash.
fn user_digest(authority: &Authority, code: &UserCode) -> TokenDigest {
    let letters = code.letters().as_bytes();
    TokenDigest::from_bytes(
        *authority
            .keys
            .sealer()
            .derive("device user code", &[letters]),
    )
}

/// A device that waits, as its person is asked about it.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The app on it.
    pub app: App,
    /// What it asks for.
    pub scope: Scopes,
    /// For whom.
    pub resources: Vec<String>,
}

/// The device whose code this is. `None` for one that is unknown, decided on or over. Whoever asks
/// counts the tries.
pub async fn waiting(
    authority: &Authority,
    code: &UserCode,
) -> Result<Option<Waiting>, StoreError> {
    let (digest, now) = (user_digest(authority, code), authority.clock.now());
    authority
        .store
        .read(move |tx| {
            let Some(device) = device_codes::find_pending(tx, digest, now)? else {
                return Ok(None);
            };
            Ok(apps::find(tx, device.client_id)?
                .filter(|app| app.state == ClientState::Active)
                .map(|app| Waiting {
                    app,
                    scope: device.scope,
                    resources: device.resources,
                }))
        })
        .await
}

/// Whether the session, as it was read before, is still there.
fn lives(tx: &mut dyn Tx, session: &Session, now: Timestamp) -> Result<bool, StoreError> {
    // As for a code: who signs out everywhere waits for the grant and finds it.
    tx.lock(Lock::Session(session.id))?;
    Ok(sessions::find(tx, session.id)?.is_some_and(|found| {
        found.user_id == session.user_id && now < found.expires_at && now < found.idle_expires_at
    }))
}

/// Lets the device in, on behalf of the session's user. `false` when it does not wait any more, or when
/// session, user or app have ended meanwhile.
pub async fn approve(
    authority: &Authority,
    session: &Session,
    code: &UserCode,
) -> Result<bool, StoreError> {
    let (digest, now) = (user_digest(authority, code), authority.clock.now());
    let id = GrantId::mint(now, authority.entropy.id_bits());
    let entry = authority.audit(
        format!("user:{}", session.user_id),
        "device.approved",
        format!("grant:{id}"),
        json!({ "session": session.id }),
    );
    let (session, lifetime) = (session.clone(), authority.config.lifetimes.refresh);
    let decided = authority
        .store
        .write::<_, StoreError>(move |tx| {
            let active = matches!(
                users::find_state(tx, session.user_id)?,
                Some((UserState::Active, _))
            );
            if !active || !lives(tx, &session, now)? {
                return Ok(false);
            }
            let Some(device) = device_codes::find_pending(tx, digest, now)? else {
                return Ok(false);
            };
            let Some(app) = apps::find(tx, device.client_id)?.filter(|app| {
                app.state == ClientState::Active && app.expires_at.is_none_or(|end| now < end)
            }) else {
                return Ok(false);
            };
            let standalone = app.spec.refresh_binding == RefreshBinding::Standalone;
            let grant = Grant {
                id,
                client_id: device.client_id,
                user_id: session.user_id,
                session_id: Some(session.id),
                binding: app.spec.refresh_binding,
                organization_id: None,
                scope: device.scope,
                resources: device.resources,
                authenticated_at: session.authenticated_at,
                amr: session.amr.clone(),
                acr: session.acr.clone(),
                nonce: None,
                dpop_jkt: None,
                created_at: now,
                last_used_at: now,
                expires_at: if standalone {
                    now.plus(lifetime)
                } else {
                    session.expires_at
                },
                revoked_at: None,
            };
            grants::insert(tx, &grant)?;
            if device_codes::decide(tx, device.device_digest, Some(id))? {
                audit::record(tx, &entry)?;
                Ok(true)
            } else {
                // Somebody was faster: this grant is nobody's.
                grants::revoke(tx, id, now, "device_decided")?;
                Ok(false)
            }
        })
        .await?;
    Ok(decided.value)
}

/// Sends the device away. `false` when it does not wait any more, or when the session has ended.
pub async fn deny(
    authority: &Authority,
    session: &Session,
    code: &UserCode,
) -> Result<bool, StoreError> {
    let (digest, now) = (user_digest(authority, code), authority.clock.now());
    let entry = authority.audit(
        format!("user:{}", session.user_id),
        "device.denied",
        format!("session:{}", session.id),
        json!({}),
    );
    let session = session.clone();
    let decided = authority
        .store
        .write::<_, StoreError>(move |tx| {
            if !lives(tx, &session, now)? {
                return Ok(false);
            }
            let Some(device) = device_codes::find_pending(tx, digest, now)? else {
                return Ok(false);
            };
            let decided = device_codes::decide(tx, device.device_digest, None)?;
            if decided {
                audit::record(tx, &entry)?;
            }
            Ok(decided)
        })
        .await?;
    Ok(decided.value)
}
