//! Checks what others sign for us to read: clients' assertions and proofs of possession.
//!
//! Only asymmetric algorithms, and only keys that the caller brings: nothing in a token decides
//! which key it is believed by, except where RFC 9449 wants just that ([`Jws::embedded_key`]).

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest token that is looked at.
const TOKEN_MAX: usize = 8 * 1024;
/// The most keys that are tried for a token that names none.
const KEYS_MAX: usize = 8;
/// RSA moduli in bytes: shorter ones are broken, longer ones cost the verifier.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// The algorithms that are accepted, as metadata names them.
pub const CLIENT_ALGORITHMS: &[&str] = &["ES256", "RS256", "PS256", "EdDSA"];

/// Why a signed text is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three parts of base64url, no JSON, or not what was expected in it.
    #[error("it is malformed")]
    Malformed,
    /// `none`, a symmetric one, or another that is not accepted.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// No such key, or one that is not usable.
    #[error("its key is unknown or not usable")]
    Key,
    /// The signature is not that key's.
    #[error("its signature is wrong")]
    Signature,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    jwk: Option<Value>,
    #[serde(default)]
    crit: Option<Value>,
}

/// A signed text, taken apart. Nothing in it is believed before [`Self::verify`].
pub struct Jws<'t> {
    header: Header,
    algorithm: Algorithm,
    payload: Vec<u8>,
    message: &'t str,
    signature: &'t str,
}

impl<'t> Jws<'t> {
    /// Takes a compact serialization apart.
    pub fn parse(token: &'t str) -> Result<Self, JwsError> {
        if token.len() > TOKEN_MAX {
            return Err(JwsError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(JwsError::Malformed)?;
        let decode = |text: &str| {
            BASE64URL_NOPAD
                .decode(text.as_bytes())
                .map_err(|_| JwsError::Malformed)
        };
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| JwsError::Malformed)?;
        // A critical extension that is not understood must be refused (RFC 7515 §4.1.11); none is.
        if header.crit.is_some() {
            return Err(JwsError::Malformed);
        }
        let algorithm = match header.alg.as_str() {
            "ES256" => Algorithm::ES256,
            "RS256" => Algorithm::RS256,
            "PS256" => Algorithm::PS256,
            "EdDSA" => Algorithm::EdDSA,
            _ => return Err(JwsError::Algorithm),
        };
        Ok(Self {
            payload: decode(payload)?,
            header,
            algorithm,
            message,
            signature,
        })
    }

    /// The `typ` header.
    pub fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref()
    }

    /// The key in the header (RFC 7515 §4.1.3), for proofs of possession of just that key.
    pub fn embedded_key(&self) -> Result<PublicKey, JwsError> {
        let jwk = self.header.jwk.as_ref().ok_or(JwsError::Key)?;
        PublicKey::from_jwk(jwk)
    }

    /// The payload, if `key` signed it.
    pub fn verify<T: DeserializeOwned>(&self, key: &PublicKey) -> Result<T, JwsError> {
        if !key.fits(self.algorithm) {
            return Err(JwsError::Key);
        }
        let message = self.message.as_bytes();
        jsonwebtoken::crypto::verify(self.signature, message, &key.key, self.algorithm)
            .ok()
            .filter(|right| *right)
            .ok_or(JwsError::Signature)?;
        serde_json::from_slice(&self.payload).map_err(|_| JwsError::Malformed)
    }

    /// The payload, if one of `keys` signed it: the one that the header names, or any when it names
    /// none.
    pub fn verify_with<T: DeserializeOwned>(&self, keys: &[PublicKey]) -> Result<T, JwsError> {
        let named = self.header.kid.as_deref();
        let mut refused = JwsError::Key;
        let candidates = keys
            .iter()
            .filter(|key| key.fits(self.algorithm))
            .filter(|key| named.is_none_or(|kid| key.kid.as_deref() == Some(kid)))
            .take(KEYS_MAX);
        for key in candidates {
            match self.verify(key) {
                Ok(claims) => return Ok(claims),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jws({:?}, …)", self.algorithm)
    }
}

/// A public key that somebody else signs with.
#[derive(Clone)]
pub struct PublicKey {
    kid: Option<String>,
    /// The one algorithm it is for, if it says so.
    only: Option<String>,
    family: Family,
    key: DecodingKey,
    thumbprint: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    P256,
    Rsa,
    Ed25519,
}

impl PublicKey {
    /// Reads a JSON Web Key: P-256, Ed25519, or RSA of 2048 to 4096 bits.
    ///
    /// # Errors
    ///
    /// [`JwsError::Key`] for anything else, and for a private key: whoever shows one must not be
    /// believed by it.
    pub fn from_jwk(jwk: &Value) -> Result<Self, JwsError> {
        if jwk.get("d").is_some() || jwk.get("k").is_some() {
            return Err(JwsError::Key);
        }
        let only = jwk.get("alg").and_then(Value::as_str).map(str::to_owned);
        let jwk = Jwk::deserialize(jwk).map_err(|_| JwsError::Key)?;
        let family = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Family::P256
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Family::Ed25519
            }
            AlgorithmParameters::RSA(key) => {
                let modulus = BASE64URL_NOPAD
                    .decode(key.n.as_bytes())
                    .map_err(|_| JwsError::Key)?;
                if !RSA_BYTES.contains(&modulus.len()) {
                    return Err(JwsError::Key);
                }
                Family::Rsa
            }
            _ => return Err(JwsError::Key),
        };
        if !matches!(
            jwk.common.public_key_use,
            None | Some(PublicKeyUse::Signature)
        ) {
            return Err(JwsError::Key);
        }
        Ok(Self {
            key: DecodingKey::from_jwk(&jwk).map_err(|_| JwsError::Key)?,
            thumbprint: jwk
                .thumbprint(ThumbprintHash::SHA256)
                .map_err(|_| JwsError::Key)?,
            kid: jwk.common.key_id,
            only,
            family,
        })
    }

    /// The usable keys of a JSON Web Key Set; others are left out.
    ///
    /// # Errors
    ///
    /// [`JwsError::Key`] when it is no key set.
    pub fn from_set(json: &str) -> Result<Vec<Self>, JwsError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_str(json).map_err(|_| JwsError::Key)?;
        Ok(set
            .keys
            .iter()
            .filter_map(|jwk| Self::from_jwk(jwk).ok())
            .collect())
    }

    /// RFC 7638, SHA-256, base64url.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let (family, name) = match algorithm {
            Algorithm::ES256 => (Family::P256, "ES256"),
            Algorithm::RS256 => (Family::Rsa, "RS256"),
            Algorithm::PS256 => (Family::Rsa, "PS256"),
            Algorithm::EdDSA => (Family::Ed25519, "EdDSA"),
            _ => return false,
        };
        self.family == family && self.only.as_deref().is_none_or(|only| only == name)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RSA_PSS_SHA256,
    };
    use serde_json::json;

    use super::*;

    fn compact(header: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let message = format!("{}.{}", encode(header), encode(&json!({ "iss": "a" })));
        let signature = BASE64URL_NOPAD.encode(&sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn p256() -> (Value, impl Fn(&[u8]) -> Vec<u8>) {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        let jwk = json!({
            "kty": "EC", "crv": "P-256", "kid": "k",
            "x": BASE64URL_NOPAD.encode(&point[1..33]), "y": BASE64URL_NOPAD.encode(&point[33..]),
        });
        let sign = move |message: &[u8]| {
            pair.sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec()
        };
        (jwk, sign)
    }

    fn claims(token: &str, jwk: &Value) -> Result<Value, JwsError> {
        Jws::parse(token)?.verify_with(&[PublicKey::from_jwk(jwk)?])
    }

    #[test]
    fn each_accepted_algorithm_verifies() {
        let (jwk, sign) = p256();
        let token = compact(&json!({ "alg": "ES256", "kid": "k" }), &sign);
        assert_eq!(claims(&token, &jwk).unwrap()["iss"], "a");

        let pair = Ed25519KeyPair::generate().unwrap();
        let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig" });
        let token = compact(&json!({ "alg": "EdDSA" }), |m| {
            pair.sign(m).as_ref().to_vec()
        });
        assert_eq!(claims(&token, &jwk).unwrap()["iss"], "a");

        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let jwk = json!({
            "kty": "RSA",
            "n": BASE64URL_NOPAD.encode(public.modulus().big_endian_without_leading_zero()),
            "e": BASE64URL_NOPAD.encode(public.exponent().big_endian_without_leading_zero()),
        });
        for (name, padding) in [
            (
                "RS256",
                &RSA_PKCS1_SHA256 as &'static dyn aws_lc_rs::signature::RsaEncoding,
            ),
            ("PS256", &RSA_PSS_SHA256),
        ] {
            let token = compact(&json!({ "alg": name }), |message| {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                signature
            });
            assert_eq!(claims(&token, &jwk).unwrap()["iss"], "a", "{name}");
            let mut other = jwk.clone();
            other["alg"] = json!("RS512");
            assert_eq!(claims(&token, &other), Err(JwsError::Key), "{name}");
        }
    }

    #[test]
    fn nothing_but_the_right_key_and_algorithm_is_believed() {
        let (jwk, sign) = p256();
        let (other, _) = p256();
        let good = json!({ "alg": "ES256", "kid": "k" });
        assert_eq!(
            claims(&compact(&good, &sign), &other),
            Err(JwsError::Signature)
        );
        for (header, wanted) in [
            (json!({ "alg": "none" }), JwsError::Algorithm),
            (json!({ "alg": "HS256" }), JwsError::Algorithm),
            (json!({ "alg": "ES256", "kid": "other" }), JwsError::Key),
            (json!({ "alg": "RS256" }), JwsError::Key),
            (
                json!({ "alg": "ES256", "crit": ["x"] }),
                JwsError::Malformed,
            ),
            (json!({ "typ": "JWT" }), JwsError::Malformed),
        ] {
            assert_eq!(
                claims(&compact(&header, &sign), &jwk),
                Err(wanted),
                "{header}"
            );
        }
        for text in ["", "a.b", "a.b.c", "e30.e30.", &"a".repeat(9000)] {
            assert!(Jws::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn weak_private_and_foreign_keys_are_no_keys() {
        let (jwk, _) = p256();
        let changed = |name: &str, value: Value| {
            let mut jwk = jwk.clone();
            jwk[name] = value;
            PublicKey::from_jwk(&jwk)
        };
        assert!(changed("kid", json!("other")).is_ok());
        assert!(changed("d", json!("AA")).is_err());
        assert!(changed("use", json!("enc")).is_err());
        assert!(changed("crv", json!("P-384")).is_err());
        let short = json!({ "kty": "RSA", "n": BASE64URL_NOPAD.encode(&[255; 128]), "e": "AQAB" });
        assert!(PublicKey::from_jwk(&short).is_err());
        let symmetric = json!({ "kty": "oct", "k": "AAAA" });
        assert!(PublicKey::from_jwk(&symmetric).is_err());
        let set = json!({ "keys": [short, jwk, { "kty": "new" }] }).to_string();
        assert_eq!(PublicKey::from_set(&set).unwrap().len(), 1);
        assert!(PublicKey::from_set("[]").is_err());
    }

    #[test]
    fn a_thumbprint_is_the_published_one() {
        // RFC 8037, appendix A.3.
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        assert_eq!(
            PublicKey::from_jwk(&jwk).unwrap().thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
