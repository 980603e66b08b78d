//! Tokens of providers: kept only when configured, sealed, refreshed, given out under audit.

use std::time::Duration;

use doorward::authority::login::tokens::{self, TokensError};
use doorward::domain::provider::ProviderSettings;
use doorward::store::StoreError;
use serde_json::json;

use super::upstream::Instead;
use super::world::World;

fn keeping(settings: &mut ProviderSettings) {
    settings.keep_tokens = true;
}

impl World {
    async fn token_columns(&self) -> Vec<Option<String>> {
        self.app
            .authority
            .store
            .read::<_, StoreError>(|tx| {
                let sql = "SELECT access_token, refresh_token FROM oauth_accounts";
                let rows = tx.rows(sql, &[])?;
                let mut columns = Vec::new();
                for row in &rows {
                    for index in 0..2 {
                        columns.push(row.optional_text(index)?.map(str::to_owned));
                    }
                }
                Ok(columns)
            })
            .await
            .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_kept_unless_that_is_configured() {
    let world = World::start(None).await;
    world
        .corp
        .with(|script| script.token = json!({"refresh_token": "upstream-refresh"}));
    let session = world.log_in(&mut world.browser(), "corp").await;
    assert_eq!(world.token_columns().await, [None, None]);
    let token = world
        .app
        .token_with(session.user_id, "doorward:provider-tokens")
        .await;
    let path = format!("/v1/users/{}/provider-tokens/corp", session.user_id);
    world.app.get(path).by(&token).send().await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_token_is_sealed_refreshed_when_due_and_given_to_who_holds_the_scope() {
    let world = World::start_with(None, keeping).await;
    world
        .corp
        .with(|script| script.token = json!({"refresh_token": "upstream-refresh-1"}));
    let user = world.log_in(&mut world.browser(), "corp").await.user_id;
    for column in world.token_columns().await {
        assert!(!column.unwrap().contains("upstream"));
    }
    let path = format!("/v1/users/{user}/provider-tokens/corp");
    let own = world.app.token_with(user, "doorward:provider-tokens").await;
    let given = world.app.get(&path).by(&own).send().await.expect(200);
    assert_eq!(given.body["access_token"], "upstream-access-1");
    assert_eq!(given.header("cache-control"), "no-store");
    assert_eq!(world.app.audited("provider_token.given").await, 1);
    // Other scopes and other people get nothing.
    let narrow = world.app.token(user).await;
    world.app.get(&path).by(&narrow).send().await.expect(403);
    let stranger = world.app.user("eve").await;
    let stranger = world
        .app
        .token_with(stranger, "doorward:provider-tokens")
        .await;
    world.app.get(&path).by(&stranger).send().await.expect(404);
    // Due: refreshed, and the new pair kept.
    world
        .corp
        .with(|script| script.token = json!({"refresh_token": "upstream-refresh-2"}));
    world.advance(Duration::from_secs(250));
    let own = world.app.token_with(user, "doorward:provider-tokens").await;
    let given = world.app.get(&path).by(&own).send().await.expect(200);
    assert_eq!(given.body["access_token"], "upstream-access-2");
    let (form, _) = world.corp.with(|script| script.forms[1].clone());
    assert_eq!(form["grant_type"], "refresh_token");
    assert_eq!(form["refresh_token"], "upstream-refresh-1");
    let given = world.app.get(&path).by(&own).send().await.expect(200);
    assert_eq!(given.body["access_token"], "upstream-access-2");
    assert_eq!(world.corp.with(|script| script.forms.len()), 2);
    // The provider takes it back.
    world.advance(Duration::from_mins(5));
    let own = world.app.token_with(user, "doorward:provider-tokens").await;
    world.corp.with(|script| {
        let body = json!({"error": "invalid_grant"});
        script.instead.insert("/token", Instead::Json(400, body));
    });
    world
        .app
        .get(&path)
        .by(&own)
        .send()
        .await
        .expect_problem(409, "login-needed");
    world.corp.with(|script| {
        script.instead.insert("/token", Instead::Status(500));
    });
    world
        .app
        .get(&path)
        .by(&own)
        .send()
        .await
        .expect_problem(503, "unavailable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_of_a_suspended_user_is_given_out_or_refreshed() {
    let world = World::start_with(None, keeping).await;
    world
        .corp
        .with(|script| script.token = json!({"refresh_token": "upstream-refresh"}));
    let user = world.log_in(&mut world.browser(), "corp").await.user_id;
    let give = || tokens::give(&world.app.authority, "user:test".to_owned(), user, "corp");
    give().await.unwrap();
    world.app.suspend(user).await;
    assert!(matches!(give().await, Err(TokensError::None)));
    world.advance(Duration::from_secs(250));
    assert!(matches!(give().await, Err(TokensError::None)));
    assert_eq!(world.corp.with(|script| script.forms.len()), 1);
    assert_eq!(world.app.audited("provider_token.given").await, 1);
}
