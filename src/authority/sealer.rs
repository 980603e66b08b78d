//! State that travels through a browser and back, and values derived from what is presented: both
//! so that nothing need be stored before somebody has logged in.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::seal::{KeyRing, Place, SealError};
use crate::domain::Timestamp;

/// The most characters of a sealed text that are looked at: what a cookie or a URL can carry.
pub const SEALED_MAX: usize = 8 * 1024;

/// Why a sealed text is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It was changed, made for another purpose, or is none of ours.
    #[error("the sealed value is not ours")]
    Foreign,
    /// Its time is over.
    #[error("the sealed value has expired")]
    Expired,
}

/// Seals values into URL-safe text, and derives values by a key that no database dump has.
pub struct Sealer {
    ring: Arc<KeyRing>,
    derivation: hmac::Key,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    until: i64,
    value: T,
}

impl Sealer {
    /// Over the key ring, and the installation's derivation secret.
    pub fn new(ring: Arc<KeyRing>, derivation: &Zeroizing<[u8; 32]>) -> Self {
        Self {
            ring,
            derivation: hmac::Key::new(hmac::HMAC_SHA256, derivation.as_slice()),
        }
    }

    /// Seals `value` for `purpose` (a word of the code, such as `login`) until `until`.
    ///
    /// # Errors
    ///
    /// [`SealError`] if the library refuses or the value is not JSON.
    pub fn seal<T: Serialize>(
        &self,
        purpose: &str,
        value: &T,
        until: Timestamp,
    ) -> Result<String, SealError> {
        let envelope = Envelope {
            until: until.unix_micros(),
            value,
        };
        let json = Zeroizing::new(serde_json::to_vec(&envelope).map_err(|_| SealError::Failed)?);
        let sealed = self.ring.seal(&json, place(purpose))?;
        Ok(BASE64URL_NOPAD.encode(&sealed))
    }

    /// Opens what [`Self::seal`] made for the same purpose.
    ///
    /// # Errors
    ///
    /// [`UnsealError`]; nothing tells a changed text from one that never was ours.
    pub fn open<T: DeserializeOwned>(
        &self,
        purpose: &str,
        text: &str,
        now: Timestamp,
    ) -> Result<T, UnsealError> {
        if text.len() > SEALED_MAX {
            return Err(UnsealError::Foreign);
        }
        let sealed = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| UnsealError::Foreign)?;
        let json = self
            .ring
            .open(&sealed, place(purpose))
            .map_err(|_| UnsealError::Foreign)?;
        let envelope: Envelope<T> =
            serde_json::from_slice(&json).map_err(|_| UnsealError::Foreign)?;
        if now.unix_micros() >= envelope.until {
            return Err(UnsealError::Expired);
        }
        Ok(envelope.value)
    }

    /// A value that only this installation can compute from `parts`, the same each time: HMAC-SHA256
    /// over the label and the parts, each behind its length.
    pub fn derive(&self, label: &str, parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut context = hmac::Context::with_key(&self.derivation);
        for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut derived = Zeroizing::new([0; 32]);
        for (to, from) in derived.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        derived
    }

    /// The key ring, to be kept beside this.
    pub fn shared_ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.ring)
    }

    /// The key ring, for values that are sealed into rows.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

const fn place(purpose: &str) -> Place<'_> {
    Place {
        table: "transient",
        row: purpose,
        column: "sealed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(key: u8) -> Sealer {
        Sealer::new(Arc::new(KeyRing::new(&[key; 32])), &Zeroizing::new([7; 32]))
    }

    #[test]
    fn a_sealed_text_opens_for_its_purpose_until_its_time_and_by_its_key() {
        let (then, until) = (
            Timestamp::from_unix_seconds(10),
            Timestamp::from_unix_seconds(20),
        );
        let text = sealer(1).seal("login", &"state", until).unwrap();
        let open = |key, purpose, text: &str, now| sealer(key).open::<String>(purpose, text, now);
        assert_eq!(open(1, "login", &text, then), Ok("state".to_owned()));
        assert_eq!(open(1, "login", &text, until), Err(UnsealError::Expired));
        assert_eq!(open(1, "consent", &text, then), Err(UnsealError::Foreign));
        assert_eq!(open(2, "login", &text, then), Err(UnsealError::Foreign));
        let cut: String = text.chars().skip(4).collect();
        assert_eq!(open(1, "login", &cut, then), Err(UnsealError::Foreign));
        assert_eq!(open(1, "login", "ä", then), Err(UnsealError::Foreign));
    }

    #[test]
    fn a_derived_value_depends_on_label_and_each_part() {
        let sealer = sealer(1);
        let of = |label, parts: &[&[u8]]| *sealer.derive(label, parts);
        assert_eq!(of("a", &[b"b", b"c"]), of("a", &[b"b", b"c"]));
        assert_ne!(of("a", &[b"b", b"c"]), of("a", &[b"bc"]));
        assert_ne!(of("a", &[b"b"]), of("b", &[b"b"]));
    }
}
