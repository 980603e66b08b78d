//! The link of an invitation, from the mail to the membership.

use doorward::domain::UserId;
use serde_json::json;

use super::browser::{Browser, ORIGIN, hidden, post, sign_in, text};
use crate::authority::on_both_engines;
use crate::support::app::{Reply, TestApp};

on_both_engines! {
    an_invitation_leaves_the_address_and_survives_the_login,
    an_invitation_for_another_address_is_refused_with_a_page,
    an_invitation_that_is_declined_stays_open_and_leaves_the_browser,
    what_is_no_invitation_is_told_alike,
}

/// Makes an invitation to `acme` and returns the path of its link.
async fn invite(app: &TestApp, email: Option<&str>) -> String {
    let owner = app.owner_of("acme").await;
    let body = json!({ "role": "billing/viewer", "email": email });
    let reply = app
        .post("/v1/organizations/acme/invitations")
        .by(&owner.token)
        .json(&body)
        .await
        .expect(201);
    let link = reply.body["link"].as_str().unwrap();
    link.strip_prefix(ORIGIN).unwrap().to_owned()
}

/// The cookie that a reply sets, as a browser sends it back.
fn cookie(reply: &Reply) -> String {
    let set = reply.header("set-cookie");
    assert!(set.contains("; Secure; HttpOnly; SameSite=Lax") && set.contains("Path=/;"));
    set.split(';').next().unwrap().to_owned()
}

async fn signed_in_with<'a>(app: &'a TestApp, user: UserId, more: &str) -> Browser<'a> {
    sign_in(app, user, "").await.with_cookie(more)
}

async fn an_invitation_leaves_the_address_and_survives_the_login(app: TestApp) {
    let link = invite(&app, None).await;
    let reply = app.get(&link).send().await.expect(303);
    assert_eq!(reply.header("location"), "/invitation");
    let held = cookie(&reply);
    assert!(!held.contains(link.split("token=").nth(1).unwrap()));

    // Not signed in yet.
    let reply = app.get("/invitation").header("cookie", &held).send().await;
    let page = text(&reply.expect(200));
    assert!(page.contains("Join <bdi>acme</bdi>") && page.contains("Sign in to accept"));
    let csrf = hidden(&page, "csrf");
    let accept = [("csrf", csrf.as_str()), ("decision", "accept")];
    let call = app.post("/invitation").header("cookie", &held);
    let reply = post(call, &accept).await.expect(303);
    assert!(reply.header("location").starts_with("/login?request="));

    // Signed in: the form of before is of no use.
    let ada = app.user("ada").await;
    let here = signed_in_with(&app, ada, &held).await;
    here.send_with("/invitation", &accept).await.expect(403);
    let page = here.page("/invitation").await;
    assert!(page.contains(">Accept<") && page.contains("billing/viewer"));
    let csrf = hidden(&page, "csrf");
    let accept = [("csrf", csrf.as_str()), ("decision", "accept")];
    let reply = here.send_with("/invitation", &accept).await.expect(303);
    assert_eq!(reply.header("location"), "/account?done=joined");
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    let page = here.page("/account?done=joined").await;
    assert!(page.contains("You joined the organization.") && page.contains("billing/viewer"));
    assert_eq!(app.audited("invitation.accepted").await, 1);

    let reply = here.send_with("/invitation", &accept).await.expect(404);
    assert!(text(&reply).contains("This invitation is not valid"));
    assert_eq!(app.audited("invitation.accepted").await, 1);
}

async fn an_invitation_for_another_address_is_refused_with_a_page(app: TestApp) {
    let link = invite(&app, Some("somebody@example.org")).await;
    let held = cookie(&app.get(&link).send().await.expect(303));
    let here = signed_in_with(&app, app.user("ada").await, &held).await;
    let csrf = hidden(&here.page("/invitation").await, "csrf");
    let fields = [("csrf", csrf.as_str()), ("decision", "accept")];
    let page = text(&here.send_with("/invitation", &fields).await.expect(403));
    assert!(page.contains("This invitation is for somebody else"));
    assert!(!page.contains("somebody@example.org"));
}

async fn an_invitation_that_is_declined_stays_open_and_leaves_the_browser(app: TestApp) {
    let link = invite(&app, None).await;
    let held = cookie(&app.get(&link).send().await.expect(303));
    let here = signed_in_with(&app, app.user("ada").await, &held).await;
    let csrf = hidden(&here.page("/invitation").await, "csrf");
    let fields = [("csrf", csrf.as_str()), ("decision", "decline")];
    let reply = here.send_with("/invitation", &fields).await.expect(303);
    assert_eq!(reply.header("location"), "/invitation/declined");
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    let page = text(&app.get("/invitation/declined").send().await.expect(200));
    assert!(page.contains("Declined"));
    app.get(&link).send().await.expect(303);
    here.page("/invitation").await;
}

async fn what_is_no_invitation_is_told_alike(app: TestApp) {
    let mut pages = Vec::new();
    for link in ["/invitation?token=dwi_x", "/invitation?token=%3Cscript%3E"] {
        let held = cookie(&app.get(link).send().await.expect(303));
        let call = app.get("/invitation").header("cookie", &held);
        pages.push(text(&call.send().await.expect(404)));
    }
    let forged = "__Host-dw-invitation=AAAA";
    let call = app.get("/invitation").header("cookie", forged);
    pages.push(text(&call.send().await.expect(404)));
    pages.push(text(&app.get("/invitation").send().await.expect(404)));
    assert!(pages.iter().all(|page| *page == pages[0]));
}
