//! What a cookie is sealed for, and by which key.

use doorward::crypto::seal::KeyRing;
use doorward::protocol::forward_auth::Dialect;

use super::world::Gated;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_opens_its_own_host_and_no_other_one_of_the_same_keys() {
    let gated = Gated::start().await;
    let ada = gated.signed_in("ada").await;
    // The sidecar remembers it by now.
    assert_eq!(gated.me(&ada).await, 200);
    let headers = ada.cookie_header();
    for host in ["other.test", "third.test"] {
        let asked = gated
            .ask(Dialect::Plain, &format!("GET {host}/me"), &headers)
            .await;
        assert_eq!(asked.expect(401).header("x-auth-user"), None, "{host}");
    }
    let bearer = format!("authorization: Bearer {}\r\n", ada.session().unwrap());
    gated
        .ask(Dialect::Plain, "GET app.test/me", &bearer)
        .await
        .expect(401);
    let mut renamed = ada.clone();
    let hint = ada.cookies["__Secure-doorward-hint"].clone();
    renamed
        .cookies
        .insert("__Host-doorward-gate".to_owned(), hint);
    assert_eq!(gated.me(&renamed).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_that_was_changed_opens_nothing() {
    let gated = Gated::start().await;
    let ada = gated.signed_in("ada").await;
    let value = ada.session().unwrap().to_owned();
    for at in (0..value.len()).step_by(37) {
        let mut changed = value.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let mut other = ada.clone();
        let changed = String::from_utf8(changed).unwrap();
        other
            .cookies
            .insert("__Host-doorward-gate".to_owned(), changed);
        assert_eq!(gated.me(&other).await, 401, "byte {at}");
    }
    for cut in ["", "A", &value[..value.len() - 4]] {
        let mut other = ada.clone();
        other
            .cookies
            .insert("__Host-doorward-gate".to_owned(), cut.to_owned());
        assert_eq!(gated.me(&other).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_in_a_cookie_is_a_token() {
    let gated = Gated::start().await;
    let ada = gated.signed_in("ada").await;
    let ring = KeyRing::new(&[5; 32]);
    let place = doorward::crypto::seal::Place {
        table: "gate session",
        row: "app",
        column: "https://app.test",
    };
    let sealed = data_encoding::BASE64URL_NOPAD
        .decode(ada.session().unwrap().as_bytes())
        .unwrap();
    let opened = ring.open(&sealed, place).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&opened).unwrap();
    let user = ada.at_authority.as_ref().unwrap();
    assert_eq!(claims["sub"], user.user.to_string());
    assert_eq!(claims["sid"], user.session.to_string());
    assert!(claims["gid"].is_string());
    let text = String::from_utf8(opened.to_vec()).unwrap();
    // Three parts of base64url begin with `{"` in each token, `dwr_` is a refresh token's.
    assert!(!text.contains("eyJ") && !text.contains("dwr_"), "{text}");
    assert!(ada.session().unwrap().len() < 1_500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_changed_without_a_new_sign_in_and_a_key_that_is_gone_opens_nothing() {
    let gated = Gated::start().await;
    let old = gated.signed_in("old").await;
    let first = KeyRing::new(&[5; 32]);
    let staged = first.with_staged(&[6; 32]);
    let gated = gated.restarted_with(&staged.promoted()).await;
    assert_eq!(gated.me(&old).await, 200);
    let new = gated.signed_in("new").await;
    // A replica that has the new key staged only.
    let gated = gated.restarted_with(&staged).await;
    assert_eq!((gated.me(&old).await, gated.me(&new).await), (200, 200));
    let gated = gated.restarted_with(&staged.promoted().first_only()).await;
    assert_eq!((gated.me(&old).await, gated.me(&new).await), (401, 200));
    let mut old = old;
    gated.arrive(&mut old, "GET app.test/me").await.expect(303);
    assert_eq!(gated.me(&old).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_ends_when_the_settings_of_its_gate_would_no_longer_give_it() {
    for (from, to) in [
        ("openid doorward:full", "openid"),
        ("lifetime = '1h'", "lifetime = '10m'"),
        ("client_id = 'gate'", "client_id = 'another'"),
    ] {
        let gated = Gated::start().await;
        let ada = gated.signed_in("ada").await;
        let gated = gated.restarted_where("path = ", "# moved\npath = ").await;
        assert_eq!(gated.me(&ada).await, 200);
        let gated = gated.restarted_where(from, to).await;
        assert_eq!(gated.me(&ada).await, 401, "{to}");
    }
}
