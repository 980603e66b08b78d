//! Organizations: founding, finding, listing, renaming, deleting.

use serde_json::json;

use crate::support::app::TestApp;

on_both_engines! {
    who_founds_an_organization_owns_it_and_is_told_how_fresh_that_is,
    operators_found_for_others_and_nobody_else_does,
    a_slug_is_taken_for_ever_and_old_ones_lead_on,
    reserved_slugs_are_refused_for_everybody,
    a_rename_to_the_same_name_changes_nothing,
    a_list_shows_what_its_reader_sees_in_pages_without_gap_or_overlap,
    a_page_that_cannot_be_is_refused,
    the_operators_organization_keeps_its_name_and_stays,
    an_operator_by_membership_acts_on_every_organization_within_the_scope,
    deleting_an_organization_ends_its_memberships,
}

async fn who_founds_an_organization_owns_it_and_is_told_how_fresh_that_is(app: TestApp) {
    let ada = app.person("ada").await;

    let made = app
        .post("/v1/organizations")
        .by(&ada.token)
        .json(&json!({ "name": "  Acme & Söhne ", "slug": "acme" }))
        .await
        .expect(201);
    assert_eq!(made.body["name"], "Acme & Söhne");
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.header("location"), format!("/v1/organizations/{id}"));
    assert!(made.freshness().ends_with(&format!(".{}", app.revision())));

    for path in [
        format!("/v1/organizations/{id}"),
        "/v1/organizations/acme".into(),
    ] {
        let seen = app.get(path).by(&ada.token).send().await.expect(200);
        assert_eq!(seen.body["slug"], "acme");
    }
    let member = app
        .get(format!("/v1/organizations/acme/members/{}", ada.id))
        .by(&ada.token)
        .send()
        .await
        .expect(200);
    assert_eq!(member.body["role"], "auth/owner");
    assert_eq!(app.audited("organization.created").await, 1);
}

async fn operators_found_for_others_and_nobody_else_does(app: TestApp) {
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let body = json!({ "name": "Acme", "slug": "acme", "owner": ada.id });

    app.post("/v1/organizations")
        .by(&bob.token)
        .json(&body)
        .await
        .expect_problem(403, "forbidden");
    let ownerless = app
        .post("/v1/organizations")
        .by(app.operator())
        .json(&json!({ "name": "Acme", "slug": "acme" }))
        .await
        .expect_problem(422, "invalid-request");
    assert_eq!(ownerless.pointer(), "/owner");
    let unknown = app
        .post("/v1/organizations")
        .by(app.operator())
        .json(&json!({ "name": "Acme", "slug": "acme", "owner": app.organization("system").await }))
        .await
        .expect_problem(422, "invalid-request");
    assert_eq!(unknown.pointer(), "/owner");
    app.post("/v1/organizations")
        .by(app.operator())
        .json(&body)
        .await
        .expect(201);
    app.get("/v1/organizations/acme")
        .by(&ada.token)
        .send()
        .await
        .expect(200);
}

async fn a_slug_is_taken_for_ever_and_old_ones_lead_on(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let found = async |slug: &'static str| {
        app.post("/v1/organizations")
            .by(&ada.token)
            .json(&json!({ "name": "Other", "slug": slug }))
            .await
    };

    let renamed = app
        .patch("/v1/organizations/acme")
        .by(&ada.token)
        .json(&json!({ "slug": "apex" }))
        .await
        .expect(200);
    assert_eq!(renamed.body["slug"], "apex");
    renamed.freshness();

    let moved = app
        .get("/v1/organizations/acme/members?limit=1")
        .by(&ada.token)
        .send()
        .await
        .expect_problem(308, "moved");
    assert_eq!(
        moved.header("location"),
        "/v1/organizations/apex/members?limit=1"
    );
    let stranger = app.person("stranger").await;
    app.get("/v1/organizations/acme")
        .by(&stranger.token)
        .send()
        .await
        .expect_problem(404, "not-found");
    for slug in ["acme", "apex"] {
        found(slug).await.expect_problem(409, "slug-taken");
    }

    // It may take its own old slug back.
    app.patch("/v1/organizations/apex")
        .by(&ada.token)
        .json(&json!({ "slug": "acme" }))
        .await
        .expect(200);

    app.delete("/v1/organizations/acme")
        .by(&ada.token)
        .send()
        .await
        .expect(200)
        .freshness();
    for slug in ["acme", "apex"] {
        app.get(format!("/v1/organizations/{slug}"))
            .by(&ada.token)
            .send()
            .await
            .expect_problem(404, "not-found");
        found(slug).await.expect_problem(409, "slug-taken");
    }
}

async fn reserved_slugs_are_refused_for_everybody(app: TestApp) {
    let ada = app.owner_of("acme").await;
    for slug in ["system", "login", "v1"] {
        for token in [ada.token.as_str(), app.operator()] {
            let refused = app
                .post("/v1/organizations")
                .by(token)
                .json(&json!({ "name": "X", "slug": slug, "owner": ada.id }))
                .await
                .expect_problem(422, "invalid-request");
            assert_eq!(refused.pointer(), "/slug");
        }
        app.patch("/v1/organizations/acme")
            .by(&ada.token)
            .json(&json!({ "slug": slug }))
            .await
            .expect_problem(422, "invalid-request");
    }
}

async fn a_rename_to_the_same_name_changes_nothing(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let before = app.revision();

    for body in [json!({}), json!({ "name": "acme", "slug": "acme" })] {
        app.patch("/v1/organizations/acme")
            .by(&ada.token)
            .json(&body)
            .await
            .expect(200)
            .freshness();
    }
    assert_eq!(app.revision(), before);
    assert_eq!(app.audited("organization.renamed").await, 0);
}

async fn a_list_shows_what_its_reader_sees_in_pages_without_gap_or_overlap(app: TestApp) {
    let ada = app.person("ada").await;
    for number in 0..5 {
        app.owner_of(&format!("other-{number}")).await;
        app.post("/v1/organizations")
            .by(&ada.token)
            .json(&json!({ "name": "Mine", "slug": format!("mine-{number}") }))
            .await
            .expect(201);
    }

    for (token, expected) in [(ada.token.as_str(), 5), (app.operator(), 11)] {
        let mut slugs = Vec::new();
        let mut path = "/v1/organizations?limit=2".to_owned();
        loop {
            let page = app.get(&path).by(token).send().await.expect(200);
            let items = page.body["items"].as_array().unwrap();
            assert!(items.len() <= 2);
            slugs.extend(items.iter().map(|item| item["slug"].to_string()));
            match page.body["next"].as_str() {
                Some(next) => path = format!("/v1/organizations?limit=2&after={next}"),
                None => break,
            }
        }
        assert_eq!(slugs.len(), expected, "{slugs:?}");
        slugs.sort();
        slugs.dedup();
        assert_eq!(slugs.len(), expected, "{slugs:?}");
    }
}

async fn a_page_that_cannot_be_is_refused(app: TestApp) {
    for query in ["limit=0", "limit=201", "limit=x", "after=x", "offset=3"] {
        app.get(format!("/v1/organizations?{query}"))
            .by(app.operator())
            .send()
            .await
            .expect_problem(400, "malformed-request");
    }
}

async fn the_operators_organization_keeps_its_name_and_stays(app: TestApp) {
    app.patch("/v1/organizations/system")
        .by(app.operator())
        .json(&json!({ "name": "Ours" }))
        .await
        .expect_problem(403, "forbidden");
    app.delete("/v1/organizations/system")
        .by(app.operator())
        .send()
        .await
        .expect_problem(403, "forbidden");
}

async fn an_operator_by_membership_acts_on_every_organization_within_the_scope(app: TestApp) {
    app.owner_of("acme").await;
    let olga = app.user("olga").await;
    app.join("system", olga, "auth/operator").await;
    let admin = app.token_with(olga, "doorward:organizations").await;

    app.patch("/v1/organizations/acme")
        .by(&admin)
        .json(&json!({ "name": "Apex" }))
        .await
        .expect(200);
    // The scope bounds what the role would allow.
    app.post("/v1/users")
        .by(&admin)
        .json(&json!({ "display_name": "X" }))
        .await
        .expect_problem(403, "insufficient-scope");
}

async fn deleting_an_organization_ends_its_memberships(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let bob = app.member_of("acme", "billing/viewer").await;

    app.delete("/v1/organizations/acme")
        .by(&bob.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.delete("/v1/organizations/acme")
        .by(&ada.token)
        .send()
        .await
        .expect(200);
    let list = app
        .get("/v1/organizations")
        .by(&bob.token)
        .send()
        .await
        .expect(200);
    assert_eq!(list.body["items"], json!([]));
    assert_eq!(app.audited("organization.deleted").await, 1);
}
