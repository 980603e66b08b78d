use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::*;
use crate::domain::{ClientIdentifier, Timestamp};
use crate::protocol::jose::{ACCESS_TOKEN_TYPE, AccessTokenClaims, Audience, JwkSet};

const ISSUER: &str = "https://id.example";
const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

fn claims() -> AccessTokenClaims {
    AccessTokenClaims {
        iss: ISSUER.to_owned(),
        sub: "billing".to_owned(),
        aud: Audience::One(ISSUER.to_owned()),
        exp: NOW.unix_seconds() + 600,
        iat: NOW.unix_seconds(),
        nbf: None,
        jti: "1".to_owned(),
        client_id: "billing".parse::<ClientIdentifier>().unwrap(),
        scope: "doorward:manifest".to_owned(),
        dw_epoch: 0,
        dw_client_epoch: None,
        dw_client: None,
        dw_org: None,
        sid: None,
        gid: None,
        cnf: None,
    }
}

fn expected(now: Timestamp) -> Expected<'static> {
    Expected {
        issuer: ISSUER,
        audience: ISSUER,
        now,
    }
}

fn verifier(signers: &[&AccessTokenSigner]) -> AccessTokenVerifier {
    let keys = signers.iter().map(|signer| signer.jwk().clone()).collect();
    AccessTokenVerifier::new(&JwkSet { keys }).unwrap()
}

/// Signs `claims` with the key of `signer` but any header.
fn sign_with(signer: &AccessTokenSigner, header: &str, claims: &AccessTokenClaims) -> String {
    let message = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.as_bytes()),
        BASE64URL_NOPAD.encode(&serde_json::to_vec(claims).unwrap())
    );
    let signature = signer.signer.sign_bytes(message.as_bytes()).unwrap();
    format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
}

#[test]
fn a_signed_token_is_accepted_and_read_back() {
    let signer = AccessTokenSigner::generate().unwrap();
    let token = signer.sign(&claims()).unwrap();
    assert_eq!(
        verifier(&[&signer]).verify(&token, expected(NOW)),
        Ok(claims())
    );
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    assert_eq!(header.kid.as_deref(), Some(signer.jwk().kid.as_str()));
}

#[test]
fn a_stored_key_signs_under_the_same_name() {
    let signer = AccessTokenSigner::generate().unwrap();
    let stored = AccessTokenSigner::from_pkcs8(&signer.to_pkcs8().unwrap()).unwrap();
    assert_eq!(stored.jwk(), signer.jwk());
    let token = stored.sign(&claims()).unwrap();
    assert!(verifier(&[&signer]).verify(&token, expected(NOW)).is_ok());
    assert!(AccessTokenSigner::from_pkcs8(b"no key").is_err());
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let signer = AccessTokenSigner::generate().unwrap();
    let verifier = verifier(&[&signer]);
    let token = signer.sign(&claims()).unwrap();
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        let outcome = verifier.verify(&changed, expected(NOW));
        // The last character of the signature carries unused bits; the decoder refuses those too.
        assert!(outcome.is_err(), "byte {index}");
    }
}

#[test]
fn another_issuer_audience_or_key_is_refused_by_name() {
    let signer = AccessTokenSigner::generate().unwrap();
    let other = AccessTokenSigner::generate().unwrap();
    let check = |claims: &AccessTokenClaims| {
        let token = signer.sign(claims).unwrap();
        verifier(&[&signer]).verify(&token, expected(NOW))
    };
    let mut wrong = claims();
    wrong.iss = "https://id.example/".to_owned();
    assert_eq!(check(&wrong), Err(TokenError::Issuer));
    let mut wrong = claims();
    wrong.aud = Audience::Many(vec!["https://billing.example".to_owned()]);
    assert_eq!(check(&wrong), Err(TokenError::Audience));
    let token = other.sign(&claims()).unwrap();
    assert_eq!(
        verifier(&[&signer]).verify(&token, expected(NOW)),
        Err(TokenError::UnknownKey)
    );
    let header = format!(
        r#"{{"typ":"at+jwt","alg":"ES256","kid":"{}"}}"#,
        signer.jwk().kid
    );
    assert_eq!(
        verifier(&[&signer, &other]).verify(&sign_with(&other, &header, &claims()), expected(NOW)),
        Err(TokenError::Signature)
    );
}

#[test]
fn time_is_the_callers_and_leeway_is_small() {
    let signer = AccessTokenSigner::generate().unwrap();
    let token = signer.sign(&claims()).unwrap();
    let verifier = verifier(&[&signer]);
    let at = |seconds| {
        verifier.verify(
            &token,
            expected(Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds)),
        )
    };
    assert!(at(604).is_ok());
    assert_eq!(at(605), Err(TokenError::Expired));
    assert!(at(-5).is_ok());
    assert_eq!(at(-6), Err(TokenError::NotYetValid));
}

#[test]
fn other_types_and_algorithms_are_refused_even_with_the_right_key() {
    let signer = AccessTokenSigner::generate().unwrap();
    let verifier = verifier(&[&signer]);
    let kid = &signer.jwk().kid;
    for (header, wanted) in [
        (
            format!(r#"{{"typ":"JWT","alg":"ES256","kid":"{kid}"}}"#),
            TokenError::WrongType,
        ),
        (
            format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#),
            TokenError::WrongType,
        ),
        (
            format!(r#"{{"typ":"at+jwt","alg":"none","kid":"{kid}"}}"#),
            TokenError::Algorithm,
        ),
        (
            format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{kid}"}}"#),
            TokenError::Algorithm,
        ),
        (
            format!(r#"{{"typ":"at+jwt","alg":"ES384","kid":"{kid}"}}"#),
            TokenError::Algorithm,
        ),
        (
            r#"{"typ":"at+jwt","alg":"ES256"}"#.to_owned(),
            TokenError::UnknownKey,
        ),
        (
            format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{kid}","crit":["b64"],"b64":false}}"#),
            TokenError::Malformed,
        ),
    ] {
        let token = sign_with(&signer, &header, &claims());
        assert_eq!(
            verifier.verify(&token, expected(NOW)),
            Err(wanted),
            "{header}"
        );
    }
}

#[test]
fn a_token_signed_with_the_public_key_as_a_secret_is_refused() {
    // The classic confusion of HS256 and a public key.
    let signer = AccessTokenSigner::generate().unwrap();
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(ACCESS_TOKEN_TYPE.to_owned());
    header.kid = Some(signer.jwk().kid.clone());
    let secret = EncodingKey::from_secret(signer.jwk().x.as_deref().unwrap().as_bytes());
    let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert_eq!(
        verifier(&[&signer]).verify(&token, expected(NOW)),
        Err(TokenError::Algorithm)
    );
}

#[test]
fn what_is_no_token_is_malformed() {
    let signer = AccessTokenSigner::generate().unwrap();
    let verifier = verifier(&[&signer]);
    for text in ["", ".", "..", "a.b.c", "ä.ä.ä", &"x".repeat(100_000)] {
        assert_eq!(
            verifier.verify(text, expected(NOW)),
            Err(TokenError::Malformed)
        );
    }
}
