//! Whether a token still counts: by the copy, and remembered under generations.

use std::sync::Arc;

use super::verified::Verified;
use crate::domain::{ClientId, GrantId, SessionId, UserId};
use crate::protocol::jose::Subject;
use crate::sidecar::cache::{Generations, Tokens};
use crate::sidecar::refusal::Refusal;
use crate::store::replica::StateRow;

/// The generations a token was last found good under. Any difference, and that part is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenStamps {
    user: u64,
    client: u64,
    session: u64,
    grant: u64,
    pub(super) keys: u64,
}

impl TokenStamps {
    /// Of a token whose signature was checked with keys of this generation, and nothing else.
    pub(super) const fn unknown(keys: u64) -> Self {
        Self {
            user: u64::MAX,
            client: u64::MAX,
            session: u64::MAX,
            grant: u64::MAX,
            keys,
        }
    }

    /// The present generations. Load them *before* anything is read.
    pub(super) fn load(generations: &Generations, token: &Verified, keys: u64) -> Self {
        let of = |id: Option<u128>| id.map_or(0, |id| generations.id(id));
        Self {
            user: token.user().map_or(0, |user| generations.user(user)),
            client: generations.id(token.client_id.as_u128()),
            session: of(token.session.map(SessionId::as_u128)),
            grant: of(token.grant.map(GrantId::as_u128)),
            keys,
        }
    }
}

/// What the copy says about those a token rests on.
pub(super) trait Facts {
    fn user(&mut self, user: UserId) -> Result<StateRow, Refusal>;
    fn client(&mut self, client: ClientId) -> Result<StateRow, Refusal>;
    fn session_revoked(&mut self, session: SessionId) -> Result<bool, Refusal>;
    fn grant_revoked(&mut self, grant: GrantId) -> Result<bool, Refusal>;
}

/// Whether a token still counts; reads what changed between the two stamps.
pub(super) fn still_counts(
    token: &Verified,
    known: TokenStamps,
    now: TokenStamps,
    facts: &mut impl Facts,
) -> Result<(), Refusal> {
    if known.user != now.user
        && let Subject::User(user) = token.subject
    {
        let row = facts.user(user)?;
        if row.state != "active" {
            return Err(Refusal::UserInactive);
        }
        if token.epoch < row.token_epoch {
            return Err(Refusal::UserSignedOut);
        }
    }
    if known.client != now.client {
        let row = facts.client(token.client_id)?;
        if row.state != "active" {
            return Err(Refusal::ClientInactive);
        }
        if token.client_epoch < row.token_epoch {
            return Err(Refusal::ClientRevoked);
        }
    }
    if known.session != now.session
        && let Some(session) = token.session
        && facts.session_revoked(session)?
    {
        return Err(Refusal::SessionEnded);
    }
    if known.grant != now.grant
        && let Some(grant) = token.grant
        && facts.grant_revoked(grant)?
    {
        return Err(Refusal::GrantRevoked);
    }
    Ok(())
}

/// Judges a token whose signature is right, and remembers what it was found good under.
pub(super) fn judge(
    tokens: &Tokens,
    generations: &Generations,
    hash: [u8; 32],
    (token, known): (&Arc<Verified>, TokenStamps),
    facts: &mut impl Facts,
) -> Result<(), Refusal> {
    // Before anything is read: a change between a read and a load would be taken for known.
    let now = TokenStamps::load(generations, token, known.keys);
    if known == now {
        return Ok(());
    }
    still_counts(token, known, now, facts)?;
    tokens.keep(hash, Arc::clone(token), now);
    Ok(())
}
