//! Tokens that are bound to a key, at the doors: with a proof of it, of this request, once.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::digest::sha256;
use doorward::crypto::sign::PublicKey;
use doorward::protocol::forward_auth::Dialect;
use doorward::protocol::jose::Confirmation;
use doorward::runtime::Clock as _;
use serde_json::{Value, json};

use super::door_world::*;
use super::world::Reply;
use crate::oauth::client_auth::Key;

const ME: &str = "GET app.test/me";
const URL: &str = "https://app.test/me";

/// Whoever has a key, and a token that is bound to it.
pub struct Holder {
    key: Key,
    pub token: String,
}

impl Holder {
    pub fn new(doors: &Doors) -> Self {
        let key = Key::new();
        let jkt = PublicKey::from_jwk(&key.jwk)
            .unwrap()
            .thumbprint()
            .to_owned();
        let token = doors.token(|claims| {
            claims.exp += 3_600;
            claims.cnf = Some(Confirmation { jkt });
        });
        Self { key, token }
    }

    /// A proof for a request of now.
    pub fn proof(&self, doors: &Doors, method: &str, url: &str) -> String {
        self.changed(doors, method, url, |_, _| ())
    }

    /// One whose header and claims were changed before they were signed.
    pub fn changed(
        &self,
        doors: &Doors,
        method: &str,
        url: &str,
        change: impl FnOnce(&mut Value, &mut Value),
    ) -> String {
        let mut header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.jwk });
        let jti: [u8; 32] = sha256(self.key.sign(&header, &json!({})).as_bytes());
        let mut claims = json!({
            "jti": BASE64URL_NOPAD.encode(&jti),
            "htm": method,
            "htu": url,
            "iat": doors.running.clock.now().unix_seconds(),
            "ath": BASE64URL_NOPAD.encode(&sha256(self.token.as_bytes())),
        });
        change(&mut header, &mut claims);
        self.key.sign(&header, &claims)
    }

    /// The headers of a request with this proof.
    pub fn headers(&self, proof: &str) -> String {
        format!("authorization: DPoP {}\r\ndpop: {proof}\r\n", self.token)
    }

    async fn show(&self, doors: &Doors, proof: &str) -> Reply {
        doors.ask(Dialect::Plain, ME, &self.headers(proof)).await
    }
}

#[track_caller]
fn expect(reply: &Reply, status: u16, reason: &str, challenge: Option<&str>) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("doorward-reason"), Some(reason));
    assert_eq!(reply.header("www-authenticate"), challenge);
}

// The head is in lower case.
const INVALID_PROOF: Option<&str> =
    Some("dpop error=\"invalid_dpop_proof\", algs=\"es256 rs256 ps256 eddsa\"");
const INVALID_TOKEN: Option<&str> =
    Some("dpop error=\"invalid_token\", algs=\"es256 rs256 ps256 eddsa\"");

#[tokio::test]
async fn whoever_proves_the_key_of_a_bound_token_is_let_in_by_every_dialect() {
    let doors = Doors::start().await;
    let holder = Holder::new(&doors);
    for dialect in Dialect::HTTP {
        for (about, method, url) in [
            (ME, "GET", URL),
            (
                "PUT app.test/o/acme/pages/p1?draft=1",
                "PUT",
                "https://APP.test:443/o/acme/pages/p1",
            ),
            (
                "GET acme.app.test/pages/caf%C3%A9",
                "GET",
                "https://acme.app.test/pages/caf%C3%A9#top",
            ),
        ] {
            let headers = holder.headers(&holder.proof(&doors, method, url));
            let reply = doors.ask(dialect, about, &headers).await;
            assert_eq!(reply.status, 200, "{dialect} {about} {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_proof_of_anything_but_this_request_proves_nothing() {
    let doors = Doors::start().await;
    let (holder, other) = (Holder::new(&doors), Holder::new(&doors));
    let proof = |change: &dyn Fn(&mut Value, &mut Value)| {
        holder.changed(&doors, "GET", URL, |header, claims| change(header, claims))
    };
    let now = doors.running.clock.now().unix_seconds();
    for (wrong, proof) in [
        ("htm", proof(&|_, claims| claims["htm"] = json!("POST"))),
        (
            "htm's case",
            proof(&|_, claims| claims["htm"] = json!("get")),
        ),
        (
            "scheme",
            proof(&|_, claims| claims["htu"] = json!("http://app.test/me")),
        ),
        (
            "port",
            proof(&|_, claims| claims["htu"] = json!("https://app.test:8443/me")),
        ),
        (
            "host",
            proof(&|_, claims| claims["htu"] = json!("https://evil.test/me")),
        ),
        (
            "path",
            proof(&|_, claims| claims["htu"] = json!("https://app.test/me2")),
        ),
        ("ath", proof(&|_, claims| claims["ath"] = json!("x"))),
        ("no ath", proof(&|_, claims| claims["ath"] = Value::Null)),
        ("jti", proof(&|_, claims| claims["jti"] = json!(""))),
        (
            "too old",
            proof(&|_, claims| claims["iat"] = json!(now - 71)),
        ),
        ("ahead", proof(&|_, claims| claims["iat"] = json!(now + 11))),
        ("typ", proof(&|header, _| header["typ"] = json!("JWT"))),
        ("alg", proof(&|header, _| header["alg"] = json!("none"))),
        ("other key", other.proof(&doors, "GET", URL)),
        (
            "other key in the header",
            holder.changed(&doors, "GET", URL, |header, _| {
                header["jwk"] = other.key.jwk.clone();
            }),
        ),
        ("nothing", String::new()),
        ("nonsense", "nonsense".to_owned()),
        ("two joined", {
            let one = holder.proof(&doors, "GET", URL);
            format!("{one}, {one}")
        }),
    ] {
        let reply = holder.show(&doors, &proof).await;
        assert_eq!(reply.status, 401, "{wrong}");
        expect(&reply, 401, "invalid_proof", INVALID_PROOF);
    }
    for within in [now - 70, now + 10] {
        let proof = proof(&|_, claims| claims["iat"] = json!(within));
        assert_eq!(holder.show(&doors, &proof).await.status, 200);
    }
    let bare = format!("authorization: DPoP {}\r\n", holder.token);
    let reply = doors.ask(Dialect::Plain, ME, &bare).await;
    expect(&reply, 401, "invalid_proof", INVALID_PROOF);
    let counts = doors.running.sidecar.counts();
    assert_eq!(counts.proofs, [2, 0, 0, 0]);
    assert_eq!(counts.proofs_invalid, 18);
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token_and_a_bearer_token_no_bound_one() {
    let doors = Doors::start().await;
    let holder = Holder::new(&doors);
    let proof = holder.proof(&doors, "GET", URL);
    let bearer = holder.headers(&proof).replace("DPoP ey", "Bearer ey");
    let reply = doors.ask(Dialect::Plain, ME, &bearer).await;
    expect(&reply, 401, "bound_token", INVALID_TOKEN);
    let unbound = format!(
        "authorization: DPoP {}\r\ndpop: {proof}\r\n",
        doors.token(|_| ())
    );
    let reply = doors.ask(Dialect::Plain, ME, &unbound).await;
    expect(&reply, 401, "unbound_token", INVALID_TOKEN);
    // A proof beside a bearer token is not looked at.
    let ignored = unbound.replace("DPoP ey", "Bearer ey");
    assert_eq!(doors.ask(Dialect::Plain, ME, &ignored).await.status, 200);
    let nonsense = format!("authorization: dpop nonsense\r\ndpop: {proof}\r\n");
    let reply = doors.ask(Dialect::Plain, ME, &nonsense).await;
    expect(&reply, 401, "invalid_token", INVALID_TOKEN);
    let scoped = Holder {
        token: doors.token(|claims| {
            claims.scope = "docs:read".to_owned();
            claims.cnf = Some(Confirmation {
                jkt: PublicKey::from_jwk(&holder.key.jwk)
                    .unwrap()
                    .thumbprint()
                    .to_owned(),
            });
        }),
        key: holder.key,
    };
    let proof = scoped.proof(&doors, "PUT", "https://app.test/o/acme/pages/p1");
    let about = "PUT app.test/o/acme/pages/p1";
    let reply = doors
        .ask(Dialect::Plain, about, &scoped.headers(&proof))
        .await;
    let challenge = INVALID_TOKEN
        .unwrap()
        .replace("invalid_token", "insufficient_scope");
    expect(&reply, 403, "scope", Some(&challenge));
}

#[tokio::test]
async fn the_same_proof_is_a_retry_for_five_seconds_and_then_a_replay() {
    let doors = Doors::start().await;
    let holder = Holder::new(&doors);
    let proof = holder.proof(&doors, "GET", URL);
    for _ in 0..3 {
        assert_eq!(holder.show(&doors, &proof).await.status, 200);
    }
    // The same key and `jti`, signed anew: another text.
    let (_, payload) = proof.split_once('.').unwrap();
    let payload = payload.split('.').next().unwrap();
    let claims: Value =
        serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap();
    let anew = holder.changed(&doors, "GET", URL, |_, fresh| *fresh = claims.clone());
    assert_ne!(anew, proof);
    let reply = holder.show(&doors, &anew).await;
    expect(&reply, 401, "replayed_proof", INVALID_PROOF);
    doors.running.clock.advance(Duration::from_secs(6));
    let reply = holder.show(&doors, &proof).await;
    expect(&reply, 401, "replayed_proof", INVALID_PROOF);
    let fresh = holder.proof(&doors, "GET", URL);
    assert_eq!(holder.show(&doors, &fresh).await.status, 200);
    let counts = doors.running.sidecar.counts();
    assert_eq!(counts.proofs, [2, 2, 2, 0]);
}

#[tokio::test]
async fn proofs_that_could_not_be_remembered_are_refused_and_forgotten_ones_are_too_old() {
    let doors = Doors::with(|config| config.cache.proof_bytes = 1).await;
    let holder = Holder::new(&doors);
    let first = holder.proof(&doors, "GET", URL);
    assert_eq!(holder.show(&doors, &first).await.status, 200);
    for _ in 1..32 {
        let proof = holder.proof(&doors, "GET", URL);
        assert_eq!(holder.show(&doors, &proof).await.status, 200);
    }
    let further = holder.proof(&doors, "GET", URL);
    let reply = holder.show(&doors, &further).await;
    expect(&reply, 503, "proofs_full", None);
    let public = doors.ask(Dialect::Plain, "GET app.test/health", "").await;
    assert_eq!(public.status, 200);
    doors.running.clock.advance(Duration::from_secs(81));
    doors.freshen();
    let reply = holder.show(&doors, &first).await;
    expect(&reply, 401, "invalid_proof", INVALID_PROOF);
    let proof = holder.proof(&doors, "GET", URL);
    assert_eq!(holder.show(&doors, &proof).await.status, 200);
}

#[tokio::test]
async fn two_proof_headers_and_one_that_connection_takes_away_are_refused() {
    let doors = Doors::start().await;
    let holder = Holder::new(&doors);
    for dialect in Dialect::HTTP {
        let malformed = if dialect == Dialect::Nginx { 403 } else { 400 };
        let headers = holder.headers(&holder.proof(&doors, "GET", URL));
        for wrong in [
            format!("{headers}dpop: x\r\n"),
            format!("{headers}connection: dpop\r\n"),
        ] {
            let reply = doors.ask(dialect, ME, &wrong).await;
            expect(&reply, malformed, "malformed", None);
        }
    }
}

#[tokio::test]
async fn the_origin_is_the_one_that_the_routes_say_and_never_a_header() {
    let routes = |origin: &str, route: &str| {
        format!(
            "{origin}[[route]]\nname = \"me\"\nhosts = [\"app.test\"]\npath = \"/me\"\n\
             signed_in = true\n{route}[[route]]\nname = \"all\"\nhosts = [\"*\"]\n\
             path = \"/{{rest...}}\"\nsigned_in = true\n"
        )
    };
    for (text, url, status) in [
        (routes("", ""), URL, 200),
        (
            routes("origin = \"http://{host}:8080\"\n", ""),
            "http://app.test:8080/me",
            200,
        ),
        (routes("origin = \"http://{host}:8080\"\n", ""), URL, 401),
        (
            routes("", "origin = \"https://public.test\"\n"),
            "https://public.test/me",
            200,
        ),
        (routes("", "origin = \"https://public.test\"\n"), URL, 401),
    ] {
        let doors = Doors::with(|config| {
            std::fs::write(config.routes.as_ref().unwrap(), &text).unwrap();
        })
        .await;
        let holder = Holder::new(&doors);
        let headers = format!(
            "{}x-forwarded-proto: http\r\nforwarded: proto=http\r\n",
            holder.headers(&holder.proof(&doors, "GET", url))
        );
        let reply = doors.ask(Dialect::Plain, ME, &headers).await;
        assert_eq!(reply.status, status, "{text} {url}");
    }
    // Where every host fits, the client would choose what it proves.
    for (origin, status) in [("", 403), ("origin = \"https://any.test\"\n", 200)] {
        let doors = Doors::with(|config| {
            std::fs::write(config.routes.as_ref().unwrap(), routes(origin, "")).unwrap();
        })
        .await;
        let holder = Holder::new(&doors);
        let proof = holder.proof(&doors, "GET", "https://any.test/x");
        let about = "GET any.test/x";
        let reply = doors
            .ask(Dialect::Plain, about, &holder.headers(&proof))
            .await;
        assert_eq!(reply.status, status, "{reply:?}");
        if status == 403 {
            expect(&reply, 403, "no_origin", None);
        }
    }
}
