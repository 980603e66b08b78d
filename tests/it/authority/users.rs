//! Users: made by operators before their first login, seen by operators and by themselves.

use serde_json::json;

use crate::support::app::TestApp;

on_both_engines! {
    an_operator_makes_a_user_whose_address_is_optional,
    users_see_themselves_and_nobody_else,
    a_profile_that_cannot_be_is_refused_at_its_field,
}

async fn an_operator_makes_a_user_whose_address_is_optional(app: TestApp) {
    let made = app
        .post("/v1/users")
        .by(app.operator())
        .json(&json!({
            "display_name": "Ada",
            "account": { "provider": "google", "provider_account_id": "10769150350006150715" },
        }))
        .await
        .expect(201);
    made.freshness();
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.body["email"], format!("{id}@users.invalid"));
    assert_eq!(made.header("location"), format!("/v1/users/{id}"));

    app.post("/v1/users")
        .by(app.operator())
        .json(&json!({
            "display_name": "Eve",
            "account": { "provider": "google", "provider_account_id": "10769150350006150715" },
        }))
        .await
        .expect_problem(409, "account-taken");
    let addressed = json!({ "display_name": "Bob", "email": "bob@example.com" });
    app.post("/v1/users")
        .by(app.operator())
        .json(&addressed)
        .await
        .expect(201);
    app.post("/v1/users")
        .by(app.operator())
        .json(&addressed)
        .await
        .expect_problem(409, "email-taken");
    let list = app
        .get("/v1/users")
        .by(app.operator())
        .send()
        .await
        .expect(200);
    assert_eq!(list.body["items"].as_array().unwrap().len(), 2);
}

async fn users_see_themselves_and_nobody_else(app: TestApp) {
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    app.get(format!("/v1/users/{}", ada.id))
        .by(&ada.token)
        .send()
        .await
        .expect(200);
    app.get(format!("/v1/users/{}", bob.id))
        .by(&ada.token)
        .send()
        .await
        .expect_problem(404, "not-found");
    app.get("/v1/users")
        .by(&ada.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.post("/v1/users")
        .by(&ada.token)
        .json(&json!({ "display_name": "Eve" }))
        .await
        .expect_problem(403, "insufficient-scope");
}

async fn a_profile_that_cannot_be_is_refused_at_its_field(app: TestApp) {
    for (body, pointer) in [
        (json!({ "display_name": " " }), "/display_name"),
        (json!({ "display_name": "A", "email": "nobody" }), "/email"),
        (
            json!({ "display_name": "A", "account": { "provider": "Google!", "provider_account_id": "1" } }),
            "/account/provider",
        ),
        (json!({ "display_name": "A", "admin": true }), "/admin"),
    ] {
        let refused = app
            .post("/v1/users")
            .by(app.operator())
            .json(&body)
            .await
            .expect_problem(422, "invalid-request");
        assert_eq!(refused.pointer(), pointer, "{body}");
    }
}
