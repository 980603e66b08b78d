//! SHA-256, and what the store keeps of bearer secrets.

use aws_lc_rs::digest;
use subtle::ConstantTimeEq;

use crate::domain::{PlainToken, TokenDigest};

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// The digest under which a bearer secret is kept and looked up.
pub fn token_digest(token: &PlainToken) -> TokenDigest {
    TokenDigest::from_bytes(sha256(token.expose().as_bytes()))
}

/// Whether both are the same, in a time that depends on their lengths only.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_agrees_with_the_published_vector() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            data_encoding::HEXLOWER.encode(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
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
