//! Clients that register themselves (RFC 7591), and look after it (RFC 7592).
//!
//! Only whoever has an initial access token registers, and only what the token's policy allows. Such a
//! client is always a third party's. It ends when nobody has used it for as long as the policy says.

use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::json;

use super::put::{AppsError, Minted, Put, put_in};
use crate::authority::app::Authority;
use crate::authority::attempts::{self, REGISTRATION_TOKEN};
use crate::authority::proxies::ClientAddress;
use crate::crypto::digest::token_digest;
use crate::domain::app::{AppSpec, ClientSource};
use crate::domain::registration::RegistrationPolicy;
use crate::domain::{ClientId, ClientIdentifier, PlainToken, Timestamp, TokenDigest};
use crate::protocol::clients::registration::{
    RegistrationError, RegistrationErrorCode, RegistrationRequest,
};
use crate::store::apps::{self, App};
use crate::store::clients::{self, ClientState};
use crate::store::{Lock, StoreError, Tx, audit, registration_tokens};

/// Begins every token by which a registered client looks after itself.
pub const ACCESS_PREFIX: &str = "dwm_";

/// Why there is no registration.
#[derive(Debug, thiserror::Error)]
pub enum NotRegistered {
    /// Clients do not register themselves here.
    #[error("clients do not register themselves here")]
    Off,
    /// The token is missing, wrong, used up or over; or the client is not there any more.
    #[error("the token is missing, wrong, used up or has expired")]
    Token,
    /// Too many wrong tokens came from where this one came from.
    #[error("too many failed attempts")]
    TooMany(Duration),
    /// What is wanted cannot be had.
    #[error(transparent)]
    Refused(#[from] RegistrationError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl From<AppsError> for NotRegistered {
    fn from(error: AppsError) -> Self {
        match error {
            AppsError::Store(error) => Self::Store(error),
            // The client is retired, or its name is somebody else's: it has nothing to look after.
            _ => Self::Token,
        }
    }
}

/// A registration as its client is told of it.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The client.
    pub app: App,
    /// Its secret, if one was made: shown this once.
    pub secret: Option<PlainToken>,
    /// By what it looks after itself: new after a registration and after each update.
    pub access: PlainToken,
}

fn policy_of(text: &str) -> Result<RegistrationPolicy, StoreError> {
    serde_json::from_str(text)
        .map_err(|_| StoreError::Other("a registration policy cannot be read".to_owned()))
}

/// Counts an outcome's wrong token by where it came from; what is right is never asked about.
///
/// # Errors
///
/// As the outcome, or [`NotRegistered::TooMany`] in place of [`NotRegistered::Token`].
pub async fn counted<T>(
    authority: &Authority,
    from: ClientAddress,
    outcome: Result<T, NotRegistered>,
) -> Result<T, NotRegistered> {
    if !matches!(outcome, Err(NotRegistered::Token)) {
        return outcome;
    }
    let who = from.counted_as().to_string();
    match attempts::slowed(authority, &[(REGISTRATION_TOKEN, &who)]).await? {
        Some(wait) => Err(NotRegistered::TooMany(wait)),
        None => outcome,
    }
}

/// Whether what the client wants called lies on a host that may be private here. That the
/// configuration lets the authority ask such a host lets no stranger have it asked.
fn calls_private(authority: &Authority, request: &RegistrationRequest) -> bool {
    request
        .backchannel_logout_uri()
        .is_some_and(|uri| authority.outbound.may_be_private(uri) != Ok(false))
}

/// What a client may be registered as.
fn checked(
    request: &RegistrationRequest,
    identifier: &ClientIdentifier,
    policy: &RegistrationPolicy,
    calls_private: bool,
) -> Result<AppSpec, RegistrationError> {
    let spec = request.check(identifier, policy)?;
    let called = spec.backchannel_logout_uri.as_deref();
    if calls_private && called.is_some_and(|uri| !policy.names_host(uri)) {
        let code = RegistrationErrorCode::InvalidClientMetadata;
        let why = "`backchannel_logout_uri` leads where the initial access token does not allow";
        return Err(RegistrationError::new(code, why));
    }
    Ok(spec)
}

const fn lifetime(policy: &RegistrationPolicy) -> Duration {
    Duration::from_secs(policy.client_lifetime_seconds as u64)
}

/// Registers a client.
///
/// # Errors
///
/// [`NotRegistered::Token`] before anything is said about what is wanted.
pub async fn register(
    authority: &Authority,
    token: PlainToken,
    body: &[u8],
) -> Result<Registered, NotRegistered> {
    let (now, digest) = (authority.clock.now(), token_digest(&token));
    let found = authority
        .store
        .read::<_, StoreError>(move |tx| registration_tokens::find_usable(tx, digest, now))
        .await?
        .ok_or(NotRegistered::Token)?;
    let policy = policy_of(&found.policy)?;
    let minted = Minted::new(now, &*authority.entropy);
    let mut random = [0; 16];
    authority.entropy.fill(&mut random);
    let identifier: ClientIdentifier = format!("app-{}", HEXLOWER.encode(&random))
        .parse()
        .map_err(|_| StoreError::Other("a client id cannot be made".to_owned()))?;
    let request = RegistrationRequest::read(body)?;
    let calls_private = calls_private(authority, &request);
    let spec = checked(&request, &identifier, &policy, calls_private)?;
    let access = PlainToken::from_random(ACCESS_PREFIX, authority.entropy.token_bits());
    let row = Row {
        digest: token_digest(&access),
        policy: found.policy,
        expires_at: now.plus(lifetime(&policy)),
    };
    let put = Put {
        spec,
        source: ClientSource::Registration,
        bound_to: None,
    };
    let (secret, actor) = (minted.secret.clone(), format!("registration:{}", found.id));
    let written = authority
        .store
        .write(move |tx| {
            if !registration_tokens::take(tx, found.id, now)? {
                return Err(NotRegistered::Token);
            }
            let plan = put_in(tx, &put, &minted, &actor)?;
            apps::set_registration_policy(tx, minted.id, &row.policy)?;
            row.write(tx, minted.id)?;
            let app = apps::find(tx, minted.id)?.ok_or(StoreError::ForeignKey)?;
            Ok((app, plan.new_secret))
        })
        .await?;
    let (app, new_secret) = written.value;
    metrics::counter!("doorward_authority_registered_clients_total").increment(1);
    Ok(Registered {
        app,
        secret: new_secret.then_some(secret),
        access,
    })
}

/// What a registration or an update of one writes beside the app.
struct Row {
    digest: TokenDigest,
    policy: String,
    expires_at: Timestamp,
}

impl Row {
    fn write(&self, tx: &mut dyn Tx, id: ClientId) -> Result<(), StoreError> {
        apps::set_registration_token(tx, id, self.digest)?;
        apps::set_expiry(tx, id, self.expires_at)
    }
}

/// The client of this name, if the token is its own. Takes the same time for every name.
fn authorized(
    tx: &mut dyn Tx,
    client: &str,
    presented: TokenDigest,
    now: Timestamp,
) -> Result<App, NotRegistered> {
    let app = match client.parse() {
        Ok(identifier) => apps::find_by_identifier(tx, &identifier)?,
        Err(_) => None,
    };
    let id = app.as_ref().map_or(ClientId::from_u128(0), |app| app.id);
    let right = apps::registration_token(tx, id)? == Some(presented);
    app.filter(|app| {
        right
            && app.source == ClientSource::Registration
            && app.state == ClientState::Active
            && app.expires_at.is_some_and(|end| now < end)
    })
    .ok_or(NotRegistered::Token)
}

/// Shows a client its registration. Its secret was shown once.
pub async fn show(
    authority: &Authority,
    client: String,
    token: PlainToken,
) -> Result<Registered, NotRegistered> {
    let (now, digest) = (authority.clock.now(), token_digest(&token));
    let app = authority
        .store
        .read(move |tx| authorized(tx, &client, digest, now))
        .await?;
    Ok(Registered {
        app,
        secret: None,
        access: token,
    })
}

/// Registers a client otherwise, within the policy that it registered by. Its token is another one
/// from then on, and its end is as far away as on its first day.
pub async fn update(
    authority: &Authority,
    client: String,
    token: PlainToken,
    body: &[u8],
) -> Result<Registered, NotRegistered> {
    let (now, presented) = (authority.clock.now(), token_digest(&token));
    let named = client.clone();
    // The token first: what is wrong with a body is told to nobody else.
    authority
        .store
        .read(move |tx| authorized(tx, &named, presented, now))
        .await?;
    let request = RegistrationRequest::read(body)?;
    if request.client_id() != Some(client.as_str()) {
        let code = RegistrationErrorCode::InvalidClientMetadata;
        let why = "`client_id` must be the client's own";
        return Err(RegistrationError::new(code, why).into());
    }
    let minted = Minted::new(now, &*authority.entropy);
    let secret = minted.secret.clone();
    let access = PlainToken::from_random(ACCESS_PREFIX, authority.entropy.token_bits());
    let new = token_digest(&access);
    let repeated = request
        .client_secret()
        .map(|secret| token_digest(&PlainToken::presented(secret.expose().clone())));
    let actor = format!("client:{client}");
    let calls_private = calls_private(authority, &request);
    let written = authority
        .store
        .write(move |tx| {
            let id = authorized(tx, &client, presented, now)?.id;
            tx.lock(Lock::Client(id))?;
            // Of two who come with the same token one goes on.
            let app = authorized(tx, &client, presented, now)?;
            if let Some(repeated) = repeated {
                let secrets = clients::secrets(tx, id)?;
                if !secrets.iter().any(|secret| secret.digest == repeated) {
                    let code = RegistrationErrorCode::InvalidClientMetadata;
                    let why = "`client_secret` must be the client's own, or left out";
                    return Err(RegistrationError::new(code, why).into());
                }
            }
            let text = apps::registration_policy(tx, id)?.ok_or(NotRegistered::Token)?;
            let policy = policy_of(&text)?;
            let put = Put {
                spec: checked(&request, &app.spec.identifier, &policy, calls_private)?,
                source: ClientSource::Registration,
                bound_to: None,
            };
            let plan = put_in(tx, &put, &minted, &actor)?;
            let row = Row {
                digest: new,
                policy: text,
                expires_at: now.plus(lifetime(&policy)),
            };
            row.write(tx, id)?;
            let app = apps::find(tx, id)?.ok_or(StoreError::ForeignKey)?;
            Ok::<_, NotRegistered>((app, plan.new_secret))
        })
        .await?;
    let (app, new_secret) = written.value;
    Ok(Registered {
        app,
        secret: new_secret.then_some(secret),
        access,
    })
}

/// Ends a client for ever: every token of it is refused from now on, and its rows go later.
pub async fn deregister(
    authority: &Authority,
    client: String,
    token: PlainToken,
) -> Result<(), NotRegistered> {
    let (now, presented) = (authority.clock.now(), token_digest(&token));
    let name = format!("client:{client}");
    let details = json!({ "source": ClientSource::Registration });
    let entry = authority.audit(name.clone(), "client.retired", name, details);
    authority
        .store
        .write(move |tx| {
            let id = authorized(tx, &client, presented, now)?.id;
            tx.lock(Lock::Client(id))?;
            let app = authorized(tx, &client, presented, now)?;
            clients::retire(tx, &app.client(), now)?;
            apps::set_expiry(tx, id, now)?;
            Ok::<_, NotRegistered>(audit::record(tx, &entry)?)
        })
        .await?;
    Ok(())
}

/// Puts off the end of a registered client that somebody has just logged in through. Belongs into the
/// transaction of that login; writes only when half of the time is over.
pub(in crate::authority) fn keep_alive(
    tx: &mut dyn Tx,
    app: &App,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (ClientSource::Registration, Some(end)) = (app.source, app.expires_at) else {
        return Ok(());
    };
    let Some(text) = apps::registration_policy(tx, app.id)? else {
        return Ok(());
    };
    let lifetime = lifetime(&policy_of(&text)?);
    if end < now.plus(lifetime / 2) {
        apps::set_expiry(tx, app.id, now.plus(lifetime))?;
    }
    Ok(())
}
