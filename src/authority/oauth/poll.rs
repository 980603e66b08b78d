//! A device asks whether it was let in: RFC 8628 §3.4.

use std::time::Duration;

use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::config::Lifetimes;
use crate::crypto::digest::token_digest;
use crate::domain::app::{AuthMethod, GrantType};
use crate::domain::{GrantId, PlainToken, Scopes, Timestamp, TokenDigest};
use crate::protocol::oauth::{OAuthError, OAuthErrorCode, TokenResponse};
use crate::store::apps::App;
use crate::store::audit::{self, AuditEntry};
use crate::store::device_codes::{self, Device, DeviceState};
use crate::store::refresh_tokens::{self, NewRefreshToken};
use crate::store::{Lock, StoreError, Tx, grants};

use super::client_auth::AuthenticatedClient;
use super::device::INTERVAL;
use super::dpop::ProvenKey;
use super::issue::{self, Issued, REFRESH_PREFIX};
use super::{Refused, Use, app_of, key_fits, used_proof};

/// What a device brings.
#[derive(Debug, Clone)]
pub(super) struct Polled {
    /// Its code.
    pub device_code: PlainToken,
    /// Less than it was let in for, if less is wanted.
    pub scope: Option<Scopes>,
    /// For whom.
    pub resources: Vec<String>,
}

/// Gives the tokens, once the person has said yes.
///
/// # Errors
///
/// `authorization_pending` before that, `slow_down` for asking too often, `access_denied` for a no,
/// `expired_token` when it took too long.
pub(super) async fn poll(
    authority: &Authority,
    client: &AuthenticatedClient,
    polled: Polled,
    key: Option<ProvenKey>,
) -> Result<TokenResponse, Refused> {
    let app = app_of(client, GrantType::DeviceCode)?;
    let attempt = Attempt {
        app: app.clone(),
        digest: token_digest(&polled.device_code),
        polled,
        key,
        issuer: authority.config.issuer.to_string(),
        lifetimes: authority.config.lifetimes,
        now: authority.clock.now(),
        refresh_token: PlainToken::from_random(REFRESH_PREFIX, authority.entropy.token_bits()),
        entry: authority.audit(
            format!("client:{}", app.spec.identifier),
            "token.issued",
            String::new(),
            json!({ "grant_type": "device_code" }),
        ),
    };
    let outcome = authority
        .store
        .write::<_, StoreError>(move |tx| attempt.run(tx))
        .await?
        .value;
    issue::respond(authority, app, outcome?)
}

struct Attempt {
    app: App,
    digest: TokenDigest,
    polled: Polled,
    key: Option<ProvenKey>,
    issuer: String,
    lifetimes: Lifetimes,
    now: Timestamp,
    refresh_token: PlainToken,
    entry: AuditEntry,
}

type Outcome = Result<Issued, OAuthError>;

fn told(code: OAuthErrorCode, description: &str) -> Outcome {
    Err(OAuthError::new(code, description))
}

impl Attempt {
    /// Refusals are values: that the device asked must be committed.
    fn run(&self, tx: &mut dyn Tx) -> Result<Outcome, StoreError> {
        if let Some(key) = &self.key
            && !key.use_up(tx)?
        {
            return Ok(Err(used_proof()));
        }
        let Some(device) =
            device_codes::find(tx, self.digest)?.filter(|device| device.client_id == self.app.id)
        else {
            return Ok(Err(OAuthError::invalid_grant()));
        };
        if self.now >= device.expires_at {
            return Ok(told(
                OAuthErrorCode::ExpiredToken,
                "the device code is over",
            ));
        }
        let hasty = device
            .last_polled_at
            .is_some_and(|last| self.now < last.plus(device.interval));
        let interval = device.interval + if hasty { INTERVAL } else { Duration::ZERO };
        device_codes::polled(tx, self.digest, interval, self.now)?;
        if hasty {
            return Ok(told(
                OAuthErrorCode::SlowDown,
                "wait longer between two polls",
            ));
        }
        match device.state {
            DeviceState::Pending => Ok(told(
                OAuthErrorCode::AuthorizationPending,
                "nobody has let the device in yet",
            )),
            DeviceState::Denied => {
                device_codes::take(tx, self.digest)?;
                Ok(told(
                    OAuthErrorCode::AccessDenied,
                    "the device was sent away",
                ))
            }
            DeviceState::Approved(grant) => self.redeem(tx, &device, grant),
        }
    }

    fn redeem(
        &self,
        tx: &mut dyn Tx,
        device: &Device,
        grant: GrantId,
    ) -> Result<Outcome, StoreError> {
        tx.lock(Lock::Grant(grant))?;
        let Some(grant) = grants::find(tx, grant)? else {
            return Ok(Err(OAuthError::invalid_grant()));
        };
        let wanted = key_fits(&self.app, &grant, self.key.as_ref(), Use::First).and_then(|()| {
            let scope = issue::narrowed(&self.app, &grant, self.polled.scope.as_ref())?;
            let audience =
                issue::audience(&self.app, &self.issuer, &grant, &self.polled.resources)?;
            Ok((scope, audience))
        });
        let (scope, audience) = match wanted {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Err(error)),
        };
        if !device_codes::take(tx, device.device_digest)? {
            return Ok(Err(OAuthError::invalid_grant()));
        }
        let Some((client, user_epoch)) = issue::standing(tx, &grant, self.now)? else {
            return Ok(Err(OAuthError::invalid_grant()));
        };
        let refreshes = issue::refreshes(&self.app, &grant);
        if refreshes {
            let first = NewRefreshToken::first(
                token_digest(&self.refresh_token),
                &grant,
                (self.now, self.lifetimes.refresh_idle),
            );
            refresh_tokens::insert(tx, &first)?;
            if let Some(key) = &self.key
                && self.app.spec.auth_method == AuthMethod::None
            {
                grants::bind_key(tx, grant.id, &key.jkt)?;
            }
        }
        grants::touch(tx, &grant, self.now)?;
        let entry = AuditEntry {
            target: Some(format!("grant:{}", grant.id)),
            ..self.entry.clone()
        };
        audit::record(tx, &entry)?;
        Ok(Ok(Issued {
            client,
            user_epoch,
            scope,
            audience,
            jkt: self.key.as_ref().map(|key| key.jkt.clone()),
            refresh_token: refreshes.then(|| self.refresh_token.clone()),
            nonce: None,
            grant,
        }))
    }
}
