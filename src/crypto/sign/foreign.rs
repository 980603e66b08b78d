//! Signatures of others: tokens of upstream identity providers.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::access_token::{decode_error, header_error};
use super::{KeyError, TokenError};

/// The most keys of a set that are looked at.
const KEYS_MAX: usize = 64;
/// The fewest characters of a base64url RSA modulus: 2048 bits.
const MODULUS_MIN: usize = 342;
/// The longest token that is looked at.
const TOKEN_MAX: usize = 64 * 1024;

/// Another issuer's public keys, as far as they can verify RS256, PS256, ES256 or `EdDSA`.
#[derive(Clone)]
pub struct ForeignKeys(Vec<ForeignKey>);

#[derive(Clone)]
struct ForeignKey {
    kid: Option<String>,
    algorithms: &'static [Algorithm],
    key: DecodingKey,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

impl ForeignKeys {
    /// Reads a JWK set. Keys of other kinds, for other uses, too small or too many are left out:
    /// what remains is what this program can use.
    ///
    /// # Errors
    ///
    /// [`KeyError::Public`] when it is no JWK set.
    pub fn parse(json: &[u8]) -> Result<Self, KeyError> {
        let set: KeySet = serde_json::from_slice(json).map_err(|_| KeyError::Public)?;
        Ok(Self(
            set.keys
                .into_iter()
                .take(KEYS_MAX)
                .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
                .filter_map(|key| usable(&key))
                .collect(),
        ))
    }

    /// Checks form, `typ`, algorithm, key and signature; claims mean nothing before that. `types`
    /// are the values of `typ` that fit; a token without one fits too.
    ///
    /// # Errors
    ///
    /// The first reason to refuse. [`TokenError::UnknownKey`] is the moment to fetch the keys again.
    pub fn verify<T: DeserializeOwned>(
        &self,
        token: &str,
        types: &[&str],
    ) -> Result<T, TokenError> {
        if token.len() > TOKEN_MAX {
            return Err(TokenError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| header_error(&error))?;
        // A critical extension that is not understood must be refused (RFC 7515 §4.1.11); none is.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        if let Some(typ) = &header.typ
            && !types.iter().any(|fit| typ.eq_ignore_ascii_case(fit))
        {
            return Err(TokenError::WrongType);
        }
        if !matches!(
            header.alg,
            Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 | Algorithm::EdDSA
        ) {
            return Err(TokenError::Algorithm);
        }
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&header.alg)
                && header
                    .kid
                    .as_ref()
                    .is_none_or(|kid| key.kid.as_ref() == Some(kid))
        });
        let key = fitting.next().ok_or(TokenError::UnknownKey)?;
        // A token that names no key is only believed when there is one that it can mean.
        if header.kid.is_none() && fitting.next().is_some() {
            return Err(TokenError::UnknownKey);
        }
        let mut validation = Validation::new(header.alg);
        // Time and names are compared by the caller, against its own clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, &key.key, &validation)
            .map(|decoded| decoded.claims)
            .map_err(|error| decode_error(&error))
    }
}

impl fmt::Debug for ForeignKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| &key.kid))
            .finish()
    }
}

fn usable(jwk: &Jwk) -> Option<ForeignKey> {
    if !matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return None;
    }
    let declared = jwk.common.key_algorithm;
    let algorithms: &'static [Algorithm] = match (&jwk.algorithm, declared) {
        (AlgorithmParameters::RSA(key), _) if key.n.trim_start_matches('A').len() < MODULUS_MIN => {
            return None;
        }
        (AlgorithmParameters::RSA(_), None) => &[Algorithm::RS256, Algorithm::PS256],
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS256)) => &[Algorithm::RS256],
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS256)) => &[Algorithm::PS256],
        (AlgorithmParameters::EllipticCurve(key), None | Some(KeyAlgorithm::ES256))
            if key.curve == EllipticCurve::P256 =>
        {
            &[Algorithm::ES256]
        }
        // `Ed25519` is the newer name (RFC 9864); the library reads it as one it does not know.
        (
            AlgorithmParameters::OctetKeyPair(key),
            None | Some(KeyAlgorithm::EdDSA | KeyAlgorithm::UNKNOWN_ALGORITHM),
        ) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => return None,
    };
    Some(ForeignKey {
        kid: jwk.common.key_id.clone(),
        algorithms,
        key: DecodingKey::from_jwk(jwk).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{JwtAlgorithm, JwtSigner};
    use super::*;

    fn keys(of: &[&JwtSigner]) -> Vec<Value> {
        of.iter()
            .map(|signer| serde_json::to_value(signer.jwk()).unwrap())
            .collect()
    }

    fn set(keys: &[Value]) -> ForeignKeys {
        ForeignKeys::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_token_of_a_known_key_is_believed_and_of_another_is_not() {
        for algorithm in [JwtAlgorithm::Rs256, JwtAlgorithm::Es256] {
            let ours = JwtSigner::generate(algorithm).unwrap();
            let other = JwtSigner::generate(algorithm).unwrap();
            let token = ours.sign("JWT", &json!({"sub": "a"})).unwrap();
            let verify = |of: &[&JwtSigner], types| set(&keys(of)).verify::<Value>(&token, types);
            assert_eq!(verify(&[&other, &ours], &["JWT"]).unwrap()["sub"], "a");
            assert_eq!(verify(&[&other], &["JWT"]), Err(TokenError::UnknownKey));
            assert_eq!(
                verify(&[&ours], &["logout+jwt"]),
                Err(TokenError::WrongType)
            );
            let mut stolen_name = keys(&[&other]);
            stolen_name[0]["kid"] = json!(ours.jwk().kid);
            assert_eq!(
                set(&stolen_name).verify::<Value>(&token, &["JWT"]),
                Err(TokenError::Signature)
            );
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_left_out_and_do_not_hide_the_others() {
        let signer = JwtSigner::generate(JwtAlgorithm::Es256).unwrap();
        let good = keys(&[&signer]).remove(0);
        let with = |name: &str, value: Value| {
            let mut key = good.clone();
            key[name] = value;
            key
        };
        let bad = [
            json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s"}),
            json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "small"}),
            json!({"kty": "what"}),
            json!(7),
            with("use", json!("enc")),
            with("alg", json!("ES384")),
        ];
        assert_eq!(set(&bad).0.len(), 0);
        let mut all = bad.to_vec();
        all.push(good.clone());
        assert_eq!(set(&all).0.len(), 1);
        assert!(ForeignKeys::parse(b"{}").is_err());
        assert_eq!(set(&vec![good; 100]).0.len(), KEYS_MAX);
    }

    #[test]
    fn a_token_without_a_signature_or_with_a_shared_secret_is_refused() {
        let signer = JwtSigner::generate(JwtAlgorithm::Rs256).unwrap();
        let keys = set(&keys(&[&signer]));
        let encode =
            |value: Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        for alg in ["none", "HS256", "RS512"] {
            let header = encode(json!({"alg": alg, "kid": signer.jwk().kid}));
            let token = format!("{header}.{}.AAAA", encode(json!({"sub": "a"})));
            assert_eq!(
                keys.verify::<Value>(&token, &["JWT"]),
                Err(TokenError::Algorithm),
                "{alg}"
            );
        }
    }
}
