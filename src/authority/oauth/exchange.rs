//! A code becomes tokens, once: RFC 6749 §4.1.3 with PKCE (RFC 7636).
//!
//! The code's row is deleted by whoever redeems it and leaves a mark in its grant's row. Whoever comes with it again
//! meets the mark, and everything that came of the code is revoked: one of the two is not the client
//! it was meant for.

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::config::Lifetimes;
use crate::authority::revocation::revoke_grant;
use crate::crypto::digest::{constant_time_eq, sha256, token_digest};
use crate::domain::app::{AuthMethod, GrantType};
use crate::domain::{GrantId, PlainToken, Scopes, Timestamp, TokenDigest};
use crate::protocol::oauth::{OAuthError, TokenResponse};
use crate::store::apps::App;
use crate::store::audit::{self, AuditEntry};
use crate::store::authorization_codes::{self, Code};
use crate::store::refresh_tokens::{self, NewRefreshToken};
use crate::store::{Lock, StoreError, Tx, grants};

use super::client_auth::AuthenticatedClient;
use super::codes;
use super::dpop::ProvenKey;
use super::issue::{self, Issued, REFRESH_PREFIX};
use super::{Refused, Use, app_of};

/// What a client brings to redeem a code.
#[derive(Debug, Clone)]
pub(super) struct Redeemed {
    /// The code.
    pub code: PlainToken,
    /// The redirect URI, if it says one: then it must be the right one.
    pub redirect_uri: Option<String>,
    /// PKCE.
    pub code_verifier: PlainToken,
    /// Less than was granted, if less is wanted.
    pub scope: Option<Scopes>,
    /// For whom.
    pub resources: Vec<String>,
}

/// Redeems a code.
///
/// # Errors
///
/// `invalid_grant` in the same words for every code that is not to be redeemed by this client now.
pub(super) async fn exchange(
    authority: &Authority,
    client: &AuthenticatedClient,
    redeemed: Redeemed,
    key: Option<ProvenKey>,
) -> Result<TokenResponse, Refused> {
    let app = app_of(client, GrantType::AuthorizationCode)?;
    let refresh_token = PlainToken::from_random(REFRESH_PREFIX, authority.entropy.token_bits());
    let attempt = Attempt {
        app: app.clone(),
        digest: token_digest(&redeemed.code),
        challenge: BASE64URL_NOPAD.encode(&sha256(redeemed.code_verifier.expose().as_bytes())),
        redeemed,
        key,
        issuer: authority.config.issuer.to_string(),
        lifetimes: authority.config.lifetimes,
        now: authority.clock.now(),
        refresh_token,
        audits: Audits::new(authority, app),
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
    challenge: String,
    redeemed: Redeemed,
    key: Option<ProvenKey>,
    issuer: String,
    lifetimes: Lifetimes,
    now: Timestamp,
    refresh_token: PlainToken,
    audits: Audits,
}

/// What is written down of an attempt, minted before it.
struct Audits {
    issued: AuditEntry,
    replayed: AuditEntry,
}

impl Audits {
    fn new(authority: &Authority, app: &App) -> Self {
        let entry = |event| {
            authority.audit(
                format!("client:{}", app.spec.identifier),
                event,
                String::new(),
                json!({}),
            )
        };
        Self {
            issued: entry("token.issued"),
            replayed: entry("code.replayed"),
        }
    }
}

fn about(entry: &AuditEntry, grant: GrantId) -> AuditEntry {
    AuditEntry {
        target: Some(format!("grant:{grant}")),
        ..entry.clone()
    }
}

impl Attempt {
    /// Refusals are values: what a replay revokes must be committed.
    fn run(&self, tx: &mut dyn Tx) -> Result<Result<Issued, OAuthError>, StoreError> {
        if let Some(key) = &self.key
            && !key.use_up(tx)?
        {
            return Ok(Err(super::used_proof()));
        }
        let Some(code) = authorization_codes::find(tx, self.digest)? else {
            return self.replayed(tx).map(Err);
        };
        tx.lock(Lock::Grant(code.grant_id))?;
        if let Err(error) = self.fits(&code) {
            return Ok(Err(error));
        }
        let Some(grant) = grants::find(tx, code.grant_id)? else {
            return Ok(Err(OAuthError::invalid_grant()));
        };
        let (scope, audience) = match self.wanted(&grant) {
            Ok(wanted) => wanted,
            Err(error) => return Ok(Err(error)),
        };
        if !authorization_codes::redeem(tx, self.digest, grant.id)? {
            return self.replayed(tx).map(Err);
        }
        let Some((client, user_epoch)) = issue::standing(tx, &grant, self.now)? else {
            return Ok(Err(OAuthError::invalid_grant()));
        };
        let refreshes = issue::refreshes(&self.app, &grant);
        if refreshes {
            self.give_refresh_token(tx, &grant)?;
        }
        grants::touch(tx, &grant, self.now)?;
        audit::record(tx, &about(&self.audits.issued, grant.id))?;
        Ok(Ok(Issued {
            client,
            user_epoch,
            scope,
            audience,
            jkt: self.key.as_ref().map(|key| key.jkt.clone()),
            refresh_token: refreshes.then(|| self.refresh_token.clone()),
            nonce: grant.nonce.clone(),
            grant,
        }))
    }

    fn give_refresh_token(&self, tx: &mut dyn Tx, grant: &grants::Grant) -> Result<(), StoreError> {
        let first = NewRefreshToken::first(
            token_digest(&self.refresh_token),
            grant,
            (self.now, self.lifetimes.refresh_idle),
        );
        refresh_tokens::insert(tx, &first)?;
        // A public client has nothing but the key to show that a refresh token is its own.
        match &self.key {
            Some(key) if self.app.spec.auth_method == AuthMethod::None => {
                grants::bind_key(tx, grant.id, &key.jkt)
            }
            _ => Ok(()),
        }
    }

    /// Whether the code is for this client, this redirect, this verifier, and of now. One that is
    /// not stays: a stranger who has it must not be able to spoil it.
    fn fits(&self, code: &Code) -> Result<(), OAuthError> {
        let redirects = self
            .redeemed
            .redirect_uri
            .as_ref()
            .is_none_or(|uri| *uri == code.redirect_uri);
        let verified = constant_time_eq(self.challenge.as_bytes(), code.code_challenge.as_bytes());
        let fits =
            code.client_id == self.app.id && redirects && verified && self.now < code.expires_at;
        if fits {
            Ok(())
        } else {
            Err(OAuthError::invalid_grant())
        }
    }

    fn wanted(&self, grant: &grants::Grant) -> Result<(Scopes, String), OAuthError> {
        let scope = issue::narrowed(&self.app, grant, self.redeemed.scope.as_ref())?;
        let audience = issue::audience(&self.app, &self.issuer, grant, &self.redeemed.resources)?;
        super::key_fits(&self.app, grant, self.key.as_ref(), Use::First)?;
        Ok((scope, audience))
    }

    /// The code is unknown, or was used: then all that came of it ends.
    fn replayed(&self, tx: &mut dyn Tx) -> Result<OAuthError, StoreError> {
        let owner = self.redeemed.code.owner(codes::PREFIX);
        if let Some(grant) = owner.map(GrantId::from_uuid)
            && authorization_codes::was_used(tx, grant, self.digest)?
            && revoke_grant(tx, grant, self.now, &self.lifetimes, "code_replayed")?
        {
            metrics::counter!("doorward_authority_replays_total", "kind" => "code").increment(1);
            audit::record(tx, &about(&self.audits.replayed, grant))?;
        }
        Ok(OAuthError::invalid_grant())
    }
}
