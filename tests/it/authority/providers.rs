//! Identity providers: declared over the API and by the configuration.

use std::sync::Arc;

use doorward::authority::app::{Authority, StartError};
use doorward::authority::config::Config;
use doorward::authority::init::initialize;
use doorward::authority::login::{Provider, ProviderError};
use doorward::domain::Timestamp;
use doorward::runtime::config::Environment;
use doorward::runtime::{Clock, Entropy, ManualClock, SeededEntropy};
use doorward::store::providers::{self, ProviderSource, StoredProvider};
use doorward::store::{Store, StoreError, Tx};
use serde_json::{Value, json};

use crate::support;
use crate::support::app::TestApp;

on_both_engines! {
    a_provider_is_planned_applied_and_shown_without_its_secret,
    a_provider_applied_again_changes_nothing,
    a_secret_is_kept_replaced_and_taken_away,
    a_provider_plan_that_is_no_longer_the_plan_is_not_carried_out,
    a_retired_provider_comes_back_when_it_is_applied_again,
    only_those_who_manage_providers_declare_them,
    a_name_stands_for_one_issuer_and_one_kind_for_ever,
    two_who_declare_one_issuer_at_once_do_not_both_get_it,
}

fn corp() -> Value {
    json!({
        "kind": "oidc",
        "issuer": "https://idp.example",
        "client_id": "doorward",
        "client_secret": "a-secret-of-ours",
        "groups": {"admins": "acme auth/admin"},
    })
}

async fn stored(store: &Store, name: &'static str) -> Option<StoredProvider> {
    store
        .read::<_, StoreError>(move |tx| providers::find(tx, name))
        .await
        .unwrap()
}

async fn secret_of(app: &TestApp, name: &str) -> Option<String> {
    let provider = Provider::find(&app.authority, name).await.unwrap().unwrap();
    provider.secret.map(|secret| secret.expose().clone())
}

async fn a_provider_is_planned_applied_and_shown_without_its_secret(app: TestApp) {
    let operator = app.operator();
    let planned = app
        .put("/v1/providers/corp?dry_run=true")
        .by(operator)
        .json(&corp())
        .await
        .expect(200)
        .body;
    assert_eq!(planned["action"], "create");
    assert_eq!(planned["client_secret"], "set");
    assert!(stored(&app.authority.store, "corp").await.is_none());

    let hash = planned["plan_hash"].as_str().unwrap();
    let applied = app
        .put(format!("/v1/providers/corp?plan={hash}"))
        .by(operator)
        .json(&corp())
        .await
        .expect(200);
    let back = format!("{}/login/callback/corp", app.authority.config.issuer);
    assert_eq!(applied.body["redirect_uri"], back);
    assert_eq!(app.audited("provider.created").await, 1);
    assert_eq!(
        secret_of(&app, "corp").await.as_deref(),
        Some("a-secret-of-ours")
    );

    let shown = app
        .get("/v1/providers/corp")
        .by(operator)
        .send()
        .await
        .expect(200);
    assert_eq!(shown.body["source"], "api");
    assert_eq!(shown.body["state"], "active");
    assert_eq!(shown.body["has_secret"], true);
    assert_eq!(shown.body["accounts"], 0);
    let listed = app
        .get("/v1/providers")
        .by(operator)
        .send()
        .await
        .expect(200);
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    for answer in [&planned, &applied.body, &shown.body, &listed.body] {
        assert!(!answer.to_string().contains("a-secret-of-ours"), "{answer}");
    }
    let audit: Vec<String> = app
        .authority
        .store
        .read::<_, StoreError>(|tx| {
            let rows = tx.rows("SELECT details FROM audit_log", &[])?;
            rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
        })
        .await
        .unwrap();
    assert!(!audit.concat().contains("a-secret-of-ours"));

    // The declaration that is shown is one that can be put: its secret stays.
    let again = app
        .put("/v1/providers/corp")
        .by(operator)
        .json(&shown.body["declaration"])
        .await
        .expect(200);
    assert_eq!(again.body["action"], "none");
    assert_eq!(
        secret_of(&app, "corp").await.as_deref(),
        Some("a-secret-of-ours")
    );
}

async fn a_provider_applied_again_changes_nothing(app: TestApp) {
    let document = corp();
    let put = || {
        app.put("/v1/providers/corp")
            .by(app.operator())
            .json(&document)
    };
    assert_eq!(put().await.expect(200).body["action"], "create");
    let before = stored(&app.authority.store, "corp").await;
    app.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(put().await.expect(200).body["action"], "none");
    assert_eq!(stored(&app.authority.store, "corp").await, before);
    assert_eq!(app.audited("provider.created").await, 1);
    assert_eq!(app.audited("provider.changed").await, 0);
}

async fn a_secret_is_kept_replaced_and_taken_away(app: TestApp) {
    let put = async |document: &Value| {
        app.put("/v1/providers/corp")
            .by(app.operator())
            .json(document)
            .await
            .expect(200)
            .body
    };
    put(&corp()).await;
    let mut document = corp();
    document["name"] = json!("Corp");
    document.as_object_mut().unwrap().remove("client_secret");
    let renamed = put(&document).await;
    assert_eq!(renamed["client_secret"], "kept");
    assert_eq!(renamed["changes"][0]["field"], "name");
    assert_eq!(
        secret_of(&app, "corp").await.as_deref(),
        Some("a-secret-of-ours")
    );
    document["client_secret"] = json!("another-secret");
    let replaced = put(&document).await;
    assert_eq!(replaced["action"], "update");
    assert_eq!(replaced["client_secret"], "set");
    assert_eq!(
        secret_of(&app, "corp").await.as_deref(),
        Some("another-secret")
    );
    document["client_secret"] = Value::Null;
    assert_eq!(put(&document).await["client_secret"], "removed");
    assert_eq!(secret_of(&app, "corp").await, None);

    // GitHub lets nobody in without one.
    let hub = json!({"kind": "github", "client_id": "doorward"});
    let refused = app
        .put("/v1/providers/hub")
        .by(app.operator())
        .json(&hub)
        .await
        .expect(422);
    assert_eq!(refused.body["errors"][0]["pointer"], "/client_secret");
    assert_eq!(app.audited("provider.changed").await, 3);
}

async fn a_provider_plan_that_is_no_longer_the_plan_is_not_carried_out(app: TestApp) {
    let operator = app.operator();
    let planned = app
        .put("/v1/providers/corp?dry_run=true")
        .by(operator)
        .json(&corp())
        .await
        .expect(200)
        .body;
    let mut other = corp();
    other["name"] = json!("Other");
    app.put("/v1/providers/corp")
        .by(operator)
        .json(&other)
        .await
        .expect(200);
    let path = format!(
        "/v1/providers/corp?plan={}",
        planned["plan_hash"].as_str().unwrap()
    );
    let refused = app.put(&path).by(operator).json(&corp()).await.expect(409);
    assert_eq!(refused.body["code"], "plan-changed");
    let path = format!(
        "/v1/providers/corp?plan={}",
        refused.body["plan_hash"].as_str().unwrap()
    );
    app.put(&path).by(operator).json(&corp()).await.expect(200);
}

async fn a_retired_provider_comes_back_when_it_is_applied_again(app: TestApp) {
    let operator = app.operator();
    app.put("/v1/providers/corp")
        .by(operator)
        .json(&corp())
        .await
        .expect(200);
    let retire = || app.delete("/v1/providers/corp").by(operator).send();
    assert_eq!(retire().await.expect(200).body["state"], "retired");
    assert_eq!(retire().await.expect(200).body["state"], "retired");
    assert_eq!(app.audited("provider.retired").await, 1);
    assert!(
        Provider::find(&app.authority, "corp")
            .await
            .unwrap()
            .is_none()
    );
    let back = app
        .put("/v1/providers/corp")
        .by(operator)
        .json(&corp())
        .await
        .expect(200)
        .body;
    assert_eq!(back["action"], "update");
    assert_eq!(
        back["changes"],
        json!([{"field": "state", "before": "retired", "after": "active"}])
    );
    assert!(
        Provider::find(&app.authority, "corp")
            .await
            .unwrap()
            .is_some()
    );
    app.delete("/v1/providers/none")
        .by(operator)
        .send()
        .await
        .expect(404);
}

async fn only_those_who_manage_providers_declare_them(app: TestApp) {
    let owner = app.owner_of("acme").await;
    app.put("/v1/providers/corp")
        .json(&corp())
        .await
        .expect(401);
    for path in ["/v1/providers/corp", "/v1/providers/corp?dry_run=true"] {
        let refused = app.put(path).by(&owner.token).json(&corp()).await;
        assert_eq!(
            refused.expect(403).body["permission"],
            "auth:provider:manage"
        );
    }
    for path in ["/v1/providers/corp", "/v1/providers"] {
        app.get(path).by(&owner.token).send().await.expect(403);
    }
    app.delete("/v1/providers/corp")
        .by(&owner.token)
        .send()
        .await
        .expect(403);
    let wrong = json!({"kind": "demo", "client_id": "", "issuer": "idp", "colour": "red"});
    let refused = app
        .put("/v1/providers/corp")
        .by(app.operator())
        .json(&wrong)
        .await
        .expect(422);
    assert_eq!(refused.body["errors"][0]["pointer"], "/colour");
    let wrong = json!({"kind": "demo", "client_id": "", "issuer": "idp"});
    let refused = app
        .put("/v1/providers/corp")
        .by(app.operator())
        .json(&wrong)
        .await
        .expect(422);
    assert_eq!(refused.body["errors"].as_array().unwrap().len(), 3);
}

async fn a_name_stands_for_one_issuer_and_one_kind_for_ever(app: TestApp) {
    let put = async |name: &str, change: &dyn Fn(&mut Value)| {
        let mut document = corp();
        change(&mut document);
        app.put(format!("/v1/providers/{name}"))
            .by(app.operator())
            .json(&document)
            .await
    };
    put("corp", &|_| ()).await.expect(200);
    let issuer = put("corp", &|it| it["issuer"] = json!("https://evil.example")).await;
    assert_eq!(issuer.expect(409).body["code"], "provider-stands");
    // A number at GitHub and a subject of OpenID Connect may read alike.
    let kind = put("corp", &|it| {
        it["kind"] = json!("github");
        it.as_object_mut().unwrap().remove("groups");
    })
    .await;
    assert_eq!(kind.expect(409).body["code"], "provider-stands");
    let taken = put("corp2", &|_| ()).await;
    assert_eq!(taken.expect(409).body["code"], "issuer-taken");
}

async fn two_who_declare_one_issuer_at_once_do_not_both_get_it(app: TestApp) {
    let document = corp();
    let put = |name: &str| {
        app.put(format!("/v1/providers/{name}"))
            .by(app.operator())
            .json(&document)
    };
    let (a, b, c) = tokio::join!(put("a"), put("b"), put("c"));
    let mut statuses = [a, b, c].map(|reply| reply.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409]);
}

/// An installation whose configuration file changes.
struct Installation {
    directory: tempfile::TempDir,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Installation {
    fn new() -> Self {
        let this = Self {
            directory: support::directory(),
            clock: Arc::new(ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000))),
            entropy: Arc::new(SeededEntropy::new(7)),
        };
        std::fs::write(this.directory.path().join("corp.secret"), "hush\n").unwrap();
        initialize(&this.config(""), &this.clock, &this.entropy).unwrap();
        this
    }

    fn config(&self, text: &str) -> Config {
        let file = self.directory.path().join("authority.toml");
        std::fs::write(&file, text).unwrap();
        let data = self.directory.path().join("data");
        Config::load(Some(&file), Some(&data), &Environment::default()).unwrap()
    }

    fn start(&self, text: &str) -> Result<Authority, StartError> {
        let config = self.config(text);
        Authority::open(config, Arc::clone(&self.clock), Arc::clone(&self.entropy))
    }
}

const CORP: &str = "[providers.corp]\nkind = 'oidc'\nissuer = 'https://idp.example'\n\
                    client_id = 'us'\nclient_secret_file = 'corp.secret'\n";

fn row(authority: &Authority) -> StoredProvider {
    authority
        .store
        .read_blocking::<_, StoreError>(|tx: &mut dyn Tx| providers::find(tx, "corp"))
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn providers_of_the_configuration_come_and_go_with_it() {
    let installation = Installation::new();
    let first = row(&installation.start(CORP).unwrap());
    assert_eq!(first.source, ProviderSource::Config);
    assert_eq!(row(&installation.start(CORP).unwrap()), first);
    assert!(!row(&installation.start("").unwrap()).enabled);
    let back = row(&installation.start(CORP).unwrap());
    assert!(back.enabled);
    assert_eq!(back.sealed_secret, first.sealed_secret);
    let other = CORP.replace("https://idp.example", "https://evil.example");
    let refused = installation.start(&other).unwrap_err();
    assert!(
        matches!(
            refused,
            StartError::Provider(ProviderError::Issuer { ref issuer, .. })
                if issuer == "https://idp.example"
        ),
        "{refused}"
    );
}
