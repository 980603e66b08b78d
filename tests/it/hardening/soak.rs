//! A soak of logins: whatever people and apps do, and however often, no table of the schema is
//! longer for it once the time of its rows has come and the cleaner has been there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use doorward::authority::audit_chain;
use doorward::authority::jobs::{clean, retire_ended_clients};
use doorward::authority::keys::rotation;
use doorward::authority::oauth::backchannel::deliver_due;
use doorward::authority::proxies::Proxies;
use doorward::crypto::digest::sha256;
use doorward::domain::app::{AuthMethod, GrantType, RefreshBinding};
use doorward::protocol::oauth::{DEVICE_CODE, FORM};
use doorward::store::apps::App;
use doorward::store::transient::TRANSIENT;
use doorward::store::{Dialect, StoreConfig, StoreError, feed};
use serde_json::json;

use crate::login::browser::{Browser, field, query};
use crate::login::upstream::Instead;
use crate::login::world::World;
use crate::oauth::client_auth::{Key, assertion, with_assertion};
use crate::oauth::dpop;
use crate::oauth::tokens::{
    REDIRECT, VERIFIER, an_app, ask, code_form, expect_error, redeem, refresh, register, text,
};
use crate::oauth::world::{encode, request};
use crate::support::app::{Person, Reply};

/// Logs, which are made to grow: of what was done, and its chain.
const LOGS: [&str; 2] = ["audit_log", "audit_chain"];

/// From the end of a code to that of the longest lived grant and of the rows that outlive a client.
const STEPS: [Duration; 6] = [
    Duration::from_mins(2),
    Duration::from_hours(2),
    Duration::from_hours(25),
    Duration::from_hours(24 * 8),
    Duration::from_hours(24 * 15),
    Duration::from_hours(24 * 91),
];

/// An authority, its apps, and a person who owns an organization.
struct Soak {
    world: World,
    /// First-party, with a secret; its logout endpoint answers nobody.
    board: App,
    /// A third party's, public, with a logout endpoint that answers.
    spa: App,
    tv: App,
    key: Key,
    owner: Person,
}

impl Soak {
    async fn start(store: Option<StoreConfig>) -> Self {
        let world = World::start_configured(
            store,
            |_| {},
            |config| {
                config.proxies = Proxies::new(&["127.0.0.0/8"], "x-forwarded-for").unwrap();
                config.registration.dynamic = true;
            },
        )
        .await;
        let upstream = format!("http://{}", world.corp.address);
        world.corp.with(|script| {
            let heard = Instead::Status(200);
            script.instead.insert("/heard", heard);
            script.instead.insert("/deaf", Instead::Status(500));
        });
        let mut board = an_app(&world.app, "board");
        board.spec.backchannel_logout_uri = Some(format!("{upstream}/deaf"));
        let mut spa = an_app(&world.app, "spa");
        spa.spec.auth_method = AuthMethod::None;
        spa.spec.first_party = false;
        spa.spec.backchannel_logout_uri = Some(format!("{upstream}/heard"));
        let mut tv = an_app(&world.app, "tv");
        tv.spec.auth_method = AuthMethod::None;
        tv.spec.refresh_binding = RefreshBinding::Standalone;
        let key = Key::new();
        let mut keyed = an_app(&world.app, "keyed");
        keyed.spec.auth_method = AuthMethod::PrivateKeyJwt;
        keyed.spec.grant_types = [GrantType::ClientCredentials].into_iter().collect();
        let mut jwk = key.jwk.clone();
        jwk["kid"] = json!("k1");
        keyed.spec.jwks = Some(json!({ "keys": [jwk] }).to_string());
        for app in [&board, &spa, &tv, &keyed] {
            register(&world.app, app).await;
        }
        let owner = world.app.owner_of("acme").await;
        Self {
            world,
            board,
            spa,
            tv,
            key,
            owner,
        }
    }

    /// What people, apps and strangers do, once each. Nobody is where somebody was before.
    async fn round(&self, number: u32) {
        let from = format!("198.51.{}.{}", number / 250, number % 250 + 1);
        let mut ada = self.world.browser();
        ada.forwarded = Some(("x-forwarded-for", from.clone()));
        self.come_and_go(&mut ada).await;
        self.leave_things_lying(&from).await;
        self.devices(&mut ada).await;
        self.machines(number).await;
        self.operators(&from).await;
        self.strangers(&mut ada, &from).await;
    }

    /// An authorization request, through the login at `corp` and the consent if they are asked for.
    async fn code(&self, browser: &mut Browser<'_>, by: &App, more: &[(&str, &str)]) -> String {
        let challenge = BASE64URL_NOPAD.encode(&sha256(VERIFIER.as_bytes()));
        let mut all = vec![
            ("client_id", by.spec.identifier.as_str()),
            ("redirect_uri", REDIRECT),
            ("code_challenge", &challenge),
        ];
        all.extend(more);
        let mut next = format!("/oauth2/authorize?{}", request(&all));
        loop {
            let reply = if next.starts_with("/consent?") {
                let page = browser.get(&next).await.expect(200);
                let html = page.body.as_str().unwrap();
                let (request, csrf) = (field(html, "request"), field(html, "csrf"));
                let form = [
                    ("request", request.as_str()),
                    ("csrf", csrf.as_str()),
                    ("decision", "allow"),
                ];
                browser.post("/consent", &form).await
            } else if next.starts_with("/login?") {
                let url = browser.press_through(&next, "corp").await;
                browser.get(&self.world.corp.agree(&url)).await
            } else {
                browser.get(&next).await
            };
            reply.expect(303).header("location").clone_into(&mut next);
            if next.starts_with(REDIRECT) {
                return query(&next)["code"].clone();
            }
        }
    }

    /// A login for two apps, tokens and their successors, a code used twice, and a logout.
    async fn come_and_go(&self, ada: &mut Browser<'_>) {
        let app = &self.world.app;
        let code = self.code(ada, &self.board, &[]).await;
        let tokens = redeem(app, &self.board, &code).await.expect(200);
        let hint = text(&tokens, "id_token").to_owned();
        let mut token = text(&tokens, "refresh_token").to_owned();
        for _ in 0..2 {
            let next = refresh(app, &self.board, &token).await.expect(200);
            text(&next, "refresh_token").clone_into(&mut token);
            app.get("/oauth2/userinfo")
                .by(text(&next, "access_token"))
                .send()
                .await
                .expect(200);
        }
        let shown = format!("token={token}");
        for path in ["/oauth2/introspect", "/oauth2/revoke"] {
            ask(app, path, &self.board, &shown).await.expect(200);
        }
        let code = self.code(ada, &self.board, &[]).await;
        redeem(app, &self.board, &code).await.expect(200);
        let again = redeem(app, &self.board, &code).await;
        expect_error(again, 400, "invalid_grant");
        // Bound to a key, and by a name that was pushed.
        let (key, code) = (Key::new(), self.pushed(ada).await);
        let bound = dpop::token(app, &self.spa, &key, &code_form(&code)).await;
        bound.expect(200);
        let bye = encode(&[("id_token_hint", &hint)]);
        ada.get(&format!("/oauth2/logout?{bye}")).await.expect(303);
        assert_eq!(ada.session(), None);
    }

    async fn push(&self) -> String {
        let challenge = BASE64URL_NOPAD.encode(&sha256(VERIFIER.as_bytes()));
        let form = request(&[
            ("client_id", "spa"),
            ("redirect_uri", REDIRECT),
            ("code_challenge", &challenge),
        ]);
        let reply = self.world.app.post("/oauth2/par").bytes(FORM, form).await;
        text(&reply.expect(201), "request_uri").to_owned()
    }

    async fn pushed(&self, ada: &mut Browser<'_>) -> String {
        let name = self.push().await;
        self.code(ada, &self.spa, &[("request_uri", &name)]).await
    }

    /// What nobody comes back for: a session, a code, a refresh token, a pushed request.
    async fn leave_things_lying(&self, from: &str) {
        let mut browser = self.world.browser();
        browser.forwarded = Some(("x-forwarded-for", from.to_owned()));
        let code = self.code(&mut browser, &self.spa, &[]).await;
        let tokens = redeem(&self.world.app, &self.spa, &code).await;
        tokens.expect(200);
        self.code(&mut browser, &self.spa, &[]).await;
        self.push().await;
    }

    /// One is let in, and one waits for ever.
    async fn devices(&self, ada: &mut Browser<'_>) {
        let app = &self.world.app;
        let begin = async || {
            let path = "/oauth2/device_authorization";
            ask(app, path, &self.tv, "scope=openid").await.expect(200)
        };
        begin().await;
        let device = begin().await;
        self.code(ada, &self.board, &[]).await;
        let page = self.type_code(ada, text(&device, "user_code")).await;
        let request = field(page.expect(200).body.as_str().unwrap(), "request");
        let csrf = self.device_csrf(ada).await;
        let form = [
            ("csrf", csrf.as_str()),
            ("request", &request),
            ("decision", "allow"),
        ];
        ada.post("/device", &form).await.expect(200);
        let code = text(&device, "device_code");
        let form = format!("grant_type={DEVICE_CODE}&device_code={code}");
        ask(app, "/oauth2/token", &self.tv, &form).await.expect(200);
    }

    async fn device_csrf(&self, ada: &mut Browser<'_>) -> String {
        let page = ada.get("/device").await.expect(200);
        field(page.body.as_str().unwrap(), "csrf")
    }

    async fn type_code(&self, ada: &mut Browser<'_>, code: &str) -> Reply {
        let csrf = self.device_csrf(ada).await;
        let form = [("csrf", csrf.as_str()), ("user_code", code)];
        ada.post("/device", &form).await
    }

    /// An assertion, which counts once.
    async fn machines(&self, number: u32) {
        let app = &self.world.app;
        let signed = assertion(app, &self.key, &format!("soak-{number}"));
        let form = "grant_type=client_credentials&scope=board:read";
        with_assertion(app, &signed, form).await.expect(200);
        let again = with_assertion(app, &signed, form).await;
        expect_error(again, 401, "invalid_client");
    }

    /// Tokens and links that nobody uses, a secret that is replaced, a client that registers.
    async fn operators(&self, from: &str) {
        let app = &self.world.app;
        let form = format!(
            "grant_type=client_credentials&client_id=operator&client_secret={}&scope=doorward:admin",
            app.operator_secret
        );
        let reply = app.post("/oauth2/token").bytes(FORM, form).await;
        let operator = text(&reply.expect(200), "access_token").to_owned();
        let post = async |path: &str, body: serde_json::Value| {
            app.post(path).by(&operator).json(&body).await.expect(201)
        };
        post("/v1/sidecars/join-tokens", json!({"name": "soon"})).await;
        let policy = json!({
            "redirect_hosts": ["app.example"],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": "openid",
            "client_lifetime_seconds": 24 * 60 * 60,
        });
        let wanted = json!({"name": "partners", "uses": 2, "policy": policy});
        let token = post("/v1/registration-tokens", wanted).await;
        let client = json!({
            "client_name": "A partner's app", "redirect_uris": [REDIRECT], "scope": "openid",
        });
        let call = app.post("/oauth2/register").header("x-forwarded-for", from);
        let made = call.by(text(&token, "token")).json(&client).await;
        let made = made.expect(201);
        let path = format!("/v1/clients/{}/secret", text(&made, "client_id"));
        let rotation = json!({"overlap_seconds": 7200});
        app.post(&path)
            .by(&operator)
            .json(&rotation)
            .await
            .expect(200);
        let owner = app.token(self.owner.id).await;
        app.post("/v1/organizations/acme/invitations")
            .by(&owner)
            .json(&json!({"role": "billing/viewer"}))
            .await
            .expect(201);
    }

    /// Whatever is guessed is wrong, and counted by where it comes from.
    async fn strangers(&self, ada: &mut Browser<'_>, from: &str) {
        let app = &self.world.app;
        let form = "grant_type=client_credentials";
        let basic = data_encoding::BASE64.encode(b"board:dwc_wrong");
        let call = app.post("/oauth2/token").header("x-forwarded-for", from);
        let call = call.header("authorization", &format!("Basic {basic}"));
        expect_error(call.bytes(FORM, form).await, 401, "invalid_client");
        for wrong in ["refresh_token=dwr_wrong", "code=dwa_wrong"] {
            let (grant, _) = wrong.split_once('=').unwrap();
            let grant = grant.replace("code", "authorization_code");
            let form = format!("grant_type={grant}&{wrong}");
            let reply = ask(app, "/oauth2/token", &self.board, &form).await;
            reply.expect(400);
        }
        self.type_code(ada, "BCDF-GHJK").await;
        ada.get("/invitation?token=dwi_wrong").await.expect(303);
        ada.get("/invitation").await;
    }

    /// What the jobs do.
    async fn look(&self) {
        let authority = &self.world.app.authority;
        deliver_due(authority).await.unwrap();
        retire_ended_clients(authority).await.unwrap();
        clean(&authority.store, &*authority.clock).await.unwrap();
        rotation::look(authority, "soak").await.unwrap();
        audit_chain::chain(authority, "soak").await.unwrap();
        // The supplier keeps a million revisions; here there is not even a second.
        let written = authority.store.write::<_, StoreError>(|tx| {
            let head = feed::head(tx)?.position.revision;
            feed::compact(tx, head)
        });
        written.await.unwrap();
    }

    /// Lets the time of everything come, with the jobs at work.
    async fn age(&self) {
        for step in STEPS {
            self.look().await;
            self.world.advance(step);
        }
        self.look().await;
    }

    /// How long each table of the schema is, but for logs.
    async fn tables(&self) -> BTreeMap<String, i64> {
        let store = &self.world.app.authority.store;
        let names = match store.dialect() {
            Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
            Dialect::Postgres => {
                "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"
            }
        };
        let counted = store.read::<_, StoreError>(move |tx| {
            let mut counted = BTreeMap::new();
            for row in tx.rows(names, &[])? {
                let name = row.text(0)?.to_owned();
                let rows = tx.rows(&format!("SELECT count(*) FROM {name}"), &[])?;
                counted.insert(name, rows[0].int(0)?);
            }
            Ok(counted)
        });
        let mut counted = counted.await.unwrap();
        for log in LOGS {
            assert!(counted.remove(log) > Some(0), "{log}");
        }
        counted
    }
}

/// The tables that are not as long as they were.
fn changed(
    before: &BTreeMap<String, i64>,
    after: &BTreeMap<String, i64>,
) -> BTreeMap<String, (Option<i64>, i64)> {
    after
        .iter()
        .map(|(name, rows)| (name.clone(), (before.get(name).copied(), *rows)))
        .filter(|(_, (before, after))| *before != Some(*after))
        .collect()
}

async fn no_table_grows_with_logins(store: Option<StoreConfig>, rounds: u32) {
    let soak = Soak::start(store).await;
    // Consents, accounts and the like are once per person and app: the first rounds make them.
    for number in 0..2 {
        soak.round(number).await;
        soak.age().await;
    }
    let early = soak.tables().await;
    for number in 2..rounds {
        soak.round(number).await;
        soak.age().await;
    }
    assert_eq!(changed(&early, &soak.tables().await), BTreeMap::new());

    // The control: each of these tables has been filled, or nothing was shown by their being flat.
    let mut last = early.clone();
    for number in rounds..rounds + 2 {
        soak.round(number).await;
        soak.world.advance(Duration::from_mins(1));
        let now = soak.tables().await;
        let transient: BTreeSet<_> = TRANSIENT.iter().map(|what| what.table).collect();
        for table in transient {
            // Taken by the jobs alone, one for each.
            if table != "leases" {
                assert!(now[table] > last[table], "{table}: {now:#?}");
            }
        }
        last = now;
    }
    soak.age().await;
    assert_eq!(changed(&early, &soak.tables().await), BTreeMap::new());

    let metrics = soak.world.app.get("/metrics").send().await.expect(200);
    let counted = metrics.body.as_str().unwrap();
    for what in TRANSIENT {
        let name = format!("doorward_cleaner_rows_total{{table=\"{}\"}} ", what.table);
        let rows = counted.lines().find_map(|line| line.strip_prefix(&name));
        let rows: u64 = rows.expect(&name).parse().unwrap();
        assert!(rows > 0, "{name}");
    }
}

/// Sessions end a week after the login at the latest; by then the cleaner deletes idle ones anyway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_nobody_uses_is_deleted_long_before_its_end() {
    let soak = Soak::start(None).await;
    soak.round(0).await;
    let lifetimes = &soak.world.app.authority.config.lifetimes;
    assert!(lifetimes.session_idle < lifetimes.session);
    let store = &soak.world.app.authority.store;
    let watched = async || {
        let counted = store.read::<_, StoreError>(|tx| {
            let sql =
                "SELECT count(*) FROM sessions s JOIN session_details d ON d.session_id = s.id";
            tx.rows(sql, &[])?[0].int(0)
        });
        counted.await.unwrap()
    };
    assert!(watched().await > 0);
    soak.world.advance(lifetimes.session_idle);
    soak.look().await;
    assert_eq!(watched().await, 0);
}

/// The other control: a table that comes to the schema without anybody who cleans it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_nobody_cleans_is_found() {
    let soak = Soak::start(None).await;
    let store = &soak.world.app.authority.store;
    let written = store.write::<_, StoreError>(|tx| {
        tx.exec("CREATE TABLE strays (id BLOB)", &[])?;
        let trigger = "CREATE TRIGGER strays_of_logins AFTER INSERT ON sessions \
            BEGIN INSERT INTO strays VALUES (new.id); END";
        tx.exec(trigger, &[])
    });
    written.await.unwrap();
    let mut last = BTreeMap::new();
    for number in 0..3 {
        soak.round(number).await;
        soak.age().await;
        let now = soak.tables().await;
        if number == 2 {
            let found: Vec<_> = changed(&last, &now).into_keys().collect();
            assert_eq!(found, ["strays"]);
        }
        last = now;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_table_grows_with_logins_on_sqlite() {
    no_table_grows_with_logins(None, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_table_grows_with_logins_on_postgres() {
    if let Some(store) = crate::support::postgres::database() {
        no_table_grows_with_logins(Some(store), 5).await;
    }
}

/// Run by hand: `cargo test --test it rounds_of_logins -- --ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a soak: minutes"]
async fn two_hundred_rounds_of_logins_leave_no_table_longer() {
    no_table_grows_with_logins(None, 200).await;
    if let Some(store) = crate::support::postgres::database() {
        no_table_grows_with_logins(Some(store), 200).await;
    }
}
