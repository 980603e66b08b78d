//! What ends a cookie before its time.

use std::time::Duration;

use doorward::authority::jobs::clean;
use doorward::authority::revocation;
use doorward::protocol::forward_auth::Dialect;
use doorward::runtime::Clock as _;
use doorward::store::{StoreError, Tx, clients, grants};

use super::world::{Gated, Person};

/// Does something in the authority's store.
async fn write(
    gated: &Gated,
    deed: impl Fn(&mut dyn Tx) -> Result<(), StoreError> + Send + Sync + 'static,
) {
    let store = &gated.world.app.authority.store;
    store
        .write::<_, StoreError>(move |tx| deed(tx))
        .await
        .unwrap();
}

async fn end_session(gated: &Gated, person: &Person) {
    gated
        .end_session(person.at_authority.as_ref().unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_user_grant_or_client_that_ended_opens_nothing_from_when_it_is_heard() {
    let gated = Gated::start().await;
    let app = &gated.world.app;
    let kept = gated.signed_in("kept").await;
    let [ended, suspended, everywhere, revoked] = [
        gated.signed_in("ended").await,
        gated.signed_in("suspended").await,
        gated.signed_in("everywhere").await,
        gated.signed_in("revoked").await,
    ];
    for person in [&kept, &ended, &suspended, &everywhere, &revoked] {
        assert_eq!(gated.me(person).await, 200);
    }
    end_session(&gated, &ended).await;
    let user = |person: &Person| person.at_authority.as_ref().unwrap().user;
    for (person, deed) in [(&suspended, "suspend"), (&everywhere, "sign-out")] {
        let call = app.post(format!("/v1/users/{}/{deed}", user(person)));
        call.by(app.operator()).send().await.expect(200);
    }
    let (of, now, lifetimes) = (
        user(&revoked),
        app.clock.now(),
        app.authority.config.lifetimes,
    );
    write(&gated, move |tx| {
        for grant in grants::of_user(tx, of, now)? {
            assert!(revocation::revoke_grant(
                tx, grant.id, now, &lifetimes, "test"
            )?);
        }
        Ok(())
    })
    .await;
    gated.hear().await;
    for (person, why) in [
        (&ended, "session"),
        (&suspended, "user"),
        (&everywhere, "epoch"),
        (&revoked, "grant"),
    ] {
        assert_eq!(gated.me(person).await, 401, "{why}");
        let page = gated
            .navigate(Dialect::Nginx, "GET app.test/me", person)
            .await;
        assert!(page.expect(401).header("location").is_some(), "{why}");
    }
    assert_eq!(gated.me(&kept).await, 200);

    let client = super::world::gate_app("gate").client();
    write(&gated, move |tx| {
        clients::retire(tx, &client, now).map(drop)
    })
    .await;
    gated.hear().await;
    assert_eq!(gated.me(&kept).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_never_outlives_the_news_that_its_session_has_ended() {
    let text = "[gate.app]\nhosts = ['https://app.test']\nclient_id = 'gate'\n\
                 client_secret_file = 'FOLDER/secret'\nlifetime = '12h'\n\
                 keys_file = 'FOLDER/keys'\nauthority = 'http://AUTHORITY'\n";
    let gated = Gated::guarding(text).await;
    let app = &gated.world.app;
    let (kept, ended) = (
        gated.signed_in("kept").await,
        gated.signed_in("ended").await,
    );
    end_session(&gated, &ended).await;
    // Each hour the cleaner deletes what is over, until the cookies are.
    for _ in 0..12 {
        clean(&app.authority.store, &*app.clock).await.unwrap();
        gated.hear().await;
        assert_eq!((gated.me(&kept).await, gated.me(&ended).await), (200, 401));
        app.clock
            .advance(Duration::from_hours(1) - Duration::from_secs(1));
    }
    app.clock.advance(Duration::from_mins(1));
    clean(&app.authority.store, &*app.clock).await.unwrap();
    gated.hear().await;
    assert_eq!((gated.me(&kept).await, gated.me(&ended).await), (401, 401));
}
