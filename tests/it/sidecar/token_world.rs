//! A sidecar's copy with keys and scopes, and tokens for it.

use doorward::crypto::sign::AccessTokenSigner;
use doorward::domain::{ClientId, GrantId, SessionId, Timestamp};
use doorward::protocol::feed::{Cell, Op};
use doorward::protocol::jose::{AccessTokenClaims, Audience};
use doorward::runtime::Clock as _;
use doorward::sidecar::decide::{Properties, Worker};
use doorward::sidecar::refusal::Refusal;
use doorward::sidecar::tokens::{self, Rules, TokenCheck};
use doorward::sidecar::why::Why;

use super::world::*;

pub const ISSUER: &str = "https://id.example";
pub const API: &str = "https://api.example";

pub fn client(n: u128) -> ClientId {
    ClientId::from_u128(0x01A0_0000_0000_7000_8000_0000_0000_0000 + n)
}

pub fn session(n: u128) -> SessionId {
    SessionId::from_u128(0x01A1_0000_0000_7000_8000_0000_0000_0000 + n)
}

pub fn grant_of(n: u128) -> GrantId {
    GrantId::from_u128(0x01A2_0000_0000_7000_8000_0000_0000_0000 + n)
}

pub fn id(value: u128) -> Cell {
    Cell::Bytes(value.to_be_bytes().to_vec())
}

pub fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

pub fn put(table: u16, cells: Vec<Cell>) -> Op {
    Op::Put { table, cells }
}

pub fn key_row(signer: &AccessTokenSigner, purpose: &str) -> Op {
    let jwk = serde_json::to_string(signer.jwk()).unwrap();
    let kid = &signer.jwk().kid;
    put(
        11,
        vec![text(kid), text(purpose), text("ES256"), text(&jwk)],
    )
}

pub fn no_key(signer: &AccessTokenSigner) -> Op {
    Op::Delete {
        table: 11,
        key: vec![text(&signer.jwk().kid)],
    }
}

pub fn user_row(u: u128, state: &str, epoch: i64) -> Op {
    put(
        7,
        vec![id(user(u).as_u128()), text(state), Cell::Int(epoch)],
    )
}

pub fn client_row(c: u128, state: &str, epoch: i64) -> Op {
    put(
        8,
        vec![id(client(c).as_u128()), text(state), Cell::Int(epoch)],
    )
}

pub fn ended_session(s: u128) -> Op {
    put(9, vec![id(session(s).as_u128()), Cell::Int(i64::MAX)])
}

pub fn revoked_grant(g: u128) -> Op {
    put(10, vec![id(grant_of(g).as_u128()), Cell::Int(i64::MAX)])
}

pub fn scope(name: &str, permission: u128) -> Op {
    let permission = 0x019B_0000_0000_7000_8000_0000_0000_0000 + permission;
    put(12, vec![text(name), id(permission)])
}

pub fn rules() -> Rules {
    Rules {
        issuer: ISSUER.to_owned(),
        audiences: vec![API.to_owned()],
    }
}

/// What a token of user `u` through client 1 says.
pub fn claims_at(now: Timestamp, u: u128) -> AccessTokenClaims {
    let now = now.unix_seconds();
    AccessTokenClaims {
        iss: ISSUER.to_owned(),
        sub: user(u).to_string(),
        aud: Audience::One(API.to_owned()),
        exp: now + 600,
        iat: now,
        nbf: None,
        jti: "t1".to_owned(),
        client_id: "board".parse().unwrap(),
        scope: "docs:edit openid".to_owned(),
        dw_epoch: 0,
        dw_client_epoch: Some(0),
        dw_client: Some(client(1)),
        dw_org: None,
        sid: Some(session(1)),
        gid: Some(grant_of(1)),
        cnf: None,
    }
}

pub struct Tokens {
    pub world: World,
    pub signer: AccessTokenSigner,
}

impl Tokens {
    pub fn new() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Self {
        let mut world = World::with(setup);
        let signer = AccessTokenSigner::generate().unwrap();
        world.apply(vec![
            key_row(&signer, "access_token"),
            scope("docs:read", 1),
            scope("docs:edit", 1),
            scope("docs:edit", 2),
        ]);
        Self { world, signer }
    }

    /// What a token of user `u` through client 1 says.
    pub fn claims(&self, u: u128) -> AccessTokenClaims {
        claims_at(self.world.clock.now(), u)
    }

    pub fn own_claims(&self) -> AccessTokenClaims {
        AccessTokenClaims {
            sub: "board".to_owned(),
            dw_client_epoch: None,
            sid: None,
            gid: None,
            ..self.claims(1)
        }
    }

    pub fn token(&self, change: impl FnOnce(&mut AccessTokenClaims)) -> String {
        let mut claims = self.claims(1);
        change(&mut claims);
        self.signer.sign(&claims).unwrap()
    }

    pub fn outcome(&self, worker: &mut Worker, token: &str) -> Result<(), Refusal> {
        tokens::verify(&self.world.state, worker, &rules(), token).map(|_| ())
    }

    pub fn decide(
        &self,
        worker: &mut Worker,
        token: &str,
        (o, action): (u128, &str),
    ) -> (bool, Why) {
        let state = &self.world.state;
        let verified = tokens::verify(state, worker, &rules(), token).unwrap();
        let check = TokenCheck {
            organization: organization(o),
            resource_type: "docs:page",
            action,
            resource_id: "p1",
            properties: Properties::default(),
        };
        let outcome = tokens::decide(state, &state.view(), worker, &verified, &check).unwrap();
        (outcome.decision.is_allow(), outcome.why)
    }
}
