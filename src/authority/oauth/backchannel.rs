//! Back-channel logout: clients hear of a session's end, also when they were down at that moment.
//!
//! What is to be told stands in an outbox, written by the transaction that ended the session. Any
//! number of authorities may send from it: whoever takes a row has it for a while, and a client that
//! hears twice hears the same.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use tokio::task::JoinSet;

use crate::authority::app::Authority;
use crate::authority::outbound::OutboundError;
use crate::crypto::sign::KeyError;
use crate::domain::Timestamp;
use crate::protocol::oidc::logout::{LOGOUT_TOKEN_TYPE, LogoutEvents, LogoutTokenClaims};
use crate::store::StoreError;
use crate::store::apps::{self, App};
use crate::store::clients::ClientState;
use crate::store::logout_outbox::{self, PendingLogout};

/// How many are sent at once.
const MOST: u32 = 16;
/// For how long a row is nobody else's: longer than a request may take.
const LEASE: Duration = Duration::from_mins(2);
/// How long a logout token counts.
const TOKEN_LIFETIME: Duration = Duration::from_mins(2);
/// The wait after the first failure; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait between attempts.
const LONGEST_WAIT: Duration = Duration::from_mins(30);
/// How long the sender sleeps at most: another authority may have queued something.
const SLEEP_MAX: Duration = Duration::from_mins(1);
/// How long it lets changes gather.
const GATHER: Duration = Duration::from_millis(100);

/// Starts the sender. A session's end is a replicated change, so the feed's head wakes it.
pub fn start(authority: &Arc<Authority>) {
    let stop = authority.tasks.stop();
    let mut head = authority.store.subscribe();
    let sender = Arc::clone(authority);
    authority.tasks.spawn("back-channel logout", async move {
        loop {
            if let Err(error) = deliver_due(&sender).await {
                tracing::warn!(%error, "logouts cannot be sent");
            }
            let sleep = sleep(&sender).await.unwrap_or(SLEEP_MAX);
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(sleep) => {}
                changed = head.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    tokio::time::sleep(GATHER).await;
                }
            }
        }
    });
}

async fn sleep(authority: &Authority) -> Result<Duration, StoreError> {
    let now = authority.clock.now();
    let due = authority
        .store
        .read::<_, StoreError>(move |tx| logout_outbox::next_due(tx, now))
        .await?;
    Ok(due.map_or(SLEEP_MAX, |due| due.since(now).min(SLEEP_MAX)))
}

/// Sends every logout that is due, and tells how many clients have heard of theirs.
///
/// # Errors
///
/// [`StoreError`]; what is left is sent by the next call.
pub async fn deliver_due(authority: &Arc<Authority>) -> Result<usize, StoreError> {
    let mut heard = 0;
    loop {
        let now = authority.clock.now();
        let waiting = authority
            .store
            .read::<_, StoreError>(move |tx| logout_outbox::next_due(tx, now))
            .await?;
        if waiting.is_none_or(|due| due > now) {
            return Ok(heard);
        }
        let claimed = authority
            .store
            .write::<_, StoreError>(move |tx| logout_outbox::claim(tx, now, now.plus(LEASE), MOST))
            .await?
            .value;
        let mut sending = JoinSet::new();
        for logout in claimed {
            let authority = Arc::clone(authority);
            sending.spawn(async move { deliver(&authority, &logout).await });
        }
        while let Some(delivered) = sending.join_next().await {
            heard += usize::from(matches!(delivered, Ok(Ok(true))));
        }
    }
}

/// Tells one client, and keeps or deletes the row accordingly.
async fn deliver(authority: &Authority, logout: &PendingLogout) -> Result<bool, StoreError> {
    let client = logout.client_id;
    let app = authority
        .store
        .read::<_, StoreError>(move |tx| apps::find(tx, client))
        .await?;
    let told = match app.as_ref().and_then(listener) {
        Some((app, uri)) => send(authority, logout, app, uri).await,
        None => Ok(()),
    };
    let (outcome, at) = match &told {
        Ok(()) => ("delivered", None),
        Err(error) => {
            tracing::info!(%error, %client, attempts = logout.attempts, "a client was not told of a logout");
            ("failed", Some(retry(authority, logout)))
        }
    };
    metrics::counter!("doorward_authority_logouts_sent_total", "outcome" => outcome).increment(1);
    let id = logout.id;
    authority
        .store
        .write::<_, StoreError>(move |tx| match at {
            Some(at) => logout_outbox::retry_at(tx, id, at),
            None => logout_outbox::delete(tx, id),
        })
        .await?;
    Ok(told.is_ok())
}

/// An app that wants to hear, with where.
fn listener(app: &App) -> Option<(&App, &str)> {
    let uri = app.spec.backchannel_logout_uri.as_deref()?;
    (app.state == ClientState::Active).then_some((app, uri))
}

/// Why a client has not heard.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    #[error("no logout token can be signed")]
    Sign(#[from] KeyError),
    #[error(transparent)]
    Outbound(#[from] OutboundError),
}

async fn send(
    authority: &Authority,
    logout: &PendingLogout,
    app: &App,
    uri: &str,
) -> Result<(), NotTold> {
    let now = authority.clock.now();
    let claims = LogoutTokenClaims {
        iss: authority.config.issuer.to_string(),
        sub: logout.user_id.to_string(),
        aud: app.spec.identifier.clone(),
        iat: now.unix_seconds(),
        exp: now.plus(TOKEN_LIFETIME).unix_seconds(),
        jti: BASE64URL_NOPAD.encode(&authority.entropy.id_bits()),
        events: LogoutEvents::default(),
        sid: logout.session_id,
    };
    // Signed now, not when it was queued: a key may have been retired meanwhile.
    let token = authority
        .keys
        .sign_jwt(app.spec.id_token_alg, LOGOUT_TOKEN_TYPE, &claims)?;
    let form = [("logout_token", token.as_str())];
    authority
        .outbound
        .post_form(uri, &form, None)
        .await?
        .success()?;
    Ok(())
}

/// Twice the wait of the attempt before, less up to a quarter, so that clients of one failing host
/// do not come back in step.
fn retry(authority: &Authority, logout: &PendingLogout) -> Timestamp {
    let doublings = u32::try_from(logout.attempts.saturating_sub(1)).unwrap_or(0);
    let wait = FIRST_WAIT
        .saturating_mul(2_u32.saturating_pow(doublings.min(16)))
        .min(LONGEST_WAIT);
    let [random, ..] = authority.entropy.id_bits();
    let less = wait / 4 * u32::from(random) / 256;
    authority.clock.now().plus(wait.saturating_sub(less))
}
