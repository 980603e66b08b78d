//! From the door to the authority and back.

use std::time::Duration;

use doorward::protocol::forward_auth::Dialect;

use super::world::{Gated, ORIGIN};
use crate::oauth::world::parameters;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_sent_to_log_in_and_comes_back_to_the_page_with_a_cookie_that_opens_it() {
    let gated = Gated::start().await;
    let mut ada = gated.person("ada").await;
    let about = "GET app.test/me?tab=1&x=%2F%26";

    let asked = gated
        .navigate(Dialect::Nginx, about, &ada)
        .await
        .expect(401);
    assert_eq!(asked.header("www-authenticate"), Some("Bearer"));
    assert_eq!(asked.header("doorward-reason"), Some("anonymous"));
    let login = asked.location().to_owned();
    assert!(
        login.starts_with("https://app.test/.doorward/login?return_to="),
        "{login}"
    );

    let begun = gated.visit(&mut ada, &login).await.expect(303);
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    let (endpoint, query) = begun.location().split_once('?').unwrap();
    assert_eq!(
        endpoint,
        format!("{}/oauth2/authorize", gated.world.issuer())
    );
    let request = parameters(query);
    assert_eq!(request["code_challenge_method"], "S256");
    assert_eq!(
        request["redirect_uri"],
        format!("{ORIGIN}/.doorward/callback")
    );
    assert!(request["state"].len() > 40 && request["nonce"].len() > 40);
    assert_eq!(ada.attempts().len(), 1);

    let back = gated.authorize(&ada, begun.location()).await;
    let done = gated.visit(&mut ada, &back).await.expect(303);
    assert_eq!(done.location(), "https://app.test/me?tab=1&x=%2F%26");
    assert_eq!(ada.attempts(), Vec::<&str>::new());

    let inside = gated
        .navigate(Dialect::Nginx, about, &ada)
        .await
        .expect(200);
    let user = ada.at_authority.as_ref().unwrap().user.to_string();
    assert_eq!(inside.header("x-auth-user"), Some(user.as_str()));
    assert_eq!(inside.header("x-auth-client"), Some("gate"));
    assert_eq!(inside.headers.get_all("set-cookie").iter().count(), 0);
    // A script of the page's, too.
    assert_eq!(gated.me(&ada).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_cookie_opens_is_what_roles_and_scopes_allow_together() {
    let gated = Gated::start().await;
    let app = &gated.world.app;
    app.owner_of("acme").await;
    let ada = gated.signed_in("ada").await;
    let user = ada.at_authority.as_ref().unwrap().user;
    let invoices = "GET app.test/o/acme/invoices";
    gated.hear().await;
    let outside = gated.navigate(Dialect::Traefik, invoices, &ada).await;
    assert_eq!(outside.expect(403).header("location"), None);
    app.join("acme", user, "billing/viewer").await;
    gated.hear().await;
    let inside = gated.navigate(Dialect::Traefik, invoices, &ada).await;
    let acme = app.organization("acme").await.to_string();
    assert_eq!(inside.expect(200).header("x-auth-org"), Some(acme.as_str()));
    // The same person through a gate that asks for `openid` alone.
    let mut narrow = ada.clone();
    narrow.cookies.clear();
    let asked = gated
        .navigate(Dialect::Traefik, "GET third.test/me", &narrow)
        .await;
    let begun = gated.visit(&mut narrow, asked.expect(302).location()).await;
    let back = gated.authorize(&narrow, begun.location()).await;
    let done = gated.visit(&mut narrow, &back).await.expect(303);
    assert_eq!(done.location(), "https://third.test:8443/me");
    gated
        .navigate(Dialect::Traefik, "GET third.test/me", &narrow)
        .await
        .expect(200);
    let refused = gated
        .navigate(Dialect::Traefik, "GET third.test/o/acme/invoices", &narrow)
        .await
        .expect(403);
    let challenge = refused.header("www-authenticate");
    assert_eq!(challenge, Some("Bearer error=\"insufficient_scope\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tabs_finish_in_any_order_and_each_where_it_was_going() {
    let gated = Gated::start().await;
    let mut ada = gated.person("ada").await;
    let mut tabs = Vec::new();
    for page in ["/me?1", "/me?2", "/me?3"] {
        let asked = gated
            .navigate(Dialect::Caddy, &format!("GET app.test{page}"), &ada)
            .await
            .expect(302);
        let begun = gated.visit(&mut ada, asked.location()).await.expect(303);
        tabs.push((page, gated.authorize(&ada, begun.location()).await));
    }
    assert_eq!(ada.attempts().len(), 3);
    for place in [1, 2, 0] {
        let (page, back) = &tabs[place];
        let done = gated.visit(&mut ada, back).await.expect(303);
        assert_eq!(done.location(), format!("{ORIGIN}{page}"));
        assert_eq!(gated.me(&ada).await, 200);
    }
    assert!(ada.attempts().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_that_nobody_finishes_leave_room_for_the_next() {
    let gated = Gated::start().await;
    let mut ada = gated.person("ada").await;
    for number in 0..40 {
        let url = format!(
            "{ORIGIN}/.doorward/login?return_to=/me?{number}{}",
            "x".repeat(300)
        );
        gated.visit(&mut ada, &url).await.expect(303);
        let all: usize = ada
            .cookies
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(all < 4_000, "{all} bytes after {number}");
    }
    // A very long way in is kept as well as it can be.
    let long = format!(
        "{ORIGIN}/.doorward/login?return_to=/me?{}",
        "y".repeat(3_000)
    );
    let begun = gated.visit(&mut ada, &long).await.expect(303);
    let back = gated.authorize(&ada, begun.location()).await;
    let done = gated.visit(&mut ada, &back).await.expect(303);
    assert_eq!(done.location(), format!("{ORIGIN}/me"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_ends_by_its_time_and_a_navigation_renews_it_without_a_question() {
    let gated = Gated::start().await;
    let mut ada = gated.signed_in("ada").await;
    let first = ada.session().unwrap().to_owned();
    // Longer than any access token lives.
    gated.world.app.clock.advance(Duration::from_mins(59));
    gated.hear().await;
    assert_eq!(gated.me(&ada).await, 200);
    gated.world.app.clock.advance(Duration::from_mins(2));
    gated.hear().await;
    let script = gated
        .ask(Dialect::Nginx, "GET app.test/me", &ada.cookie_header())
        .await;
    assert_eq!(script.expect(401).header("location"), None);
    let done = gated.arrive(&mut ada, "GET app.test/me").await.expect(303);
    assert_eq!(done.location(), format!("{ORIGIN}/me"));
    assert_ne!(ada.session().unwrap(), first);
    assert_eq!(gated.me(&ada).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_client_signs_people_in_by_pkce_alone() {
    let text = "[gate.alone]\nhosts = ['https://alone.test']\nclient_id = 'alone'\n\
                 keys_file = 'FOLDER/keys'\nauthority = 'http://AUTHORITY'\n";
    let gated = Gated::guarding(text).await;
    let mut app = super::world::gate_app("alone");
    app.spec.auth_method = doorward::domain::app::AuthMethod::None;
    app.spec.redirect_uris = vec!["https://alone.test/.doorward/callback".to_owned()];
    gated.world.register(app).await;
    gated.hear().await;
    let mut ada = gated.person("ada").await;
    let done = gated
        .arrive(&mut ada, "GET alone.test/me")
        .await
        .expect(303);
    assert_eq!(done.location(), "https://alone.test/me");
    gated
        .navigate(Dialect::Plain, "GET alone.test/me", &ada)
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_doors_would_refuse_sets_no_cookie() {
    // The sidecar takes tokens for the first, and none for the second.
    for (resource, status) in [
        ("https://api.notes.example", 303),
        ("https://api.gate.example", 502),
    ] {
        let text = format!(
            "[gate.app]\nhosts = ['https://app.test']\nclient_id = 'gate'\nresource = \
             '{resource}'\nclient_secret_file = 'FOLDER/secret'\nkeys_file = 'FOLDER/keys'\n\
             authority = 'http://AUTHORITY'\n"
        );
        let gated = Gated::guarding(&text).await;
        let mut ada = gated.person("ada").await;
        let done = gated
            .arrive(&mut ada, "GET app.test/me")
            .await
            .expect(status);
        assert_eq!(ada.session().is_some(), status == 303, "{done:?}");
        assert!(ada.attempts().is_empty());
        assert_eq!(gated.me(&ada).await, if status == 303 { 200 } else { 401 });
    }
}
