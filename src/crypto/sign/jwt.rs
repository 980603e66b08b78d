//! RS256 and ES256 over any claims: ID tokens and logout tokens.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::domain::app::IdTokenAlg;
use crate::protocol::jose::{Jwk, JwkSet};

use super::super::digest::sha256;
use super::access_token::{decode_error, header_error};
use super::{KeyError, TokenError};

/// The algorithms that Doorward signs tokens with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JwtAlgorithm {
    /// RSASSA-PKCS1-v1_5 over SHA-256: what every OpenID Connect library can verify.
    Rs256,
    /// ECDSA over P-256 and SHA-256: small and cheap to sign.
    Es256,
}

impl JwtAlgorithm {
    /// The name in headers and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Rs256, Self::Es256]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
    }
}

impl From<IdTokenAlg> for JwtAlgorithm {
    fn from(algorithm: IdTokenAlg) -> Self {
        match algorithm {
            IdTokenAlg::RS256 => Self::Rs256,
            IdTokenAlg::ES256 => Self::Es256,
        }
    }
}

/// Signs tokens with one key.
pub struct JwtSigner {
    key: PrivateKey,
    jwk: Jwk,
}

enum PrivateKey {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
}

impl JwtSigner {
    /// A new key from the machine's randomness; RSA has 2048 bits.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`] if the library refuses.
    pub fn generate(algorithm: JwtAlgorithm) -> Result<Self, KeyError> {
        let key = match algorithm {
            JwtAlgorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Failed)?;
                PrivateKey::Rsa(Box::new(pair))
            }
            JwtAlgorithm::Es256 => PrivateKey::Ec(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                    .map_err(|_| KeyError::Failed)?,
            ),
        };
        Self::new(key)
    }

    /// Reads what [`Self::to_pkcs8`] wrote for a key of the same algorithm.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] for anything else.
    pub fn from_pkcs8(algorithm: JwtAlgorithm, der: &[u8]) -> Result<Self, KeyError> {
        let key = match algorithm {
            JwtAlgorithm::Rs256 => PrivateKey::Rsa(Box::new(
                RsaKeyPair::from_pkcs8(der).map_err(|_| KeyError::Private)?,
            )),
            JwtAlgorithm::Es256 => PrivateKey::Ec(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                    .map_err(|_| KeyError::Private)?,
            ),
        };
        Self::new(key)
    }

    fn new(key: PrivateKey) -> Result<Self, KeyError> {
        let jwk = match &key {
            PrivateKey::Rsa(pair) => rsa_jwk(pair.public_key().as_ref())?,
            PrivateKey::Ec(pair) => p256_jwk(pair.public_key().as_ref())?,
        };
        Ok(Self { key, jwk })
    }

    /// The private key as PKCS#8, to be sealed and stored.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`] if the library refuses.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let der = match &self.key {
            PrivateKey::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair)
                .map(|der| der.as_ref().to_vec())
                .map_err(|_| KeyError::Failed)?,
            PrivateKey::Ec(pair) => pair
                .to_pkcs8v1()
                .map(|der| der.as_ref().to_vec())
                .map_err(|_| KeyError::Failed)?,
        };
        Ok(Zeroizing::new(der))
    }

    /// The public half; its `kid` is the RFC 7638 thumbprint.
    pub const fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// What it signs with.
    pub const fn algorithm(&self) -> JwtAlgorithm {
        match self.key {
            PrivateKey::Rsa(_) => JwtAlgorithm::Rs256,
            PrivateKey::Ec(_) => JwtAlgorithm::Es256,
        }
    }

    /// The first part of this key's tokens of the type `typ`, a word of the code.
    pub(super) fn header(&self, typ: &str) -> String {
        let header = format!(
            r#"{{"typ":"{typ}","alg":"{}","kid":"{}"}}"#,
            self.algorithm().as_str(),
            self.jwk.kid
        );
        BASE64URL_NOPAD.encode(header.as_bytes())
    }

    /// Writes and signs a token of the type `typ`, a word of the code: `JWT`, `logout+jwt`.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`] if the claims are not JSON or the library refuses.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        self.sign_under(&self.header(typ), claims)
    }

    /// Like [`Self::sign`], under a header that was encoded before.
    pub(super) fn sign_under(
        &self,
        header: &str,
        claims: &impl Serialize,
    ) -> Result<String, KeyError> {
        let json = serde_json::to_vec(claims).map_err(|_| KeyError::Failed)?;
        let mut token = String::with_capacity(header.len() + json.len() * 4 / 3 + 360);
        token.push_str(header);
        token.push('.');
        BASE64URL_NOPAD.encode_append(&json, &mut token);
        let signature = self.sign_bytes(token.as_bytes())?;
        token.push('.');
        BASE64URL_NOPAD.encode_append(&signature, &mut token);
        Ok(token)
    }

    /// Signs bytes as they are.
    pub(super) fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &self.key {
            PrivateKey::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| KeyError::Failed)?;
                Ok(signature)
            }
            PrivateKey::Ec(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| KeyError::Failed),
        }
    }
}

impl fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtSigner({})", self.jwk)
    }
}

/// From an uncompressed point (SEC 1 §2.3.3): 0x04, then both coordinates of 32 bytes.
fn p256_jwk(point: &[u8]) -> Result<Jwk, KeyError> {
    let [0x04, coordinates @ ..] = point else {
        return Err(KeyError::Private);
    };
    let (x, y) = coordinates.split_at_checked(32).ok_or(KeyError::Private)?;
    let (x, y) = (BASE64URL_NOPAD.encode(x), BASE64URL_NOPAD.encode(y));
    // RFC 7638 §3.2: the required members in order, without white space.
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Ok(Jwk {
        crv: Some("P-256".to_owned()),
        x: Some(x),
        y: Some(y),
        ..Jwk::signing("EC", "ES256", thumbprint(&canonical))
    })
}

/// From an `RSAPublicKey` (RFC 8017, appendix A.1.1): a sequence of modulus and exponent.
fn rsa_jwk(der: &[u8]) -> Result<Jwk, KeyError> {
    let (sequence, _) = der_value(der, 0x30).ok_or(KeyError::Private)?;
    let (n, rest) = der_value(sequence, 0x02).ok_or(KeyError::Private)?;
    let (e, _) = der_value(rest, 0x02).ok_or(KeyError::Private)?;
    let (n, e) = (unsigned(n), unsigned(e));
    let canonical = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    Ok(Jwk {
        n: Some(n),
        e: Some(e),
        ..Jwk::signing("RSA", "RS256", thumbprint(&canonical))
    })
}

fn thumbprint(canonical: &str) -> String {
    BASE64URL_NOPAD.encode(&sha256(canonical.as_bytes()))
}

/// A DER integer that is not negative, as a JWK writes it: without leading zeros.
fn unsigned(mut bytes: &[u8]) -> String {
    while let [0, rest @ ..] = bytes
        && !rest.is_empty()
    {
        bytes = rest;
    }
    BASE64URL_NOPAD.encode(bytes)
}

/// The content of the value of type `tag` at the beginning, and what follows it.
fn der_value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [found, first, rest @ ..] = bytes else {
        return None;
    };
    if *found != tag {
        return None;
    }
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = (length.len() <= 4).then(|| {
            length
                .iter()
                .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
        })?;
        (length, rest)
    };
    rest.split_at_checked(length)
}

/// Checks type, algorithm, key and signature of tokens that [`JwtSigner`] made. Claims are the
/// caller's to judge.
#[derive(Clone)]
pub struct JwtVerifier {
    keys: HashMap<String, (Algorithm, DecodingKey)>,
}

impl JwtVerifier {
    /// Takes the RSA and P-256 keys of `set`; other kinds are left out.
    ///
    /// # Errors
    ///
    /// [`KeyError::Public`] if one of them is damaged.
    pub fn new(set: &JwkSet) -> Result<Self, KeyError> {
        let mut keys = HashMap::new();
        for jwk in &set.keys {
            if let Some(key) = decoding_key(jwk)? {
                keys.insert(jwk.kid.clone(), key);
            }
        }
        Ok(Self { keys })
    }

    /// The claims of a token of the type `typ`, whatever its age.
    ///
    /// # Errors
    ///
    /// The first reason to refuse.
    pub fn verify<T: DeserializeOwned + Clone>(
        &self,
        token: &str,
        typ: &str,
    ) -> Result<T, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| header_error(&error))?;
        // A critical extension that is not understood must be refused (RFC 7515 §4.1.11); none is.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        if !header
            .typ
            .as_deref()
            .is_some_and(|found| found.eq_ignore_ascii_case(typ))
        {
            return Err(TokenError::WrongType);
        }
        let kid = header.kid.as_deref().ok_or(TokenError::UnknownKey)?;
        let (algorithm, key) = self.keys.get(kid).ok_or(TokenError::UnknownKey)?;
        if header.alg != *algorithm {
            return Err(TokenError::Algorithm);
        }
        let mut validation = Validation::new(*algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(jsonwebtoken::decode::<T>(token, key, &validation)
            .map_err(|error| decode_error(&error))?
            .claims)
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JwtVerifier")
            .field(&self.keys.keys())
            .finish()
    }
}

fn decoding_key(jwk: &Jwk) -> Result<Option<(Algorithm, DecodingKey)>, KeyError> {
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let n = jwk.n.as_deref().ok_or(KeyError::Public)?;
            let e = jwk.e.as_deref().ok_or(KeyError::Public)?;
            (Algorithm::RS256, DecodingKey::from_rsa_components(n, e))
        }
        ("EC", Some("P-256")) => {
            let x = jwk.x.as_deref().ok_or(KeyError::Public)?;
            let y = jwk.y.as_deref().ok_or(KeyError::Public)?;
            (Algorithm::ES256, DecodingKey::from_ec_components(x, y))
        }
        _ => return Ok(None),
    };
    Ok(Some((key.0, key.1.map_err(|_| KeyError::Public)?)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verifier(signer: &JwtSigner) -> JwtVerifier {
        let keys = vec![signer.jwk().clone()];
        JwtVerifier::new(&JwkSet { keys }).unwrap()
    }

    #[test]
    fn a_token_of_either_algorithm_is_read_back_by_its_public_key_only() {
        for algorithm in [JwtAlgorithm::Rs256, JwtAlgorithm::Es256] {
            let signer = JwtSigner::generate(algorithm).unwrap();
            let claims = json!({ "sub": "ada", "exp": 1 });
            let token = signer.sign("JWT", &claims).unwrap();
            assert_eq!(verifier(&signer).verify(&token, "JWT"), Ok(claims));
            let header = jsonwebtoken::decode_header(&token).unwrap();
            assert_eq!(header.kid.as_ref(), Some(&signer.jwk().kid));
            assert_eq!(format!("{:?}", header.alg), algorithm.as_str());

            let refused = |verifier: &JwtVerifier, token: &str, typ| {
                verifier.verify::<Value>(token, typ).unwrap_err()
            };
            assert_eq!(
                refused(&verifier(&signer), &token, "logout+jwt"),
                TokenError::WrongType
            );
            let other = JwtSigner::generate(JwtAlgorithm::Es256).unwrap();
            assert_eq!(
                refused(&verifier(&other), &token, "JWT"),
                TokenError::UnknownKey
            );
            let mut forged = token.into_bytes();
            let middle = forged.len() / 2;
            forged[middle] ^= 1;
            let forged = String::from_utf8(forged).unwrap();
            verifier(&signer)
                .verify::<Value>(&forged, "JWT")
                .unwrap_err();
        }
    }

    #[test]
    fn a_stored_key_signs_under_the_same_name() {
        for algorithm in [JwtAlgorithm::Rs256, JwtAlgorithm::Es256] {
            let signer = JwtSigner::generate(algorithm).unwrap();
            let der = signer.to_pkcs8().unwrap();
            let stored = JwtSigner::from_pkcs8(algorithm, &der).unwrap();
            assert_eq!(stored.jwk(), signer.jwk());
            assert_eq!(stored.algorithm(), algorithm);
            assert!(JwtSigner::from_pkcs8(algorithm, b"no key").is_err());
            assert!(!format!("{signer:?}").contains(&BASE64URL_NOPAD.encode(&der)));
        }
    }

    #[test]
    fn an_rsa_key_has_2048_bits_and_is_named_by_its_thumbprint() {
        let signer = JwtSigner::generate(JwtAlgorithm::Rs256).unwrap();
        let jwk = signer.jwk();
        let n = BASE64URL_NOPAD
            .decode(jwk.n.as_ref().unwrap().as_bytes())
            .unwrap();
        assert_eq!(n.len(), 256);
        assert!(n[0] >= 0x80);
        assert_eq!(jwk.e.as_deref(), Some("AQAB"));
        // RFC 7638 §3.1.
        let example = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR\
            1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65Y\
            GjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFT\
            WhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let n = BASE64URL_NOPAD.decode(example.as_bytes()).unwrap();
        let mut der = vec![0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
        der.extend_from_slice(&n);
        der.extend_from_slice(&[0x02, 0x03, 1, 0, 1]);
        let jwk = rsa_jwk(&der).unwrap();
        assert_eq!(jwk.kid, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        for length in 0..der.len() {
            assert!(rsa_jwk(&der[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_header_that_names_another_algorithm_than_its_key_is_refused() {
        let signer = JwtSigner::generate(JwtAlgorithm::Rs256).unwrap();
        for algorithm in ["ES256", "HS256", "none", "PS256"] {
            let header = format!(
                r#"{{"typ":"JWT","alg":"{algorithm}","kid":"{}"}}"#,
                signer.jwk().kid
            );
            let header = BASE64URL_NOPAD.encode(header.as_bytes());
            let token = signer.sign_under(&header, &json!({})).unwrap();
            assert_eq!(
                verifier(&signer).verify::<Value>(&token, "JWT"),
                Err(TokenError::Algorithm),
                "{algorithm}"
            );
        }
    }
}
