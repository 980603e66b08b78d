//! Consents, pushed requests and waiting logouts, on both engines.

use std::time::Duration;

use doorward::domain::{ClientId, ClientKind, Scopes, SessionId, Timestamp, TokenDigest, UserId};
use doorward::store::clients::{self, Client, ClientState};
use doorward::store::pushed_requests::{self, PushedRequest};
use doorward::store::revocations::{self, Logout};
use doorward::store::{StoreError, Tx, consents, logout_outbox};
use uuid::Uuid;

use super::bench::{Bench, NOW, add_user, on_both_engines};

on_both_engines! {
    consents_add_up_and_are_forgotten_by_app,
    a_pushed_request_counts_once,
    a_waiting_logout_is_given_to_one_process_at_a_time,
    a_logout_that_was_put_off_or_has_expired_is_not_due,
}

const ADA: UserId = UserId::from_u128(1);

fn client(tx: &mut dyn Tx, id: u128) -> Result<ClientId, StoreError> {
    let client = Client {
        id: ClientId::from_u128(id),
        identifier: format!("app-{id}").parse().unwrap(),
        name: "App".to_owned(),
        kind: ClientKind::App,
        scopes: Scopes::default(),
        state: ClientState::Active,
        token_epoch: 0,
        created_at: NOW,
    };
    clients::insert(tx, &client, None)?;
    Ok(client.id)
}

fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).unwrap()
}

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn consents_add_up_and_are_forgotten_by_app(bench: &Bench) {
    let (one, other) = bench
        .put(|tx| {
            add_user(tx, 1)?;
            Ok((client(tx, 1)?, client(tx, 2)?))
        })
        .value;
    bench.put(|tx| {
        consents::grant(tx, ADA, one, &scopes("openid profile"), NOW)?;
        consents::grant(tx, ADA, one, &scopes("openid email"), after(5))?;
        consents::grant(tx, ADA, other, &scopes("openid"), NOW)
    });
    let read = |tx: &mut dyn Tx| {
        Ok::<_, StoreError>((
            consents::granted(tx, ADA, one)?,
            consents::of_user(tx, ADA)?,
        ))
    };
    let (granted, all) = bench.store.read_blocking(read).unwrap();
    assert_eq!(granted, scopes("openid profile email"));
    let all: Vec<_> = all
        .into_iter()
        .map(|consent| (consent.client_id, consent.scope, consent.granted_at))
        .collect();
    assert_eq!(
        all,
        [
            (one, scopes("email openid profile"), after(5)),
            (other, scopes("openid"), NOW)
        ]
    );
    assert!(bench.put(|tx| consents::forget(tx, ADA, one)).value);
    assert!(!bench.put(|tx| consents::forget(tx, ADA, one)).value);
    let (granted, all) = bench.store.read_blocking(read).unwrap();
    assert!(granted.is_empty() && all.len() == 1);
}

fn a_pushed_request_counts_once(bench: &Bench) {
    let pushed = bench
        .put(|tx| {
            let pushed = PushedRequest {
                digest: TokenDigest::from_bytes([7; 32]),
                client_id: client(tx, 1)?,
                parameters: r#"{"state":"ä"}"#.to_owned(),
                dpop_jkt: Some("a".repeat(43)),
                created_at: NOW,
                expires_at: after(90),
            };
            pushed_requests::insert(tx, &pushed)?;
            Ok(pushed)
        })
        .value;
    let find = |byte| {
        let digest = TokenDigest::from_bytes([byte; 32]);
        bench
            .store
            .read_blocking(move |tx| pushed_requests::find(tx, digest))
            .unwrap()
    };
    assert_eq!(find(8), None);
    assert_eq!(find(7), Some(pushed.clone()));
    let consume = || {
        bench
            .put(|tx| pushed_requests::consume(tx, pushed.digest))
            .value
    };
    assert!(consume());
    assert!(!consume());
    assert_eq!(find(7), None);
}

fn queue(bench: &Bench, count: u8) -> ClientId {
    bench
        .put(|tx| {
            let client = client(tx, 1)?;
            for index in 0..count {
                let logout = Logout {
                    id: Uuid::from_u128(u128::from(index)),
                    client,
                    user: ADA,
                    session: SessionId::from_u128(5),
                    now: after(u64::from(index)),
                    expires_at: after(1_000),
                };
                revocations::queue_logout(tx, &logout)?;
            }
            Ok(client)
        })
        .value
}

fn claim(bench: &Bench, now: Timestamp, until: Timestamp) -> Vec<(u128, i64)> {
    let mut claimed: Vec<_> = bench
        .put(|tx| logout_outbox::claim(tx, now, until, 2))
        .value
        .into_iter()
        .map(|logout| (logout.id.as_u128(), logout.attempts))
        .collect();
    claimed.sort_unstable();
    claimed
}

fn a_waiting_logout_is_given_to_one_process_at_a_time(bench: &Bench) {
    let client = queue(bench, 3);
    assert_eq!(claim(bench, after(10), after(40)), [(0, 1), (1, 1)]);
    assert_eq!(claim(bench, after(10), after(40)), [(2, 1)]);
    assert_eq!(claim(bench, after(39), after(70)), []);
    // Whoever took them has died.
    assert_eq!(claim(bench, after(40), after(70)), [(0, 2), (1, 2)]);
    bench.put(|tx| logout_outbox::delete(tx, Uuid::from_u128(0)));
    let left = bench
        .put(|tx| logout_outbox::claim(tx, after(70), after(99), 9))
        .value;
    assert_eq!(left.len(), 2);
    assert_eq!(left[0].client_id, client);
    assert_eq!(
        (left[0].user_id, left[0].session_id),
        (ADA, Some(SessionId::from_u128(5)))
    );
    assert_eq!(left[0].expires_at, after(1_000));
}

fn a_logout_that_was_put_off_or_has_expired_is_not_due(bench: &Bench) {
    queue(bench, 2);
    let due = |now| {
        bench
            .store
            .read_blocking(move |tx| logout_outbox::next_due(tx, now))
            .unwrap()
    };
    assert_eq!(due(NOW), Some(NOW));
    bench.put(|tx| logout_outbox::retry_at(tx, Uuid::from_u128(0), after(500)));
    assert_eq!(due(NOW), Some(after(1)));
    assert_eq!(claim(bench, after(2), after(600)), [(1, 1)]);
    assert_eq!(due(NOW), Some(after(500)));
    assert_eq!(due(after(1_000)), None);
    assert_eq!(claim(bench, after(1_000), after(2_000)), []);
}
