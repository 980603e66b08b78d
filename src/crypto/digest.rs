//! SHA-256, and what the store keeps of bearer secrets.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

use crate::domain::{PlainToken, TokenDigest};

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// Hashes that only whoever has the key can make: HMAC-SHA-256.
pub struct KeyedHash(hmac::Key);

impl KeyedHash {
    /// Under a key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The first half of the hash of `bytes`.
    pub fn half(&self, bytes: &[u8]) -> [u8; 16] {
        let mut half = [0; 16];
        let whole = hmac::sign(&self.0, bytes);
        half.copy_from_slice(whole.as_ref().first_chunk::<16>().unwrap_or(&[0; 16]));
        half
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash(…)")
    }
}

/// The digest under which a bearer secret is kept and looked up.
pub fn token_digest(token: &PlainToken) -> TokenDigest {
    TokenDigest::from_bytes(sha256(token.expose().as_bytes()))
}

/// Whether both are the same, in a time that depends on their lengths only.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Whether `at_hash` of an ID token binds an access token (OpenID Connect Core §3.1.3.6): half of the
/// hash that the signature uses. `EdDSA` uses SHA-512, everything else that is accepted SHA-256; both
/// bind equally well.
pub fn at_hash_fits(hash: &str, access_token: &str) -> bool {
    let short = digest::digest(&digest::SHA256, access_token.as_bytes());
    let long = digest::digest(&digest::SHA512, access_token.as_bytes());
    [short.as_ref().get(..16), long.as_ref().get(..32)]
        .into_iter()
        .flatten()
        .any(|half| constant_time_eq(BASE64URL_NOPAD.encode(half).as_bytes(), hash.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_binds_one_access_token() {
        // OpenID Connect Core, appendix A.3 has this pair.
        let (token, hash) = (
            "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
            "77QmUPtjPfzWtF2AnpK9RQ",
        );
        assert!(at_hash_fits(hash, token));
        assert!(!at_hash_fits(hash, "another"));
        assert!(!at_hash_fits("", token));
    }

    #[test]
    fn sha256_agrees_with_the_published_vector() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            data_encoding::HEXLOWER.encode(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_keyed_hash_agrees_with_the_published_vector() {
        // RFC 4231, test case 2.
        let half = KeyedHash::new(b"Jefe").half(b"what do ya want for nothing?");
        assert_eq!(
            data_encoding::HEXLOWER.encode(&half),
            "5bdcc146bf60754e6a042426089575c7"
        );
    }

    #[test]
    fn a_token_is_found_by_its_digest_and_by_no_other() {
        let digest = |text: &str| token_digest(&PlainToken::presented(text.to_owned()));
        assert_eq!(digest("dwc_a"), digest("dwc_a"));
        assert_ne!(digest("dwc_a"), digest("dwc_b"));
        assert!(constant_time_eq(b"same", b"same") && !constant_time_eq(b"same", b"sama"));
    }
}
