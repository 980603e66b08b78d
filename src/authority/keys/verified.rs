//! Access tokens whose signature was found right, by hash: a resource server asks about the same
//! token again and again, and the signature is what costs most. Whatever else can change about a
//! token is looked at each time.

use std::fmt;

use moka::sync::Cache;

use crate::crypto::digest::sha256;
use crate::crypto::sign::{AccessTokenVerifier, Expected, TokenError, check_claims};
use crate::domain::Timestamp;
use crate::protocol::jose::AccessTokenClaims;

/// The most tokens that are remembered. About 1 KiB each.
const REMEMBERED: u64 = 4096;

/// A verifier that remembers. It belongs to one set of keys and goes with it, so that a key that is
/// taken away takes its tokens along.
pub(super) struct RememberingVerifier {
    verifier: AccessTokenVerifier,
    right: Cache<[u8; 32], AccessTokenClaims>,
}

impl RememberingVerifier {
    pub(super) fn new(verifier: AccessTokenVerifier) -> Self {
        Self {
            verifier,
            right: Cache::new(REMEMBERED),
        }
    }

    /// [`AccessTokenVerifier::verify`].
    pub(super) fn verify(
        &self,
        token: &str,
        expected: Expected<'_>,
    ) -> Result<AccessTokenClaims, TokenError> {
        let claims = self.signed(token)?;
        check_claims(&claims, expected)?;
        Ok(claims)
    }

    /// The same for a token whose audience does not matter.
    pub(super) fn verify_for_any(
        &self,
        token: &str,
        issuer: &str,
        now: Timestamp,
    ) -> Result<AccessTokenClaims, TokenError> {
        let claims = self.signed(token)?;
        let expected = Expected {
            issuer,
            audience: claims.aud.first().ok_or(TokenError::Audience)?,
            now,
        };
        check_claims(&claims, expected)?;
        Ok(claims)
    }

    fn signed(&self, token: &str) -> Result<AccessTokenClaims, TokenError> {
        let hash = sha256(token.as_bytes());
        if let Some(claims) = self.right.get(&hash) {
            return Ok(claims);
        }
        // Only what this authority signed gets in: nobody else can push others out.
        let claims = self.verifier.signed(token)?;
        self.right.insert(hash, claims.clone());
        Ok(claims)
    }
}

impl fmt::Debug for RememberingVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RememberingVerifier")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign::AccessTokenSigner;
    use crate::protocol::jose::{Audience, JwkSet};

    const ISSUER: &str = "https://id.example";

    fn claims() -> AccessTokenClaims {
        AccessTokenClaims {
            iss: ISSUER.to_owned(),
            sub: "reporting".to_owned(),
            aud: Audience::One("https://api.example".to_owned()),
            exp: 1_600,
            iat: 1_000,
            nbf: None,
            jti: "1".to_owned(),
            client_id: "reporting".parse().unwrap(),
            scope: String::new(),
            dw_epoch: 0,
            dw_client_epoch: None,
            dw_client: None,
            dw_org: None,
            sid: None,
            gid: None,
            cnf: None,
        }
    }

    fn verifier(signer: &AccessTokenSigner) -> RememberingVerifier {
        let keys = vec![signer.jwk().clone()];
        RememberingVerifier::new(AccessTokenVerifier::new(&JwkSet { keys }).unwrap())
    }

    #[test]
    fn a_remembered_token_is_judged_by_the_present_and_by_who_asks() {
        let signer = AccessTokenSigner::generate().unwrap();
        let verifier = verifier(&signer);
        let token = signer.sign(&claims()).unwrap();
        let at = Timestamp::from_unix_seconds;
        let expected = |audience, now| Expected {
            issuer: ISSUER,
            audience,
            now: at(now),
        };
        for _ in 0..2 {
            let read = verifier.verify(&token, expected("https://api.example", 1_000));
            assert_eq!(read, Ok(claims()));
            assert_eq!(
                verifier.verify(&token, expected("https://other.example", 1_000)),
                Err(TokenError::Audience)
            );
            assert_eq!(
                verifier.verify(&token, expected("https://api.example", 1_700)),
                Err(TokenError::Expired)
            );
            assert_eq!(
                verifier.verify_for_any(&token, ISSUER, at(1_000)),
                Ok(claims())
            );
            let elsewhere = verifier.verify_for_any(&token, "https://else.example", at(1_000));
            assert_eq!(elsewhere, Err(TokenError::Issuer));
        }
    }

    #[test]
    fn a_token_of_the_same_claims_and_another_signature_is_not_remembered() {
        let signer = AccessTokenSigner::generate().unwrap();
        let other = AccessTokenSigner::generate().unwrap();
        let verifier = verifier(&signer);
        let token = signer.sign(&claims()).unwrap();
        let at = Timestamp::from_unix_seconds(1_000);
        assert!(verifier.verify_for_any(&token, ISSUER, at).is_ok());
        let (content, _) = token.rsplit_once('.').unwrap();
        let foreign = other.sign(&claims()).unwrap();
        let (_, signature) = foreign.rsplit_once('.').unwrap();
        let forged = format!("{content}.{signature}");
        for _ in 0..2 {
            let refused = verifier.verify_for_any(&forged, ISSUER, at);
            assert_eq!(refused, Err(TokenError::Signature));
        }
        assert!(verifier.verify_for_any(&foreign, ISSUER, at).is_err());
    }
}
