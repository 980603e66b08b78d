//! Logging out on behalf of apps, and telling the others.

use super::authorize::id_token;
use super::world::{Answered, World, app, encode, field};

const BYE: &str = "https://board.example/bye";

fn logout(form: &[(&str, &str)]) -> String {
    format!("/oauth2/logout?{}", encode(form))
}

#[tokio::test]
async fn an_app_that_shows_whose_session_it_is_logs_out_without_a_question() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let hint = id_token(&world, &ada, "board");
    let form = [
        ("id_token_hint", hint.as_str()),
        ("post_logout_redirect_uri", BYE),
        ("state", "a&b"),
    ];
    let reply = world.visit(Some(&ada), &logout(&form)).await;
    assert_eq!(reply.location(), "https://board.example/bye?state=a%26b");
    let cookie = reply.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-doorward=; ") && cookie.contains("Max-Age=0"),
        "{cookie}"
    );
    assert!(!world.is_logged_in(&ada).await);
    assert_eq!(world.app.audited("session.ended").await, 1);
    // Again, by the same page: nobody is logged in, and it ends in the same place.
    let reply = world.visit(Some(&ada), &logout(&form)).await;
    assert_eq!(reply.location(), "https://board.example/bye?state=a%26b");
    assert_eq!(world.app.audited("session.ended").await, 1);
}

#[tokio::test]
async fn without_a_hint_of_this_session_the_person_is_asked() {
    let world = World::start().await;
    let (ada, bob) = (world.log_in("ada").await, world.log_in("bob").await);
    let (of_bob, old) = (
        id_token(&world, &bob, "board"),
        id_token(&world, &world.log_in_as(ada.user).await, "board"),
    );
    for form in [
        vec![],
        vec![("state", "x")],
        vec![("client_id", "board"), ("post_logout_redirect_uri", BYE)],
        vec![("id_token_hint", of_bob.as_str())],
        vec![("id_token_hint", old.as_str())],
    ] {
        let reply = world.visit(Some(&ada), &logout(&form)).await;
        let page = reply.page(200);
        assert!(page.contains("action=\"/oauth2/logout\""), "{page}");
        assert!(world.is_logged_in(&ada).await);
    }
    let form = [("client_id", "board"), ("post_logout_redirect_uri", BYE)];
    let reply = world.visit(Some(&ada), &logout(&form)).await;
    let (request, csrf) = (
        field(reply.page(200), "request"),
        field(reply.page(200), "csrf"),
    );
    let decide = async |decision, csrf, ours| {
        let form = [
            ("request", request.as_str()),
            ("csrf", csrf),
            ("decision", decision),
        ];
        world
            .submit(Some(&ada), "/oauth2/logout", &form, ours)
            .await
    };
    decide("sign_out", csrf.as_str(), false).await.page(403);
    decide("sign_out", "x", true).await.page(403);
    decide("whatever", csrf.as_str(), true).await.page(400);
    assert_eq!(
        decide("stay", csrf.as_str(), true).await.location(),
        "/account"
    );
    assert!(world.is_logged_in(&ada).await);
    assert_eq!(
        decide("sign_out", csrf.as_str(), true).await.location(),
        BYE
    );
    assert!(!world.is_logged_in(&ada).await && world.is_logged_in(&bob).await);
}

#[tokio::test]
async fn nobody_is_sent_to_a_uri_that_the_app_did_not_register() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    world.register(app("other")).await;
    let hint = id_token(&world, &ada, "board");
    let hint = ("id_token_hint", hint.as_str());
    let signed_by_another = format!("{}AAAA", &hint.1[..hint.1.len() - 4]);
    for form in [
        vec![("post_logout_redirect_uri", BYE)],
        vec![
            hint,
            ("post_logout_redirect_uri", "https://evil.example/bye"),
        ],
        vec![
            hint,
            ("post_logout_redirect_uri", "https://board.example/bye?x=1"),
        ],
        vec![
            hint,
            ("post_logout_redirect_uri", "https://other.example/bye"),
        ],
        vec![hint, ("client_id", "other")],
        vec![("client_id", "other"), ("post_logout_redirect_uri", BYE)],
        vec![("client_id", "nobody")],
        vec![
            ("id_token_hint", "e.y.J"),
            ("post_logout_redirect_uri", BYE),
        ],
        vec![("id_token_hint", signed_by_another.as_str())],
        vec![("state", "a"), ("state", "b")],
        vec![("request", "e.y.J")],
    ] {
        let reply = world.visit(Some(&ada), &logout(&form)).await;
        assert!(!reply.page(400).contains("evil.example"), "{form:?}");
        assert!(world.is_logged_in(&ada).await);
    }
}

#[tokio::test]
async fn a_form_of_the_apps_page_logs_out_by_the_redirect_that_brings_the_cookie() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let hint = id_token(&world, &ada, "board");
    let form = [
        ("id_token_hint", hint.as_str()),
        ("post_logout_redirect_uri", BYE),
        ("state", "s"),
    ];
    let reply = world.submit(None, "/oauth2/logout", &form, false).await;
    let path = reply.location().to_owned();
    assert!(path.starts_with("/oauth2/logout?request="), "{path}");
    assert!(world.is_logged_in(&ada).await);
    let reply = world.visit(Some(&ada), &path).await;
    assert_eq!(reply.location(), "https://board.example/bye?state=s");
    assert!(!world.is_logged_in(&ada).await);
}

#[tokio::test]
async fn without_a_uri_it_ends_on_a_page_of_ours() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let hint = id_token(&world, &ada, "board");
    let reply = world
        .visit(Some(&ada), &logout(&[("id_token_hint", &hint)]))
        .await;
    assert_eq!(reply.location(), "/signed-out");
    assert!(!world.is_logged_in(&ada).await);
}

#[tokio::test]
async fn an_answer_from_another_site_neither_ends_nor_orphans_the_session() {
    let world = World::start().await;
    let ada = world.log_in("ada").await;
    let form = [("client_id", "board"), ("post_logout_redirect_uri", BYE)];
    let reply = world.submit(None, "/oauth2/logout", &form, false).await;
    let (_, sealed) = reply.location().split_once("request=").unwrap();
    let form = [("request", sealed), ("decision", "sign_out")];
    let reply = world.submit(None, "/oauth2/logout", &form, false).await;
    let path = reply.location().to_owned();
    assert!(path.starts_with("/oauth2/logout?request="), "{path}");
    assert!(reply.headers.get("set-cookie").is_none());
    // The redirect brings the cookie: the person is asked.
    world.visit(Some(&ada), &path).await.page(200);
    assert!(world.is_logged_in(&ada).await);
    // Without one it ends, and takes no cookie away.
    let reply = world.visit(None, &path).await;
    assert_eq!(reply.location(), BYE);
    assert!(reply.headers.get("set-cookie").is_none());
}
