//! A remembered token passes exactly when one never seen would, whatever happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use doorward::crypto::sign::AccessTokenSigner;
use doorward::protocol::jose::AccessTokenClaims;
use doorward::runtime::Clock as _;
use doorward::sidecar::decide::Worker;
use doorward::sidecar::refusal::Refusal;
use doorward::sidecar::tokens;
use doorward::sidecar::view::State;
use proptest::prelude::*;
use tokio::time::Instant;

use super::token_world::*;
use super::world::*;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    User(u128, bool, i64),
    Client(u128, bool, i64),
    Session(u128),
    Grant(u128),
    Key(usize, bool),
    Wait(u64),
    Present(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..4_u128, any::<bool>(), 0..3_i64).prop_map(|(n, on, epoch)| Step::User(n, on, epoch)),
        (1..4_u128, any::<bool>(), 0..3_i64).prop_map(|(n, on, epoch)| Step::Client(n, on, epoch)),
        (1..6_u128).prop_map(Step::Session),
        (1..6_u128).prop_map(Step::Grant),
        (0..2_usize, any::<bool>()).prop_map(|(n, on)| Step::Key(n, on)),
        (0..200_u64).prop_map(Step::Wait),
        (0..12_usize).prop_map(Step::Present),
        (0..12_usize).prop_map(Step::Present),
        (0..12_usize).prop_map(Step::Present),
    ]
}

/// What rows say, in the plainest way.
#[derive(Default)]
struct Model {
    users: BTreeMap<u128, (bool, i64)>,
    clients: BTreeMap<u128, (bool, i64)>,
    sessions: BTreeSet<u128>,
    grants: BTreeSet<u128>,
    no_keys: BTreeSet<usize>,
    waited: u64,
}

/// Who a token of the property is about.
#[derive(Debug, Clone, Copy)]
struct About {
    user: u128,
    client: u128,
    session: u128,
    grant: u128,
    key: usize,
    epochs: (i64, i64),
    lives: u64,
}

impl Model {
    fn accepts(&self, token: About) -> bool {
        let (user_active, user_epoch) = self.users.get(&token.user).copied().unwrap_or((true, 0));
        let (active, epoch) = self
            .clients
            .get(&token.client)
            .copied()
            .unwrap_or((true, 0));
        user_active
            && active
            && token.epochs.0 >= user_epoch
            && token.epochs.1 >= epoch
            && !self.sessions.contains(&token.session)
            && !self.grants.contains(&token.grant)
            && !self.no_keys.contains(&token.key)
            && self.waited < token.lives + 5
    }
}

fn about(n: usize) -> About {
    let number = n as u128;
    About {
        user: 1 + number % 3,
        client: 1 + (number / 2) % 3,
        session: 1 + number % 5,
        grant: 1 + (number * 3) % 5,
        key: n % 2,
        epochs: ([0, 1, 2][n % 3], [0, 1, 2][n / 3 % 3]),
        lives: if n.is_multiple_of(4) { 300 } else { 3000 },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_remembered_token_is_judged_like_one_never_seen(steps in prop::collection::vec(step(), 1..60)) {
        let mut tokens = Tokens::new();
        let signers = [AccessTokenSigner::generate().unwrap(), AccessTokenSigner::generate().unwrap()];
        tokens.world.apply(signers.iter().map(|key| key_row(key, "access_token")).collect());
        let presented: Vec<String> = (0..12)
            .map(|n| {
                let about = about(n);
                let claims = AccessTokenClaims {
                    sub: user(about.user).to_string(),
                    dw_client: Some(client(about.client)),
                    sid: Some(session(about.session)),
                    gid: Some(grant_of(about.grant)),
                    dw_epoch: about.epochs.0,
                    dw_client_epoch: Some(about.epochs.1),
                    jti: n.to_string(),
                    exp: tokens.world.clock.now().unix_seconds() + about.lives.cast_signed(),
                    ..tokens.claims(1)
                };
                signers[about.key].sign(&claims).unwrap()
            })
            .collect();
        // The same rows, and nothing is ever remembered.
        let mut setup = Setup::default();
        setup.sizes.token_bytes = 0;
        let forgetful = State::new(
            &setup.sizes, setup.mapping, setup.custom, Arc::clone(&tokens.world.clock) as _,
        ).unwrap();
        forgetful.adopt(tokens.world.replica.path()).unwrap();
        let mut workers = [tokens.world.worker(), tokens.world.worker()];
        let mut fresh = Worker::new(&forgetful);
        let mut model = Model::default();
        for (turn, step) in steps.into_iter().enumerate() {
            let state = |on: bool, off: &'static str| if on { "active" } else { off };
            let op = match step {
                Step::User(n, on, epoch) => {
                    model.users.insert(n, (on, epoch));
                    user_row(n, state(on, "suspended"), epoch)
                }
                Step::Client(n, on, epoch) => {
                    model.clients.insert(n, (on, epoch));
                    client_row(n, state(on, "retired"), epoch)
                }
                Step::Session(n) => {
                    model.sessions.insert(n);
                    ended_session(n)
                }
                Step::Grant(n) => {
                    model.grants.insert(n);
                    revoked_grant(n)
                }
                Step::Key(n, true) => {
                    model.no_keys.remove(&n);
                    key_row(&signers[n], "access_token")
                }
                Step::Key(n, false) => {
                    model.no_keys.insert(n);
                    no_key(&signers[n])
                }
                Step::Wait(seconds) => {
                    model.waited += seconds;
                    tokens.world.clock.advance(Duration::from_secs(seconds));
                    continue;
                }
                Step::Present(n) => {
                    let cached = tokens.outcome(&mut workers[turn % 2], &presented[n]);
                    tokens::evict(&forgetful, &presented[n]);
                    let uncached = tokens::verify(&forgetful, &mut fresh, &rules(), &presented[n]);
                    prop_assert_eq!(cached, uncached.map(|_| ()));
                    prop_assert_eq!(cached.is_ok(), model.accepts(about(n)), "{:?}", about(n));
                    continue;
                }
            };
            let applied = tokens.world.apply(vec![op]);
            forgetful.apply(&applied).unwrap();
        }
    }
}

#[test]
fn a_token_is_refused_from_the_moment_its_revocation_is_applied_whoever_races() {
    const SESSIONS: u64 = 300;
    let mut tokens = Tokens::new();
    let presented: Vec<String> = (0..SESSIONS)
        .map(|n| tokens.token(|claims| claims.sid = Some(session(u128::from(n)))))
        .collect();
    // All of those below are applied.
    let applied = AtomicU64::new(0);
    let (done, accepted) = (AtomicBool::new(false), AtomicU64::new(0));
    let state = Arc::clone(&tokens.world.state);
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (state, presented, applied) = (&state, &presented, &applied);
            let (done, accepted) = (&done, &accepted);
            scope.spawn(move || {
                let mut worker = Worker::new(state);
                let mut turn = thread;
                while !done.load(Ordering::Acquire) {
                    // Near the edge, where the race is.
                    let before = applied.load(Ordering::Acquire);
                    turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let near = (before + (turn >> 33) % 8).saturating_sub(4);
                    let n = near.min(SESSIONS - 1);
                    let outcome =
                        tokens::verify(state, &mut worker, &rules(), &presented[n as usize]);
                    match outcome {
                        Ok(_) => {
                            assert!(n >= before, "{n} passed when {before} were revoked");
                            accepted.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(refusal) => assert_eq!(refusal, Refusal::SessionEnded),
                    }
                }
            });
        }
        for n in 0..SESSIONS {
            tokens.world.apply(vec![ended_session(u128::from(n))]);
            applied.store(n + 1, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
    let mut worker = tokens.world.worker();
    for token in &presented {
        assert_eq!(
            tokens.outcome(&mut worker, token),
            Err(Refusal::SessionEnded)
        );
    }
    assert!(accepted.load(Ordering::Relaxed) > 0, "nothing raced");
}

/// No bound is asserted: what it takes is this machine's affair. The report is what is wanted.
#[test]
#[expect(clippy::print_stdout, reason = "its figures are its result")]
fn how_long_it_takes_from_commit_to_refused_is_reported() {
    const ROUNDS: u128 = 200;
    let mut tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let mut took = Vec::new();
    for n in 0..ROUNDS {
        let token = tokens.token(|claims| claims.sid = Some(session(n)));
        tokens.outcome(&mut worker, &token).unwrap();
        let applied = tokens.world.commit(vec![ended_session(n)]).unwrap();
        let committed = Instant::now();
        tokens.world.state.apply(&applied).unwrap();
        assert_eq!(
            tokens.outcome(&mut worker, &token),
            Err(Refusal::SessionEnded)
        );
        took.push(committed.elapsed());
    }
    took.sort_unstable();
    println!(
        "from commit to refused: median {:?}, 99th of a hundred {:?}, most {:?}",
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1]
    );
}
