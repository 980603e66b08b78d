use std::cell::Cell;
use std::sync::Arc;

use serde_json::json;

use super::judge::*;
use super::{Rules, Verified};
use crate::domain::{ClientId, GrantId, SessionId, Timestamp, UserId};
use crate::protocol::jose::AccessTokenClaims;
use crate::sidecar::cache::{Generations, Tokens};
use crate::sidecar::refusal::Refusal;
use crate::store::replica::StateRow;

const USER: UserId = UserId::from_u128(1);
const CLIENT: ClientId = ClientId::from_u128(2);
const SESSION: SessionId = SessionId::from_u128(3);
const GRANT: GrantId = GrantId::from_u128(4);
const HASH: [u8; 32] = [7; 32];

fn claims(change: impl FnOnce(&mut serde_json::Value)) -> AccessTokenClaims {
    let mut claims = json!({
        "iss": "https://id.example", "sub": USER.to_string(), "aud": "https://api.example",
        "exp": 1_000, "iat": 400, "jti": "a", "client_id": "board", "scope": "docs:read openid",
        "dw_epoch": 0, "dw_client_epoch": 0, "dw_client": CLIENT.to_string(),
        "sid": SESSION.to_string(), "gid": GRANT.to_string(),
    });
    change(&mut claims);
    serde_json::from_value(claims).unwrap()
}

/// What is committed, and something that happens when a row is read.
struct World<'a> {
    generations: &'a Generations,
    revoked: &'a Cell<bool>,
    /// What a change touches: its slot is bumped after the commit.
    touched: u128,
    /// Whether a change is applied while a reader, which has taken its row, is held.
    pinned: bool,
}

impl World<'_> {
    /// As the follower does: the rows first, then the slot.
    fn apply(&self) {
        self.revoked.set(true);
        self.generations.bump_id(self.touched);
    }

    fn read(&self, id: u128) -> bool {
        let revoked = self.revoked.get() && id == self.touched;
        if self.pinned && id == self.touched {
            self.apply();
        }
        revoked
    }

    fn state(&self, id: u128) -> StateRow {
        StateRow {
            state: if self.read(id) { "retired" } else { "active" }.to_owned(),
            token_epoch: 0,
        }
    }
}

impl Facts for World<'_> {
    fn user(&mut self, user: UserId) -> Result<StateRow, Refusal> {
        Ok(self.state(user.as_u128()))
    }

    fn client(&mut self, client: ClientId) -> Result<StateRow, Refusal> {
        Ok(self.state(client.as_u128()))
    }

    fn session_revoked(&mut self, session: SessionId) -> Result<bool, Refusal> {
        Ok(self.read(session.as_u128()))
    }

    fn grant_revoked(&mut self, grant: GrantId) -> Result<bool, Refusal> {
        Ok(self.read(grant.as_u128()))
    }
}

const TOUCHED: [u128; 4] = [
    USER.as_u128(),
    CLIENT.as_u128(),
    SESSION.as_u128(),
    GRANT.as_u128(),
];

type Judge = fn(
    &Tokens,
    &Generations,
    [u8; 32],
    (&Arc<Verified>, TokenStamps),
    &mut World<'_>,
) -> Result<(), Refusal>;

/// The real order.
fn judge_as_it_is(
    tokens: &Tokens,
    generations: &Generations,
    hash: [u8; 32],
    known: (&Arc<Verified>, TokenStamps),
    facts: &mut World<'_>,
) -> Result<(), Refusal> {
    judge(tokens, generations, hash, known, facts)
}

/// The planted mutant: reads, then loads the generations.
fn judge_with_orders_swapped(
    tokens: &Tokens,
    generations: &Generations,
    hash: [u8; 32],
    (token, known): (&Arc<Verified>, TokenStamps),
    facts: &mut World<'_>,
) -> Result<(), Refusal> {
    let before = TokenStamps::load(generations, token, known.keys);
    if known == before {
        return Ok(());
    }
    still_counts(token, known, before, facts)?;
    let now = TokenStamps::load(generations, token, known.keys);
    tokens.keep(hash, Arc::clone(token), now);
    Ok(())
}

/// A reader takes its row, is held there while the row is revoked, then goes on. Says whether the
/// token passes afterwards.
fn passes_after_its_revocation(judge: Judge, touched: u128) -> bool {
    let (tokens, generations) = (Tokens::new(1 << 20), Generations::default());
    let revoked = Cell::new(false);
    let token = Arc::new(Verified::new(claims(|_| {})).unwrap());
    let mut world = World {
        generations: &generations,
        revoked: &revoked,
        touched,
        pinned: true,
    };
    let unknown = TokenStamps::unknown(generations.keys());
    let first = judge(&tokens, &generations, HASH, (&token, unknown), &mut world);
    assert_eq!(first, Ok(()), "the row was taken before the change");
    world.pinned = false;
    let (token, known) = tokens.find(&HASH).unwrap();
    judge(&tokens, &generations, HASH, (&token, known), &mut world).is_ok()
}

#[test]
fn a_reader_pinned_across_a_revocation_never_leaves_a_token_that_passes() {
    for touched in TOUCHED {
        assert!(!passes_after_its_revocation(judge_as_it_is, touched));
    }
}

#[test]
fn the_swapped_order_of_reading_and_loading_is_caught() {
    for touched in TOUCHED {
        assert!(passes_after_its_revocation(
            judge_with_orders_swapped,
            touched
        ));
    }
}

/// Notes what is read.
struct Counting(Vec<&'static str>);
impl Facts for Counting {
    fn user(&mut self, _: UserId) -> Result<StateRow, Refusal> {
        self.0.push("user");
        Ok(StateRow::default())
    }
    fn client(&mut self, _: ClientId) -> Result<StateRow, Refusal> {
        self.0.push("client");
        Ok(StateRow::default())
    }
    fn session_revoked(&mut self, _: SessionId) -> Result<bool, Refusal> {
        self.0.push("session");
        Ok(false)
    }
    fn grant_revoked(&mut self, _: GrantId) -> Result<bool, Refusal> {
        self.0.push("grant");
        Ok(false)
    }
}

#[test]
fn only_what_was_bumped_is_read_again() {
    let (tokens, generations) = (Tokens::new(1 << 20), Generations::default());
    let token = Arc::new(Verified::new(claims(|_| {})).unwrap());
    tokens.keep(HASH, token, TokenStamps::unknown(generations.keys()));
    let again = |facts: &mut Counting| {
        let (token, known) = tokens.find(&HASH).unwrap();
        judge(&tokens, &generations, HASH, (&token, known), facts).unwrap();
        std::mem::take(&mut facts.0)
    };
    let mut facts = Counting(Vec::new());
    assert_eq!(again(&mut facts), ["user", "client", "session", "grant"]);
    assert!(again(&mut facts).is_empty());
    generations.bump_id(GRANT.as_u128());
    assert_eq!(again(&mut facts), ["grant"]);
    generations.bump_user(USER);
    generations.bump_id(CLIENT.as_u128());
    assert_eq!(again(&mut facts), ["user", "client"]);
    generations.bump_all();
    assert_eq!(again(&mut facts).len(), 4);
}

/// The epochs of a user and of a client.
struct Epochs(i64, i64);
impl Facts for Epochs {
    fn user(&mut self, _: UserId) -> Result<StateRow, Refusal> {
        Ok(StateRow {
            token_epoch: self.0,
            ..StateRow::default()
        })
    }
    fn client(&mut self, _: ClientId) -> Result<StateRow, Refusal> {
        Ok(StateRow {
            token_epoch: self.1,
            ..StateRow::default()
        })
    }
    fn session_revoked(&mut self, _: SessionId) -> Result<bool, Refusal> {
        Ok(false)
    }
    fn grant_revoked(&mut self, _: GrantId) -> Result<bool, Refusal> {
        Ok(false)
    }
}

#[test]
fn an_old_epoch_is_refused_and_one_from_ahead_is_not() {
    let generations = Generations::default();
    let user = Verified::new(claims(|claims| {
        claims["dw_epoch"] = json!(5);
        claims["dw_client_epoch"] = json!(2);
    }))
    .unwrap();
    let client = Verified::new(claims(|claims| {
        claims["sub"] = json!("board");
        claims["dw_epoch"] = json!(2);
        claims.as_object_mut().unwrap().remove("dw_client_epoch");
    }))
    .unwrap();
    let outcome = |token: &Verified, facts: Epochs| {
        let (before, now) = (
            TokenStamps::unknown(0),
            TokenStamps::load(&generations, token, 0),
        );
        still_counts(token, before, now, &mut { facts })
    };
    assert_eq!(outcome(&user, Epochs(5, 2)), Ok(()));
    assert_eq!(outcome(&user, Epochs(4, 1)), Ok(()));
    assert_eq!(outcome(&user, Epochs(6, 2)), Err(Refusal::UserSignedOut));
    assert_eq!(outcome(&user, Epochs(5, 3)), Err(Refusal::ClientRevoked));
    assert_eq!(outcome(&client, Epochs(9, 2)), Ok(()));
    assert_eq!(outcome(&client, Epochs(0, 3)), Err(Refusal::ClientRevoked));
}

#[test]
fn a_token_that_a_refusal_could_not_rest_on_is_malformed() {
    for missing in ["dw_client", "dw_client_epoch"] {
        let refused = Verified::new(claims(|claims| {
            claims.as_object_mut().unwrap().remove(missing);
        }));
        assert_eq!(refused, Err(Refusal::Malformed), "{missing}");
    }
    let nobody = Verified::new(claims(|claims| claims["sub"] = json!("somebody")));
    assert_eq!(nobody, Err(Refusal::Malformed));
}

#[test]
fn issuer_audience_and_time_are_compared_each_time() {
    let rules = |issuer: &str, audiences: &[&str]| Rules {
        issuer: issuer.to_owned(),
        audiences: audiences.iter().map(|&one| one.to_owned()).collect(),
    };
    let ours = rules(
        "https://id.example",
        &["https://other.example", "https://api.example"],
    );
    let token = Verified::new(claims(|claims| claims["nbf"] = json!(500))).unwrap();
    let at = Timestamp::from_unix_seconds;
    assert_eq!(ours.check(&token, at(500)), Ok(()));
    assert_eq!(ours.check(&token, at(494)), Err(Refusal::NotYetValid));
    assert_eq!(ours.check(&token, at(1_004)), Ok(()));
    assert_eq!(ours.check(&token, at(1_005)), Err(Refusal::Expired));
    let elsewhere = rules("https://id.example/", &["https://api.example"]);
    assert_eq!(elsewhere.check(&token, at(500)), Err(Refusal::Issuer));
    for audiences in [&["https://api.example/"][..], &[]] {
        let other = rules("https://id.example", audiences);
        assert_eq!(other.check(&token, at(500)), Err(Refusal::Audience));
    }
}
