//! What a token tells of its user.

use doorward::domain::user::EmailAddress;

use super::tokens::{agree, confidential, redeem, text};
use crate::support::app::TestApp;

on_both_engines! {
    claims_go_by_the_scopes_of_the_token,
    the_token_stands_in_the_header_or_it_does_not_count,
    a_token_without_openid_or_of_a_client_tells_nothing,
    an_address_that_nobody_verified_is_not_told,
}

async fn claims_go_by_the_scopes_of_the_token(app: TestApp) {
    let board = confidential(&app, "board").await;
    for (scope, wanted) in [
        ("openid", vec!["sub"]),
        ("openid profile", vec!["name", "sub", "updated_at"]),
        ("openid email", vec!["email", "email_verified", "sub"]),
    ] {
        let agreed = agree(&app, &board, scope).await;
        let reply = redeem(&app, &board, &agreed.code).await.expect(200);
        let told = app
            .get("/oauth2/userinfo")
            .by(text(&reply, "access_token"))
            .send()
            .await
            .expect(200);
        let mut names: Vec<_> = told.body.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, wanted.iter().collect::<Vec<_>>(), "{scope}");
        assert_eq!(text(&told, "sub"), agreed.user.to_string());
        assert_eq!(told.header("cache-control"), "no-store");
    }
}

async fn the_token_stands_in_the_header_or_it_does_not_count(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "openid").await.code;
    let reply = redeem(&app, &board, &code).await.expect(200);
    let token = text(&reply, "access_token");
    app.post("/oauth2/userinfo")
        .by(token)
        .send()
        .await
        .expect(200);
    let query = format!("/oauth2/userinfo?access_token={token}");
    let refused = app.get(&query).send().await.expect(401);
    assert_eq!(
        refused.header("www-authenticate"),
        "Bearer realm=\"doorward\""
    );
    app.post("/oauth2/userinfo")
        .bytes(
            "application/x-www-form-urlencoded",
            format!("access_token={token}"),
        )
        .await
        .expect(401);
}

async fn a_token_without_openid_or_of_a_client_tells_nothing(app: TestApp) {
    let board = confidential(&app, "board").await;
    let code = agree(&app, &board, "board:read").await.code;
    let reply = redeem(&app, &board, &code).await.expect(200);
    for token in [text(&reply, "access_token"), app.operator()] {
        let refused = app
            .get("/oauth2/userinfo")
            .by(token)
            .send()
            .await
            .expect(403);
        assert!(
            refused
                .header("www-authenticate")
                .contains("insufficient_scope")
        );
    }
}

async fn an_address_that_nobody_verified_is_not_told(app: TestApp) {
    let board = confidential(&app, "board").await;
    let agreed = agree(&app, &board, "openid email").await;
    let placeholder = EmailAddress::placeholder(agreed.user).to_string();
    super::tokens::write(&app, move |tx| {
        let sql = "UPDATE users SET email = ?1 WHERE id = ?2";
        tx.exec(sql, &[placeholder.as_str().into(), agreed.user.into()])
            .map(drop)
    })
    .await;
    let reply = redeem(&app, &board, &agreed.code).await.expect(200);
    let told = app
        .get("/oauth2/userinfo")
        .by(text(&reply, "access_token"))
        .send()
        .await;
    assert!(told.expect(200).body.get("email").is_none());
}
