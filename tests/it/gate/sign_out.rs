//! Signing out, here and at the authority.

use super::world::{Gated, ORIGIN, Person};
use crate::oauth::world::parameters;

const SIGN_OUT: &str = "https://app.test/.doorward/sign-out";
const OWN: &str = "origin: https://app.test\r\nsec-fetch-site: same-origin\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_ends_the_cookie_and_the_session_behind_it() {
    let gated = Gated::start().await;
    let ada = gated.signed_in("ada").await;
    let page = gated.look(&ada, SIGN_OUT, "GET", "").await.expect(200);
    assert!(
        page.body
            .contains(&format!("<form method=\"post\" action=\"{SIGN_OUT}\">"))
    );
    let out = gated.look(&ada, SIGN_OUT, "POST", OWN).await.expect(303);
    let cleared: Vec<&str> = out
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    for start in [
        "__Host-doorward-gate=; Path=/; Max-Age=0;",
        "__Secure-doorward-hint=; Path=/.doorward/; Max-Age=0;",
    ] {
        assert!(
            cleared.iter().any(|cookie| cookie.starts_with(start)),
            "{cleared:?}"
        );
    }
    let (endpoint, query) = out.location().split_once('?').unwrap();
    assert_eq!(endpoint, format!("{}/oauth2/logout", gated.world.issuer()));
    let request = parameters(query);
    assert_eq!(request["client_id"], "gate");
    assert!(request["id_token_hint"].starts_with("eyJ"));

    let browser = ada.at_authority.as_ref().unwrap();
    assert!(gated.world.is_logged_in(browser).await);
    let path = format!("/oauth2/logout?{query}");
    let back = gated.world.visit(Some(browser), &path).await.expect(303);
    assert_eq!(
        back.header("location"),
        format!("{ORIGIN}/.doorward/signed-out")
    );
    assert!(!gated.world.is_logged_in(browser).await);
    gated.hear().await;
    // Somebody kept a copy of the cookie.
    assert_eq!(gated.me(&ada).await, 401);
    let nobody = Person {
        cookies: std::collections::BTreeMap::new(),
        ..ada
    };
    let end = gated
        .look(&nobody, back.header("location"), "GET", "")
        .await
        .expect(200);
    assert!(end.body.contains("You are signed out"));
    assert_eq!(
        end.link(),
        format!("{ORIGIN}/.doorward/login?return_to=%2F")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_site_signs_people_out() {
    let gated = Gated::start().await;
    let ada = gated.signed_in("ada").await;
    for headers in [
        "",
        "origin: https://evil.example\r\n",
        "origin: null\r\nsec-fetch-site: cross-site\r\n",
        "origin: https://other.test\r\nsec-fetch-site: same-site\r\n",
    ] {
        let answer = gated
            .look(&ada, SIGN_OUT, "POST", headers)
            .await
            .expect(403);
        assert_eq!(answer.header("set-cookie"), None);
        assert!(answer.body.contains("You are still signed in"));
    }
    assert_eq!(gated.me(&ada).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_hint_signing_out_still_ends_at_the_authority_which_asks() {
    let gated = Gated::start().await;
    let mut ada = gated.signed_in("ada").await;
    ada.cookies.remove("__Secure-doorward-hint").unwrap();
    let out = gated.look(&ada, SIGN_OUT, "POST", OWN).await.expect(303);
    let (_, query) = out.location().split_once('?').unwrap();
    assert!(!query.contains("id_token_hint"));
    let browser = ada.at_authority.as_ref();
    let page = gated
        .world
        .visit(browser, &format!("/oauth2/logout?{query}"))
        .await
        .expect(200);
    assert!(page.body.as_str().unwrap().contains("<form"));
}
