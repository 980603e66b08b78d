//! Signed texts: clients' assertions, proofs of possession, our own tokens, providers' tokens.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::digest::sha256;
use doorward::crypto::sign::{
    AccessTokenVerifier, Expected, ForeignKeys, Jws, JwsError, JwtVerifier, PublicKey, TokenError,
};
use doorward::domain::Timestamp;
use doorward::protocol::jose::{AccessTokenClaims, JwkSet};
use serde_json::{Value, json};

use super::{Verdict, first_line, verdict};

const ISSUER: &str = "https://id.example";
const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// The keys of somebody who is believed, one of a stranger, and everybody's verifiers.
struct Keys {
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    rsa: RsaKeyPair,
    stranger: EcdsaKeyPair,
    jwks: [Value; 3],
    stranger_jwk: Value,
    public: Vec<PublicKey>,
    foreign: ForeignKeys,
    own: JwtVerifier,
    access: AccessTokenVerifier,
}

fn ec_jwk(pair: &EcdsaKeyPair, kid: &str) -> Value {
    let point = pair.public_key().as_ref();
    json!({
        "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
        "x": BASE64URL_NOPAD.encode(&point[1..33]), "y": BASE64URL_NOPAD.encode(&point[33..]),
    })
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let ec = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (ec, stranger) = (ec(), ec());
    let ed = Ed25519KeyPair::generate().unwrap();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let modulus = rsa.public_key().modulus();
    let exponent = rsa.public_key().exponent();
    let jwks = [
        ec_jwk(&ec, "ec"),
        json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "alg": "EdDSA",
            "x": BASE64URL_NOPAD.encode(ed.public_key().as_ref()),
        }),
        json!({
            "kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256",
            "n": BASE64URL_NOPAD.encode(modulus.big_endian_without_leading_zero()),
            "e": BASE64URL_NOPAD.encode(exponent.big_endian_without_leading_zero()),
        }),
    ];
    let text = json!({ "keys": jwks }).to_string();
    let set: JwkSet = serde_json::from_str(&text).unwrap();
    Keys {
        public: PublicKey::from_set(&text).unwrap(),
        foreign: ForeignKeys::parse(text.as_bytes()).unwrap(),
        own: JwtVerifier::new(&set).unwrap(),
        access: AccessTokenVerifier::new(&set).unwrap(),
        stranger_jwk: ec_jwk(&stranger, "ec"),
        ec,
        ed,
        rsa,
        stranger,
        jwks,
    }
});

/// Who signed, as far as the test itself knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signed {
    Ec,
    Ed,
    Rsa,
    Stranger,
    /// By a shared secret: a public key's own text.
    Secret,
    Nobody,
}

impl Signed {
    /// The header's `alg` and `kid` that it may stand under.
    fn names(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Ec => Some(("ES256", "ec")),
            Self::Ed => Some(("EdDSA", "ed")),
            Self::Rsa => Some(("RS256", "rsa")),
            Self::Stranger | Self::Secret | Self::Nobody => None,
        }
    }
}

/// The signature that the third line asks for by its first character; any other line is taken for
/// the signature itself.
fn sign(how: &[u8], message: &[u8]) -> (Signed, String) {
    let random = SystemRandom::new();
    let (signed, signature) = match how.first() {
        Some(b'e') => (
            Signed::Ec,
            KEYS.ec.sign(&random, message).unwrap().as_ref().to_vec(),
        ),
        Some(b'd') => (Signed::Ed, KEYS.ed.sign(message).as_ref().to_vec()),
        Some(b'r') => {
            let mut signature = vec![0; KEYS.rsa.public_modulus_len()];
            KEYS.rsa
                .sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                .unwrap();
            (Signed::Rsa, signature)
        }
        Some(b's') => {
            let signature = KEYS.stranger.sign(&random, message).unwrap();
            (Signed::Stranger, signature.as_ref().to_vec())
        }
        Some(b'h') => {
            let secret = KEYS.jwks[0]["x"].as_str().unwrap();
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            (Signed::Secret, hmac::sign(&key, message).as_ref().to_vec())
        }
        _ => return (Signed::Nobody, String::from_utf8_lossy(how).into_owned()),
    };
    (signed, BASE64URL_NOPAD.encode(&signature))
}

/// A header, claims, and who signs them: a line each. `"@e"`, `"@d"` and `"@s"` in the header stand
/// for the public keys of Ec, Ed and the stranger.
pub fn signed_tokens(data: &[u8]) -> Verdict {
    let (header, rest) = first_line(data);
    let (payload, how) = first_line(rest);
    let Ok(header) = std::str::from_utf8(header) else {
        return 0;
    };
    let header = header
        .replace("\"@e\"", &KEYS.jwks[0].to_string())
        .replace("\"@d\"", &KEYS.jwks[1].to_string())
        .replace("\"@s\"", &KEYS.stranger_jwk.to_string());
    let message = format!(
        "{}.{}",
        BASE64URL_NOPAD.encode(header.as_bytes()),
        BASE64URL_NOPAD.encode(payload)
    );
    let (signed, signature) = sign(how, message.as_bytes());
    let token = format!("{message}.{signature}");
    let case = Case {
        header: serde_json::from_str(&header).unwrap_or_default(),
        payload: serde_json::from_slice(payload).unwrap_or_default(),
        signed,
        token,
    };
    let set = case.by_set();
    let (proof, foreign, own, access) = (
        case.by_embedded_key(),
        case.foreign(),
        case.own(),
        case.access(),
    );
    verdict((set, proof, foreign, own, access))
}

struct Case {
    header: Value,
    payload: Value,
    signed: Signed,
    token: String,
}

impl Case {
    fn alg(&self) -> Option<&str> {
        self.header["alg"].as_str()
    }

    /// What must be true of every token that anybody believes by a set of keys.
    fn assert_sound(&self, read: &Value) {
        let (alg, kid) = self.signed.names().expect("somebody known signed it");
        assert_eq!(self.alg(), Some(alg), "{}", self.header);
        assert!(
            self.header.get("crit").is_none_or(Value::is_null),
            "{}",
            self.header
        );
        let named = self.header.get("kid").and_then(Value::as_str);
        assert!(named.is_none_or(|named| named == kid), "{}", self.header);
        assert_eq!(read, &self.payload);
    }

    /// Whether there is nothing to refuse: all is well-formed and fits.
    fn is_plain(&self, typ: Option<&str>) -> bool {
        let names = self.signed.names().map(|(alg, kid)| {
            let mut header = json!({ "alg": alg, "kid": kid });
            if let Some(typ) = typ {
                header["typ"] = typ.into();
            }
            header
        });
        names.as_ref() == Some(&self.header) && self.payload.is_object()
    }

    fn by_set(&self) -> Result<(), JwsError> {
        let read = Jws::parse(&self.token).and_then(|jws| jws.verify_with::<Value>(&KEYS.public));
        match &read {
            Ok(read) => self.assert_sound(read),
            Err(error) => assert!(!self.is_plain(Some("JWT")), "{error}: {}", self.header),
        }
        read.map(|_| ())
    }

    /// As proofs of possession are read: by the key in the header, which must be who signed.
    fn by_embedded_key(&self) -> Result<(), JwsError> {
        let jws = Jws::parse(&self.token)?;
        let key = jws.embedded_key()?;
        let read = jws.verify::<Value>(&key)?;
        assert_eq!(read, self.payload);
        let jwk = &self.header["jwk"];
        assert!(jwk.get("d").is_none() && jwk.get("k").is_none(), "{jwk}");
        let (of, alg) = match self.signed {
            Signed::Ec => (&KEYS.jwks[0], "ES256"),
            Signed::Ed => (&KEYS.jwks[1], "EdDSA"),
            Signed::Rsa => (&KEYS.jwks[2], "RS256"),
            Signed::Stranger => (&KEYS.stranger_jwk, "ES256"),
            Signed::Secret | Signed::Nobody => panic!("nobody signed {}", self.header),
        };
        assert_eq!(self.alg(), Some(alg));
        assert!(self.header.get("crit").is_none_or(Value::is_null));
        for member in ["kty", "crv", "x", "y", "n", "e"] {
            assert_eq!(jwk.get(member), of.get(member), "{member}");
        }
        assert_eq!(key.thumbprint(), thumbprint(of));
        Ok(())
    }

    fn foreign(&self) -> Result<(), TokenError> {
        let read = KEYS.foreign.verify::<Value>(&self.token, &["JWT"]);
        match &read {
            Ok(read) => {
                self.assert_sound(read);
                let typ = self.header.get("typ").and_then(Value::as_str);
                assert!(typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT")));
            }
            Err(error) => assert!(!self.is_plain(Some("JWT")), "{error}: {}", self.header),
        }
        read.map(|_| ())
    }

    fn own(&self) -> Result<(), TokenError> {
        let read = KEYS.own.verify::<Value>(&self.token, "JWT");
        if let Ok(read) = &read {
            self.assert_sound(read);
            assert_ne!(self.signed, Signed::Ed, "we sign nothing so");
            assert!(self.header["kid"].is_string());
            let typ = self.header["typ"].as_str().unwrap();
            assert!(typ.eq_ignore_ascii_case("JWT"), "{typ}");
        }
        read.map(|_| ())
    }

    fn access(&self) -> Result<(), TokenError> {
        let read = KEYS.access.signed(&self.token);
        let expected = Expected {
            issuer: ISSUER,
            audience: ISSUER,
            now: NOW,
        };
        let verified = KEYS.access.verify(&self.token, expected);
        if let Ok(claims) = &read {
            assert_eq!(self.signed, Signed::Ec, "only ES256 signs access tokens");
            assert_eq!(self.alg(), Some("ES256"));
            assert_eq!(self.header["kid"], "ec");
            assert!(self.header.get("crit").is_none_or(Value::is_null));
            let typ = self.header["typ"].as_str().unwrap().to_ascii_lowercase();
            assert!(
                matches!(typ.as_str(), "at+jwt" | "application/at+jwt"),
                "{typ}"
            );
            assert_eq!(self.payload["sub"], claims.sub);
        }
        if let Ok(claims) = &verified {
            assert_eq!(read, Ok(claims.clone()));
            self.assert_of_now(claims);
        }
        verified.map(|_| ())
    }

    fn assert_of_now(&self, claims: &AccessTokenClaims) {
        assert_eq!(self.payload["iss"], ISSUER);
        assert!(claims.aud.names(ISSUER));
        let (now, leeway) = (NOW.unix_seconds(), 60);
        assert!(claims.exp > now - leeway && claims.iat < now + leeway);
        assert!(claims.nbf.is_none_or(|nbf| nbf < now + leeway));
    }
}

/// RFC 7638 §3, by hand.
fn thumbprint(jwk: &Value) -> String {
    let members: &[&str] = match jwk["kty"].as_str().unwrap() {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => &["e", "kty", "n"],
    };
    let parts: Vec<String> = members
        .iter()
        .map(|member| format!("\"{member}\":{}", jwk[member]))
        .collect();
    BASE64URL_NOPAD.encode(&sha256(format!("{{{}}}", parts.join(",")).as_bytes()))
}

/// A token as it comes. Nobody here can sign one, so that none may be believed.
pub fn raw_tokens(data: &[u8]) -> Verdict {
    let Ok(token) = std::str::from_utf8(data) else {
        return 0;
    };
    let jws = Jws::parse(token);
    let by_set = jws
        .as_ref()
        .map_err(|error| *error)
        .and_then(|jws| jws.verify_with::<Value>(&KEYS.public))
        .unwrap_err();
    if let Ok(jws) = &jws {
        let printed = format!("{jws:?}");
        assert!(printed.len() < 40, "{printed}");
    }
    let foreign = KEYS.foreign.verify::<Value>(token, &["JWT"]).unwrap_err();
    let own = KEYS.own.verify::<Value>(token, "JWT").unwrap_err();
    let access = KEYS.access.signed(token).unwrap_err();
    verdict((by_set, foreign, own, access))
}
