//! Apps: declared over the API and by the configuration.

use std::sync::Arc;

use doorward::authority::app::{Authority, StartError};
use doorward::authority::apps::{AppsError, standings};
use doorward::authority::config::Config;
use doorward::authority::credentials::Doer;
use doorward::authority::init::initialize;
use doorward::domain::app::ClientSource;
use doorward::runtime::config::Environment;
use doorward::runtime::{Clock, Entropy, ManualClock, SeededEntropy};
use doorward::store::{StoreError, apps, clients};
use serde_json::{Value, json};

use crate::support;
use crate::support::app::TestApp;

on_both_engines! {
    an_app_is_planned_applied_and_shown,
    a_put_again_changes_nothing_and_shows_no_secret,
    a_plan_that_is_no_longer_the_plan_is_not_carried_out,
    a_secret_comes_and_goes_with_the_method,
    only_those_who_manage_clients_declare_apps,
    a_name_that_is_not_an_apps_is_not_touched,
}

fn board() -> Value {
    json!({
        "name": "Board",
        "redirect_uris": ["https://board.example/callback"],
        "scope": "openid profile email offline_access billing:read",
    })
}

async fn an_app_is_planned_applied_and_shown(app: TestApp) {
    let operator = app.operator();
    let planned = app
        .put("/v1/clients/board?dry_run=true")
        .by(operator)
        .json(&board())
        .await
        .expect(200)
        .body;
    assert_eq!(planned["action"], "create");
    assert_eq!(planned["new_secret"], true);
    app.get("/v1/clients/board")
        .by(operator)
        .send()
        .await
        .expect(404);

    let hash = planned["plan_hash"].as_str().unwrap();
    let applied = app
        .put(format!("/v1/clients/board?plan={hash}"))
        .by(operator)
        .json(&board())
        .await
        .expect(200);
    assert_eq!(applied.headers["cache-control"], "no-store");
    let secret = applied.body["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("dwc_"), "a secret is shown once");
    assert_eq!(app.audited("client.created").await, 1);

    let shown = app
        .get("/v1/clients/board")
        .by(operator)
        .send()
        .await
        .expect(200);
    assert_eq!(shown.body["source"], "api");
    assert_eq!(shown.body["state"], "active");
    assert_eq!(
        shown.body["registration"]["auth_method"],
        "client_secret_basic"
    );
    assert!(!shown.body.to_string().contains("dwc_"));

    let listed = app.get("/v1/clients").by(operator).send().await.expect(200);
    let items = listed.body["items"].as_array().unwrap();
    let board = items.iter().find(|item| item["client_id"] == "board");
    assert_eq!(board.unwrap()["source"], "api");

    // The document that is shown is one that can be put.
    let again = app
        .put("/v1/clients/board")
        .by(operator)
        .json(&shown.body["registration"])
        .await
        .expect(200);
    assert_eq!(again.body["action"], "none");
}

async fn a_put_again_changes_nothing_and_shows_no_secret(app: TestApp) {
    let operator = app.operator();
    let document = board();
    let put = || app.put("/v1/clients/board").by(operator).json(&document);
    assert_eq!(put().await.expect(200).body["action"], "create");
    let again = put().await.expect(200).body;
    assert_eq!(again["action"], "none");
    assert!(again.get("client_secret").is_none());
    assert_eq!(app.audited("client.created").await, 1);
    assert_eq!(app.audited("client.updated").await, 0);
    let mut other = board();
    other["first_party"] = json!(true);
    let changed = app
        .put("/v1/clients/board")
        .by(operator)
        .json(&other)
        .await
        .expect(200)
        .body;
    assert_eq!(changed["action"], "update");
    assert_eq!(changed["changes"][0]["field"], "first_party");
    assert!(changed.get("client_secret").is_none());
    assert_eq!(app.audited("client.updated").await, 1);
}

async fn a_plan_that_is_no_longer_the_plan_is_not_carried_out(app: TestApp) {
    let operator = app.operator();
    let mut other = board();
    other["name"] = json!("Desk");
    let planned = app
        .put("/v1/clients/board?dry_run=true")
        .by(operator)
        .json(&other)
        .await
        .expect(200)
        .body;
    app.put("/v1/clients/board")
        .by(operator)
        .json(&board())
        .await
        .expect(200);
    let path = format!(
        "/v1/clients/board?plan={}",
        planned["plan_hash"].as_str().unwrap()
    );
    let refused = app.put(&path).by(operator).json(&other).await.expect(409);
    assert_eq!(refused.body["code"], "plan-changed");
    let path = format!(
        "/v1/clients/board?plan={}",
        refused.body["plan_hash"].as_str().unwrap()
    );
    app.put(&path).by(operator).json(&other).await.expect(200);
}

async fn a_secret_comes_and_goes_with_the_method(app: TestApp) {
    let operator = app.operator();
    app.put("/v1/clients/board")
        .by(operator)
        .json(&board())
        .await
        .expect(200);
    let rotated = app
        .post("/v1/clients/board/secret")
        .by(operator)
        .json(&json!({}))
        .await
        .expect(200);
    assert!(rotated.body["previous_until"].is_string());
    let identifier: doorward::domain::ClientIdentifier = "board".parse().unwrap();
    let secrets = || {
        let identifier = identifier.clone();
        let store = app.authority.store.clone();
        async move {
            store
                .read::<_, StoreError>(move |tx| {
                    let client = clients::find_by_identifier(tx, &identifier)?.unwrap();
                    Ok(clients::secrets(tx, client.id)?.len())
                })
                .await
                .unwrap()
        }
    };
    assert_eq!(secrets().await, 2);
    let mut public = board();
    public["auth_method"] = json!("none");
    let changed = app
        .put("/v1/clients/board")
        .by(operator)
        .json(&public)
        .await
        .expect(200);
    assert!(changed.body.get("client_secret").is_none());
    assert_eq!(secrets().await, 0);
    let refused = app
        .post("/v1/clients/board/secret")
        .by(operator)
        .json(&json!({}))
        .await
        .expect(409);
    assert_eq!(refused.body["code"], "client-without-secret");
    let back = app
        .put("/v1/clients/board")
        .by(operator)
        .json(&board())
        .await
        .expect(200);
    assert!(back.body["client_secret"].is_string());
    assert_eq!(secrets().await, 1);

    app.delete("/v1/clients/board")
        .by(operator)
        .send()
        .await
        .expect(200);
    let retired = app
        .put("/v1/clients/board")
        .by(operator)
        .json(&board())
        .await
        .expect(409);
    assert_eq!(retired.body["code"], "client-retired");
}

async fn only_those_who_manage_clients_declare_apps(app: TestApp) {
    let owner = app.owner_of("acme").await;
    app.put("/v1/clients/board")
        .json(&board())
        .await
        .expect(401);
    app.put("/v1/clients/board")
        .by(&owner.token)
        .json(&board())
        .await
        .expect(403);
    app.put("/v1/clients/board?dry_run=true")
        .by(&owner.token)
        .json(&board())
        .await
        .expect(403);
    app.get("/v1/clients/board")
        .by(&owner.token)
        .send()
        .await
        .expect(403);
    let wrong = json!({"redirect_uris": ["http://board.example/#x"], "scope": "doorward:admin"});
    let refused = app
        .put("/v1/clients/board")
        .by(app.operator())
        .json(&wrong)
        .await
        .expect(422);
    assert_eq!(refused.body["errors"].as_array().unwrap().len(), 2);
}

async fn a_name_that_is_not_an_apps_is_not_touched(app: TestApp) {
    let taken = app
        .put("/v1/clients/operator")
        .by(app.operator())
        .json(&board())
        .await;
    assert_eq!(taken.expect(409).body["code"], "client-id-taken");
    let user = "/v1/clients/0198c0de-0000-7000-8000-000000000001";
    app.put(user)
        .by(app.operator())
        .json(&board())
        .await
        .expect(422);
}

/// An installation whose configuration file changes.
struct Installation {
    directory: tempfile::TempDir,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Installation {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(
            doorward::domain::Timestamp::from_unix_seconds(1_800_000_000),
        ));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(7));
        let this = Self {
            directory: support::directory(),
            clock,
            entropy,
        };
        initialize(&this.config("").unwrap(), &this.clock, &this.entropy).unwrap();
        this
    }

    fn config(&self, clients: &str) -> Result<Config, String> {
        let file = self.directory.path().join("authority.toml");
        std::fs::write(&file, clients).unwrap();
        let data = self.directory.path().join("data");
        Config::load(Some(&file), Some(&data), &Environment::default())
            .map_err(|error| error.to_string())
    }

    fn start(&self, clients: &str) -> Result<Authority, StartError> {
        let config = self.config(clients).unwrap();
        Authority::open(config, Arc::clone(&self.clock), Arc::clone(&self.entropy))
    }
}

fn found(authority: &Authority, identifier: &str) -> (apps::App, Vec<clients::StoredSecret>) {
    let identifier = identifier.parse().unwrap();
    authority
        .store
        .read_blocking::<_, StoreError>(|tx| {
            let app = apps::find_by_identifier(tx, &identifier)?.unwrap();
            let secrets = clients::secrets(tx, app.id)?;
            Ok((app, secrets))
        })
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn apps_of_the_configuration_are_taken_up_at_each_start() {
    let installation = Installation::new();
    let secret = |text: &str| {
        std::fs::write(installation.directory.path().join("board.secret"), text).unwrap();
    };
    secret("a-random-secret-of-more-than-32-characters\n");
    let text = "[clients.board]\nredirect_uris = [\"https://board.example/cb\"]\n\
                first_party = true\nscope = \"openid doorward:full\"\n\
                client_secret_file = \"board.secret\"\n";
    let first = installation.start(text).unwrap();
    let (app, secrets) = found(&first, "board");
    assert_eq!(app.source, ClientSource::Config);
    assert!(app.spec.first_party);
    assert_eq!(secrets.len(), 1);
    drop(first);

    // The same file again, then another secret, then without the app.
    let again = installation.start(text).unwrap();
    assert_eq!(found(&again, "board").1, secrets);
    drop(again);
    secret("another-secret-of-more-than-32-characters!\n");
    let rotated = installation.start(text).unwrap();
    let (_, both) = found(&rotated, "board");
    assert_eq!(both.len(), 2);
    assert_eq!(both[1].digest, secrets[0].digest);
    assert!(both[1].expires_at.is_some());
    drop(rotated);
    let left = installation.start("").unwrap();
    let (app, _) = found(&left, "board");
    assert_eq!(app.spec.identifier.as_str(), "board");
    let doer = Doer::Host("test".to_owned());
    let standings = standings(&left, &doer, vec![app.id]).await.unwrap();
    let drift = "the configuration does not name it any more".to_owned();
    assert_eq!(standings[&app.id], (ClientSource::Config, Some(drift)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_configured_name_that_is_somebody_elses_does_not_start() {
    let installation = Installation::new();
    let text = "[clients.operator]\nredirect_uris = [\"https://board.example/cb\"]\n";
    let refused = installation.start(text).unwrap_err();
    assert!(
        matches!(refused, StartError::Clients(AppsError::Taken(_))),
        "{refused}"
    );
}

#[test]
fn mistakes_of_configured_apps_are_told_with_their_keys() {
    let directory = support::directory();
    let file = directory.path().join("authority.toml");
    std::fs::write(directory.path().join("short"), "short").unwrap();
    let text = "[clients.board]\nredirect_uris = [\"http://board.example/\"]\n\
                client_secret_file = \"short\"\ncolour = \"red\"\n\
                [clients.desk]\nredirect_uris = [\"https://desk.example/\"]\n\
                client_secret_file = \"short\"\n\
                [clients.\"a b\"]\n";
    std::fs::write(&file, text).unwrap();
    let error = Config::load(Some(&file), Some(directory.path()), &Environment::default())
        .unwrap_err()
        .to_string();
    for key in [
        "clients.board.redirect_uris.0: ",
        "clients.board.colour: ",
        "clients.desk.client_secret_file: ",
        "clients.a b: ",
    ] {
        assert!(error.contains(key), "{key} is missing in {error}");
    }
}
