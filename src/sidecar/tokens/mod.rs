//! Access tokens at the sidecar: verified here, with the replicated keys, and remembered.
//!
//! A signature is checked once and costs a tenth of a millisecond; everything that can end a token
//! before its time is checked each time it is presented. Issuer, audience and time are compared with
//! what the token says. Whether its user, client, session and grant still count is known from the
//! copy: a remembered token carries the generations of their slots ([`TokenStamps`]), and only what
//! was bumped since is read again. An apply commits its rows and *then* bumps, so a token that a
//! committed row revokes is refused from then on, whether the authority can be reached or not.
//!
//! A token that is bound to a key comes with a proof of it ([`Possession`]), which counts once.
//!
//! What a token may do is [`decide()`]: what its user's roles allow, as far as its scopes name the
//! permission. A client's own token has no roles, only scopes.

mod decide;
mod judge;
mod keys;
mod possession;
mod proofs;
#[cfg(test)]
mod tests;
mod verified;
mod verify;

pub use decide::{TokenCheck, decide};
pub use judge::TokenStamps;
pub(super) use keys::Keys;
pub use possession::{Possession, Unproved};
pub use proofs::{PROOF_AGE, PROOF_SKEW, Proofs, RETRY, Shown};
pub use verified::{Rules, Verified};
pub(super) use verify::verify_opened;
pub use verify::{MAX_TOKEN_LEN, evict, verify};
