//! Tokens at a sidecar that follows this authority by its feed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
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
use doorward::store::clients;
use serde_json::{Value, json};

use super::tokens::{
    agree, an_app, ask, expect_error, now, redeem, refresh, register, status_of, text, write,
};
use crate::support::app::TestApp;

on_both_engines! {
    no_token_of_an_old_or_a_new_key_is_refused_while_keys_are_rotated,
    what_a_leaked_key_signed_is_refused_as_soon_as_the_sidecar_hears_of_it,
    a_standalone_grant_of_a_retired_client_is_worth_nothing_anywhere,
}

const MINUTE: Duration = Duration::from_mins(1);
/// Waiting is for what will happen, never for how long it takes: this only ends a hung test.
const HUNG: Duration = Duration::from_mins(1);

struct Beside {
    sidecar: Sidecar,
    tasks: Tasks,
    _directory: tempfile::TempDir,
}

impl Beside {
    /// Enrolled by a join token, on the authority's clock.
    async fn start(app: &TestApp) -> Self {
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
        let enrolment = Enrolment {
            authority: format!("http://{}", app.address).parse().unwrap(),
            client_id: text(&enrolled, "client_id").parse().unwrap(),
            client_secret: PlainToken::presented(text(&enrolled, "client_secret").to_owned()),
            feed_key: join.feed_key.parse().unwrap(),
            ca_file: None,
        };
        let directory = crate::support::directory();
        let clock: Arc<dyn Clock> = app.clock.clone();
        let tasks = Tasks::new();
        let sidecar = Sidecar::start(
            &Config::for_data(directory.path()),
            Some(enrolment.follower(directory.path())),
            (clock, Arc::clone(&app.entropy)),
            &Environment::default(),
            &tasks,
        )
        .unwrap();
        let beside = Self {
            sidecar,
            tasks,
            _directory: directory,
        };
        beside.hear(app).await;
        beside
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
        let issuer = app.authority.config.issuer.to_string();
        let rules = Rules {
            audiences: vec![issuer.clone()],
            issuer,
        };
        let state = self.sidecar.state();
        tokens::verify(state, &mut Worker::new(state), &rules, token).map(|_| ())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.tasks.stop().request();
    }
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
