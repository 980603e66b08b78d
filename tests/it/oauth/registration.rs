//! Clients that register themselves, and look after it.

use std::time::Duration;

use doorward::authority::jobs::{clean, retire_ended_clients};
use doorward::authority::proxies::Proxies;
use doorward::store::{StoreConfig, StoreError, consents};
use serde_json::{Value, json};

use super::world::{Answered, Browser, CALLBACK, VERIFIER, World, field};
use crate::support::app::{Call, Reply, TestApp};

/// Instantiates behaviours, functions over a [`World`], as tests of each engine.
macro_rules! on_both_engines {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::start(None).await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(store) = $crate::support::postgres::database() {
                    super::$name(super::start(Some(store)).await).await;
                }
            })*
        }
    };
}

on_both_engines! {
    without_a_token_that_counts_nobody_registers,
    wrong_tokens_are_counted_by_where_they_come_from_and_right_ones_are_not,
    a_registered_client_logs_people_in_with_their_consent,
    each_mistake_is_answered_by_its_code_and_member,
    of_many_who_come_with_a_last_use_one_registers,
    a_client_looks_after_its_registration_with_the_newest_token_only,
    a_yes_counts_for_no_more_than_the_page_showed,
    a_client_that_deregisters_is_refused_at_once_and_its_rows_go,
    a_client_that_nobody_uses_ends_and_one_that_is_used_stays,
    only_operators_make_tokens_and_see_them,
    a_token_with_mistakes_is_not_made,
}

async fn start(store: Option<StoreConfig>) -> World {
    let app = TestApp::start_with(store, |config, _| {
        config.registration.dynamic = true;
        config.proxies = Proxies::new(&["127.0.0.1"], "x-forwarded-for").unwrap();
    })
    .await;
    World::of(app).await
}

/// Makes an initial access token.
async fn token(world: &World, uses: u32, more: Value) -> String {
    let mut policy = json!({
        "redirect_hosts": ["board.example"],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "openid profile offline_access",
        "client_lifetime_seconds": 30 * 24 * 60 * 60,
    });
    let more = more.as_object().unwrap().clone();
    policy.as_object_mut().unwrap().extend(more);
    let reply = world
        .app
        .post("/v1/registration-tokens")
        .by(world.app.operator())
        .json(&json!({ "name": "partners", "uses": uses, "policy": policy }))
        .await
        .expect(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.body["token"].as_str().unwrap().to_owned()
}

async fn register(world: &World, token: &str, body: &Value) -> Reply {
    let call = world.app.post("/oauth2/register");
    call.by(token).json(body).await
}

fn wanted() -> Value {
    json!({
        "client_name": "A partner's app",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "scope": "openid offline_access",
    })
}

/// A registered client.
struct Registered {
    id: String,
    secret: String,
    access: String,
}

async fn registered(world: &World) -> Registered {
    let token = token(world, 1, json!({})).await;
    let body = register(world, &token, &wanted()).await.expect(201).body;
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    Registered {
        id: text("client_id"),
        secret: text("client_secret"),
        access: text("registration_access_token"),
    }
}

impl Registered {
    fn path(&self) -> String {
        format!("/oauth2/register/{}", self.id)
    }

    /// Logs somebody in, who agrees; gives the answer of the token endpoint.
    async fn log_in(&self, world: &World, browser: &Browser) -> Reply {
        let own = [("client_id", self.id.as_str()), ("scope", "openid")];
        let reply = world.authorize(Some(browser), &own).await;
        let path = reply.location().to_owned();
        let answer = if path.starts_with("/consent?") {
            let page = world.visit(Some(browser), &path).await.page(200).to_owned();
            assert!(
                page.contains("A partner&#39;s app") || page.contains("A partner"),
                "{page}"
            );
            let (request, csrf) = (field(&page, "request"), field(&page, "csrf"));
            let form = [
                ("request", request.as_str()),
                ("csrf", csrf.as_str()),
                ("decision", "allow"),
            ];
            let decided = world.submit(Some(browser), "/consent", &form, true).await;
            decided.answer()
        } else {
            reply.answer()
        };
        self.redeem(world, &answer["code"]).await
    }

    async fn redeem(&self, world: &World, code: &str) -> Reply {
        let form = super::world::encode(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ]);
        let pair = format!("{}:{}", self.id, self.secret);
        let basic = data_encoding::BASE64.encode(pair.as_bytes());
        let call = world.app.post("/oauth2/token");
        call.header("authorization", &format!("Basic {basic}"))
            .bytes("application/x-www-form-urlencoded", form)
            .await
    }
}

fn is_refused(reply: &Reply, status: u16, error: &str, named: &str) {
    assert_eq!(reply.status.as_u16(), status, "{reply:#?}");
    assert_eq!(reply.body["error"], error, "{reply:#?}");
    let description = reply.body["error_description"].as_str().unwrap();
    assert!(description.contains(named), "{reply:#?}");
    assert_eq!(reply.header("cache-control"), "no-store");
}

async fn without_a_token_that_counts_nobody_registers(world: World) {
    let before = world.count("oauth_clients").await;
    let once = token(&world, 1, json!({})).await;
    let short = token(&world, 5, json!({})).await;
    register(&world, &once, &wanted()).await.expect(201);
    world.advance(7 * 24 * 60 * 60);
    let nobody = world.app.post("/oauth2/register").json(&wanted()).await;
    let mut answers = vec![nobody];
    for wrong in [once.as_str(), short.as_str(), "dwt_wrong", "board"] {
        answers.push(register(&world, wrong, &json!({ "redirect_uris": 5 })).await);
    }
    answers.push(register(&world, world.app.operator(), &wanted()).await);
    for reply in &answers {
        is_refused(reply, 401, "invalid_token", "token");
        assert_eq!(reply.body, answers[0].body, "all look alike");
        assert!(reply.header("www-authenticate").starts_with("Bearer "));
    }
    assert_eq!(world.count("oauth_clients").await, before + 1);
}

async fn a_registered_client_logs_people_in_with_their_consent(world: World) {
    let token = token(&world, 1, json!({ "resources": ["https://api.example"] })).await;
    let reply = register(&world, &token, &wanted()).await.expect(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    let body = &reply.body;
    for (name, value) in [
        ("client_name", json!("A partner's app")),
        ("redirect_uris", json!([CALLBACK])),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        (
            "grant_types",
            json!(["authorization_code", "refresh_token"]),
        ),
        ("response_types", json!(["code"])),
        ("scope", json!("offline_access openid")),
        ("application_type", json!("web")),
        ("client_id_issued_at", json!(1_800_000_000)),
        (
            "client_secret_expires_at",
            json!(1_800_000_000 + 30 * 24 * 60 * 60),
        ),
    ] {
        assert_eq!(body[name], value, "{name}: {body:#}");
    }
    let client = Registered {
        id: body["client_id"].as_str().unwrap().to_owned(),
        secret: body["client_secret"].as_str().unwrap().to_owned(),
        access: String::new(),
    };
    assert_eq!(
        body["registration_client_uri"],
        format!("{}{}", world.issuer(), client.path())
    );
    assert_eq!(world.app.audited("client.created").await, 1);
    let ada = world.log_in("ada").await;
    let granted = client.log_in(&world, &ada).await.expect(200);
    assert_eq!(granted.body["scope"], "openid");
    // What was asked for only as far as it was registered.
    let more = [("client_id", client.id.as_str()), ("scope", "profile")];
    world
        .authorize(Some(&ada), &more)
        .await
        .refused("invalid_scope");
    // Nothing that could be used again is kept.
    let kept = world
        .app
        .authority
        .store
        .read::<_, StoreError>(|tx| {
            let sql = "SELECT registration_token_hash FROM client_details \
                       WHERE registration_token_hash IS NOT NULL";
            Ok(tx.rows(sql, &[])?[0].text(0)?.to_owned())
        })
        .await
        .unwrap();
    assert_eq!(kept.len(), 64);
    assert_ne!(body["registration_access_token"], kept);
}

async fn each_mistake_is_answered_by_its_code_and_member(world: World) {
    let token = token(&world, 1, json!({})).await;
    let before = world.count("oauth_clients").await;
    let uri = "https://board.example/callback";
    for (change, error, named) in [
        (
            json!({ "redirect_uris": null }),
            "invalid_redirect_uri",
            "redirect_uris",
        ),
        (
            json!({ "redirect_uris": ["https://evil.example/"] }),
            "invalid_redirect_uri",
            "redirect_uris",
        ),
        (
            json!({ "redirect_uris": ["http://127.0.0.1/"] }),
            "invalid_redirect_uri",
            "redirect_uris",
        ),
        (
            json!({ "redirect_uris": ["javascript:alert(1)"] }),
            "invalid_redirect_uri",
            "redirect_uris",
        ),
        (
            json!({ "redirect_uris": vec![uri; 21] }),
            "invalid_redirect_uri",
            "redirect_uris",
        ),
        (
            json!({ "redirect_uris": "x" }),
            "invalid_redirect_uri",
            "redirect_uris",
        ),
        (
            json!({ "client_name": "x".repeat(101) }),
            "invalid_client_metadata",
            "client_name",
        ),
        (
            json!({ "grant_types": ["client_credentials"] }),
            "invalid_client_metadata",
            "grant_types",
        ),
        (
            json!({ "scope": "openid doorward:admin" }),
            "invalid_client_metadata",
            "scope",
        ),
        (
            json!({ "scope": "doorward:full" }),
            "invalid_client_metadata",
            "scope",
        ),
        (
            json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [{ "kty": "EC", "d": "x" }] } }),
            "invalid_client_metadata",
            "jwks",
        ),
        (
            json!({ "jwks_uri": "https://board.example/keys" }),
            "invalid_client_metadata",
            "jwks_uri",
        ),
        (
            json!({ "response_types": ["id_token"] }),
            "invalid_client_metadata",
            "response_types",
        ),
        (
            json!({ "software_statement": "eyJ.e30." }),
            "unapproved_software_statement",
            "software_statement",
        ),
    ] {
        let mut body = wanted();
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        is_refused(&register(&world, &token, &body).await, 400, error, named);
    }
    let call = world.app.post("/oauth2/register").by(&token);
    let form = call.bytes("application/x-www-form-urlencoded", "a=b").await;
    is_refused(&form, 400, "invalid_client_metadata", "application/json");
    let call = world.app.post("/oauth2/register").by(&token);
    let large = format!("{{\"client_name\": \"{}\"}}", "x".repeat(70_000));
    call.bytes("application/json", large).await.expect(413);
    let call = world.app.post("/oauth2/register").by(&token);
    let deep = call.bytes("application/json", "[".repeat(10_000)).await;
    is_refused(&deep, 400, "invalid_client_metadata", "body");
    assert_eq!(world.count("oauth_clients").await, before);
    // None of it used the token up.
    register(&world, &token, &wanted()).await.expect(201);
}

async fn of_many_who_come_with_a_last_use_one_registers(world: World) {
    let token = token(&world, 1, json!({})).await;
    let body = wanted();
    let ask = || register(&world, &token, &body);
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    let replies = [a, b, c, d];
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made, 1, "{replies:#?}");
    assert_eq!(world.app.audited("client.created").await, 1);
}

async fn a_client_looks_after_its_registration_with_the_newest_token_only(world: World) {
    let client = registered(&world).await;
    let path = client.path();
    let shown = world
        .app
        .get(&path)
        .by(&client.access)
        .send()
        .await
        .expect(200);
    assert_eq!(shown.body["client_id"], client.id);
    assert_eq!(shown.body["registration_access_token"], client.access);
    assert!(
        shown.body.get("client_secret").is_none(),
        "it was shown once"
    );
    let put = |token: &str, body: Value| {
        let call = world.app.put(&path).by(token);
        async move { call.json(&body).await }
    };
    let with = |change: Value| {
        let mut body = wanted();
        body["client_id"] = json!(client.id);
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        body
    };
    for (body, error, named) in [
        (wanted(), "invalid_client_metadata", "client_id"),
        (
            with(json!({ "client_id": "board" })),
            "invalid_client_metadata",
            "client_id",
        ),
        (
            with(json!({ "client_secret": "dwc_other" })),
            "invalid_client_metadata",
            "client_secret",
        ),
        (
            with(json!({ "redirect_uris": ["https://evil.example/"] })),
            "invalid_redirect_uri",
            "redirect_uris",
        ),
        (
            with(json!({ "scope": "email" })),
            "invalid_client_metadata",
            "scope",
        ),
    ] {
        is_refused(&put(&client.access, body).await, 400, error, named);
    }
    world.advance(60);
    let other = format!("{CALLBACK}/other");
    let change = json!({ "redirect_uris": [other], "client_secret": client.secret });
    let done = put(&client.access, with(change)).await.expect(200);
    assert_eq!(done.body["redirect_uris"], json!([other]));
    assert_eq!(
        done.body["client_secret_expires_at"],
        1_800_000_060 + 30 * 24 * 60 * 60
    );
    assert!(done.body.get("client_secret").is_none());
    let newest = done.body["registration_access_token"].as_str().unwrap();
    assert_ne!(newest, client.access);
    let old = world.app.get(&path).by(&client.access).send().await;
    is_refused(&old, 401, "invalid_token", "token");
    let ada = world.log_in("ada").await;
    let own = [("client_id", client.id.as_str()), ("scope", "openid")];
    world.authorize(Some(&ada), &own).await.page(400);
    // A public client has no secret, and one that becomes confidential again gets a new one.
    let public = with(json!({ "token_endpoint_auth_method": "none" }));
    let done = put(newest, public).await.expect(200);
    assert!(done.body.get("client_secret_expires_at").is_none());
    let newest = done.body["registration_access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let done = put(&newest, with(json!({}))).await.expect(200);
    assert_ne!(done.body["client_secret"].as_str().unwrap(), client.secret);
    // Nobody else's token does, and no other client has such a page.
    let newest = done.body["registration_access_token"].as_str().unwrap();
    for (path, token, address) in [
        (path.as_str(), "dwm_wrong", "192.0.2.1"),
        (path.as_str(), world.app.operator(), "192.0.2.2"),
        ("/oauth2/register/board", newest, "192.0.2.3"),
        ("/oauth2/register/app-0", newest, "192.0.2.4"),
        ("/oauth2/register/a%20b", newest, "192.0.2.5"),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let call = world.app.call(method.parse().unwrap(), path).by(token);
            let call = from(call, address);
            is_refused(&call.json(&json!({})).await, 401, "invalid_token", "token");
        }
    }
    assert_eq!(world.app.audited("client.updated").await, 3);
}

/// The page that asks, and its form filled in with a yes.
async fn consent_page(world: &World, browser: &Browser, path: &str) -> (String, [String; 2]) {
    assert!(path.starts_with("/consent?request="), "{path}");
    let page = world.visit(Some(browser), path).await.page(200).to_owned();
    let form = [field(&page, "request"), field(&page, "csrf")];
    (page, form)
}

async fn a_yes_counts_for_no_more_than_the_page_showed(world: World) {
    let token = token(&world, 1, json!({ "scope": "openid profile email" })).await;
    let mut body = wanted();
    body["scope"] = json!("openid");
    let made = register(&world, &token, &body).await.expect(201).body;
    let text = |body: &Value, name: &str| body[name].as_str().unwrap().to_owned();
    let id = text(&made, "client_id");
    let change = async |access: &str, name: &str, scope: &str| {
        let mut body = body.clone();
        body["client_id"] = json!(id);
        body["client_name"] = json!(name);
        body["scope"] = json!(scope);
        let call = world.app.put(format!("/oauth2/register/{id}"));
        let reply = call.by(access).json(&body).await.expect(200);
        text(&reply.body, "registration_access_token")
    };
    let allow = async |browser: &Browser, [request, csrf]: &[String; 2]| {
        let form = [
            ("request", request.as_str()),
            ("csrf", csrf.as_str()),
            ("decision", "allow"),
        ];
        world.submit(Some(browser), "/consent", &form, true).await
    };
    let ada = world.log_in("ada").await;
    // No `scope`: the app asks for all that it is registered for.
    let asked = world
        .authorize(Some(&ada), &[("client_id", &id), ("scope", "")])
        .await;
    let path = asked.location().to_owned();
    let (page, form) = consent_page(&world, &ada, &path).await;
    assert!(!page.contains("mail address"), "{page}");

    // More scopes while the page is open: the yes to the fewer grants nothing.
    let access = text(&made, "registration_access_token");
    let access = change(&access, "A partner's app", "openid profile email").await;
    let again = allow(&ada, &form).await.location().to_owned();
    assert_eq!(world.count("grants").await, 0);
    assert_eq!(world.count("consents").await, 0);
    let (page, form) = consent_page(&world, &ada, &again).await;
    assert!(page.contains("mail address"), "{page}");

    // Another name: that is another question too.
    let access = change(&access, "Your bank", "openid profile email").await;
    let again = allow(&ada, &form).await.location().to_owned();
    assert_eq!(world.count("grants").await, 0);
    let (page, form) = consent_page(&world, &ada, &again).await;
    assert!(page.contains("Your bank"), "{page}");

    // Fewer scopes are among those that were shown.
    change(&access, "Your bank", "openid email").await;
    assert!(allow(&ada, &form).await.answer().contains_key("code"));
    let store = &world.app.authority.store;
    let user = ada.user;
    let granted = store
        .read::<_, StoreError>(move |tx| consents::of_user(tx, user))
        .await
        .unwrap();
    assert_eq!(granted.len(), 1);
    assert_eq!(granted[0].scope.to_string(), "email openid");
    // What no page has shown yet cannot be said yes to.
    let more = [("client_id", id.as_str()), ("prompt", "consent")];
    let asked = world.authorize(Some(&ada), &more).await;
    let unseen = asked.location().split_once('=').unwrap().1.to_owned();
    let [_, csrf] = form;
    let again = allow(&ada, &[unseen, csrf]).await;
    assert!(again.location().starts_with("/consent?request="));
    assert_eq!(world.count("grants").await, 1);
}

async fn a_client_that_deregisters_is_refused_at_once_and_its_rows_go(world: World) {
    let before = world.count("oauth_clients").await;
    let client = registered(&world).await;
    let ada = world.log_in("ada").await;
    let tokens = client.log_in(&world, &ada).await.expect(200).body;
    let revision = world.app.revision();
    let gone = world
        .app
        .delete(client.path())
        .by(&client.access)
        .send()
        .await;
    gone.expect(204);
    assert!(world.app.revision() > revision, "sidecars are told");
    let again = world
        .app
        .delete(client.path())
        .by(&client.access)
        .send()
        .await;
    is_refused(&again, 401, "invalid_token", "token");
    let bearer = tokens["access_token"].as_str().unwrap();
    world
        .app
        .get("/oauth2/userinfo")
        .by(bearer)
        .send()
        .await
        .expect(401);
    let own = [("client_id", client.id.as_str()), ("scope", "openid")];
    world.authorize(Some(&ada), &own).await.page(400);
    assert_eq!(world.app.audited("client.retired").await, 1);
    world.advance(49 * 60 * 60);
    clean(&world.app.authority.store, &*world.app.clock)
        .await
        .unwrap();
    assert_eq!(world.count("oauth_clients").await, before);
    for table in ["consents", "grants", "client_states"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

async fn a_client_that_nobody_uses_ends_and_one_that_is_used_stays(world: World) {
    let (used, unused) = (registered(&world).await, registered(&world).await);
    let day = 24 * 60 * 60;
    // Two thirds of the lifetime, then another: one of them has been logged in through.
    world.advance(20 * day);
    let ada = world.log_in("ada").await;
    used.log_in(&world, &ada).await.expect(200);
    world.advance(20 * day);
    let bob = world.log_in("bob").await;
    let ask = [("client_id", unused.id.as_str()), ("scope", "openid")];
    world.authorize(Some(&bob), &ask).await.page(400);
    let shown = world.app.get(unused.path()).by(&unused.access).send().await;
    is_refused(&shown, 401, "invalid_token", "token");
    let ask = [("client_id", used.id.as_str()), ("scope", "openid")];
    world.authorize(Some(&bob), &ask).await.location();
    assert_eq!(retire_ended_clients(&world.app.authority).await.unwrap(), 1);
    assert_eq!(world.app.audited("client.ended").await, 1);
    world.app.clock.advance(Duration::from_hours(48));
    clean(&world.app.authority.store, &*world.app.clock)
        .await
        .unwrap();
    let shown = world.app.get(used.path()).by(&used.access).send().await;
    shown.expect(200);
    let rows = world
        .app
        .authority
        .store
        .read::<_, StoreError>(move |tx| {
            let sql = "SELECT 1 FROM oauth_clients WHERE client_id = ?1";
            Ok(tx.rows(sql, &[unused.id.as_str().into()])?.len())
        })
        .await
        .unwrap();
    assert_eq!(rows, 0);
}

/// The smallest token there is.
fn token_body() -> Value {
    let policy = json!({
        "grant_types": ["authorization_code"],
        "scope": "openid",
        "client_lifetime_seconds": 24 * 60 * 60,
    });
    json!({ "name": "a", "policy": policy })
}

async fn only_operators_make_tokens_and_see_them(world: World) {
    let path = "/v1/registration-tokens";
    let body = token_body();
    let owner = world.app.owner_of("acme").await;
    world.app.post(path).json(&body).await.expect(401);
    world
        .app
        .post(path)
        .by(&owner.token)
        .json(&body)
        .await
        .expect(403);
    world
        .app
        .get(path)
        .by(&owner.token)
        .send()
        .await
        .expect(403);
    let made = world
        .app
        .post(path)
        .by(world.app.operator())
        .json(&body)
        .await
        .expect(201);
    let token = made.body["token"].as_str().unwrap();
    let listed = world
        .app
        .get(path)
        .by(world.app.operator())
        .send()
        .await
        .expect(200);
    assert_eq!(listed.body["items"][0]["name"], "a");
    assert_eq!(listed.body["items"][0]["uses_left"], 1);
    assert!(!listed.body.to_string().contains(token));
    let one = format!("{path}/{}", made.body["id"].as_str().unwrap());
    world
        .app
        .delete(&one)
        .by(&owner.token)
        .send()
        .await
        .expect(403);
    world
        .app
        .delete(&one)
        .by(world.app.operator())
        .send()
        .await
        .expect(200);
    world
        .app
        .delete(&one)
        .by(world.app.operator())
        .send()
        .await
        .expect(404);
    let refused = register(&world, token, &wanted()).await;
    is_refused(&refused, 401, "invalid_token", "token");
    assert_eq!(world.app.audited("registration_token.created").await, 1);
    assert_eq!(world.app.audited("registration_token.revoked").await, 1);
}

async fn a_token_with_mistakes_is_not_made(world: World) {
    let path = "/v1/registration-tokens";
    let body = token_body();
    for (change, pointer) in [
        (json!({ "name": "" }), "/name"),
        (json!({ "uses": 0 }), "/uses"),
        (json!({ "uses": 1001 }), "/uses"),
        (json!({ "expires_in_seconds": 59 }), "/expires_in_seconds"),
    ] {
        let mut body = body.clone();
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let reply = world
            .app
            .post(path)
            .by(world.app.operator())
            .json(&body)
            .await;
        assert_eq!(reply.expect(422).pointer(), pointer);
    }
    for (change, pointer) in [
        (json!({ "scope": "doorward:admin" }), "/policy/scope"),
        (json!({ "scope": "doorward:full" }), "/policy/scope"),
        (json!({ "grant_types": [] }), "/policy/grant_types"),
        (
            json!({ "redirect_schemes": ["javascript"] }),
            "/policy/redirect_schemes",
        ),
        (json!({ "resources": ["api"] }), "/policy/resources"),
        (
            json!({ "client_lifetime_seconds": 60 }),
            "/policy/client_lifetime_seconds",
        ),
        (
            json!({ "redirect_hosts": ["https://a"] }),
            "/policy/redirect_hosts",
        ),
    ] {
        let mut body = body.clone();
        body["policy"]
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let reply = world
            .app
            .post(path)
            .by(world.app.operator())
            .json(&body)
            .await;
        let reply = reply.expect(422);
        assert!(reply.pointer().starts_with(pointer), "{reply:#?}");
    }
    assert_eq!(world.count("registration_tokens").await, 0);
}

#[tokio::test]
async fn the_endpoint_is_there_and_advertised_only_where_it_is_switched_on() {
    let document = "/.well-known/openid-configuration";
    let off = World::start().await;
    let told = off.app.get(document).send().await.body;
    assert!(told.get("registration_endpoint").is_none(), "{told:#}");
    off.app
        .post("/oauth2/register")
        .by("dwt_x")
        .json(&wanted())
        .await
        .expect(404);
    let on = start(None).await;
    let told = on.app.get(document).send().await.body;
    let endpoint = format!("{}/oauth2/register", on.issuer());
    assert_eq!(told["registration_endpoint"], endpoint);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_private_host_is_called_unless_the_token_names_it() {
    let app = TestApp::start_with(None, |config, _| {
        config.registration.dynamic = true;
        config.outbound.allow_hosts = vec!["10.0.0.1".parse().unwrap()];
    })
    .await;
    let world = World::of(app).await;
    let hosts = |hosts: Value| json!({ "redirect_hosts": hosts, "loopback": true });
    let any = token(&world, 5, hosts(json!(["*"]))).await;
    let exact = token(&world, 5, hosts(json!(["board.example", "10.0.0.1"]))).await;
    let with = |uri: &str| {
        let mut body = wanted();
        body["backchannel_logout_uri"] = uri.into();
        body
    };
    let private = with("https://10.0.0.1/logout");
    let refused = register(&world, &any, &private).await;
    is_refused(
        &refused,
        400,
        "invalid_client_metadata",
        "backchannel_logout_uri",
    );
    let public = with("https://board.example/logout");
    let made = register(&world, &any, &public).await.expect(201).body;
    register(&world, &exact, &private).await.expect(201);
    // Nor by an update of what was registered.
    let mut update = private.clone();
    update["client_id"] = made["client_id"].clone();
    let path = format!("/oauth2/register/{}", made["client_id"].as_str().unwrap());
    let access = made["registration_access_token"].as_str().unwrap();
    let refused = world.app.put(path).by(access).json(&update).await;
    is_refused(
        &refused,
        400,
        "invalid_client_metadata",
        "backchannel_logout_uri",
    );
}

const EVE: &str = "198.51.100.6";

fn from<'a>(call: Call<'a>, address: &str) -> Call<'a> {
    call.header("x-forwarded-for", address)
}

async fn wrong_tokens_are_counted_by_where_they_come_from_and_right_ones_are_not(world: World) {
    let (initial, client) = (token(&world, 5, json!({})).await, registered(&world).await);
    let path = client.path();
    let guesses = || {
        let app = &world.app;
        [app.get(&path), app.put(&path), app.delete(&path)].map(|call| call.by("dwm_guess"))
    };
    // The two kinds count together.
    for turn in 0..10 {
        let answer = if turn % 2 == 0 {
            let call = from(world.app.post("/oauth2/register"), EVE);
            call.by("dwn_guess").json(&wanted()).await
        } else {
            from(world.app.get(&path).by("dwm_guess"), EVE).send().await
        };
        assert_eq!(answer.expect(401).body["error"], "invalid_token");
    }
    assert_eq!(world.count("failed_attempts").await, 1);
    for call in guesses() {
        let call = from(call, EVE);
        let slowed = call.json(&wanted()).await.expect(429);
        assert_eq!(slowed.body["error"], "slow_down");
        assert!(slowed.headers.contains_key("retry-after"), "{slowed:#?}");
    }
    for call in guesses() {
        let answer = from(call, "203.0.113.1").json(&wanted()).await;
        answer.expect(401);
    }
    // Whoever has the right one is let in from there too; and no token is no guess.
    let call = from(world.app.post("/oauth2/register"), EVE);
    call.by(&initial).json(&wanted()).await.expect(201);
    let call = from(world.app.get(&path), EVE);
    call.by(&client.access).send().await.expect(200);
    from(world.app.get(&path), EVE).send().await.expect(401);
}
