//! The authorization endpoint: who is answered, where, with what; and who is shown a page instead.

use std::time::Duration;

use doorward::crypto::digest::token_digest;
use doorward::domain::app::{ApplicationType, AuthMethod, GrantType, RefreshBinding};
use doorward::domain::user::UserState;
use doorward::domain::{PlainToken, Scopes, Timestamp};
use doorward::runtime::Clock;
use doorward::store::apps::App;
use doorward::store::clients;
use doorward::store::grants::{self, Grant};
use doorward::store::sessions::{self, NewSession};
use doorward::store::{StoreError, users};
use serde_json::json;

use super::world::{
    Answered, Browser, CALLBACK, CHALLENGE, World, app, board, digest, encode, field, parameters,
    request,
};
use crate::support::app::Reply;
use crate::support::postgres;

/// The sealed interaction in the redirect to the login page comes back to the resume endpoint.
pub fn resume_of(world: &World, reply: &Reply) -> String {
    let path = reply.location();
    let sealed = path
        .strip_prefix("/login?request=")
        .unwrap_or_else(|| panic!("{path}"));
    doorward::authority::login::open(&world.app.authority, sealed)
        .unwrap()
        .return_to
}

async fn only_grant(world: &World, browser: &Browser) -> Grant {
    let (user, now) = (browser.user, world.app.clock.now());
    let mut found = world
        .app
        .authority
        .store
        .read::<_, StoreError>(move |tx| grants::of_user(tx, user, now))
        .await
        .unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn a_code_comes_with_its_grant(world: &World) {
    let ada = world.log_in("ada").await;
    let reply = world
        .authorize(
            Some(&ada),
            &[
                ("scope", "openid email address nonsense offline_access"),
                ("resource", "https://api.board.example"),
            ],
        )
        .await;
    let answer = reply.answer();
    assert_eq!(answer["state"], "af0ifjsldkj");
    assert_eq!(answer["iss"], world.issuer());
    assert_eq!(answer.len(), 3, "{answer:?}");
    assert!(answer["code"].starts_with("dwa_") && answer["code"].len() == 68);
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert!(reply.headers.get("access-control-allow-origin").is_none());

    let grant = only_grant(world, &ada).await;
    assert_eq!(grant.scope.to_string(), "email offline_access openid");
    assert_eq!(grant.session_id, Some(ada.session));
    assert_eq!(grant.resources, ["https://api.board.example"]);
    assert_eq!(grant.amr, ["pwd"]);
    assert_eq!(world.app.audited("grant.created").await, 1);

    let hash = digest(&answer["code"]);
    let sql = "SELECT c.redirect_uri, c.code_challenge, g.nonce FROM authorization_codes c \
               JOIN grants g ON g.id = c.id WHERE c.code_hash = ?1";
    let rows = world
        .app
        .authority
        .store
        .read::<_, StoreError>(move |tx| tx.rows(sql, &[hash.into()]))
        .await
        .unwrap();
    assert_eq!(rows[0].text(0).unwrap(), CALLBACK);
    assert_eq!(rows[0].text(1).unwrap(), CHALLENGE);
    assert_eq!(rows[0].text(2).unwrap(), "n-0S6_WzA2Mj");
}

#[tokio::test]
async fn a_code_comes_with_its_grant_on_sqlite() {
    a_code_comes_with_its_grant(&World::start().await).await;
}

#[tokio::test]
async fn a_code_comes_with_its_grant_on_postgresql() {
    if let Some(store) = postgres::database() {
        a_code_comes_with_its_grant(&World::start_on(store).await).await;
    }
}

#[tokio::test]
async fn a_client_or_a_redirect_uri_that_is_not_known_gets_a_page_and_no_redirect() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    for other in [
        [("client_id", "")],
        [("client_id", "nobody")],
        [("client_id", "operator")],
        [("client_id", "a b")],
        [("redirect_uri", "")],
        [("redirect_uri", "https://evil.example/callback")],
        [("redirect_uri", "https://board.example/callback/")],
        [("redirect_uri", "https://board.example/callback?x=1")],
        [(
            "redirect_uri",
            "https://board.example.evil.example/callback",
        )],
        [("redirect_uri", "<script>alert(1)</script>")],
    ] {
        let reply = world.authorize(Some(&ada), &other).await;
        let page = reply.page(400);
        assert!(
            !page.contains("evil.example") && !page.contains("<script>"),
            "{page}"
        );
        let parameter = other[0].0;
        assert!(page.contains(parameter), "{parameter}: {page}");
    }
    for twice in [
        "client_id=board",
        "redirect_uri=https%3A%2F%2Fboard.example%2Fcallback",
    ] {
        let path = format!("/oauth2/authorize?{}&{twice}", request(&[]));
        world.visit(Some(&ada), &path).await.page(400);
    }
    assert_eq!(world.count("authorization_codes").await, 0);
}

#[tokio::test]
async fn everything_else_that_is_wrong_is_told_to_the_client_with_state_and_issuer() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    for (other, error) in [
        ([("response_type", "")], "invalid_request"),
        ([("response_type", "token")], "unsupported_response_type"),
        (
            [("response_type", "code id_token")],
            "unsupported_response_type",
        ),
        ([("response_mode", "fragment")], "invalid_request"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge", "short")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("code_challenge_method", "")], "invalid_request"),
        ([("scope", "nonsense")], "invalid_scope"),
        ([("scope", "\"")], "invalid_scope"),
        ([("prompt", "none login")], "invalid_request"),
        ([("prompt", "create")], "invalid_request"),
        ([("max_age", "soon")], "invalid_request"),
        ([("id_token_hint", "e.y.J")], "invalid_request"),
        (
            [("resource", "https://api.other.example")],
            "invalid_target",
        ),
        ([("request", "e.y.J")], "request_not_supported"),
        (
            [("request_uri", "https://a.example/r")],
            "request_uri_not_supported",
        ),
        ([("registration", "{}")], "registration_not_supported"),
        ([("organization", "nowhere")], "access_denied"),
    ] {
        world.authorize(Some(&ada), &other).await.refused(error);
    }
    let path = format!("/oauth2/authorize?{}&scope=openid", request(&[]));
    world
        .visit(Some(&ada), &path)
        .await
        .refused("invalid_request");
    assert_eq!(world.count("authorization_codes").await, 0);
}

#[tokio::test]
async fn a_state_that_came_twice_is_not_echoed() {
    let world = World::start().await;
    let path = format!("/oauth2/authorize?{}&state=other", request(&[]));
    let answer = world.visit(None, &path).await.answer();
    assert_eq!(answer["error"], "invalid_request");
    assert!(!answer.contains_key("state"));
}

#[tokio::test]
async fn an_app_without_the_grant_or_retired_or_expired_is_not_served() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let with = |name: &str, change: fn(&mut App)| {
        let mut one = app(name);
        one.spec.redirect_uris = vec![CALLBACK.to_owned()];
        change(&mut one);
        one
    };
    world
        .register(with("machine", |app| {
            app.spec.grant_types = [GrantType::DeviceCode].into_iter().collect();
        }))
        .await;
    world
        .register(with("short", |app| {
            app.expires_at = Some(Timestamp::from_unix_seconds(1_800_000_000));
        }))
        .await;
    let retired = with("retired", |_| {});
    world.register(retired.clone()).await;
    let ask = async |client| world.authorize(Some(&ada), &[("client_id", client)]).await;
    assert_eq!(ask("retired").await.status, 303);
    let now = world.app.clock.now();
    world
        .app
        .authority
        .store
        .write::<_, StoreError>(move |tx| clients::retire(tx, &retired.client(), now))
        .await
        .unwrap();
    ask("machine").await.refused("unauthorized_client");
    ask("short").await.page(400);
    ask("retired").await.page(400);
}

#[tokio::test]
async fn nobody_logged_in_leads_to_the_login_page_and_back() {
    let world = World::start().await;
    let reply = world
        .authorize(
            None,
            &[
                ("login_hint", "ada"),
                ("acr_values", "high low"),
                ("max_age", "60"),
            ],
        )
        .await;
    let login = doorward::authority::login::open(
        &world.app.authority,
        reply.location().strip_prefix("/login?request=").unwrap(),
    )
    .unwrap();
    assert_eq!(login.login_hint.as_deref(), Some("ada"));
    assert_eq!(login.acr_values, ["high", "low"]);
    assert_eq!(login.max_age.map(|age| age.as_secs()), Some(60));
    assert_eq!(login.client_name.as_deref(), Some("The board"));
    assert!(!login.force);
    assert_eq!(
        world.count("grants").await,
        0,
        "nothing is stored before a login"
    );

    let ada = world.log_in("ada").await;
    let answer = world.visit(Some(&ada), &login.return_to).await.answer();
    assert!(answer["code"].starts_with("dwa_") && answer["state"] == "af0ifjsldkj");
}

#[tokio::test]
async fn a_login_that_failed_is_told_to_the_client() {
    let world = World::start().await;
    let resume = resume_of(&world, &world.authorize(None, &[]).await);
    for (word, error) in [
        ("access_denied", "access_denied"),
        ("login_required", "login_required"),
        ("whatever", "login_required"),
    ] {
        let path = format!("{resume}&login_error={word}");
        world.visit(None, &path).await.refused(error);
    }
}

#[tokio::test]
async fn several_tabs_finish_in_any_order() {
    let world = World::start().await;
    let mut tabs = Vec::new();
    for state in ["one", "two", "three"] {
        let reply = world.authorize(None, &[("state", state)]).await;
        tabs.push((state, resume_of(&world, &reply)));
    }
    let ada = world.log_in("ada").await;
    for (state, resume) in tabs.into_iter().rev() {
        let answer = world.visit(Some(&ada), &resume).await.answer();
        assert_eq!(answer["state"], state);
        assert!(answer.contains_key("code"));
    }
}

#[tokio::test]
async fn an_interaction_that_took_too_long_begins_again() {
    let world = World::start().await;
    let resume = resume_of(&world, &world.authorize(None, &[("prompt", "login")]).await);
    world.advance(3_600);
    let ada = world.log_in("ada").await;
    let reply = world.visit(Some(&ada), &resume).await;
    let again = resume_of(&world, &reply);
    let ada = world.log_in_as(ada.user).await;
    assert!(
        world
            .visit(Some(&ada), &again)
            .await
            .answer()
            .contains_key("code")
    );
    world.advance(25 * 3_600);
    world.visit(Some(&ada), &again).await.page(400);
}

#[tokio::test]
async fn what_is_not_ours_is_not_gone_on_with() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    for request in ["", "abc", "%3Cscript%3E"] {
        let path = format!("/oauth2/authorize/resume?request={request}");
        let reply = world.visit(Some(&ada), &path).await;
        assert!(!reply.page(400).contains("<script>"));
        world
            .visit(Some(&ada), &format!("/consent?request={request}"))
            .await
            .page(400);
    }
}

#[tokio::test]
async fn prompt_none_never_shows_a_page() {
    let world = World::start().await;
    let none = [("prompt", "none")];
    world.authorize(None, &none).await.refused("login_required");
    let ada = world.log_in("ada").await;
    assert!(
        world
            .authorize(Some(&ada), &none)
            .await
            .answer()
            .contains_key("code")
    );
    world.advance(100);
    let old = [("prompt", "none"), ("max_age", "99")];
    world
        .authorize(Some(&ada), &old)
        .await
        .refused("login_required");
    let fine = [("prompt", "none"), ("max_age", "100")];
    assert!(
        world
            .authorize(Some(&ada), &fine)
            .await
            .answer()
            .contains_key("code")
    );
}

#[tokio::test]
async fn prompt_login_wants_a_proof_that_is_newer_than_the_request() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    world.advance(60);
    let reply = world.authorize(Some(&ada), &[("prompt", "login")]).await;
    let resume = resume_of(&world, &reply);
    // Back without having logged in: asked again.
    let again = resume_of(&world, &world.visit(Some(&ada), &resume).await);
    world.advance(5);
    let ada = world.log_in_as(ada.user).await;
    assert!(
        world
            .visit(Some(&ada), &again)
            .await
            .answer()
            .contains_key("code")
    );
    let grant_at = only_grant(&world, &ada).await.authenticated_at;
    assert_eq!(
        grant_at,
        world.app.clock.now(),
        "the new proof is the grant's"
    );
}

#[tokio::test]
async fn max_age_sends_an_old_session_to_log_in() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    world.advance(10);
    let age = |seconds| [("max_age", seconds)];
    assert!(
        world
            .authorize(Some(&ada), &age("10"))
            .await
            .answer()
            .contains_key("code")
    );
    let resume = resume_of(&world, &world.authorize(Some(&ada), &age("9")).await);
    let ada = world.log_in_as(ada.user).await;
    assert!(
        world
            .visit(Some(&ada), &resume)
            .await
            .answer()
            .contains_key("code")
    );
}

#[tokio::test]
async fn prompt_select_account_is_not_answered_by_the_session_that_is_there() {
    let world = World::start().await;
    let (ada, bob) = (world.log_in("ada").await, world.app.user("bob").await);
    world.advance(1);
    let reply = world
        .authorize(Some(&ada), &[("prompt", "select_account")])
        .await;
    let sealed = reply.location().strip_prefix("/login?request=").unwrap();
    let login = doorward::authority::login::open(&world.app.authority, sealed).unwrap();
    assert!(login.choose && !login.force);
    assert_eq!(login.ends_at.as_deref(), Some(CALLBACK));
    let again = world.visit(Some(&ada), &login.return_to).await;
    assert!(again.location().starts_with("/login?request="));
    let bob = world.log_in_as(bob).await;
    let answer = world.visit(Some(&bob), &login.return_to).await.answer();
    assert!(answer.contains_key("code"));
}

#[tokio::test]
async fn a_hint_of_another_user_is_not_answered_with_this_one() {
    let world = World::start().await;
    let (ada, bob) = (world.log_in("ada").await, world.log_in("bob").await);
    let hint = id_token(&world, &ada, "board");
    let hinted = [("id_token_hint", hint.as_str())];
    assert!(
        world
            .authorize(Some(&ada), &hinted)
            .await
            .answer()
            .contains_key("code")
    );
    let none = [("id_token_hint", hint.as_str()), ("prompt", "none")];
    world
        .authorize(Some(&bob), &none)
        .await
        .refused("login_required");
    let resume = resume_of(&world, &world.authorize(Some(&bob), &hinted).await);
    let bob = world.log_in_as(bob.user).await;
    world
        .visit(Some(&bob), &resume)
        .await
        .refused("login_required");
    let ada = world.log_in_as(ada.user).await;
    assert!(
        world
            .visit(Some(&ada), &resume)
            .await
            .answer()
            .contains_key("code")
    );
    // Another app's token is no hint.
    let other = id_token(&world, &ada, "other");
    let hinted = [("id_token_hint", other.as_str())];
    world
        .authorize(Some(&ada), &hinted)
        .await
        .refused("invalid_request");
}

/// An ID token that this authority signed some time ago.
pub fn id_token(world: &World, browser: &Browser, client: &str) -> String {
    let now = world.app.clock.now().unix_seconds();
    let claims = json!({
        "iss": world.issuer(), "sub": browser.user, "aud": client, "iat": now - 700,
        "exp": now - 100, "sid": browser.session,
    });
    let algorithm = doorward::domain::app::IdTokenAlg::RS256;
    world
        .app
        .authority
        .keys
        .sign_jwt(algorithm, "JWT", &claims)
        .unwrap()
}

#[tokio::test]
async fn a_form_is_as_good_as_a_query_and_brings_no_cookie_of_another_site() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let form: Vec<(String, String)> = parameters(&request(&[])).into_iter().collect();
    let form: Vec<(&str, &str)> = form.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let reply = world.submit(None, "/oauth2/authorize", &form, false).await;
    let resume = reply.location().to_owned();
    assert!(
        resume.starts_with("/oauth2/authorize/resume?request="),
        "{resume}"
    );
    assert!(!resume.contains("af0ifjsldkj"));
    // The redirect that follows brings the cookie, or leads to the login page.
    assert!(
        world
            .visit(Some(&ada), &resume)
            .await
            .answer()
            .contains_key("code")
    );
    let login = world.visit(None, &resume).await;
    assert!(login.location().starts_with("/login?request="));

    let mut wrong = form.clone();
    wrong.retain(|(name, _)| *name != "code_challenge");
    let reply = world.submit(None, "/oauth2/authorize", &wrong, false).await;
    reply.refused("invalid_request");
    let json = world.app.post("/oauth2/authorize").json(&json!({})).await;
    json.page(400);
    let long = encode(&[("client_id", &"a".repeat(17_000))]);
    let reply = world
        .app
        .post("/oauth2/authorize")
        .bytes("application/x-www-form-urlencoded", long)
        .await;
    reply.page(400);
}

#[tokio::test]
async fn an_answer_can_travel_in_a_form() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let mode = ("response_mode", "form_post");
    let reply = world
        .authorize(Some(&ada), &[mode, ("state", "\"><b>")])
        .await;
    let page = reply.page(200);
    assert!(
        page.contains("action=\"https://board.example/callback\""),
        "{page}"
    );
    assert!(field(page, "code").starts_with("dwa_"));
    assert_eq!(field(page, "iss"), world.issuer());
    assert!(!page.contains("\"><b>"), "{page}");
    let policy = reply.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' https://board.example;"),
        "{policy}"
    );

    let reply = world.authorize(None, &[mode, ("prompt", "none")]).await;
    assert_eq!(field(reply.page(200), "error"), "login_required");
}

#[tokio::test]
async fn a_native_app_is_answered_on_the_port_it_listens_on() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let mut native = app("native");
    native.spec.application_type = ApplicationType::Native;
    native.spec.auth_method = AuthMethod::None;
    native.spec.redirect_uris = vec![
        "http://127.0.0.1/cb".to_owned(),
        "com.example.app:/cb".to_owned(),
    ];
    world.register(native).await;
    let at = |uri: &'static str| [("client_id", "native"), ("redirect_uri", uri)];
    for uri in ["http://127.0.0.1:50123/cb", "com.example.app:/cb"] {
        let reply = world.authorize(Some(&ada), &at(uri)).await;
        assert!(
            reply.location().starts_with(&format!("{uri}?code=dwa_")),
            "{reply:?}"
        );
    }
    for uri in [
        "http://localhost:50123/cb",
        "http://127.0.0.1:50123/other",
        "com.example.app:/x",
    ] {
        world.authorize(Some(&ada), &at(uri)).await.page(400);
    }
}

#[tokio::test]
async fn a_registered_query_is_kept() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let mut other = app("other");
    other.spec.redirect_uris = vec!["https://other.example/cb?tenant=a%20b".to_owned()];
    world.register(other).await;
    let reply = world
        .authorize(
            Some(&ada),
            &[
                ("client_id", "other"),
                ("redirect_uri", "https://other.example/cb?tenant=a%20b"),
            ],
        )
        .await;
    let location = reply.location();
    assert!(
        location.starts_with("https://other.example/cb?tenant=a%20b&code=dwa_"),
        "{location}"
    );
}

#[tokio::test]
async fn tokens_are_bound_to_an_organization_that_the_user_belongs_to() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    world.app.owner_of("acme").await;
    let id = world.app.organization("acme").await;
    for named in ["acme", &id.to_string()] {
        world
            .authorize(Some(&ada), &[("organization", named)])
            .await
            .refused("access_denied");
    }
    world.app.join("acme", ada.user, "billing/viewer").await;
    for named in ["acme", &id.to_string()] {
        let fresh = world.log_in_as(ada.user).await;
        world.code(&fresh, &[("organization", named)]).await;
    }
    let (user, now) = (ada.user, world.app.clock.now());
    let found = world
        .app
        .authority
        .store
        .read::<_, StoreError>(move |tx| grants::of_user(tx, user, now))
        .await
        .unwrap();
    assert!(found.len() == 2 && found.iter().all(|grant| grant.organization_id == Some(id)));
}

#[tokio::test]
async fn offline_access_is_for_apps_that_refresh_and_has_to_be_asked_for() {
    let world = World::start().await;
    let mut plain = app("plain");
    plain.spec.grant_types = [GrantType::AuthorizationCode].into_iter().collect();
    plain.spec.redirect_uris = vec![CALLBACK.to_owned()];
    world.register(plain).await;
    let ask = async |name: &str, client, scope| {
        let browser = world.log_in(name).await;
        world
            .code(&browser, &[("client_id", client), ("scope", scope)])
            .await;
        only_grant(&world, &browser).await.scope
    };
    let offline = "openid offline_access";
    assert_eq!(
        ask("a", "board", offline).await,
        Scopes::parse(offline).unwrap()
    );
    assert_eq!(
        ask("b", "plain", offline).await,
        Scopes::parse("openid").unwrap()
    );
    let all = ask("c", "board", "").await;
    assert!(
        !all.contains("offline_access") && all.contains("billing:read"),
        "{all}"
    );
}

#[tokio::test]
async fn a_grant_ends_with_its_session_unless_its_app_outlives_it() {
    let world = World::start().await;
    let mut standalone = app("standalone");
    standalone.spec.refresh_binding = RefreshBinding::Standalone;
    standalone.spec.redirect_uris = vec![CALLBACK.to_owned()];
    world.register(standalone).await;
    let now = world.app.clock.now();
    let lifetimes = world.app.authority.config.lifetimes;
    for (client, lifetime) in [
        ("board", lifetimes.session),
        ("standalone", lifetimes.refresh),
    ] {
        let browser = world.log_in(client).await;
        world.code(&browser, &[("client_id", client)]).await;
        let grant = only_grant(&world, &browser).await;
        assert_eq!(grant.expires_at, now.plus(lifetime), "{client}");
    }
}

#[tokio::test]
async fn a_suspended_user_or_an_ended_session_is_nobody() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let user = ada.user;
    world
        .app
        .authority
        .store
        .write::<_, StoreError>(move |tx| users::put_state(tx, user, UserState::Suspended, 1))
        .await
        .unwrap();
    let none = [("prompt", "none")];
    world
        .authorize(Some(&ada), &none)
        .await
        .refused("login_required");
    let bob = world.log_in("bob").await;
    world.advance(24 * 3_600);
    world
        .authorize(Some(&bob), &none)
        .await
        .refused("login_required");
}

/// Somebody whom the authority has just seen, and then what is done to them.
async fn a_session_that_was_just_seen_gives_nothing_once_it_is_over(world: &World) {
    let none = [("prompt", "none")];
    let seen = async |name| {
        let browser = world.log_in(name).await;
        for _ in 0..2 {
            let answer = world.authorize(Some(&browser), &none).await.answer();
            assert!(answer["code"].starts_with("dwa_"));
        }
        browser
    };
    let store = &world.app.authority.store;

    let ada = seen("ada").await;
    let (user, now) = (ada.user, world.app.authority.clock.now());
    let suspended = store
        .write::<_, StoreError>(move |tx| users::put_state(tx, user, UserState::Suspended, 1))
        .await;
    suspended.unwrap();

    let bob = seen("bob").await;
    let session = bob.session;
    let deleted = store
        .write::<_, StoreError>(move |tx| sessions::delete(tx, session))
        .await;
    assert!(deleted.unwrap().value);

    // The session goes on, behind another cookie.
    let carol = seen("carol").await;
    let session = carol.session;
    let renewed = store
        .write::<_, StoreError>(move |tx| {
            let session = sessions::find(tx, session)?.unwrap();
            let digest = token_digest(&PlainToken::presented("another".to_owned()));
            sessions::renew(tx, &NewSession { session, digest })
        })
        .await;
    renewed.unwrap();

    let dan = seen("dan").await;
    let session = dan.session;
    let idle = store
        .write::<_, StoreError>(move |tx| sessions::touch(tx, session, (now, Duration::ZERO), None))
        .await;
    idle.unwrap();

    for browser in [ada, bob, carol, dan] {
        let reply = world.authorize(Some(&browser), &none).await;
        reply.refused("login_required");
    }
}

#[tokio::test]
async fn a_session_that_was_just_seen_gives_nothing_once_it_is_over_on_sqlite() {
    a_session_that_was_just_seen_gives_nothing_once_it_is_over(&World::start().await).await;
}

#[tokio::test]
async fn a_session_that_was_just_seen_gives_nothing_once_it_is_over_on_postgresql() {
    if let Some(store) = postgres::database() {
        let world = World::start_on(store).await;
        a_session_that_was_just_seen_gives_nothing_once_it_is_over(&world).await;
    }
}

#[tokio::test]
async fn a_session_that_is_used_minute_after_minute_does_not_become_idle() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let id = ada.session;
    let store = &world.app.authority.store;
    let mut before = None;
    for _ in 0..3 {
        let answer = world.authorize(Some(&ada), &[]).await.answer();
        assert!(answer["code"].starts_with("dwa_"));
        let found = store.read::<_, StoreError>(move |tx| sessions::find(tx, id));
        let idle = found.await.unwrap().unwrap().idle_expires_at;
        assert!(before.is_none_or(|before| before < idle));
        before = Some(idle);
        world.advance(60);
    }
}

#[tokio::test]
async fn a_request_that_no_url_can_carry_is_refused() {
    let world = World::start().await;
    let (state, nonce) = ("s".repeat(1_000), "n".repeat(1_000));
    let reply = world
        .authorize(None, &[("state", &state), ("nonce", &nonce)])
        .await;
    assert_eq!(reply.answer()["error"], "invalid_request");
    let reply = world.authorize(None, &[("state", &state)]).await;
    assert!(reply.location().starts_with("/login?request="));
    assert_eq!(board().spec.identifier.as_str(), "board");
}
