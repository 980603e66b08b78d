//! Tokens at a sidecar that follows this authority by its feed.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use doorward::authority::account;
use doorward::authority::control::{Command, carry_out};
use doorward::authority::keys::rotation::{self, PUBLISH_AHEAD, Rotation};
use doorward::domain::app::RefreshBinding;
use doorward::domain::{PlainToken, UserId};
use doorward::protocol::credentials::JoinToken;
use doorward::runtime::config::Environment;
use doorward::runtime::{Clock, Tasks};
use doorward::sidecar::app::Sidecar;
use doorward::sidecar::config::Config;
use doorward::sidecar::decide::Worker;
use doorward::sidecar::enrolment::Enrolment;
use doorward::sidecar::refusal::Refusal;
use doorward::sidecar::tokens::{self, Rules};
use doorward::store::apps::App;
use doorward::store::{StoreError, Tx, clients, sessions};
use serde_json::{Value, json};

use super::tokens::{
    Agreed, agree, an_app, ask, confidential, expect_error, now, redeem, refresh, register,
    status_of, text, write,
};
use crate::support::app::TestApp;

on_both_engines! {
    no_token_of_an_old_or_a_new_key_is_refused_while_keys_are_rotated,
    what_a_leaked_key_signed_is_refused_as_soon_as_the_sidecar_hears_of_it,
    a_standalone_grant_of_a_retired_client_is_worth_nothing_anywhere,
    what_was_revoked_stays_refused_and_the_rest_accepted_without_the_authority,
}

const MINUTE: Duration = Duration::from_mins(1);
/// Waiting is for what will happen, never for how long it takes: this only ends a hung test.
const HUNG: Duration = Duration::from_mins(1);

struct Beside {
    sidecar: Sidecar,
    tasks: Running,
    enrolment: Enrolment,
    directory: tempfile::TempDir,
}

impl Beside {
    /// Enrolled by a join token, on the authority's clock.
    async fn start(app: &TestApp) -> Self {
        let enrolment = enrolment(app).await;
        let directory = crate::support::directory();
        let (sidecar, tasks) = follow(app, &enrolment, directory.path());
        let beside = Self {
            sidecar,
            tasks,
            enrolment,
            directory,
        };
        beside.hear(app).await;
        beside
    }

    /// Stops it, and starts another on the copy that it leaves.
    async fn restarted(self, app: &TestApp) -> Self {
        let Self {
            sidecar,
            tasks,
            enrolment,
            directory,
        } = self;
        tasks.0.shutdown(HUNG).await.unwrap();
        let copy = sidecar.state().copy_path();
        drop(sidecar);
        let (sidecar, tasks) = follow(app, &enrolment, directory.path());
        assert_eq!(sidecar.state().copy_path(), copy);
        Self {
            sidecar,
            tasks,
            enrolment,
            directory,
        }
    }

    /// Waits until it has applied all that the authority has committed.
    async fn hear(&self, app: &TestApp) {
        let head = app.revision();
        let up_to_date = || {
            let position = self.sidecar.state().view().position;
            position.is_some_and(|position| position.revision.get() >= head)
        };
        let waiting = async {
            while !up_to_date() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HUNG, waiting)
            .await
            .expect("the sidecar never heard of it");
    }

    /// What it says of a token to a thread that has seen none.
    fn outcome(&self, app: &TestApp, token: &str) -> Result<(), Refusal> {
        self.outcome_for(&mut Worker::new(self.sidecar.state()), app, token)
    }

    fn outcome_for(&self, worker: &mut Worker, app: &TestApp, token: &str) -> Result<(), Refusal> {
        let issuer = app.authority.config.issuer.to_string();
        let rules = Rules {
            audiences: vec![issuer.clone()],
            issuer,
        };
        let state = self.sidecar.state();
        tokens::verify(state, worker, &rules, token).map(|_| ())
    }
}

/// The enrolment of a sidecar by a join token.
pub async fn enrolment(app: &TestApp) -> Enrolment {
    app.authority.feed.start().unwrap();
    let invited = app
        .post("/v1/sidecars/join-tokens")
        .by(app.operator())
        .json(&json!({ "name": "beside" }))
        .await
        .expect(201);
    let join: JoinToken = text(&invited, "join_token").parse().unwrap();
    let enrolled = app
        .post("/v1/sidecars/enroll")
        .json(&json!({ "join_token": join.token.expose() }))
        .await
        .expect(201);
    Enrolment {
        authority: format!("http://{}", app.address).parse().unwrap(),
        client_id: text(&enrolled, "client_id").parse().unwrap(),
        client_secret: PlainToken::presented(text(&enrolled, "client_secret").to_owned()),
        feed_key: join.feed_key.parse().unwrap(),
        ca_file: None,
    }
}

/// What runs until it is dropped.
pub struct Running(pub Tasks);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop().request();
    }
}

/// A sidecar on that directory, whether or not the authority is there.
fn follow(app: &TestApp, enrolment: &Enrolment, directory: &Path) -> (Sidecar, Running) {
    let clock: Arc<dyn Clock> = app.clock.clone();
    let tasks = Tasks::new();
    let sidecar = Sidecar::start(
        &Config::for_data(directory),
        Some(enrolment.follower(directory)),
        (clock, Arc::clone(&app.entropy)),
        &Environment::default(),
        &tasks,
    )
    .unwrap();
    (sidecar, Running(tasks))
}

fn key_of(token: &str) -> String {
    let header = token.split('.').next().unwrap();
    let json = BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
    let header: Value = serde_json::from_slice(&json).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

async fn no_token_of_an_old_or_a_new_key_is_refused_while_keys_are_rotated(app: TestApp) {
    let user = app.user("ada").await;
    let beside = Beside::start(&app).await;
    let command = Rotation {
        purpose: None,
        at_once: false,
    };
    rotation::rotate(&app.authority, "local:0".to_owned(), command)
        .await
        .unwrap();
    assert_eq!(signing_keys_of_half_an_hour(&app, &beside, user).await, 2);

    let every = app.authority.config.rotate_keys_every;
    app.clock
        .advance(every.checked_sub(PUBLISH_AHEAD + 2 * MINUTE).unwrap());
    assert_eq!(signing_keys_of_half_an_hour(&app, &beside, user).await, 2);
}

/// Has a token signed each minute, and each shown to the sidecar for as long as it lives: before it
/// hears of what the authority did to its keys, and after. Gives how many keys signed.
async fn signing_keys_of_half_an_hour(app: &TestApp, beside: &Beside, user: UserId) -> usize {
    let mut alive = Vec::new();
    let mut signed_by = BTreeSet::new();
    for minute in 0..30 {
        rotation::look(&app.authority, "first").await.unwrap();
        let token = app.token(user).await;
        signed_by.insert(key_of(&token));
        alive.push((now(app), token));
        alive.retain(|(at, _)| now(app).since(*at) < Duration::from_mins(10));
        for heard in [false, true] {
            if heard {
                beside.hear(app).await;
            }
            for (_, token) in &alive {
                assert_eq!(beside.outcome(app, token), Ok(()), "{minute} {heard}");
            }
        }
        app.clock.advance(MINUTE);
    }
    signed_by.len()
}

async fn what_a_leaked_key_signed_is_refused_as_soon_as_the_sidecar_hears_of_it(app: TestApp) {
    let user = app.user("ada").await;
    let beside = Beside::start(&app).await;
    let leaked = app.token(user).await;
    assert_eq!(beside.outcome(&app, &leaked), Ok(()));
    let command = Command::RotateKeys {
        purpose: Some("access_token".to_owned()),
        at_once: true,
    };
    carry_out(&app.authority, command, "1000").await.unwrap();
    beside.hear(&app).await;
    assert_eq!(beside.outcome(&app, &leaked), Err(Refusal::UnknownKey));
    let new = app.token(user).await;
    assert_ne!(key_of(&new), key_of(&leaked));
    assert_eq!(beside.outcome(&app, &new), Ok(()));
}

async fn a_standalone_grant_of_a_retired_client_is_worth_nothing_anywhere(app: TestApp) {
    let mut alone = an_app(&app, "alone");
    alone.spec.refresh_binding = RefreshBinding::Standalone;
    register(&app, &alone).await;
    let agreed = agree(&app, &alone, "openid offline_access").await;
    let first = redeem(&app, &alone, &agreed.code).await.expect(200);
    let (access, token) = (text(&first, "access_token"), text(&first, "refresh_token"));
    let beside = Beside::start(&app).await;
    let operator = async |token: &str| {
        let form = format!(
            "token={token}&client_id=operator&client_secret={}",
            app.operator_secret
        );
        let reply = app.post("/oauth2/introspect");
        let reply = reply.bytes("application/x-www-form-urlencoded", form).await;
        reply.expect(200).body
    };
    assert_eq!(beside.outcome(&app, access), Ok(()));
    assert_eq!(operator(access).await["active"], true);
    assert_eq!(status_of(&app, access).await, 200);

    let (client, at) = (alone.client(), now(&app));
    write(&app, move |tx| clients::retire(tx, &client, at)).await;
    beside.hear(&app).await;
    assert_eq!(beside.outcome(&app, access), Err(Refusal::ClientInactive));
    assert_eq!(status_of(&app, access).await, 401);
    for dead in [access, token] {
        assert_eq!(operator(dead).await, json!({ "active": false }));
        let asked = ask(&app, "/oauth2/introspect", &alone, &format!("token={dead}")).await;
        expect_error(asked, 401, "invalid_client");
    }
    let refreshed = refresh(&app, &alone, token).await;
    expect_error(refreshed, 401, "invalid_client");
}

/// An access token that a new user's login gave the app, and what it came from.
struct LoggedIn {
    agreed: Agreed,
    access: String,
    refresh: String,
}

async fn logged_in(app: &TestApp, board: &App) -> LoggedIn {
    let agreed = agree(app, board, "openid offline_access").await;
    let reply = redeem(app, board, &agreed.code).await.expect(200);
    LoggedIn {
        access: text(&reply, "access_token").to_owned(),
        refresh: text(&reply, "refresh_token").to_owned(),
        agreed,
    }
}

async fn what_was_revoked_stays_refused_and_the_rest_accepted_without_the_authority(app: TestApp) {
    let board = confidential(&app, "board").await;
    let beside = Beside::start(&app).await;
    let kept = logged_in(&app, &board).await;
    let [ended, suspended, signed_out, revoked] = [
        logged_in(&app, &board).await,
        logged_in(&app, &board).await,
        logged_in(&app, &board).await,
        logged_in(&app, &board).await,
    ];
    let own = app.token(kept.agreed.user).await;
    let good = [&kept.access, &own];
    let bad = [
        (&ended.access, Refusal::SessionEnded),
        (&suspended.access, Refusal::UserInactive),
        (&signed_out.access, Refusal::UserSignedOut),
        (&revoked.access, Refusal::GrantRevoked),
    ];
    beside.hear(&app).await;
    // A thread that remembers all of them as good.
    let mut worker = Worker::new(beside.sidecar.state());
    for token in good.into_iter().chain(bad.map(|(token, _)| token)) {
        assert_eq!(beside.outcome_for(&mut worker, &app, token), Ok(()));
    }

    let id = ended.agreed.session;
    let find = move |tx: &mut dyn Tx| Ok::<_, StoreError>(sessions::find(tx, id)?.unwrap());
    let session = app.authority.store.read(find).await.unwrap();
    account::end_session(&app.authority, &session, id)
        .await
        .unwrap();
    for (user, deed) in [
        (suspended.agreed.user, "suspend"),
        (signed_out.agreed.user, "sign-out"),
    ] {
        let call = app.post(format!("/v1/users/{user}/{deed}"));
        call.by(app.operator()).send().await.expect(200);
    }
    let form = format!("token={}", revoked.refresh);
    ask(&app, "/oauth2/revoke", &board, &form).await.expect(200);
    beside.hear(&app).await;

    app.authority.tasks.shutdown(HUNG).await.unwrap();
    std::net::TcpStream::connect(app.address).expect_err("the authority is gone");
    let verify = |beside: &Beside, worker: &mut Worker| {
        // The second time from memory.
        for _ in 0..2 {
            for token in good {
                assert_eq!(beside.outcome_for(worker, &app, token), Ok(()));
            }
            for (token, refusal) in bad {
                let outcome = beside.outcome_for(worker, &app, token);
                assert_eq!(outcome, Err(refusal));
            }
        }
    };
    verify(&beside, &mut worker);
    verify(&beside, &mut Worker::new(beside.sidecar.state()));

    let beside = beside.restarted(&app).await;
    let mut worker = Worker::new(beside.sidecar.state());
    verify(&beside, &mut worker);
    assert!(!beside.sidecar.state().link().connected);

    // What is accepted is accepted for its time, by the sidecar's own clock.
    app.clock.advance(app.authority.config.lifetimes.access);
    app.clock.advance(MINUTE);
    for token in good {
        let outcome = beside.outcome_for(&mut worker, &app, token);
        assert_eq!(outcome, Err(Refusal::Expired));
    }
}
