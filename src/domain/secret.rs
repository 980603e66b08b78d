//! Secrets: values that are shown once and never stored, printed or compared in variable time.

use std::fmt;

use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

/// A value that must not leave the process by accident: no `Display`, no `Serialize`, an empty
/// `Debug`, wiped when dropped.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself. Every call is a place a reviewer looks at.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A bearer secret as its holder sees it: 256 random bits in 43 characters of base64url, after a
/// prefix that tells secret scanners and people what it is. Shown once, never stored.
#[derive(Debug, Clone)]
pub struct PlainToken(Secret<String>);

impl PlainToken {
    /// Writes `random` behind `prefix` (for example `dwc_`).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "takes the bits in: they are wiped when this returns"
    )]
    pub fn from_random(prefix: &str, random: Zeroizing<[u8; 32]>) -> Self {
        let mut text = String::with_capacity(prefix.len() + 43);
        text.push_str(prefix);
        data_encoding::BASE64URL_NOPAD.encode_append(random.as_slice(), &mut text);
        Self(Secret::new(text))
    }

    /// The same, with the id of what it belongs to before the random bits: so that it is found by an
    /// id that was minted lately, also when no row has its digest any more.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "takes the bits in: they are wiped when this returns"
    )]
    pub fn from_random_of(prefix: &str, owner: Uuid, random: Zeroizing<[u8; 32]>) -> Self {
        let mut bytes = Zeroizing::new([0; 48]);
        let (id, secret) = bytes.split_at_mut(16);
        id.copy_from_slice(owner.as_bytes());
        secret.copy_from_slice(random.as_slice());
        let mut text = String::with_capacity(prefix.len() + 64);
        text.push_str(prefix);
        data_encoding::BASE64URL_NOPAD.encode_append(bytes.as_slice(), &mut text);
        Self(Secret::new(text))
    }

    /// What a token of [`Self::from_random_of`] says it belongs to. Anybody can write that: it counts
    /// only where the digest is known, too.
    pub fn owner(&self, prefix: &str) -> Option<Uuid> {
        let text = self.expose().strip_prefix(prefix)?;
        let bytes = data_encoding::BASE64URL_NOPAD
            .decode(text.as_bytes())
            .ok()
            .filter(|bytes| bytes.len() == 48)
            .map(Zeroizing::new)?;
        bytes.first_chunk().copied().map(Uuid::from_bytes)
    }

    /// Takes in what a caller presented. Nothing is checked: only its digest is ever looked up.
    pub fn presented(text: String) -> Self {
        Self(Secret::new(text))
    }

    /// The text, to show it to its holder this once.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// What the store keeps of a [`PlainToken`]: its SHA-256. Enough to find the row, not enough to
/// call an API. 256 random bits need no salt and no slow hash.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// From the 32 bytes of a SHA-256.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Lower-case hex: the text form of `token_hash` columns.
    pub fn to_hex(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }

    /// The inverse of [`Self::to_hex`]; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenDigest {}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let token = PlainToken::from_random("dwc_", Zeroizing::new([0xAB; 32]));
        assert_eq!(token.expose().len(), 47);
        assert!(!format!("{token:?}").contains("q6u"));
        assert!(!format!("{:?}", TokenDigest::from_bytes([0xAB; 32])).contains("ab"));
    }

    #[test]
    fn a_digest_round_trips_through_hex() {
        let digest = TokenDigest::from_bytes([0x1F; 32]);
        assert_eq!(TokenDigest::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(TokenDigest::from_hex("1f"), None);
    }
}
