//! Apps: what is written comes back, on both engines.

use std::time::Duration;

use doorward::domain::app::{
    AppSpec, ApplicationType, AuthMethod, ClientSource, GrantType, IdTokenAlg, RefreshBinding,
};
use doorward::domain::{ClientId, ClientKind, Scopes, Timestamp, TokenDigest};
use doorward::store::apps::{self, App};
use doorward::store::clients::{self, ClientState};
use doorward::store::transient::{TRANSIENT, Transient, purge};
use doorward::store::{StoreError, sidecars};

use super::bench::{Bench, NOW, on_both_engines};

on_both_engines! {
    an_app_comes_back_as_it_went_in,
    an_update_changes_all_but_the_name_the_secrets_and_the_state,
    a_client_that_is_no_app_is_not_found_as_one,
    apps_are_listed_by_id_by_source_and_by_expiry,
    an_app_that_is_deleted_takes_its_details_along,
    a_client_that_is_purged_leaves_no_state_and_gets_none,
}

fn app(id: u128, identifier: &str) -> App {
    App {
        id: ClientId::from_u128(id),
        spec: AppSpec {
            identifier: identifier.parse().unwrap(),
            name: "Board — «für alle»".to_owned(),
            scopes: Scopes::parse("openid profile offline_access").unwrap(),
            redirect_uris: vec![
                "https://board.example/callback".to_owned(),
                "http://127.0.0.1/callback".to_owned(),
            ],
            application_type: ApplicationType::Web,
            auth_method: AuthMethod::PrivateKeyJwt,
            grant_types: [GrantType::AuthorizationCode, GrantType::DeviceCode]
                .into_iter()
                .collect(),
            resources: vec!["https://api.example".to_owned()],
            post_logout_redirect_uris: vec!["https://board.example/bye".to_owned()],
            backchannel_logout_uri: Some("https://board.example/logout".to_owned()),
            jwks: Some(r#"{"keys":[]}"#.to_owned()),
            first_party: true,
            require_par: true,
            dpop_bound: true,
            refresh_binding: RefreshBinding::Standalone,
            id_token_alg: IdTokenAlg::ES256,
            logo_uri: Some("https://board.example/logo.png".to_owned()),
            client_uri: Some("https://board.example/".to_owned()),
            policy_uri: Some("https://board.example/privacy".to_owned()),
            tos_uri: Some("https://board.example/terms".to_owned()),
        },
        state: ClientState::Active,
        token_epoch: 0,
        created_at: NOW,
        source: ClientSource::Registration,
        expires_at: Some(NOW.plus(Duration::from_mins(1))),
    }
}

const SECRET: TokenDigest = TokenDigest::from_bytes([7; 32]);

fn an_app_comes_back_as_it_went_in(bench: &Bench) {
    let written = app(1, "board");
    bench.put(|tx| apps::insert(tx, &written, Some(SECRET), NOW));
    let (by_id, by_name, secrets) = bench
        .store
        .read_blocking(|tx| {
            Ok::<_, StoreError>((
                apps::find(tx, written.id)?,
                apps::find_by_identifier(tx, &written.spec.identifier)?,
                clients::secrets(tx, written.id)?,
            ))
        })
        .unwrap();
    assert_eq!(by_id.as_ref(), Some(&written));
    assert_eq!(by_name.as_ref(), Some(&written));
    assert_eq!(secrets.len(), 1);
    assert_eq!(secrets[0].digest, SECRET);
    let again = bench.write(|tx| apps::insert(tx, &app(2, "board"), None, NOW));
    assert!(matches!(again, Err(StoreError::Unique { .. })), "{again:?}");
}

fn an_update_changes_all_but_the_name_the_secrets_and_the_state(bench: &Bench) {
    bench.put(|tx| apps::insert(tx, &app(1, "board"), Some(SECRET), NOW));
    let mut changed = app(1, "board");
    "Board 2".clone_into(&mut changed.spec.name);
    changed.spec.scopes = Scopes::parse("openid").unwrap();
    changed.spec.redirect_uris = vec!["com.example.board:/callback".to_owned()];
    changed.spec.application_type = ApplicationType::Native;
    changed.spec.auth_method = AuthMethod::None;
    changed.spec.grant_types = [GrantType::AuthorizationCode].into_iter().collect();
    changed.spec.resources = Vec::new();
    changed.spec.post_logout_redirect_uris = Vec::new();
    changed.spec.backchannel_logout_uri = None;
    changed.spec.jwks = None;
    changed.spec.first_party = false;
    changed.spec.require_par = false;
    changed.spec.dpop_bound = false;
    changed.spec.refresh_binding = RefreshBinding::Session;
    changed.spec.id_token_alg = IdTokenAlg::RS256;
    changed.spec.logo_uri = None;
    changed.spec.client_uri = None;
    changed.spec.policy_uri = None;
    changed.spec.tos_uri = None;
    changed.source = ClientSource::Api;
    changed.expires_at = None;
    bench.put(|tx| apps::update(tx, &changed, NOW));
    let (found, secrets) = bench
        .store
        .read_blocking(|tx| {
            Ok::<_, StoreError>((
                apps::find(tx, changed.id)?,
                clients::secrets(tx, changed.id)?,
            ))
        })
        .unwrap();
    assert_eq!(found, Some(changed));
    assert_eq!(secrets.len(), 1);
}

fn a_client_that_is_no_app_is_not_found_as_one(bench: &Bench) {
    let mut client = app(1, "machine").client();
    client.kind = ClientKind::Operator;
    bench.put(|tx| clients::insert(tx, &client, None));
    let found = bench
        .store
        .read_blocking(|tx| {
            assert!(sidecars::find_by_client(tx, client.id)?.is_none());
            apps::find_by_identifier(tx, &client.identifier)
        })
        .unwrap();
    assert_eq!(found, None);
}

fn apps_are_listed_by_id_by_source_and_by_expiry(bench: &Bench) {
    let mut kept = app(3, "kept");
    kept.source = ClientSource::Config;
    kept.expires_at = None;
    bench.put(|tx| {
        apps::insert(tx, &app(1, "b"), None, NOW)?;
        apps::insert(tx, &app(2, "a"), None, NOW)?;
        apps::insert(tx, &kept, None, NOW)
    });
    let names = |apps: Vec<App>| -> Vec<String> {
        apps.into_iter()
            .map(|app| app.spec.identifier.to_string())
            .collect()
    };
    let later: Timestamp = NOW.plus(Duration::from_mins(1));
    let (all, next, registered, expired, none) = bench
        .store
        .read_blocking(|tx| {
            Ok::<_, StoreError>((
                names(apps::list(tx, ClientId::from_u128(0), 10)?),
                names(apps::list(tx, ClientId::from_u128(1), 1)?),
                names(apps::of_source(tx, ClientSource::Registration)?),
                names(apps::expired(tx, later, 10)?),
                names(apps::expired(tx, NOW, 10)?),
            ))
        })
        .unwrap();
    assert_eq!(all, ["b", "a", "kept"]);
    assert_eq!(next, ["a"]);
    assert_eq!(registered, ["a", "b"]);
    assert_eq!(expired.len(), 2);
    assert!(none.is_empty());
}

fn an_app_that_is_deleted_takes_its_details_along(bench: &Bench) {
    bench.put(|tx| {
        let app = app(1, "board");
        apps::insert(tx, &app, Some(SECRET), NOW)?;
        apps::set_registration_token(tx, app.id, SECRET)?;
        assert_eq!(apps::registration_token(tx, app.id)?, Some(SECRET));
        clients::retire(tx, &app.client(), NOW)
    });
    bench.put(|tx| {
        assert!(apps::delete(tx, ClientId::from_u128(1))?);
        assert!(!apps::delete(tx, ClientId::from_u128(1))?);
        Ok(())
    });
    assert_eq!(bench.count("client_details"), 0);
    assert_eq!(bench.count("oauth_clients"), 0);
    assert_eq!(bench.count("client_states"), 1);
}

fn a_client_that_is_purged_leaves_no_state_and_gets_none(bench: &Bench) {
    let ended = App {
        expires_at: Some(NOW),
        ..app(1, "board")
    };
    bench.put(|tx| {
        apps::insert(tx, &ended, None, NOW)?;
        clients::retire(tx, &ended.client(), NOW)
    });
    assert_eq!(bench.count("client_states"), 1);
    let clients_of = |what: &&Transient| what.table == "oauth_clients";
    let what = *TRANSIENT.iter().find(clients_of).unwrap();
    let late = NOW.plus(Duration::from_hours(48));
    bench.put(|tx| {
        assert_eq!(purge(tx, what, late, 10)?, 1);
        Ok(())
    });
    assert_eq!(bench.count("oauth_clients"), 0);
    assert_eq!(bench.count("client_states"), 0);
    // Another authority saw the client before it went.
    let retired = bench.write(|tx| clients::retire(tx, &ended.client(), NOW));
    assert!(matches!(retired, Err(StoreError::ForeignKey)));
    assert_eq!(bench.count("client_states"), 0);
}
