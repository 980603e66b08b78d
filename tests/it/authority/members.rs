//! Members: who may add, change and remove whom, and that an owner stays.

use doorward::domain::UserId;
use serde_json::json;

use crate::support::app::{Person, Reply, TestApp};

fn member(user: UserId) -> String {
    format!("/v1/organizations/acme/members/{user}")
}

fn role(user: UserId, role: &str) -> String {
    format!("{}/roles/{role}", member(user))
}

async fn add(app: &TestApp, by: &Person, user: UserId, role: &str) -> Reply {
    app.post("/v1/organizations/acme/members")
        .by(&by.token)
        .json(&json!({ "user": user, "role": role }))
        .await
}

on_both_engines! {
    an_admin_adds_a_member_and_the_same_again_changes_nothing,
    a_member_has_several_roles_and_keeps_a_primary_one,
    a_further_role_that_becomes_the_primary_one_is_no_longer_a_further_one,
    only_owners_make_owners_and_touch_their_memberships,
    a_role_is_given_and_taken_by_those_who_hold_what_it_names,
    what_no_service_declares_or_declares_no_longer_is_not_given,
    the_operators_role_is_held_in_system_and_nothing_else_is,
    the_last_owner_stays_whichever_way_is_tried,
    whoever_is_a_member_sees_the_organization_and_may_leave,
    path_and_body_must_name_the_same_user,
    a_suspended_user_is_nobody_whatever_the_token_says,
    members_are_listed_in_pages_with_their_roles,
    of_two_owners_who_leave_at_once_one_stays,
}

async fn an_admin_adds_a_member_and_the_same_again_changes_nothing(app: TestApp) {
    app.owner_of("acme").await;
    let admin = app.member_of("acme", "auth/admin").await;
    let bob = app.user("bob").await;

    let added = add(&app, &admin, bob, "billing/viewer").await.expect(201);
    assert_eq!(added.body["role"], "billing/viewer");
    assert_eq!(added.body["display_name"], "bob");
    added.freshness();
    let revision = app.revision();

    let again = add(&app, &admin, bob, "billing/viewer").await.expect(200);
    assert!(again.freshness().ends_with(&format!(".{revision}")));
    app.put(member(bob))
        .by(&admin.token)
        .json(&json!({ "role": "billing/viewer" }))
        .await
        .expect(200);
    assert_eq!(app.revision(), revision);
    assert_eq!(app.audited("member.added").await, 1);

    add(&app, &admin, bob, "billing/editor")
        .await
        .expect_problem(409, "already-member");
}

async fn a_member_has_several_roles_and_keeps_a_primary_one(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let bob = app.user("bob").await;
    add(&app, &ada, bob, "billing/viewer").await.expect(201);

    let given = app
        .put(role(bob, "auth/member"))
        .by(&ada.token)
        .send()
        .await
        .expect(200);
    assert_eq!(given.body["further_roles"], json!(["auth/member"]));
    let revision = app.revision();
    app.put(role(bob, "auth/member"))
        .by(&ada.token)
        .send()
        .await
        .expect(200);
    assert_eq!(app.revision(), revision);

    // Taking the primary role promotes the further one; the last one stays.
    let taken = app
        .delete(role(bob, "billing/viewer"))
        .by(&ada.token)
        .send()
        .await
        .expect(200);
    assert_eq!(taken.body["role"], "auth/member");
    assert_eq!(taken.body["further_roles"], json!([]));
    app.delete(role(bob, "auth/member"))
        .by(&ada.token)
        .send()
        .await
        .expect_problem(409, "only-role");
    let revision = app.revision();
    app.delete(role(bob, "billing/viewer"))
        .by(&ada.token)
        .send()
        .await
        .expect(200);
    assert_eq!(app.revision(), revision);
}

async fn a_further_role_that_becomes_the_primary_one_is_no_longer_a_further_one(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let bob = app.member_of("acme", "billing/viewer").await;
    app.put(role(bob.id, "billing/editor"))
        .by(&ada.token)
        .send()
        .await
        .expect(200);

    let changed = app
        .put(member(bob.id))
        .by(&ada.token)
        .json(&json!({ "role": "billing/editor" }))
        .await
        .expect(200);
    assert_eq!(changed.body["role"], "billing/editor");
    assert_eq!(changed.body["further_roles"], json!([]));
}

async fn only_owners_make_owners_and_touch_their_memberships(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let admin = app.member_of("acme", "auth/admin").await;
    let bob = app.member_of("acme", "auth/member").await;

    for (who, user) in [(&admin, bob.id), (&admin, admin.id), (&bob, bob.id)] {
        app.put(role(user, "auth/owner"))
            .by(&who.token)
            .send()
            .await
            .expect_problem(403, "forbidden");
    }
    let carol = app.user("carol").await;
    add(&app, &admin, carol, "auth/owner")
        .await
        .expect_problem(403, "forbidden");
    app.delete(member(ada.id))
        .by(&admin.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.put(member(ada.id))
        .by(&admin.token)
        .json(&json!({ "role": "auth/member" }))
        .await
        .expect_problem(403, "forbidden");
    app.put(role(ada.id, "billing/viewer"))
        .by(&admin.token)
        .send()
        .await
        .expect_problem(403, "forbidden");

    app.put(role(bob.id, "auth/owner"))
        .by(&ada.token)
        .send()
        .await
        .expect(200);
    app.delete(member(ada.id))
        .by(&bob.token)
        .send()
        .await
        .expect(200);
}

async fn a_role_is_given_and_taken_by_those_who_hold_what_it_names(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let treasurer = app.member_of("acme", "billing/treasurer").await;
    let bob = app.member_of("acme", "billing/viewer").await;

    app.put(role(bob.id, "billing/treasurer"))
        .by(&ada.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.put(role(bob.id, "billing/editor"))
        .by(&treasurer.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.put(role(bob.id, "billing/treasurer"))
        .by(&treasurer.token)
        .send()
        .await
        .expect(200);
    app.delete(role(bob.id, "billing/treasurer"))
        .by(&ada.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    // What it lets a treasurer do, it does not let one do to an owner.
    app.put(role(ada.id, "billing/treasurer"))
        .by(&treasurer.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.put(role(ada.id, "billing/treasurer"))
        .by(app.operator())
        .send()
        .await
        .expect(200);
}

async fn what_no_service_declares_or_declares_no_longer_is_not_given(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let bob = app.user("bob").await;

    let unknown = add(&app, &ada, bob, "billing/wizard")
        .await
        .expect_problem(422, "invalid-request");
    assert_eq!(unknown.pointer(), "/role");
    add(&app, &ada, bob, "nobody/viewer")
        .await
        .expect_problem(422, "invalid-request");
    add(&app, &ada, bob, "billing/legacy")
        .await
        .expect_problem(409, "role-deprecated");
    let nobody = add(&app, &ada, UserId::from_u128(1), "billing/viewer")
        .await
        .expect_problem(422, "invalid-request");
    assert_eq!(nobody.pointer(), "/user");
    app.put(role(bob, "billing/viewer"))
        .by(&ada.token)
        .send()
        .await
        .expect_problem(404, "not-found");
    app.put(role(ada.id, "billing/wizard"))
        .by(&ada.token)
        .send()
        .await
        .expect_problem(404, "not-found");
}

async fn the_operators_role_is_held_in_system_and_nothing_else_is(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let olga = app.user("olga").await;

    add(&app, &ada, olga, "auth/operator")
        .await
        .expect_problem(403, "insufficient-scope");
    for (organization, role) in [("acme", "auth/operator"), ("system", "auth/owner")] {
        app.put(format!("/v1/organizations/{organization}/members/{olga}"))
            .by(app.operator())
            .json(&json!({ "role": role }))
            .await
            .expect_problem(409, "role-misplaced");
    }
    app.put(format!("/v1/organizations/system/members/{olga}"))
        .by(app.operator())
        .json(&json!({ "role": "auth/operator" }))
        .await
        .expect(201);
}

async fn the_last_owner_stays_whichever_way_is_tried(app: TestApp) {
    let ada = app.owner_of("acme").await;
    app.put(role(ada.id, "auth/member"))
        .by(&ada.token)
        .send()
        .await
        .expect(200);

    for token in [ada.token.as_str(), app.operator()] {
        app.delete(member(ada.id))
            .by(token)
            .send()
            .await
            .expect_problem(409, "last-owner");
        app.delete(role(ada.id, "auth/owner"))
            .by(token)
            .send()
            .await
            .expect_problem(409, "last-owner");
        app.put(member(ada.id))
            .by(token)
            .json(&json!({ "role": "auth/admin" }))
            .await
            .expect_problem(409, "last-owner");
    }

    // An owner who cannot act does not count.
    let bob = app.member_of("acme", "auth/owner").await;
    app.suspend(bob.id).await;
    app.delete(member(ada.id))
        .by(&ada.token)
        .send()
        .await
        .expect_problem(409, "last-owner");
}

async fn of_two_owners_who_leave_at_once_one_stays(app: TestApp) {
    for round in 0..8 {
        let slug = format!("acme-{round}");
        let ada = app.owner_of(&slug).await;
        let bob = app.member_of(&slug, "auth/owner").await;
        let leave = |person: &Person| {
            app.delete(format!("/v1/organizations/{slug}/members/{}", person.id))
                .by(&person.token)
                .send()
        };
        let (one, other) = tokio::join!(leave(&ada), leave(&bob));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:#?}\n{other:#?}");
    }
}

async fn whoever_is_a_member_sees_the_organization_and_may_leave(app: TestApp) {
    app.owner_of("acme").await;
    let bob = app.member_of("acme", "billing/viewer").await;
    let carol = app.member_of("acme", "billing/viewer").await;

    app.get("/v1/organizations/acme")
        .by(&bob.token)
        .send()
        .await
        .expect(200);
    app.get(member(bob.id))
        .by(&bob.token)
        .send()
        .await
        .expect(200);
    app.get(member(carol.id))
        .by(&bob.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.get("/v1/organizations/acme/members")
        .by(&bob.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.delete(member(carol.id))
        .by(&bob.token)
        .send()
        .await
        .expect_problem(403, "forbidden");
    app.delete(member(bob.id))
        .by(&bob.token)
        .send()
        .await
        .expect(200)
        .freshness();
    app.get("/v1/organizations/acme")
        .by(&bob.token)
        .send()
        .await
        .expect_problem(404, "not-found");
}

async fn path_and_body_must_name_the_same_user(app: TestApp) {
    let ada = app.owner_of("acme").await;
    let (bob, carol) = (app.user("bob").await, app.user("carol").await);
    app.put(member(bob))
        .by(&ada.token)
        .json(&json!({ "user": carol, "role": "billing/viewer" }))
        .await
        .expect_problem(400, "malformed-request");
    app.put(member(bob))
        .by(&ada.token)
        .json(&json!({ "user": bob, "role": "billing/viewer" }))
        .await
        .expect(201);
}

async fn a_suspended_user_is_nobody_whatever_the_token_says(app: TestApp) {
    let ada = app.owner_of("acme").await;
    app.suspend(ada.id).await;
    app.get("/v1/organizations/acme")
        .by(&ada.token)
        .send()
        .await
        .expect_problem(401, "unauthenticated");
}

async fn members_are_listed_in_pages_with_their_roles(app: TestApp) {
    let ada = app.owner_of("acme").await;
    for _ in 0..4 {
        let person = app.member_of("acme", "billing/viewer").await;
        app.put(role(person.id, "auth/member"))
            .by(&ada.token)
            .send()
            .await
            .expect(200);
    }
    let mut users = Vec::new();
    let mut path = "/v1/organizations/acme/members?limit=2".to_owned();
    loop {
        let page = app.get(&path).by(&ada.token).send().await.expect(200);
        for item in page.body["items"].as_array().unwrap() {
            if item["role"] != "auth/owner" {
                assert_eq!(item["further_roles"], json!(["auth/member"]), "{item}");
            }
            users.push(item["user"].to_string());
        }
        match page.body["next"].as_str() {
            Some(next) => path = format!("/v1/organizations/acme/members?limit=2&after={next}"),
            None => break,
        }
    }
    users.sort();
    users.dedup();
    assert_eq!(users.len(), 5);
}
