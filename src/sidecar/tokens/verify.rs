//! From a token's text to what it is, or why it is refused.

use std::sync::Arc;

use super::judge::{Facts, TokenStamps, judge};
use super::verified::{Rules, Verified};
use crate::crypto::digest::sha256;
use crate::crypto::sign::TokenError;
use crate::domain::{ClientId, GrantId, SessionId, UserId};
use crate::sidecar::decide::Worker;
use crate::sidecar::refusal::Refusal;
use crate::sidecar::view::State;
use crate::store::replica::{ReplicaError, ReplicaReader, StateRow};

/// The longest token that is looked at.
pub const MAX_TOKEN_LEN: usize = 8 * 1024;

/// The copy, through a thread's own reader.
struct Copy<'a> {
    state: &'a State,
    worker: &'a mut Worker,
}

impl Copy<'_> {
    fn ask<T>(
        &mut self,
        query: impl FnOnce(&mut ReplicaReader) -> Result<T, ReplicaError>,
    ) -> Result<T, Refusal> {
        self.worker
            .read(self.state, query)
            .map_err(|error| unreadable(self.state, &error))
    }
}

impl Facts for Copy<'_> {
    fn user(&mut self, user: UserId) -> Result<StateRow, Refusal> {
        self.ask(|reader| reader.user_state(user))
    }

    fn client(&mut self, client: ClientId) -> Result<StateRow, Refusal> {
        self.ask(|reader| reader.client_state(client))
    }

    fn session_revoked(&mut self, session: SessionId) -> Result<bool, Refusal> {
        self.ask(|reader| reader.is_revoked_session(session))
    }

    fn grant_revoked(&mut self, grant: GrantId) -> Result<bool, Refusal> {
        self.ask(|reader| reader.is_revoked_grant(grant))
    }
}

fn unreadable(state: &State, error: &ReplicaError) -> Refusal {
    if state.copy().is_none() {
        return Refusal::NoCopy;
    }
    tracing::error!(%error, "the copy cannot be read");
    Refusal::CopyUnreadable
}

/// Verifies an access token and says what it is: now, by the copy as it stands.
///
/// A token with [`Verified::jkt`] is no bearer token: the caller checks the proof of possession.
///
/// # Errors
///
/// Why it is refused; counted by the worker.
pub fn verify(
    state: &State,
    worker: &mut Worker,
    rules: &Rules,
    token: &str,
) -> Result<Arc<Verified>, Refusal> {
    let verified = if token.len() > MAX_TOKEN_LEN {
        Err(Refusal::Malformed)
    } else {
        accept(
            state,
            worker,
            rules,
            sha256(token.as_bytes()),
            |worker, keys| {
                let keyring = state.keys.current(keys, || {
                    worker
                        .read(state, ReplicaReader::signing_keys)
                        .map_err(|error| unreadable(state, &error))
                })?;
                Verified::new(keyring.1.signed(token)?)
            },
        )
    };
    worker.counts.count_token(verified.as_ref().err().copied());
    verified
}

/// The same for what stands for a token and is no token: `open` says of which one. It is remembered
/// under `hash`, which must be of more than a text that could come as a token, so that neither is
/// taken for the other.
///
/// # Errors
///
/// Why it is refused; counted by the worker.
pub(in crate::sidecar) fn verify_opened(
    state: &State,
    worker: &mut Worker,
    rules: &Rules,
    hash: [u8; 32],
    open: impl FnOnce() -> Result<Verified, Refusal>,
) -> Result<Arc<Verified>, Refusal> {
    let verified = accept(state, worker, rules, hash, |_, _| open());
    worker.counts.count_token(verified.as_ref().err().copied());
    verified
}

/// What is remembered under `hash`, or what `read` makes of it by keys of a generation; and whether
/// it still counts.
fn accept(
    state: &State,
    worker: &mut Worker,
    rules: &Rules,
    hash: [u8; 32],
    read: impl FnOnce(&mut Worker, u64) -> Result<Verified, Refusal>,
) -> Result<Arc<Verified>, Refusal> {
    let keys = state.generations.keys();
    let kept = state
        .tokens
        .find(&hash)
        .filter(|(_, known)| known.keys == keys);
    let (verified, known) = if let Some(kept) = kept {
        worker.counts.token_hits += 1;
        kept
    } else {
        worker.counts.token_misses += 1;
        let verified = Arc::new(read(worker, keys)?);
        let known = TokenStamps::unknown(keys);
        // Even if it turns out to be revoked: then that is cheap to say again.
        state.tokens.keep(hash, Arc::clone(&verified), known);
        (verified, known)
    };
    rules.check(&verified, state.clock().now())?;
    judge(
        &state.tokens,
        &state.generations,
        hash,
        (&verified, known),
        &mut Copy { state, worker },
    )?;
    Ok(verified)
}

/// Forgets one token, as if it had never been presented.
pub fn evict(state: &State, token: &str) {
    state.tokens.evict(&sha256(token.as_bytes()));
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Malformed => Self::Malformed,
            TokenError::WrongType => Self::WrongType,
            TokenError::Algorithm => Self::Algorithm,
            TokenError::UnknownKey => Self::UnknownKey,
            TokenError::Signature => Self::Signature,
            TokenError::Issuer => Self::Issuer,
            TokenError::Audience => Self::Audience,
            TokenError::Expired => Self::Expired,
            TokenError::NotYetValid => Self::NotYetValid,
        }
    }
}
