//! What people do on their account page.

use std::time::Duration;

use doorward::authority::account::APPS_MAX;
use doorward::domain::app::RefreshBinding;
use doorward::domain::{ClientId, ClientIdentifier, GrantId, Scopes, SessionId, UserId};
use doorward::runtime::Clock;
use doorward::store::grants::{self, Grant};
use doorward::store::{StoreError, clients, consents, sessions, users};
use http::StatusCode;

use super::browser::{Browser, hidden, link, post, sign_in, text};
use crate::authority::on_both_engines;
use crate::support::app::TestApp;

on_both_engines! {
    who_is_not_signed_in_is_sent_to_sign_in,
    a_session_is_ended_by_its_owner_and_by_nobody_else,
    all_other_sessions_are_ended_at_once,
    signing_out_everywhere_ends_this_session_too_and_every_token,
    signing_out_takes_the_cookie_away,
    an_app_loses_its_consent_and_its_grants,
    many_apps_come_in_pages,
    a_way_to_sign_in_is_removed_but_never_the_last,
    of_two_ways_removed_at_once_one_stays,
    a_session_that_was_ended_ends_nothing,
    linking_begins_with_a_login_at_that_provider,
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18.0 Safari/604.1";

async fn is_there(app: &TestApp, session: SessionId) -> bool {
    app.authority
        .store
        .read::<_, StoreError>(move |tx| sessions::find(tx, session))
        .await
        .unwrap()
        .is_some()
}

/// Declares a provider, as the configuration would.
async fn provider(app: &TestApp, slug: &str) {
    use doorward::domain::provider::ProviderKind;
    use doorward::store::providers::{self, ProviderSource, StoredProvider};
    let now = app.clock.now();
    let row = StoredProvider {
        provider: slug.to_owned(),
        kind: ProviderKind::Oidc,
        issuer: format!("https://{slug}.example.com"),
        name: format!("The {slug} login"),
        client_id: "doorward".to_owned(),
        sealed_secret: None,
        settings: serde_json::from_str("{}").unwrap(),
        source: ProviderSource::Config,
        enabled: true,
        created_at: now,
        updated_at: now,
    };
    app.authority
        .store
        .write::<_, StoreError>(move |tx| providers::insert(tx, &row))
        .await
        .unwrap();
}

/// A live grant of the user's to the first operator's client, with a consent.
async fn connect(app: &TestApp, user: UserId) -> GrantId {
    let now = app.clock.now();
    let id = GrantId::mint(now, app.entropy.id_bits());
    app.authority
        .store
        .write::<_, StoreError>(move |tx| {
            let name: ClientIdentifier = "operator".parse().unwrap();
            let client = clients::find_by_identifier(tx, &name)?.unwrap().id;
            let scope = Scopes::parse("openid offline_access").unwrap();
            consents::grant(tx, user, client, &scope, now)?;
            let grant = Grant {
                id,
                client_id: client,
                user_id: user,
                session_id: None,
                binding: RefreshBinding::Standalone,
                organization_id: None,
                scope,
                resources: Vec::new(),
                authenticated_at: now,
                amr: Vec::new(),
                acr: None,
                nonce: None,
                dpop_jkt: None,
                created_at: now,
                last_used_at: now,
                expires_at: now.plus(Duration::from_hours(24)),
                revoked_at: None,
            };
            grants::insert(tx, &grant)
        })
        .await
        .unwrap();
    id
}

async fn is_live(app: &TestApp, grant: GrantId) -> bool {
    let now = app.clock.now();
    app.authority
        .store
        .read::<_, StoreError>(move |tx| grants::find(tx, grant))
        .await
        .unwrap()
        .unwrap()
        .is_live(now)
}

fn leads_to(reply: crate::support::app::Reply, path: &str) {
    let reply = reply.expect(303);
    assert_eq!(reply.header("location"), path);
    assert_eq!(reply.header("cache-control"), "no-store");
}

async fn who_is_not_signed_in_is_sent_to_sign_in(app: TestApp) {
    let reply = app.get("/account").send().await.expect(303);
    assert!(reply.header("location").starts_with("/login?request="));
    let user = app.user("ada").await;
    let browser = sign_in(&app, user, FIREFOX).await;
    app.clock.advance(Duration::from_hours(25));
    let reply = browser.get("/account").send().await.expect(303);
    assert!(reply.header("location").starts_with("/login?request="));
}

async fn a_session_is_ended_by_its_owner_and_by_nobody_else(app: TestApp) {
    let (ada, eve) = (app.user("ada").await, app.user("eve").await);
    let here = sign_in(&app, ada, FIREFOX).await;
    let there = sign_in(&app, ada, IPHONE).await;
    let eves = sign_in(&app, eve, FIREFOX).await;
    let page = here.page("/account").await;
    assert!(page.contains("Firefox on Linux") && page.contains("Safari on iPhone"));
    assert_eq!(page.matches("This browser").count(), 1);

    let path = format!("/account/sessions/{}/end", there.session);
    leads_to(eves.send(&path).await, "/account");
    assert!(is_there(&app, there.session).await);
    assert_eq!(app.audited("session.ended").await, 0);

    leads_to(here.send(&path).await, "/account?done=session-ended");
    assert!(!is_there(&app, there.session).await);
    assert!(is_there(&app, here.session).await);
    assert_eq!(app.audited("session.ended").await, 1);
    let reply = there.get("/account").send().await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER);
    let page = here.page("/account?done=session-ended").await;
    assert!(page.contains("That session has ended."));
}

async fn all_other_sessions_are_ended_at_once(app: TestApp) {
    let ada = app.user("ada").await;
    let here = sign_in(&app, ada, FIREFOX).await;
    let others = [
        sign_in(&app, ada, IPHONE).await.session,
        sign_in(&app, ada, FIREFOX).await.session,
    ];
    leads_to(
        here.send("/account/sessions/end-others").await,
        "/account?done=others-ended",
    );
    assert!(is_there(&app, here.session).await);
    for other in others {
        assert!(!is_there(&app, other).await);
    }
    assert_eq!(app.audited("session.others_ended").await, 1);
    assert!(!here.page("/account").await.contains("end-others"));
}

async fn signing_out_everywhere_ends_this_session_too_and_every_token(app: TestApp) {
    let ada = app.user("ada").await;
    let grant = connect(&app, ada).await;
    let here = sign_in(&app, ada, FIREFOX).await;
    let reply = here.send("/account/sessions/end-all").await.expect(303);
    assert_eq!(reply.header("location"), "/signed-out");
    assert!(reply.header("set-cookie").contains("Max-Age=0"));
    assert!(!is_there(&app, here.session).await);
    assert!(!is_live(&app, grant).await);
    let state = app
        .authority
        .store
        .read::<_, StoreError>(move |tx| users::find_state(tx, ada))
        .await
        .unwrap();
    assert_eq!(state.unwrap().1, 1, "the token epoch");
    assert_eq!(app.audited("user.signed_out_everywhere").await, 1);
}

async fn signing_out_takes_the_cookie_away(app: TestApp) {
    let ada = app.user("ada").await;
    let here = sign_in(&app, ada, FIREFOX).await;
    let reply = here.send("/account/sign-out").await.expect(303);
    assert_eq!(reply.header("location"), "/signed-out");
    assert_eq!(
        reply.header("set-cookie"),
        "__Host-doorward=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"
    );
    assert!(!is_there(&app, here.session).await);
    let page = text(&app.get("/signed-out").send().await.expect(200));
    assert!(page.contains("You are signed out"));
    // Once more, with the page still open.
    let reply = post(here.form("/account/sign-out"), &[("csrf", "old")]).await;
    leads_to(reply, "/signed-out");
}

async fn an_app_loses_its_consent_and_its_grants(app: TestApp) {
    let (ada, eve) = (app.user("ada").await, app.user("eve").await);
    let (granted, otgranted) = (connect(&app, ada).await, connect(&app, eve).await);
    let here = sign_in(&app, ada, FIREFOX).await;
    let page = here.page("/account").await;
    let (_, rest) = page.split_once("action=\"/account/apps/").unwrap();
    let client = rest.split('/').next().unwrap().to_owned();
    assert!(page.contains("Keep the access while you are away"));

    let path = format!("/account/apps/{client}/revoke");
    leads_to(here.send(&path).await, "/account?done=app-revoked");
    assert!(!is_live(&app, granted).await);
    assert!(is_live(&app, otgranted).await);
    assert!(here.page("/account").await.contains("No app has access."));
    assert_eq!(app.audited("app.revoked").await, 1);
    leads_to(here.send(&path).await, "/account");
    assert_eq!(app.audited("app.revoked").await, 1);
}

async fn many_apps_come_in_pages(app: TestApp) {
    let ada = app.user("ada").await;
    let now = app.clock.now();
    let ids: Vec<ClientId> = (0..=APPS_MAX)
        .map(|_| ClientId::mint(now, app.entropy.id_bits()))
        .collect();
    app.authority
        .store
        .write::<_, StoreError>(move |tx| {
            let operator = "operator".parse().unwrap();
            let like = clients::find_by_identifier(tx, &operator)?.unwrap();
            let scope = Scopes::parse("openid").unwrap();
            for (number, id) in ids.iter().enumerate() {
                let client = clients::Client {
                    id: *id,
                    identifier: format!("app-{number}").parse().unwrap(),
                    name: format!("App number {number}."),
                    ..like.clone()
                };
                clients::insert(tx, &client, None)?;
                // The first one longest ago.
                let then = now.plus(Duration::from_secs(number as u64));
                consents::grant(tx, ada, *id, &scope, then)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let here = sign_in(&app, ada, FIREFOX).await;
    let first = here.page("/account").await;
    assert_eq!(first.matches("/revoke\"").count(), APPS_MAX);
    assert!(first.contains("App number 50.") && !first.contains("App number 0."));
    assert!(first.contains("href=\"/account?apps=1#apps\""));
    let second = here.page("/account?apps=1").await;
    assert_eq!(second.matches("/revoke\"").count(), 1);
    assert!(second.contains("App number 0.") && second.contains("href=\"/account#apps\""));
    assert!(!second.contains("apps=2"));
    let beyond = here.page("/account?apps=18446744073709551615").await;
    assert_eq!(beyond.matches("/revoke\"").count(), 0);
}

async fn a_way_to_sign_in_is_removed_but_never_the_last(app: TestApp) {
    provider(&app, "corp").await;
    provider(&app, "side").await;
    let (ada, eve) = (app.user("ada").await, app.user("eve").await);
    let (corp, side) = (link(&app, ada, "corp").await, link(&app, ada, "side").await);
    let of_another = link(&app, eve, "corp").await;
    let here = sign_in(&app, ada, FIREFOX).await;
    let there = sign_in(&app, ada, IPHONE).await;
    let page = here.page("/account").await;
    assert!(page.contains("The corp login") && page.contains("The side login"));

    let remove = |id| format!("/account/accounts/{id}/remove");
    leads_to(here.send(&remove(of_another)).await, "/account");
    leads_to(here.send(&remove(corp)).await, "/account?done=unlinked");
    assert!(is_there(&app, here.session).await, "the session that acts");
    assert!(
        !is_there(&app, there.session).await,
        "the account opened it"
    );
    leads_to(
        here.send(&remove(side)).await,
        "/account?done=last-provider",
    );
    assert_eq!(app.audited("account.unlinked").await, 1);
    let page = here.page("/account?done=last-provider").await;
    assert!(page.contains("The last way to sign in stays"));
    assert!(page.contains("action=\"/account/providers/corp/add\""));
    assert!(!page.contains("/remove\""));
}

async fn of_two_ways_removed_at_once_one_stays(app: TestApp) {
    provider(&app, "corp").await;
    provider(&app, "side").await;
    for _ in 0..5 {
        let ada = app.user("ada").await;
        let (corp, side) = (link(&app, ada, "corp").await, link(&app, ada, "side").await);
        let here = sign_in(&app, ada, FIREFOX).await;
        let csrf = here.csrf().await;
        let send = async |id| {
            let path = format!("/account/accounts/{id}/remove");
            let reply = here.send_with(&path, &[("csrf", &csrf)]).await.expect(303);
            reply.header("location").to_owned()
        };
        let (one, other) = tokio::join!(send(corp), send(side));
        let mut both = [one.as_str(), other.as_str()];
        both.sort_unstable();
        assert_eq!(
            both,
            ["/account?done=last-provider", "/account?done=unlinked"]
        );
    }
}

async fn a_session_that_was_ended_ends_nothing(app: TestApp) {
    let ada = app.user("ada").await;
    let stolen = sign_in(&app, ada, FIREFOX).await;
    let csrf = stolen.csrf().await;
    let here: Browser<'_> = sign_in(&app, ada, IPHONE).await;
    here.send(&format!("/account/sessions/{}/end", stolen.session))
        .await
        .expect(303);
    let path = format!("/account/sessions/{}/end", here.session);
    let reply = stolen
        .send_with(&path, &[("csrf", &csrf)])
        .await
        .expect(303);
    assert!(reply.header("location").starts_with("/login?request="));
    assert!(is_there(&app, here.session).await);
}

async fn linking_begins_with_a_login_at_that_provider(app: TestApp) {
    provider(&app, "corp").await;
    provider(&app, "side").await;
    let ada = app.user("ada").await;
    link(&app, ada, "corp").await;
    let here = sign_in(&app, ada, FIREFOX).await;
    let page = here.page("/account").await;
    assert!(page.contains("Add <bdi>The side login</bdi>"));
    let csrf = hidden(&page, "csrf");
    let path = "/account/providers/side/add";
    let reply = here.send_with(path, &[("csrf", &csrf)]).await.expect(303);
    assert!(reply.header("location").starts_with("/login?request="));
    for wrong in [
        "/account/providers/a%20b/add",
        "/account/providers/%0d%0a/add",
    ] {
        here.send_with(wrong, &[("csrf", &csrf)]).await.expect(404);
    }
    // Back without a link, however the query reads.
    let page = here
        .page("/account?linked=side&login_error=access_denied")
        .await;
    assert!(page.contains("Nothing was added."));
    let page = here.page("/account?linked=side").await;
    assert!(page.contains("Nothing was added."));
    link(&app, ada, "side").await;
    let page = here.page("/account?linked=side").await;
    assert!(page.contains("The account was added."));
}
