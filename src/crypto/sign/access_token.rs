//! ES256 over access tokens (RFC 9068).

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use zeroize::Zeroizing;

use crate::domain::Timestamp;
use crate::protocol::jose::{ACCESS_TOKEN_TYPE, AccessTokenClaims, Jwk, JwkSet};

use super::{JwtAlgorithm, JwtSigner, KeyError};

/// How far the clocks of issuer and verifier may differ before a token counts as expired.
pub const LEEWAY: Duration = Duration::from_secs(5);

/// Signs access tokens with one P-256 key.
pub struct AccessTokenSigner {
    pub(super) signer: JwtSigner,
    header: String,
}

impl AccessTokenSigner {
    /// A new key from the machine's randomness.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`] if the library has none.
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_signer(JwtSigner::generate(JwtAlgorithm::Es256)?)
    }

    /// Reads what [`Self::to_pkcs8`] wrote.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] for anything else.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Self::from_signer(JwtSigner::from_pkcs8(JwtAlgorithm::Es256, der)?)
    }

    /// Over a P-256 key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Private`] if it is of another kind.
    pub fn from_signer(signer: JwtSigner) -> Result<Self, KeyError> {
        if signer.algorithm() != JwtAlgorithm::Es256 {
            return Err(KeyError::Private);
        }
        let header = signer.header(ACCESS_TOKEN_TYPE);
        Ok(Self { signer, header })
    }

    /// The private key as PKCS#8, to be sealed and stored.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`] if the library refuses.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.signer.to_pkcs8()
    }

    /// The public half; its `kid` is the RFC 7638 thumbprint.
    pub const fn jwk(&self) -> &Jwk {
        self.signer.jwk()
    }

    /// Writes and signs a token.
    ///
    /// # Errors
    ///
    /// [`KeyError::Failed`] if the library refuses.
    pub fn sign(&self, claims: &AccessTokenClaims) -> Result<String, KeyError> {
        self.signer.sign_under(&self.header, claims)
    }
}

impl fmt::Debug for AccessTokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessTokenSigner({})", self.jwk().kid)
    }
}

/// Why a token is not accepted. For the log and for counters: whoever presented it learns only
/// `invalid_token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts of base64url JSON with the claims of an access token.
    #[error("the token is malformed")]
    Malformed,
    /// The `typ` header is not `at+jwt`: an ID token, for example.
    #[error("the token is not an access token")]
    WrongType,
    /// Signed with something else than ES256, or not signed.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// The `kid` names no key of this issuer.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature is not that key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// Issued by somebody else.
    #[error("the token is another issuer's")]
    Issuer,
    /// Meant for somebody else.
    #[error("the token is meant for another audience")]
    Audience,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` lies ahead.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// What a verifier wants a token to say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `iss`, compared whole.
    pub issuer: &'a str,
    /// One of `aud`.
    pub audience: &'a str,
    /// The present, by the wall clock.
    pub now: Timestamp,
}

/// Checks access tokens against a set of public keys.
#[derive(Clone)]
pub struct AccessTokenVerifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
}

impl AccessTokenVerifier {
    /// Takes the P-256 keys of `set`; other kinds are left out.
    ///
    /// # Errors
    ///
    /// [`KeyError::Public`] if a P-256 key is damaged.
    pub fn new(set: &JwkSet) -> Result<Self, KeyError> {
        let mut keys = HashMap::new();
        for jwk in set
            .keys
            .iter()
            .filter(|jwk| jwk.crv.as_deref() == Some("P-256"))
        {
            let x = jwk.x.as_deref().ok_or(KeyError::Public)?;
            let y = jwk.y.as_deref().ok_or(KeyError::Public)?;
            let key = DecodingKey::from_ec_components(x, y).map_err(|_| KeyError::Public)?;
            keys.insert(jwk.kid.clone(), key);
        }
        // Time and names are compared below, against the caller's clock.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self { keys, validation })
    }

    /// Whether a key of this name is known: an unknown one is the moment to load keys again.
    pub fn knows(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// Checks everything that the token itself can tell: form, type, algorithm, key, signature,
    /// issuer, audience and time. Revocation is the caller's: epochs, sessions, grants.
    ///
    /// # Errors
    ///
    /// The first reason to refuse.
    pub fn verify(
        &self,
        token: &str,
        expected: Expected<'_>,
    ) -> Result<AccessTokenClaims, TokenError> {
        let claims = self.signed(token)?;
        check_claims(&claims, expected)?;
        Ok(claims)
    }

    /// Checks form, type, algorithm, key and signature, and nothing of what the token says: for
    /// whoever remembers tokens and checks the rest each time anew.
    ///
    /// # Errors
    ///
    /// The first reason to refuse.
    pub fn signed(&self, token: &str) -> Result<AccessTokenClaims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| header_error(&error))?;
        // A critical extension that is not understood must be refused (RFC 7515 §4.1.11); none is.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        if !header.typ.as_deref().is_some_and(is_access_token_type) {
            return Err(TokenError::WrongType);
        }
        if header.alg != Algorithm::ES256 {
            return Err(TokenError::Algorithm);
        }
        let kid = header.kid.as_deref().ok_or(TokenError::UnknownKey)?;
        let key = self.keys.get(kid).ok_or(TokenError::UnknownKey)?;
        jsonwebtoken::decode::<AccessTokenClaims>(token, key, &self.validation)
            .map(|decoded| decoded.claims)
            .map_err(|error| decode_error(&error))
    }
}

impl fmt::Debug for AccessTokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccessTokenVerifier")
            .field(&self.keys.keys())
            .finish()
    }
}

/// RFC 9068 §4: with or without the `application/` prefix, in any case.
fn is_access_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE) || typ.eq_ignore_ascii_case("application/at+jwt")
}

pub(super) fn header_error(error: &jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        // `"alg":"none"` and other names the library has never heard of.
        ErrorKind::Json(error) if error.to_string().contains("unknown variant") => {
            TokenError::Algorithm
        }
        _ => TokenError::Malformed,
    }
}

pub(super) fn decode_error(error: &jsonwebtoken::errors::Error) -> TokenError {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        _ => TokenError::Malformed,
    }
}

/// Checks what a token says: issuer, audience and time. Not whether it says so:
/// [`AccessTokenVerifier::signed`].
///
/// # Errors
///
/// The first reason to refuse.
pub fn check_claims(claims: &AccessTokenClaims, expected: Expected<'_>) -> Result<(), TokenError> {
    if claims.iss != expected.issuer {
        return Err(TokenError::Issuer);
    }
    if !claims.aud.names(expected.audience) {
        return Err(TokenError::Audience);
    }
    if claims.expires_at().plus(LEEWAY) <= expected.now {
        return Err(TokenError::Expired);
    }
    let latest_start = expected.now.plus(LEEWAY);
    let starts = claims.nbf.unwrap_or(claims.iat).max(claims.iat);
    if Timestamp::from_unix_seconds(starts) > latest_start {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}
