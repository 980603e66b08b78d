//! Clients whose id is the URL of a document that describes them.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward::authority::apps::documents as documents_of;
use doorward::authority::credentials::{Doer, clients::retire};
use doorward::authority::jobs::{clean, retire_ended_clients};
use doorward::domain::ClientId;
use doorward::domain::app::ClientSource;
use doorward::protocol::oauth::{FORM, JWT_BEARER};
use doorward::runtime::Clock as _;
use doorward::store::{StoreConfig, StoreError, apps, consents};
use serde_json::{Value, json};

use super::client_auth::Key;
use super::world::{Answered, Browser, VERIFIER, World, field, parameters};
use crate::support::app::{Reply, TestApp};

/// Instantiates behaviours, functions over a [`World`] and [`Documents`], as tests of each engine.
macro_rules! on_both_engines {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let documents = super::Documents::serve();
                super::$name(super::start(None).await, documents).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(store) = $crate::support::postgres::database() {
                    let documents = super::Documents::serve();
                    super::$name(super::start(Some(store)).await, documents).await;
                }
            })*
        }
    };
}

on_both_engines! {
    people_are_asked_each_time_and_the_first_yes_makes_the_row,
    what_a_document_says_later_counts_from_then_on,
    a_document_that_vanishes_or_names_the_way_back_no_more_ends_it,
    two_who_agree_first_at_once_share_a_row,
    an_app_that_an_operator_retired_stays_so,
    an_app_that_ended_by_itself_and_is_retired_then_stays_out,
    a_key_that_a_document_names_no_more_proves_nothing_once_the_document_is_over,
    of_many_who_want_a_document_one_fetches_it,
    a_client_whose_document_names_keys_by_now_must_prove_itself,
    a_user_makes_rows_of_so_many_apps_and_no_more,
}

async fn start(store: Option<StoreConfig>) -> World {
    started(store, |_| {}).await
}

async fn started(
    store: Option<StoreConfig>,
    change: impl FnOnce(&mut doorward::authority::config::Config),
) -> World {
    let app = TestApp::start_with(store, |config, _| {
        config.registration.metadata_documents = true;
        config.registration.document_hosts = vec!["127.0.0.1".parse().unwrap()];
        config.outbound.allow_hosts = vec!["127.0.0.1".parse().unwrap()];
        config.outbound.timeout = Duration::from_millis(500);
        change(config);
    })
    .await;
    World::of(app).await
}

/// A server of documents, on a thread of its own.
#[derive(Clone)]
struct Documents {
    address: SocketAddr,
    answers: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Documents {
    fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let documents = Self {
            address: listener.local_addr().unwrap(),
            answers: Arc::default(),
            asked: Arc::default(),
        };
        let (answers, asked) = (Arc::clone(&documents.answers), Arc::clone(&documents.asked));
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let answer = answers.lock().unwrap().get(&path).cloned();
                asked.lock().unwrap().push(head);
                match answer {
                    // No answer at all: the connection stays open until the process ends.
                    Some(answer) if answer.is_empty() => silent.push(stream),
                    Some(answer) => drop(stream.write_all(answer.as_bytes())),
                    None => drop(stream.write_all(response("404 Not Found", "", "").as_bytes())),
                }
            }
        });
        documents
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn answer(&self, path: &str, answer: String) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    fn gone(&self, path: &str) {
        self.answers.lock().unwrap().remove(path);
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Puts a document there that leads back to the same server.
    fn put(&self, path: &str, change: &Value) -> String {
        let url = self.url(path);
        let mut document = json!({
            "client_id": url,
            "client_name": "A stranger's app",
            "redirect_uris": [self.url("/cb")],
            "grant_types": ["authorization_code", "refresh_token"],
        });
        for (name, value) in change.as_object().unwrap() {
            document[name] = value.clone();
        }
        let kind = "content-type: application/json\r\n";
        self.answer(path, response("200 OK", kind, &document.to_string()));
        url
    }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn authorize(world: &World, browser: &Browser, url: &str, back: &str) -> Reply {
    let own = [
        ("client_id", url),
        ("redirect_uri", back),
        ("scope", "openid"),
    ];
    world.authorize(Some(browser), &own).await
}

/// The consent page that a request leads to.
async fn asked(world: &World, browser: &Browser, url: &str, back: &str) -> String {
    let reply = authorize(world, browser, url, back).await;
    let path = reply.location().to_owned();
    assert!(path.starts_with("/consent?request="), "{path}");
    world.visit(Some(browser), &path).await.page(200).to_owned()
}

async fn allow(world: &World, browser: &Browser, page: &str) -> Reply {
    let (request, csrf) = (field(page, "request"), field(page, "csrf"));
    let form = [
        ("request", request.as_str()),
        ("csrf", csrf.as_str()),
        ("decision", "allow"),
    ];
    world.submit(Some(browser), "/consent", &form, true).await
}

/// A whole login; gives what the token endpoint answers.
async fn log_in(world: &World, browser: &Browser, url: &str, back: &str) -> Reply {
    let page = asked(world, browser, url, back).await;
    let answer = allow(world, browser, &page).await;
    redeem(world, url, back, &answer).await
}

async fn redeem(world: &World, url: &str, back: &str, answer: &Reply) -> Reply {
    let (to, query) = answer.location().split_once('?').unwrap();
    assert_eq!(to, back);
    let answer = parameters(query);
    let form = super::world::encode(&[
        ("grant_type", "authorization_code"),
        ("client_id", url),
        ("code", answer.get("code").expect("a code")),
        ("redirect_uri", back),
        ("code_verifier", VERIFIER),
    ]);
    let call = world.app.post("/oauth2/token");
    call.bytes("application/x-www-form-urlencoded", form).await
}

/// The claims of a token, unverified.
fn claims(token: &Value) -> Value {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(part.as_bytes())
        .unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn people_are_asked_each_time_and_the_first_yes_makes_the_row(
    world: World,
    documents: Documents,
) {
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let before = world.count("oauth_clients").await;
    let ada = world.log_in("ada").await;
    world.visit(None, "/oauth2/authorize?client_id=x").await;
    let page = asked(&world, &ada, &url, &back).await;
    assert!(
        page.contains("published by") && page.contains("127.0.0.1"),
        "{page}"
    );
    assert!(page.contains("registered itself"), "{page}");
    assert_eq!(
        world.count("oauth_clients").await,
        before,
        "asking writes nothing"
    );
    let answer = allow(&world, &ada, &page).await;
    assert_eq!(documents.asked(), 1, "one login asks once");
    let granted = redeem(&world, &url, &back, &answer).await.expect(200).body;
    assert_eq!(claims(&granted["id_token"])["aud"], url);
    assert_eq!(claims(&granted["access_token"])["client_id"], url);
    assert_eq!(world.count("oauth_clients").await, before + 1);
    assert_eq!(world.app.audited("client.created").await, 1);
    // Also a second time, for what was agreed to before.
    asked(&world, &ada, &url, &back).await;
    let none = [
        ("client_id", url.as_str()),
        ("redirect_uri", back.as_str()),
        ("scope", "openid"),
        ("prompt", "none"),
    ];
    let reply = world.authorize(Some(&ada), &none).await;
    assert!(
        reply.location().contains("error=consent_required"),
        "{reply:#?}"
    );
    log_in(&world, &ada, &url, &back).await.expect(200);
    assert_eq!(world.count("oauth_clients").await, before + 1);
    // Its refresh token is used by the client of that name and by no other.
    let form = super::world::encode(&[
        ("grant_type", "refresh_token"),
        ("client_id", url.as_str()),
        (
            "refresh_token",
            granted["refresh_token"].as_str().unwrap_or("none"),
        ),
    ]);
    let call = world.app.post("/oauth2/token");
    call.bytes("application/x-www-form-urlencoded", form)
        .await
        .expect(200);
}

async fn what_a_document_says_later_counts_from_then_on(world: World, documents: Documents) {
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let ada = world.log_in("ada").await;
    log_in(&world, &ada, &url, &back).await.expect(200);
    documents.put("/app.json", &json!({ "client_name": "Another name" }));
    world.advance(299);
    assert!(
        asked(&world, &ada, &url, &back)
            .await
            .contains("A stranger")
    );
    world.advance(1);
    assert!(
        asked(&world, &ada, &url, &back)
            .await
            .contains("Another name")
    );
    log_in(&world, &ada, &url, &back).await.expect(200);
    assert_eq!(world.app.audited("client.updated").await, 1);
    assert_eq!(documents.asked(), 2);
}

async fn a_document_that_vanishes_or_names_the_way_back_no_more_ends_it(
    world: World,
    documents: Documents,
) {
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let ada = world.log_in("ada").await;
    log_in(&world, &ada, &url, &back).await.expect(200);
    let page = asked(&world, &ada, &url, &back).await;
    documents.put(
        "/app.json",
        &json!({ "redirect_uris": [documents.url("/other")] }),
    );
    world.advance(300);
    // While the page was open, and from the beginning.
    let late = allow(&world, &ada, &page).await;
    assert!(late.page(400).contains("redirect_uri"));
    authorize(&world, &ada, &url, &back).await.page(400);
    documents.gone("/app.json");
    world.advance(300);
    let reply = authorize(&world, &ada, &url, &documents.url("/other")).await;
    assert!(reply.page(400).contains("cannot be fetched"), "{reply:#?}");
}

async fn a_key_that_a_document_names_no_more_proves_nothing_once_the_document_is_over(
    world: World,
    documents: Documents,
) {
    let (key, next) = (Key::new(), Key::new());
    let says = |key: &Key| {
        let mut jwk = key.jwk.clone();
        jwk["kid"] = json!("k1");
        json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": { "keys": [jwk] },
        })
    };
    let (url, back) = (
        documents.put("/app.json", &says(&key)),
        documents.url("/cb"),
    );
    let ask = async |key: &Key, jti: &str, form: &[(&str, &str)]| {
        let now = world.app.authority.clock.now().unix_seconds();
        let claims = json!({
            "iss": url, "sub": url, "aud": world.issuer(), "iat": now, "exp": now + 60, "jti": jti,
        });
        let assertion = key.sign(&json!({ "alg": "ES256", "kid": "k1" }), &claims);
        let mut all = vec![
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion.as_str()),
        ];
        all.extend(form);
        let call = world.app.post("/oauth2/token");
        call.bytes(FORM, super::world::encode(&all)).await
    };
    let ada = world.log_in("ada").await;
    let page = asked(&world, &ada, &url, &back).await;
    let answer = allow(&world, &ada, &page).await;
    let code = parameters(answer.location().split_once('?').unwrap().1)["code"].clone();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", back.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let tokens = ask(&key, "a", &form).await.expect(200).body;
    let mut token = tokens["refresh_token"].as_str().unwrap().to_owned();
    let refresh = async |key: &Key, jti: &str, token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        ask(key, jti, &form).await
    };
    let successor = |reply: Reply| {
        let body = reply.expect(200).body;
        body["refresh_token"].as_str().unwrap().to_owned()
    };
    // The key changes. What was fetched counts for its five minutes, and no longer.
    documents.put("/app.json", &says(&next));
    world.advance(299);
    token = successor(refresh(&key, "b", &token).await);
    assert_eq!(documents.asked(), 1);
    world.advance(1);
    let refused = refresh(&key, "c", &token).await.expect(401);
    assert_eq!(refused.body["error"], "invalid_client");
    assert_eq!(documents.asked(), 2);
    token = successor(refresh(&next, "d", &token).await);
    // While the document cannot be had, nobody can tell: that is no wrong proof.
    let answer = documents.answers.lock().unwrap()["/app.json"].clone();
    documents.gone("/app.json");
    world.advance(300);
    let failed = world.count("failed_attempts").await;
    for jti in ["e", "f", "g"] {
        let later = refresh(&next, jti, &token).await.expect(503);
        assert_eq!(later.body["error"], "temporarily_unavailable");
    }
    assert_eq!(world.count("failed_attempts").await, failed);
    documents.answer("/app.json", answer);
    world.advance(10);
    refresh(&next, "h", &token).await.expect(200);
}

async fn of_many_who_want_a_document_one_fetches_it(world: World, documents: Documents) {
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let ada = world.log_in("ada").await;
    for times in 1..=2 {
        let ask = || authorize(&world, &ada, &url, &back);
        let replies: [_; 5] = tokio::join!(ask(), ask(), ask(), ask(), ask()).into();
        for reply in replies {
            assert!(reply.location().starts_with("/consent?"), "{reply:#?}");
        }
        assert_eq!(documents.asked(), times);
        world.advance(300);
    }
}

async fn a_client_whose_document_names_keys_by_now_must_prove_itself(
    world: World,
    documents: Documents,
) {
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let ada = world.log_in("ada").await;
    let tokens = log_in(&world, &ada, &url, &back).await.expect(200).body;
    let refresh = async |token: &str| {
        let form = super::world::encode(&[
            ("grant_type", "refresh_token"),
            ("client_id", &url),
            ("refresh_token", token),
        ]);
        world.app.post("/oauth2/token").bytes(FORM, form).await
    };
    // A client without keys goes on while its host does not answer.
    documents.gone("/app.json");
    world.advance(300);
    let token = tokens["refresh_token"].as_str().unwrap();
    let next = refresh(token).await.expect(200).body;
    let key = Key::new();
    documents.put(
        "/app.json",
        &json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": { "keys": [key.jwk.clone()] },
        }),
    );
    world.advance(10);
    let token = next["refresh_token"].as_str().unwrap();
    let refused = refresh(token).await.expect(401);
    assert_eq!(refused.body["error"], "invalid_client");
}

async fn a_user_makes_rows_of_so_many_apps_and_no_more(world: World, documents: Documents) {
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let (ada, bob) = (world.log_in("ada").await, world.log_in("bob").await);
    let (user, now) = (ada.user, world.app.clock.now());
    let store = &world.app.authority.store;
    let written = store.write::<_, StoreError>(move |tx| {
        for number in 0..u128::try_from(documents_of::AGREED_MOST).unwrap() {
            let mut app = super::world::app("another");
            app.spec.identifier = format!("https://app.example/{number}").parse().unwrap();
            app.id = ClientId::from_u128(1_000_000 + number);
            app.source = ClientSource::Metadata;
            apps::insert(tx, &app, None, now)?;
            consents::grant(tx, user, app.id, &app.spec.scopes, now)?;
        }
        Ok(())
    });
    written.await.unwrap();
    let before = world.count("oauth_clients").await;
    let page = asked(&world, &ada, &url, &back).await;
    let reply = allow(&world, &ada, &page).await;
    assert!(
        reply.location().contains("error=access_denied"),
        "{reply:#?}"
    );
    assert_eq!(world.count("oauth_clients").await, before);
    assert_eq!(world.count("grants").await, 0);
    // Another has made none, and what has a row is for everybody.
    log_in(&world, &bob, &url, &back).await.expect(200);
    log_in(&world, &ada, &url, &back).await.expect(200);
    assert_eq!(world.count("oauth_clients").await, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_prolongs_no_document() {
    let (world, documents) = (start(None).await, Documents::serve());
    let url = documents.put("/app.json", &json!({}));
    let client = url.parse().unwrap();
    let asker = documents_of::Asker {
        known_client: true,
        address: None,
    };
    let resolve = async || documents_of::resolve(&world.app.authority, &client, asker).await;
    resolve().await.unwrap();
    world.app.clock.set_back(Duration::from_hours(1));
    world.advance(299);
    resolve().await.unwrap();
    assert_eq!(documents.asked(), 1);
    world.advance(1);
    resolve().await.unwrap();
    assert_eq!(documents.asked(), 2);
}

async fn two_who_agree_first_at_once_share_a_row(world: World, documents: Documents) {
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let before = world.count("oauth_clients").await;
    let (ada, bob) = (world.log_in("ada").await, world.log_in("bob").await);
    let pages = [
        asked(&world, &ada, &url, &back).await,
        asked(&world, &bob, &url, &back).await,
    ];
    let (first, second) = tokio::join!(
        allow(&world, &ada, &pages[0]),
        allow(&world, &bob, &pages[1])
    );
    for answer in [first, second] {
        redeem(&world, &url, &back, &answer).await.expect(200);
    }
    assert_eq!(world.count("oauth_clients").await, before + 1);
    assert_eq!(world.app.audited("client.created").await, 1);
}

async fn an_app_that_an_operator_retired_stays_so(world: World, documents: Documents) {
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let ada = world.log_in("ada").await;
    log_in(&world, &ada, &url, &back).await.expect(200);
    let path = format!(
        "/v1/clients/{}",
        url.replace(':', "%3A").replace('/', "%2F")
    );
    let shown = world
        .app
        .get(&path)
        .by(world.app.operator())
        .send()
        .await
        .expect(200);
    assert_eq!(shown.body["source"], "metadata");
    // Nobody declares it otherwise.
    let body = json!({ "redirect_uris": [back], "first_party": true });
    let put = world
        .app
        .put(&path)
        .by(world.app.operator())
        .json(&body)
        .await;
    put.expect(422);
    world
        .app
        .delete(&path)
        .by(world.app.operator())
        .send()
        .await
        .expect(200);
    authorize(&world, &ada, &url, &back).await.page(400);
    assert_stays_out(&world, &url, &back).await;
    assert_eq!(world.app.audited("client.retired").await, 1);
}

/// Long after every end there was, the cleaner has left the row, and nobody gets in.
async fn assert_stays_out(world: &World, url: &str, back: &str) {
    let rows = world.count("oauth_clients").await;
    world.advance(100 * 24 * 60 * 60);
    retire_ended_clients(&world.app.authority).await.unwrap();
    clean(&world.app.authority.store, &*world.app.clock)
        .await
        .unwrap();
    assert_eq!(world.count("oauth_clients").await, rows);
    let bob = world.log_in("bob").await;
    let reply = authorize(world, &bob, url, back).await;
    assert!(!reply.page(400).contains("document"), "{reply:#?}");
}

async fn an_app_that_ended_by_itself_and_is_retired_then_stays_out(
    world: World,
    documents: Documents,
) {
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let ada = world.log_in("ada").await;
    log_in(&world, &ada, &url, &back).await.expect(200);
    world.advance(90 * 24 * 60 * 60);
    let ended = retire_ended_clients(&world.app.authority).await.unwrap();
    assert_eq!(ended, 1);
    for _ in 0..2 {
        let doer = Doer::Host("test".to_owned());
        retire(&world.app.authority, &doer, url.parse().unwrap())
            .await
            .unwrap();
    }
    assert_eq!(world.app.audited("client.retired").await, 1, "once");
    assert_stays_out(&world, &url, &back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_document_of_its_url_is_refused_and_left_alone_for_a_while() {
    let (world, documents) = (start(None).await, Documents::serve());
    let before = world.count("oauth_clients").await;
    let back = documents.url("/cb");
    let json = "content-type: application/json\r\n";
    documents.put(
        "/other.json",
        &json!({ "client_id": documents.url("/mine.json") }),
    );
    documents.put(
        "/secret.json",
        &json!({ "token_endpoint_auth_method": "client_secret_post" }),
    );
    documents.put(
        "/elsewhere.json",
        &json!({ "redirect_uris": ["https://evil.example/"] }),
    );
    documents.put("/large.json", &json!({ "x": "x".repeat(17 * 1024) }));
    documents.put("/huge.json", &json!({ "x": "x".repeat(300 * 1024) }));
    documents.answer("/slow.json", String::new());
    documents.answer(
        "/text.json",
        response("200 OK", "content-type: text/html\r\n", "{}"),
    );
    documents.answer("/list.json", response("200 OK", json, "[]"));
    let to = format!("location: {}\r\n{json}", documents.url("/app.json"));
    documents.put("/app.json", &json!({}));
    documents.answer("/moved.json", response("302 Found", &to, "{}"));
    documents.answer(
        "/failed.json",
        response("500 Internal Server Error", json, "{}"),
    );
    let ada = world.log_in("ada").await;
    // The same text for each: what the network looks like from there is nobody's business.
    let unreached = "its host must answer in time, with status 200 and without a redirect";
    for (path, why) in [
        ("/other.json", "`client_id`"),
        ("/secret.json", "token_endpoint_auth_method"),
        ("/elsewhere.json", "redirect_uris"),
        ("/large.json", "16 KiB"),
        ("/huge.json", "16 KiB"),
        ("/slow.json", unreached),
        ("/text.json", "application/json"),
        ("/list.json", "JSON object"),
        ("/moved.json", unreached),
        ("/failed.json", unreached),
        ("/missing.json", unreached),
    ] {
        let url = documents.url(path);
        for _ in 0..2 {
            let reply = authorize(&world, &ada, &url, &back).await;
            let page = reply.page(400).replace("&#96;", "`");
            assert!(page.contains(why), "{path}: {page}");
        }
    }
    assert_eq!(documents.asked(), 11, "each was asked once");
    world.advance(10);
    authorize(&world, &ada, &documents.url("/list.json"), &back)
        .await
        .page(400);
    assert_eq!(documents.asked(), 12, "no refusal is kept for long");
    assert_eq!(world.count("oauth_clients").await, before);
    let asked = documents.asked.lock().unwrap();
    assert!(
        asked
            .iter()
            .all(|head| !head.to_lowercase().contains("authorization:"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_private_address_is_asked_unless_it_is_named_for_documents_too() {
    let documents = Documents::serve();
    let world = started(None, |config| {
        config.registration.document_hosts = Vec::new();
    })
    .await;
    let ada = world.log_in("ada").await;
    let url = documents.put("/app.json", &json!({}));
    // A provider may be there; that is nobody else's business.
    authorize(&world, &ada, &url, &documents.url("/cb"))
        .await
        .page(400);
    for url in [
        "https://10.0.0.1/app.json",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/app.json",
        "https://localhost/app.json",
        "https://2130706433/app.json",
        "http://app.example/app.json",
        "https://a@app.example/app.json",
        "https://app.example/a/../app.json",
        "https://app.example",
        "https://app.example/app.json?a=b",
        "file:///etc/passwd",
    ] {
        authorize(&world, &ada, url, "https://app.example/cb")
            .await
            .page(400);
    }
    let any = started(None, |config| {
        config.registration.document_hosts = vec!["*".parse().unwrap()];
    })
    .await;
    let ada = any.log_in("ada").await;
    authorize(&any, &ada, &url, &documents.url("/cb"))
        .await
        .page(400);
    assert_eq!(documents.asked(), 0);
}

/// What the metadata says of documents.
async fn told(world: &World) -> Value {
    let call = world.app.get("/.well-known/openid-configuration");
    call.send().await.body["client_id_metadata_document_supported"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_off_unless_it_is_switched_on_and_ends_with_the_switch() {
    let documents = Documents::serve();
    let off = started(None, |config| {
        config.registration.metadata_documents = false;
    })
    .await;
    assert_eq!(told(&off).await, false);
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let ada = off.log_in("ada").await;
    authorize(&off, &ada, &url, &back).await.page(400);
    assert_eq!(documents.asked(), 0);
    let on = start(None).await;
    assert_eq!(told(&on).await, true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_say_how_long_a_document_counts_within_bounds() {
    let (world, documents) = (start(None).await, Documents::serve());
    let ada = world.log_in("ada").await;
    let back = documents.url("/cb");
    for (path, header, seconds) in [
        ("/none.json", "", 300),
        ("/short.json", "cache-control: max-age=1\r\n", 60),
        (
            "/never.json",
            "cache-control: no-store, max-age=600\r\n",
            60,
        ),
        (
            "/long.json",
            "cache-control: public, max-age=3600\r\n",
            3600,
        ),
        (
            "/ever.json",
            "cache-control: max-age=99999999\r\n",
            24 * 60 * 60,
        ),
    ] {
        let url = documents.url(path);
        let document = json!({ "client_id": url, "redirect_uris": [back] }).to_string();
        let headers = format!("content-type: application/json; charset=utf-8\r\n{header}");
        documents.answer(path, response("200 OK", &headers, &document));
        let before = documents.asked();
        let ada = world.log_in_as(ada.user).await;
        authorize(&world, &ada, &url, &back).await.location();
        world.advance(seconds - 1);
        let ada = world.log_in_as(ada.user).await;
        authorize(&world, &ada, &url, &back).await.location();
        assert_eq!(documents.asked(), before + 1, "{path}");
        world.advance(1);
        authorize(&world, &ada, &url, &back).await.location();
        assert_eq!(documents.asked(), before + 2, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_documents_are_taken_no_more_ends_its_clients() {
    let (mut world, documents) = (start(None).await, Documents::serve());
    let (url, back) = (documents.put("/app.json", &json!({})), documents.url("/cb"));
    let ada = world.log_in("ada").await;
    let tokens = log_in(&world, &ada, &url, &back).await.expect(200).body;
    let refresh = async |world: &World, token: &Value| {
        let form = super::world::encode(&[
            ("grant_type", "refresh_token"),
            ("client_id", &url),
            ("refresh_token", token.as_str().unwrap()),
        ]);
        let call = world.app.post("/oauth2/token");
        call.bytes("application/x-www-form-urlencoded", form).await
    };
    let tokens = refresh(&world, &tokens["refresh_token"]).await.expect(200);
    let token = &tokens.body["refresh_token"];
    world.app = world.app.restarted_with(|config| {
        config.registration.document_hosts = vec!["app.example".parse().unwrap()];
    });
    let refused = refresh(&world, token).await.expect(401);
    assert_eq!(refused.body["error"], "invalid_client");
    world.app = world.app.restarted_with(|config| {
        config.registration.document_hosts = vec!["127.0.0.1".parse().unwrap()];
    });
    refresh(&world, token).await.expect(200);
}
