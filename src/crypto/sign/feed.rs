//! Ed25519 over feed heads.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use crate::protocol::jose::Jwk;

use super::super::digest::sha256;
use super::KeyError;

/// The authority's feed key: signs heads of the change feed.
pub struct FeedSigner {
    pair: Ed25519KeyPair,
}

impl FeedSigner {
    /// A new key from the machine's randomness.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`] if the library has none.
    pub fn generate() -> Result<Self, KeyError> {
        Ed25519KeyPair::generate()
            .map(|pair| Self { pair })
            .map_err(|_| KeyError::Failed)
    }

    /// The key that `seed` stands for: the same seed gives the same key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] if the library refuses it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(|pair| Self { pair })
            .map_err(|_| KeyError::Private)
    }

    /// Reads what [`Self::to_pkcs8`] wrote.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] for anything else.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_pkcs8(der)
            .map(|pair| Self { pair })
            .map_err(|_| KeyError::Private)
    }

    /// The private key as PKCS#8, to be sealed and stored.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`] if the library refuses.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.pair
            .to_pkcs8()
            .map(|der| Zeroizing::new(der.as_ref().to_vec()))
            .map_err(|_| KeyError::Failed)
    }

    /// Signs `message`. Callers separate domains: the first bytes say what is signed.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.pair.sign(message).as_ref());
        out
    }

    /// The public half.
    pub fn public(&self) -> FeedPublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        FeedPublicKey(bytes)
    }
}

impl fmt::Debug for FeedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedSigner({})", self.public())
    }
}

/// The public half of a feed key: what a sidecar pins when it is enrolled.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeedPublicKey([u8; 32]);

impl FeedPublicKey {
    /// From the 32 bytes of the key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .is_ok()
    }

    /// The key's name: the RFC 7638 thumbprint.
    pub fn key_id(&self) -> String {
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{self}"}}"#);
        BASE64URL_NOPAD.encode(&sha256(canonical.as_bytes()))
    }

    /// As a JSON Web Key.
    pub fn jwk(&self) -> Jwk {
        Jwk {
            crv: Some("Ed25519".to_owned()),
            x: Some(self.to_string()),
            ..Jwk::signing("OKP", "EdDSA", self.key_id())
        }
    }
}

/// The text form: 43 characters of base64url.
impl fmt::Display for FeedPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for FeedPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedPublicKey({self})")
    }
}

impl std::str::FromStr for FeedPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| KeyError::Public)?;
        bytes.try_into().map(Self).map_err(|_| KeyError::Public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_signature_holds_for_its_key_and_its_message_only() {
        let signer = FeedSigner::from_seed(&[7; 32]).unwrap();
        let mut signature = signer.sign(b"head");
        assert!(signer.public().verify(b"head", &signature));
        assert!(!signer.public().verify(b"heads", &signature));
        assert!(
            !FeedSigner::generate()
                .unwrap()
                .public()
                .verify(b"head", &signature)
        );
        signature[0] ^= 1;
        assert!(!signer.public().verify(b"head", &signature));
    }

    #[test]
    fn a_feed_key_survives_its_text_and_stored_forms() {
        let signer = FeedSigner::generate().unwrap();
        let public = signer.public();
        assert_eq!(public.to_string().len(), 43);
        assert_eq!(public.to_string().parse(), Ok(public));
        assert_eq!("AAAA".parse::<FeedPublicKey>(), Err(KeyError::Public));
        let stored = FeedSigner::from_pkcs8(&signer.to_pkcs8().unwrap()).unwrap();
        assert_eq!(stored.public(), public);
        assert!(FeedSigner::from_pkcs8(b"no key").is_err());
        assert!(
            !format!("{signer:?}").contains(&BASE64URL_NOPAD.encode(&signer.to_pkcs8().unwrap()))
        );
    }

    #[test]
    fn a_feed_key_is_named_by_the_thumbprint_of_rfc_8037() {
        // RFC 8037, appendix A.3.
        let key: FeedPublicKey = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
            .parse()
            .unwrap();
        assert_eq!(key.key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
