//! Pushed authorization requests.

use data_encoding::BASE64;
use doorward::domain::app::AuthMethod;
use doorward::runtime::Clock;
use doorward::store::{StoreError, apps, pushed_requests};

use super::world::{
    Answered, CALLBACK, CHALLENGE, World, app, digest, encode, parameters, request,
};
use crate::support::app::Reply;
use crate::support::postgres;

const SECRET: &str = "dwc_0123456789";

/// With the confidential app `pusher`, which has to push.
async fn start() -> World {
    prepare(World::start().await).await
}

async fn prepare(world: World) -> World {
    let mut pusher = app("pusher");
    pusher.spec.require_par = true;
    pusher.spec.redirect_uris = vec![CALLBACK.to_owned()];
    world.register_with(pusher, Some(SECRET)).await;
    let mut public = app("public");
    public.spec.auth_method = AuthMethod::None;
    public.spec.redirect_uris = vec![CALLBACK.to_owned()];
    world.register(public).await;
    world
}

async fn push(world: &World, client: &str, other: &[(&str, &str)]) -> Reply {
    let mut all = vec![("client_id", client)];
    all.extend(other);
    let call = world.app.post("/oauth2/par");
    let call = if client == "pusher" {
        let pair = BASE64.encode(format!("{client}:{SECRET}").as_bytes());
        call.header("authorization", &format!("Basic {pair}"))
    } else {
        call
    };
    call.bytes("application/x-www-form-urlencoded", request(&all))
        .await
}

async fn pushed(world: &World, client: &str, other: &[(&str, &str)]) -> String {
    let reply = push(world, client, other).await.expect(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.body["expires_in"], 90);
    let uri = reply.body["request_uri"].as_str().unwrap();
    assert!(
        uri.starts_with("urn:ietf:params:oauth:request_uri:") && uri.len() == 77,
        "{uri}"
    );
    uri.to_owned()
}

fn by_name(client: &str, uri: &str) -> String {
    format!(
        "/oauth2/authorize?{}",
        encode(&[("client_id", client), ("request_uri", uri)])
    )
}

async fn a_pushed_request_is_answered_once(world: World) {
    let ada = world.log_in("ada").await;
    let uri = pushed(&world, "pusher", &[("state", "pushed")]).await;
    // What the browser adds does not count.
    let path = format!("{}&state=other&scope=email", by_name("pusher", &uri));
    let answer = world.visit(Some(&ada), &path).await.answer();
    assert_eq!(answer["state"], "pushed");
    assert!(answer["code"].starts_with("dwa_"));
    let page = world.visit(Some(&ada), &path).await;
    assert!(page.page(400).contains("request_uri"));
    assert_eq!(world.count("grants").await, 1);
}

#[tokio::test]
async fn a_pushed_request_is_answered_once_on_sqlite() {
    a_pushed_request_is_answered_once(start().await).await;
}

#[tokio::test]
async fn a_pushed_request_is_answered_once_on_postgresql() {
    if let Some(store) = postgres::database() {
        a_pushed_request_is_answered_once(prepare(World::start_on(store).await).await).await;
    }
}

#[tokio::test]
async fn a_reload_before_the_login_does_not_use_it_up() {
    let world = start().await;
    let uri = pushed(&world, "pusher", &[]).await;
    let path = by_name("pusher", &uri);
    let mut resumes = Vec::new();
    for _ in 0..2 {
        let reply = world.visit(None, &path).await;
        let sealed = reply.location().strip_prefix("/login?request=").unwrap();
        let login = doorward::authority::login::open(&world.app.authority, sealed).unwrap();
        resumes.push(login.return_to);
    }
    // The login takes longer than the request could wait to be begun.
    world.advance(300);
    world.visit(None, &path).await.page(400);
    let ada = world.log_in("ada").await;
    let first = world.visit(Some(&ada), &resumes[0]).await.answer();
    assert!(first.contains_key("code"));
    let second = world.visit(Some(&ada), &resumes[1]).await.answer();
    assert_eq!(second["error"], "invalid_request");
    assert_eq!(world.count("grants").await, 1);
}

#[tokio::test]
async fn an_app_that_has_to_push_is_refused_without() {
    let world = start().await;
    let ada = world.log_in("ada").await;
    let reply = world
        .authorize(Some(&ada), &[("client_id", "pusher")])
        .await;
    reply.refused("invalid_request");
}

#[tokio::test]
async fn a_name_is_its_clients_and_lives_for_a_short_time() {
    let world = start().await;
    let ada = world.log_in("ada").await;
    let uri = pushed(&world, "pusher", &[]).await;
    world
        .visit(Some(&ada), &by_name("board", &uri))
        .await
        .page(400);
    let unknown = format!("{}x", &uri[..uri.len() - 1]);
    world
        .visit(Some(&ada), &by_name("pusher", &unknown))
        .await
        .page(400);
    world.advance(90);
    world
        .visit(Some(&ada), &by_name("pusher", &uri))
        .await
        .page(400);
}

#[tokio::test]
async fn what_is_wrong_is_told_when_it_is_pushed() {
    let world = start().await;
    for (other, error) in [
        (
            ("redirect_uri", "https://evil.example/cb"),
            "invalid_request",
        ),
        (("redirect_uri", ""), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "nonsense"), "invalid_scope"),
        (("resource", "https://other.example"), "invalid_target"),
        (("request", "e.y.J"), "request_not_supported"),
        (
            ("request_uri", "urn:ietf:params:oauth:request_uri:x"),
            "invalid_request",
        ),
        (("prompt", "none login"), "invalid_request"),
    ] {
        let reply = push(&world, "pusher", &[other]).await.expect(400);
        assert_eq!(reply.body["error"], error, "{other:?} {reply:?}");
        assert!(!reply.body.to_string().contains("evil"), "{reply:?}");
    }
    assert_eq!(world.count("pushed_requests").await, 0);
}

#[tokio::test]
async fn the_client_is_authenticated_as_at_the_token_endpoint() {
    let world = start().await;
    let form = request(&[("client_id", "pusher")]);
    let kind = "application/x-www-form-urlencoded";
    let reply = world
        .app
        .post("/oauth2/par")
        .bytes(kind, form.clone())
        .await;
    assert_eq!(reply.expect(401).body["error"], "invalid_client");
    let wrong = format!("{form}&client_secret=dwc_wrong");
    world
        .app
        .post("/oauth2/par")
        .bytes(kind, wrong)
        .await
        .expect(401);
    world.app.get("/oauth2/par").send().await.expect(405);
    let json = world
        .app
        .post("/oauth2/par")
        .bytes("application/json", "{}")
        .await;
    json.expect(400);

    // A public app has nothing to prove, and its name is as good.
    let ada = world.log_in("ada").await;
    let uri = pushed(&world, "public", &[]).await;
    let reply = world.visit(Some(&ada), &by_name("public", &uri)).await;
    assert!(reply.answer().contains_key("code"));
    // A machine's client is no app.
    let mut machine = parameters(&request(&[("client_id", "operator")]));
    machine.insert(
        "client_secret".to_owned(),
        world.app.operator_secret.clone(),
    );
    let machine: Vec<_> = machine
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let reply = world
        .app
        .post("/oauth2/par")
        .bytes(kind, encode(&machine))
        .await;
    assert_eq!(reply.expect(400).body["error"], "unauthorized_client");
}

#[tokio::test]
async fn a_key_that_is_named_is_the_grants() {
    let world = start().await;
    let ada = world.log_in("ada").await;
    let uri = pushed(&world, "pusher", &[("dpop_jkt", CHALLENGE)]).await;
    let reply = world.visit(Some(&ada), &by_name("pusher", &uri)).await;
    assert!(reply.answer().contains_key("code"));
    let sql = "SELECT dpop_jkt FROM grants";
    let rows = world
        .app
        .authority
        .store
        .read::<_, StoreError>(move |tx| tx.rows(sql, &[]))
        .await
        .unwrap();
    assert_eq!(rows[0].text(0).unwrap(), CHALLENGE);
}

#[tokio::test]
async fn a_pushed_request_does_not_redirect_where_the_app_redirects_no_more() {
    let world = start().await;
    let ada = world.log_in("ada").await;
    let uri = pushed(&world, "pusher", &[]).await;
    let (authority, now) = (&world.app.authority, world.app.clock.now());
    authority
        .store
        .write::<_, StoreError>(move |tx| {
            let name = "pusher".parse().unwrap();
            let mut pusher = apps::find_by_identifier(tx, &name)?.unwrap();
            pusher.spec.redirect_uris = vec!["https://pusher.example/new".to_owned()];
            apps::update(tx, &pusher, now)
        })
        .await
        .unwrap();
    let reply = world.visit(Some(&ada), &by_name("pusher", &uri)).await;
    assert!(!reply.page(400).contains("code="));
    assert_eq!(world.count("grants").await, 0);
}

#[tokio::test]
async fn a_client_has_no_more_than_a_thousand_pushed_requests_wait() {
    let world = start().await;
    let uri = pushed(&world, "public", &[]).await;
    let first = digest(&uri);
    world
        .app
        .authority
        .store
        .write::<_, StoreError>(move |tx| {
            let mut request = pushed_requests::find(tx, first)?.unwrap();
            for index in 1..1_000_u32 {
                request.digest = digest(&index.to_string());
                pushed_requests::insert(tx, &request)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let refused = push(&world, "public", &[]).await.expect(429);
    assert_eq!(refused.body["error"], "temporarily_unavailable");
    pushed(&world, "pusher", &[]).await;
    world.advance(90);
    pushed(&world, "public", &[]).await;
}
