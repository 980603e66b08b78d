//! Refresh tokens: each is used once and followed by a successor (RFC 9700 §4.14.2).
//!
//! An honest client may lose the answer, crash, or refresh from two tabs at once. So for a short
//! while the same token gives the *same* successor again: it is derived from the token itself, by a
//! key that no dump of the database has, and need not be kept. Outside that while, or once the
//! successor was used, whoever comes with the old token is not the one who has the new one: all that
//! was granted ends.

use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use crate::authority::app::Authority;
use crate::authority::config::Lifetimes;
use crate::authority::revocation::revoke_grant;
use crate::crypto::digest::token_digest;
use crate::domain::app::{GrantType, RefreshBinding};
use crate::domain::{GrantId, PlainToken, Scopes, Timestamp, TokenDigest};
use crate::protocol::oauth::{OAuthError, TokenResponse};
use crate::store::apps::App;
use crate::store::audit::{self, AuditEntry};
use crate::store::grants::{self, Grant};
use crate::store::refresh_tokens::{self, NewRefreshToken, RefreshToken, UsedRefreshToken};
use crate::store::{Lock, StoreError, Tx, sessions};

use super::client_auth::AuthenticatedClient;
use super::dpop::ProvenKey;
use super::issue::{self, Issued, REFRESH_PREFIX};
use super::{Refused, Use, app_of};

/// Never change: what was derived under it could not be derived again.
const LABEL: &str = "refresh token";
/// A session's use is noted at most this often.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// What a client brings to refresh.
#[derive(Debug, Clone)]
pub(super) struct Refreshed {
    /// The token.
    pub refresh_token: PlainToken,
    /// Less than was granted, if less is wanted for this access token.
    pub scope: Option<Scopes>,
    /// For whom.
    pub resources: Vec<String>,
}

/// Gives the next tokens for a refresh token.
///
/// # Errors
///
/// `invalid_grant` in the same words whatever is wrong with the token.
pub(super) async fn refresh(
    authority: &Authority,
    client: &AuthenticatedClient,
    refreshed: Refreshed,
    key: Option<ProvenKey>,
) -> Result<TokenResponse, Refused> {
    let app = app_of(client, GrantType::RefreshToken)?;
    let old = token_digest(&refreshed.refresh_token);
    // Read first: which grant it is of, and so what its successor would be, is known before the
    // transaction that may run twice.
    let Some((grant, generation)) = authority
        .store
        .read::<_, StoreError>(move |tx| locate(tx, old))
        .await?
    else {
        return Err(OAuthError::invalid_grant().into());
    };
    let attempt = Attempt {
        app: app.clone(),
        old,
        grant,
        successor: successor(authority, &refreshed.refresh_token, grant, generation),
        refreshed,
        key,
        issuer: authority.config.issuer.to_string(),
        lifetimes: authority.config.lifetimes,
        now: authority.clock.now(),
        reused: authority.audit(
            format!("client:{}", app.spec.identifier),
            "refresh_token.reused",
            format!("grant:{grant}"),
            json!({}),
        ),
    };
    let outcome = authority
        .store
        .write::<_, StoreError>(move |tx| attempt.run(tx))
        .await?
        .value;
    issue::respond(authority, app, outcome?)
}

/// The grant and the generation of a token, live or used.
fn locate(tx: &mut dyn Tx, digest: TokenDigest) -> Result<Option<(GrantId, i64)>, StoreError> {
    if let Some(live) = refresh_tokens::find(tx, digest)? {
        return Ok(Some((live.grant_id, live.generation)));
    }
    Ok(refresh_tokens::used(tx, digest)?.map(|used| (used.grant_id, used.generation)))
}

/// What follows `old`: always the same.
fn successor(
    authority: &Authority,
    old: &PlainToken,
    grant: GrantId,
    generation: i64,
) -> PlainToken {
    let derived: Zeroizing<[u8; 32]> = authority.keys.sealer().derive(
        LABEL,
        &[
            old.expose().as_bytes(),
            grant.as_uuid().as_bytes(),
            &generation.to_be_bytes(),
        ],
    );
    PlainToken::from_random(REFRESH_PREFIX, derived)
}

struct Attempt {
    app: App,
    old: TokenDigest,
    grant: GrantId,
    successor: PlainToken,
    refreshed: Refreshed,
    key: Option<ProvenKey>,
    issuer: String,
    lifetimes: Lifetimes,
    now: Timestamp,
    reused: AuditEntry,
}

type Outcome = Result<Issued, OAuthError>;

impl Attempt {
    /// Refusals are values: what a reuse revokes must be committed.
    fn run(&self, tx: &mut dyn Tx) -> Result<Outcome, StoreError> {
        if let Some(key) = &self.key
            && !key.use_up(tx)?
        {
            return Ok(Err(super::used_proof()));
        }
        let Some(grant) = grants::find(tx, self.grant)? else {
            return Ok(Err(OAuthError::invalid_grant()));
        };
        // Another client with this token changes nothing by it.
        if grant.client_id != self.app.id {
            return Ok(Err(OAuthError::invalid_grant()));
        }
        if let Err(error) = super::key_fits(&self.app, &grant, self.key.as_ref(), Use::Refresh) {
            return Ok(Err(error));
        }
        // The session before the grant: in the order in which a session's end takes them. Whoever
        // comes with a token that was used before keeps no session alive.
        let live = refresh_tokens::find(tx, self.old)?;
        if live.is_some_and(|live| self.now < live.idle_expires_at) {
            self.note_use(tx, &grant)?;
        }
        tx.lock(Lock::Grant(self.grant))?;
        let Some(grant) = grants::find(tx, self.grant)? else {
            return Ok(Err(OAuthError::invalid_grant()));
        };
        // Again: it may have been bound to a key meanwhile.
        if let Err(error) = super::key_fits(&self.app, &grant, self.key.as_ref(), Use::Refresh) {
            return Ok(Err(error));
        }
        // Under the lock the token is either live or marked, and stays so.
        if let Some(live) = refresh_tokens::find(tx, self.old)? {
            self.rotate(tx, grant, &live)
        } else if let Some(used) = refresh_tokens::used(tx, self.old)? {
            self.again(tx, grant, &used)
        } else {
            Ok(Err(OAuthError::invalid_grant()))
        }
    }

    /// The usual case.
    fn rotate(
        &self,
        tx: &mut dyn Tx,
        grant: Grant,
        live: &RefreshToken,
    ) -> Result<Outcome, StoreError> {
        let issued = match self.issued(tx, grant)? {
            Ok(issued) if self.now < live.idle_expires_at => issued,
            Ok(_) => return Ok(Err(OAuthError::invalid_grant())),
            Err(error) => return Ok(Err(error)),
        };
        let new = NewRefreshToken::after(
            live,
            token_digest(&self.successor),
            &issued.grant,
            (self.now, self.lifetimes.refresh_idle),
        );
        if !refresh_tokens::rotate(tx, live, &new)? {
            return Ok(Err(OAuthError::invalid_grant()));
        }
        grants::touch(tx, &issued.grant, self.now)?;
        Ok(Ok(issued))
    }

    /// The token was used before: the same successor again, or the end of the grant.
    fn again(
        &self,
        tx: &mut dyn Tx,
        grant: Grant,
        used: &UsedRefreshToken,
    ) -> Result<Outcome, StoreError> {
        let unused = refresh_tokens::of_grant(tx, grant.id)?.is_some_and(|live| {
            live.generation == used.generation.saturating_add(1)
                && live.digest == token_digest(&self.successor)
        });
        let recent = self.now < used.rotated_at.plus(self.lifetimes.refresh_reuse);
        if unused && recent {
            return self.issued(tx, grant);
        }
        if revoke_grant(tx, grant.id, self.now, &self.lifetimes, "refresh_reused")? {
            metrics::counter!("doorward_authority_replays_total", "kind" => "refresh_token")
                .increment(1);
            audit::record(tx, &self.reused)?;
        }
        Ok(Err(OAuthError::invalid_grant()))
    }

    fn issued(&self, tx: &mut dyn Tx, grant: Grant) -> Result<Outcome, StoreError> {
        let wanted =
            issue::narrowed(&self.app, &grant, self.refreshed.scope.as_ref()).and_then(|scope| {
                let audience =
                    issue::audience(&self.app, &self.issuer, &grant, &self.refreshed.resources)?;
                Ok((scope, audience))
            });
        let (scope, audience) = match wanted {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Err(error)),
        };
        let Some((client, user_epoch)) = issue::standing(tx, &grant, self.now)? else {
            return Ok(Err(OAuthError::invalid_grant()));
        };
        Ok(Ok(Issued {
            client,
            user_epoch,
            scope,
            audience,
            jkt: self.key.as_ref().map(|key| key.jkt.clone()),
            refresh_token: Some(self.successor.clone()),
            nonce: None,
            grant,
        }))
    }

    /// Somebody who uses an app uses the session behind it.
    fn note_use(&self, tx: &mut dyn Tx, grant: &Grant) -> Result<(), StoreError> {
        let (RefreshBinding::Session, Some(id)) = (grant.binding, grant.session_id) else {
            return Ok(());
        };
        let Some(session) = sessions::find(tx, id)? else {
            return Ok(());
        };
        let alive = self.now < session.expires_at && self.now < session.idle_expires_at;
        if alive && session.last_seen_at.plus(NOTED_EVERY) <= self.now {
            let idle = self.lifetimes.session_idle;
            sessions::touch(tx, id, (self.now, idle), None)?;
        }
        Ok(())
    }
}
