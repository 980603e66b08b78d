//! Roles by groups.

use doorward::authority::account;
use doorward::domain::provider::{GroupRole, ProviderSettings};
use doorward::domain::{AccountId, UserId};
use doorward::runtime::Clock;
use doorward::store::accounts::{self, Account};
use doorward::store::{StoreConfig, StoreError, members, roles};
use serde_json::json;

use super::world::World;
use crate::support::postgres;

fn rules(settings: &mut ProviderSettings) {
    settings.groups = [
        ("clerks", "acme", "billing/viewer"),
        ("editors", "acme", "billing/editor"),
        ("bosses", "acme", "auth/owner"),
        ("globals", "globex", "billing/viewer"),
        ("nowhere", "gone", "billing/viewer"),
        ("operators", "acme", "auth/operator"),
    ]
    .into_iter()
    .map(|(group, organization, role)| GroupRole {
        group: group.to_owned(),
        organization: organization.parse().unwrap(),
        role: role.parse().unwrap(),
    })
    .collect();
}

async fn world(store: Option<StoreConfig>) -> World {
    let world = World::start_with(store, rules).await;
    world.app.owner_of("acme").await;
    world.app.owner_of("globex").await;
    world
}

impl World {
    async fn in_groups(&self, groups: &[&str]) -> UserId {
        self.corp.person(json!({ "groups": groups }));
        self.log_in(&mut self.browser(), "corp").await.user_id
    }

    async fn held(&self, slug: &str, user: UserId) -> Vec<String> {
        let organization = self.app.organization(slug).await;
        let mut roles: Vec<String> = self
            .app
            .authority
            .store
            .read::<_, StoreError>(move |tx| members::roles_held(tx, organization, user))
            .await
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        roles.sort();
        roles
    }
}

async fn come_and_go(world: World) {
    let user = world
        .in_groups(&["clerks", "globals", "nowhere", "operators"])
        .await;
    assert_eq!(world.held("acme", user).await, ["billing/viewer"]);
    assert_eq!(world.held("globex", user).await, ["billing/viewer"]);
    world.in_groups(&["clerks", "editors"]).await;
    assert_eq!(
        world.held("acme", user).await,
        ["billing/editor", "billing/viewer"]
    );
    assert!(world.held("globex", user).await.is_empty());
    // The primary role goes, a further one takes its place.
    world.in_groups(&["editors"]).await;
    assert_eq!(world.held("acme", user).await, ["billing/editor"]);
    // The claim is gone: so is the last role, and with it the membership.
    world
        .corp
        .with(|script| script.userinfo = Some(json!({"sub": "u1"})));
    world.corp.person(json!({}));
    world.log_in(&mut world.browser(), "corp").await;
    assert!(world.held("acme", user).await.is_empty());
    assert_eq!(world.app.audited("member.removed").await, 2);
    assert_eq!(world.app.audited("member.role_taken").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_come_and_go_with_groups_on_sqlite() {
    come_and_go(world(None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_come_and_go_with_groups_on_postgres() {
    if let Some(store) = postgres::database() {
        come_and_go(world(Some(store)).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_somebody_gave_by_hand_is_not_the_groups_to_take() {
    let world = world(None).await;
    let user = world.in_groups(&[]).await;
    world.app.join("acme", user, "billing/viewer").await;
    world.in_groups(&["clerks"]).await;
    world.in_groups(&[]).await;
    assert_eq!(world.held("acme", user).await, ["billing/viewer"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_owner_stays_whatever_the_groups_say() {
    let world = World::start_with(None, rules).await;
    let founder = world.app.owner_of("acme").await;
    let user = world.in_groups(&["bosses"]).await;
    assert_eq!(world.held("acme", user).await, ["auth/owner"]);
    world
        .app
        .delete(format!("/v1/organizations/acme/members/{}", founder.id))
        .by(&founder.token)
        .send()
        .await
        .expect(200);
    world.in_groups(&[]).await;
    assert_eq!(world.held("acme", user).await, ["auth/owner"]);
    assert_eq!(world.app.audited("member.role_kept").await, 1);
}

impl World {
    /// Gives the user an account at `provider`, as if it had been linked.
    async fn link(&self, user: UserId, provider: &'static str) -> AccountId {
        let now = self.app.clock.now();
        let account = Account {
            id: AccountId::mint(now, self.app.entropy.id_bits()),
            user_id: user,
            provider: provider.to_owned(),
            subject: "linked".to_owned(),
            email: None,
            email_verified: false,
            created_at: now,
            last_login_at: now,
        };
        let row = account.clone();
        self.app
            .authority
            .store
            .write::<_, StoreError>(move |tx| accounts::insert(tx, &row))
            .await
            .unwrap();
        account.id
    }
}

async fn go_with_the_account(world: World) {
    let user = world.in_groups(&[]).await;
    world.app.join("acme", user, "billing/treasurer").await;
    world.in_groups(&["clerks", "editors", "globals"]).await;
    let session = world.log_in(&mut world.browser(), "corp").await;
    let corp = world.accounts(user).await[0].id;
    let other = world.link(user, "other").await;
    // The other account gives one of the roles too.
    let acme = world.app.organization("acme").await;
    let viewer = "billing/viewer".parse().unwrap();
    world
        .app
        .authority
        .store
        .write::<_, StoreError>(move |tx| {
            let role = roles::find(tx, &viewer)?.unwrap().id;
            accounts::add_role(tx, other, (acme, role))
        })
        .await
        .unwrap();
    account::unlink(&world.app.authority, &session, corp)
        .await
        .unwrap();
    assert_eq!(
        world.held("acme", user).await,
        ["billing/treasurer", "billing/viewer"]
    );
    assert!(world.held("globex", user).await.is_empty());
    assert_eq!(world.app.audited("member.role_taken").await, 1);
    assert_eq!(world.app.audited("member.removed").await, 1);
    assert_eq!(world.app.audited("account.unlinked").await, 1);
    let left = world.accounts(user).await;
    assert_eq!(left.iter().map(|one| one.id).collect::<Vec<_>>(), [other]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_that_an_accounts_groups_gave_go_with_it_and_others_stay() {
    go_with_the_account(world(None).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_that_an_accounts_groups_gave_go_with_it_on_postgres_too() {
    if let Some(store) = postgres::database() {
        go_with_the_account(world(Some(store)).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_owner_stays_when_the_account_that_made_them_one_goes() {
    let world = World::start_with(None, rules).await;
    let founder = world.app.owner_of("acme").await;
    let user = world.in_groups(&["bosses"]).await;
    let session = world.log_in(&mut world.browser(), "corp").await;
    world
        .app
        .delete(format!("/v1/organizations/acme/members/{}", founder.id))
        .by(&founder.token)
        .send()
        .await
        .expect(200);
    let corp = world.accounts(user).await[0].id;
    world.link(user, "other").await;
    account::unlink(&world.app.authority, &session, corp)
        .await
        .unwrap();
    assert_eq!(world.held("acme", user).await, ["auth/owner"]);
    assert_eq!(world.app.audited("member.role_kept").await, 1);
}
