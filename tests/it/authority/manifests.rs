//! Manifest sync against a real store.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Barrier};

use doorward::authority::access::auth_manifest;
use doorward::authority::manifests::{
    Applied, Conflict, MemberPage, Planned, Sync, SyncError, apply_in, document, permissions_page,
    plan_in, roles_page, services_page,
};
use doorward::domain::manifest::{Manifest, limits};
use doorward::domain::member::Member;
use doorward::domain::organization::Organization;
use doorward::domain::user::{User, UserState};
use doorward::domain::{
    MemberId, OrganizationId, PermissionKey, RoleId, RoleKey, Timestamp, UserId,
};
use doorward::protocol::manifest::{from_deserializer, from_json};
use doorward::protocol::problem::Problem;
use doorward::runtime::{Entropy, ManualClock, SeededEntropy};
use doorward::store::{
    Store, StoreConfig, StoreError, Tx, Val, Written, members, organizations, roles, users,
};
use proptest::prelude::*;

use crate::support;

const NOW: Timestamp = Timestamp::from_unix_micros(1_800_000_000_000_000);

/// An authority's store with nothing in it.
struct World {
    store: Store,
    entropy: SeededEntropy,
    _directory: Option<tempfile::TempDir>,
}

impl World {
    fn sqlite() -> Self {
        let directory = support::directory();
        let config = StoreConfig::Sqlite {
            path: directory.path().join("doorward.db"),
        };
        Self::open(&config, Some(directory))
    }

    /// `None` on a machine without PostgreSQL.
    fn postgres() -> Option<Self> {
        support::postgres::database().map(|config| Self::open(&config, None))
    }

    fn open(config: &StoreConfig, directory: Option<tempfile::TempDir>) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        Self {
            store: Store::open(config, clock, Arc::new(SeededEntropy::new(1))).unwrap(),
            entropy: SeededEntropy::new(2),
            _directory: directory,
        }
    }

    fn write<T>(&self, f: impl Fn(&mut dyn Tx) -> Result<T, StoreError>) -> T {
        self.store.write_blocking(f).unwrap().value
    }

    fn read<T>(&self, f: impl Fn(&mut dyn Tx) -> Result<T, StoreError>) -> T {
        self.store.read_blocking(f).unwrap()
    }

    fn sync(&self, sync: &Sync) -> Result<Written<Applied>, SyncError> {
        self.store
            .write_blocking(|tx| apply_in(tx, sync, NOW, &self.entropy))
    }

    fn apply(&self, json: &str) -> Result<Written<Applied>, SyncError> {
        self.sync(&request(manifest(json)))
    }

    /// Applies, and fails the test when it is refused.
    fn live(&self, json: &str) -> Written<Applied> {
        self.apply(json).unwrap()
    }

    fn plan(&self, json: &str, page: MemberPage) -> Planned {
        let manifest = manifest(json);
        self.read(|tx| plan_in(tx, &manifest, false, page))
    }

    /// Every row that a sync can touch, as text.
    fn rows(&self) -> String {
        let mut text = String::new();
        for query in [
            "SELECT * FROM permissions ORDER BY id",
            "SELECT * FROM roles ORDER BY id",
            "SELECT * FROM role_permissions ORDER BY role_id, permission_id",
            "SELECT * FROM scope_permissions ORDER BY scope, permission_id",
            "SELECT * FROM service_grantable_by ORDER BY service, grantee",
            "SELECT * FROM service_manifests ORDER BY service",
            "SELECT * FROM organization_members ORDER BY id",
            "SELECT * FROM organization_member_roles ORDER BY 1, 2, 3",
            "SELECT * FROM audit_log ORDER BY id",
        ] {
            for row in self.read(|tx| tx.rows(query, &[])) {
                writeln!(text, "{row:?}").unwrap();
            }
        }
        text
    }

    fn role(&self, key: &str) -> RoleId {
        let key: RoleKey = key.parse().unwrap();
        self.read(|tx| roles::find(tx, &key)).unwrap().id
    }

    fn organization(&self, slug: &str) -> OrganizationId {
        let organization = Organization {
            id: OrganizationId::mint(NOW, self.entropy.id_bits()),
            name: slug.parse().unwrap(),
            slug: slug.parse().unwrap(),
            created_at: NOW,
            updated_at: NOW,
        };
        self.write(|tx| organizations::insert(tx, &organization));
        organization.id
    }

    /// A new user who holds the roles, the first as the primary one.
    fn member(&self, organization: OrganizationId, held: &[&str]) -> UserId {
        let user_id = UserId::mint(NOW, self.entropy.id_bits());
        let user = User {
            id: user_id,
            email: format!("{user_id}@example.test"),
            display_name: "Somebody".to_owned(),
            avatar_url: None,
            state: UserState::Active,
            token_epoch: 0,
            created_at: NOW,
            updated_at: NOW,
        };
        let ids: Vec<RoleId> = held.iter().map(|key| self.role(key)).collect();
        let member = Member {
            id: MemberId::mint(NOW, self.entropy.id_bits()),
            organization_id: organization,
            user_id,
            role_id: ids[0],
            further_role_ids: Vec::new(),
            created_at: NOW,
            updated_at: NOW,
        };
        self.write(|tx| {
            users::insert(tx, &user)?;
            members::insert(tx, &member)?;
            for role in &ids[1..] {
                tx.exec(
                    "INSERT INTO organization_member_roles \
                     (organization_id, user_id, role_id, created_at) VALUES (?1, ?2, ?3, ?4)",
                    &[
                        organization.into(),
                        user_id.into(),
                        (*role).into(),
                        NOW.into(),
                    ],
                )?;
            }
            Ok(())
        });
        user_id
    }

    fn held(&self, organization: OrganizationId, user: UserId) -> Vec<String> {
        let member = self
            .read(|tx| members::find(tx, organization, user))
            .unwrap();
        let mut names = Vec::new();
        for id in member.role_ids() {
            let role = self.read(|tx| roles::find_by_id(tx, id)).unwrap();
            names.push(role.key.to_string());
        }
        names
    }
}

fn manifest(json: &str) -> Manifest {
    from_json(json.as_bytes(), None).unwrap()
}

fn request(manifest: Manifest) -> Sync {
    Sync {
        manifest,
        bound_to: None,
        allow_rollback: false,
        applied_by: "client:test".to_owned(),
    }
}

fn conflicts(result: Result<Written<Applied>, SyncError>) -> Vec<Conflict> {
    match result {
        Err(SyncError::Conflicts(conflicts)) => conflicts,
        other => panic!("{other:?}"),
    }
}

fn codes(result: Result<Written<Applied>, SyncError>) -> Vec<&'static str> {
    conflicts(result).iter().map(Conflict::code).collect()
}

/// Every test below that takes a [`World`], once on each engine.
macro_rules! on_both_engines {
    ($($name:ident,)*) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                super::$name(&super::World::sqlite());
            })*
        }
        mod postgres {
            $(#[test]
            fn $name() {
                if let Some(world) = super::World::postgres() {
                    super::$name(&world);
                }
            })*
        }
    };
}

on_both_engines! {
    the_same_manifest_again_changes_no_row_and_no_revision,
    what_was_applied_is_what_is_read_back,
    an_older_version_after_a_newer_one_is_refused_until_an_operator_rolls_back,
    a_role_still_held_cannot_vanish_and_the_refusal_names_it_and_its_holders,
    a_replacement_takes_over_every_holder_once_in_the_same_transaction,
    a_role_grants_another_services_permission_only_while_that_service_allows_it,
    who_may_give_a_role_must_be_a_permission_that_exists,
    an_apply_bound_to_a_plan_happens_as_planned_or_not_at_all,
    the_blast_radius_counts_members_over_all_their_roles_and_pages_through_them,
    a_dry_run_shows_what_would_stand_in_the_way,
    syncs_at_once_leave_one_of_them_whole,
    a_manifest_at_the_limits_is_applied_and_then_only_what_differs_is_touched,
    lists_come_in_pages,
    every_example_manifest_is_planned_and_applied,
}

const BILLING: &str = r#"{
  "service": "billing", "version": 1,
  "permissions": { "invoice": { "read": "See", "write": "Change", "void": null } },
  "roles": {
    "viewer": { "permissions": ["invoice:read"] },
    "clerk": { "description": "Writes", "permissions": ["invoice:*"], "assignable_by": "invoice:write" }
  },
  "scopes": { "billing:read": ["*:read"] },
  "grantable_by": ["deploy"]
}"#;

fn the_same_manifest_again_changes_no_row_and_no_revision(world: &World) {
    let first = world.live(BILLING);
    assert!(first.changed);
    let rows = world.rows();
    let second = world.live(BILLING);
    assert!(second.value.plan.is_empty() && !second.changed);
    assert_eq!(second.position, first.position);
    assert_eq!(world.rows(), rows);
}

fn what_was_applied_is_what_is_read_back(world: &World) {
    world.live(BILLING);
    let service = "billing".parse().unwrap();
    let (view, text) = world.read(|tx| document(tx, &service)).unwrap();
    assert_eq!(view.version, Some(1));
    assert_eq!(view.applied_by.as_deref(), Some("client:test"));
    assert_eq!(manifest(&text), manifest(BILLING));
    let audit = world.read(|tx| tx.rows("SELECT actor, event, target FROM audit_log", &[]));
    assert_eq!(
        audit[0].clone().into_columns(),
        [
            Val::from("client:test"),
            "manifest.applied".into(),
            "service:billing".into()
        ]
    );
}

fn an_older_version_after_a_newer_one_is_refused_until_an_operator_rolls_back(world: &World) {
    let old = BILLING.replace("\"version\": 1", "\"version\": 6");
    let new = BILLING
        .replace("\"version\": 1", "\"version\": 7")
        .replace("\"See\"", "\"Look\"");
    world.live(&old);
    world.live(&new);
    let rows = world.rows();
    // A rolling deploy: an instance of the old release starts once more.
    let refused = world.apply(&old);
    let problem = Problem::from(refused.unwrap_err());
    assert_eq!(
        (problem.status, &*problem.code),
        (409, "newer-manifest-live")
    );
    assert!(
        problem
            .detail
            .unwrap()
            .contains("a newer manifest is live: version 7")
    );
    // One without a version cannot be ordered.
    assert_eq!(
        codes(world.apply(&BILLING.replace("\"version\": 1,", ""))),
        ["newer-manifest-live"]
    );
    assert_eq!(world.rows(), rows);

    let rollback = Sync {
        allow_rollback: true,
        ..request(manifest(&old))
    };
    world.sync(&rollback).unwrap();
    assert!(world.live(&old).value.plan.is_empty());
}

fn a_role_still_held_cannot_vanish_and_the_refusal_names_it_and_its_holders(world: &World) {
    world.live(BILLING);
    let acme = world.organization("acme");
    world.member(acme, &["billing/clerk"]);
    world.member(acme, &["billing/viewer", "billing/clerk"]);
    let without = r#"{
      "service": "billing", "version": 2, "permissions": { "invoice": { "read": "See" } },
      "roles": { "viewer": { "permissions": ["invoice:read"] } }
    }"#;
    let rows = world.rows();
    let problem = Problem::from(world.apply(without).unwrap_err());
    assert_eq!((problem.status, &*problem.code), (409, "role-still-held"));
    assert_eq!(problem.extensions["role"], "billing/clerk");
    assert_eq!(problem.extensions["holders"], 2);
    assert_eq!(problem.errors[0].pointer, "/roles");
    assert_eq!(
        world.rows(),
        rows,
        "a refused manifest leaves nothing behind"
    );
}

fn a_replacement_takes_over_every_holder_once_in_the_same_transaction(world: &World) {
    world.live(BILLING);
    let acme = world.organization("acme");
    let primary = world.member(acme, &["billing/clerk"]);
    let further = world.member(acme, &["billing/viewer", "billing/clerk"]);
    world.live(
        &BILLING
            .replace(
                "\"roles\": {",
                "\"roles\": { \"editor\": { \"permissions\": [\"invoice:write\"] },",
            )
            .replace("\"version\": 1", "\"version\": 2"),
    );
    let both = world.member(acme, &["billing/clerk", "billing/editor"]);
    let other_way = world.member(acme, &["billing/editor", "billing/clerk"]);
    let two_further = world.member(acme, &["billing/viewer", "billing/clerk", "billing/editor"]);
    let replaced = r#"{
      "service": "billing", "version": 3,
      "permissions": { "invoice": { "read": "See", "write": "Change" } },
      "roles": {
        "viewer": { "permissions": ["invoice:read"] },
        "editor": { "permissions": ["invoice:write"] }
      },
      "replaces": { "clerk": "editor" }
    }"#;
    let before = world.plan(replaced, MemberPage::default());
    assert_eq!(before.blast_radius.roles["clerk"].holders, 5);
    assert_eq!(before.blast_radius.members, 5);
    let written = world.live(replaced);
    assert!(written.changed);
    let held = |user| world.held(acme, user);
    assert_eq!(held(primary), ["billing/editor"]);
    assert_eq!(held(further), ["billing/viewer", "billing/editor"]);
    assert_eq!(held(both), ["billing/editor"]);
    assert_eq!(held(other_way), ["billing/editor"]);
    assert_eq!(held(two_further), ["billing/viewer", "billing/editor"]);
    // The replacement may stay in the manifest: it changes nothing any more.
    assert!(!world.live(replaced).changed);
}

const DEPLOY: &str = r#"{
  "service": "deploy",
  "permissions": { "release": { "start": "Roll out" } },
  "roles": { "captain": { "permissions": ["release:start", "billing:invoice:read"] } }
}"#;

fn a_role_grants_another_services_permission_only_while_that_service_allows_it(world: &World) {
    assert_eq!(codes(world.apply(DEPLOY)), ["unknown-permission"]);
    let closed = BILLING.replace("[\"deploy\"]", "[]");
    world.live(&closed);
    let refused = conflicts(world.apply(DEPLOY));
    assert_eq!(refused[0].code(), "not-grantable");
    assert_eq!(
        Problem::from(SyncError::Conflicts(refused)).errors[0].pointer,
        "/roles/captain/permissions"
    );
    world.live(BILLING);
    world.live(DEPLOY);
    // What is in use stays: the grant, and the permission itself.
    assert_eq!(codes(world.apply(&closed)), ["grantee-still-grants"]);
    let without_read = r#"{
      "service": "billing", "version": 2, "permissions": { "invoice": { "write": null } },
      "grantable_by": ["deploy"]
    }"#;
    assert_eq!(
        codes(world.apply(without_read)),
        ["permission-still-granted"]
    );
    world.live(&DEPLOY.replace(", \"billing:invoice:read\"", ""));
    world.live(without_read);
}

fn who_may_give_a_role_must_be_a_permission_that_exists(world: &World) {
    let role = |guard: &str| {
        format!(
            r#"{{"service":"a","permissions":{{}},"roles":{{"r":{{"permissions":[],"assignable_by":"{guard}"}}}}}}"#
        )
    };
    let auth = r#"{"service":"auth","permissions":{"team":{"lead":null}}}"#;
    assert_eq!(
        codes(world.apply(&role("auth:team:lead"))),
        ["unknown-permission"]
    );
    world.live(auth);
    world.live(&role("auth:team:lead"));
    let without = r#"{"service":"auth","permissions":{}}"#;
    assert_eq!(codes(world.apply(without)), ["permission-still-assigns"]);
}

fn an_apply_bound_to_a_plan_happens_as_planned_or_not_at_all(world: &World) {
    let first = world.plan(BILLING, MemberPage::default());
    let bound = Sync {
        bound_to: Some(first.hash),
        ..request(manifest(BILLING))
    };
    // Somebody else is faster.
    world.live(r#"{"service":"billing","permissions":{"other":{"x":null}}}"#);
    let rows = world.rows();
    let Err(SyncError::PlanChanged { now }) = world.sync(&bound) else {
        panic!("applied");
    };
    assert_eq!(world.rows(), rows);
    assert_eq!(world.plan(BILLING, MemberPage::default()).hash, now);
    let again = Sync {
        bound_to: Some(now),
        ..bound
    };
    world.sync(&again).unwrap();
    // A retry after a lost answer is fine.
    assert!(world.sync(&again).unwrap().value.plan.is_empty());
}

fn the_blast_radius_counts_members_over_all_their_roles_and_pages_through_them(world: &World) {
    world.live(BILLING);
    world.live(DEPLOY);
    let acme = world.organization("acme");
    let other = world.organization("other");
    let mut expected: BTreeSet<UserId> = (0..7)
        .map(|_| world.member(acme, &["billing/viewer"]))
        .collect();
    expected.extend((0..3).map(|_| world.member(other, &["deploy/captain", "billing/clerk"])));
    // Keeps what it has through a role of another service.
    world.member(other, &["billing/viewer", "deploy/captain"]);
    // The viewer loses `read`; the clerk loses `void` and keeps `read` through the captain.
    let wanted = r#"{
      "service": "billing", "version": 2,
      "permissions": { "invoice": { "read": "See", "write": "Change", "send": null } },
      "roles": {
        "viewer": { "permissions": [] },
        "clerk": { "permissions": ["invoice:write", "invoice:send"] }
      },
      "scopes": { "billing:read": ["*:read"] },
      "grantable_by": ["deploy"]
    }"#;
    let rows = world.rows();
    let mut seen = BTreeSet::new();
    let mut after = None;
    loop {
        let planned = world.plan(wanted, MemberPage { after, limit: 4 });
        let radius = planned.blast_radius;
        assert_eq!((radius.members, radius.gaining, radius.losing), (10, 3, 10));
        assert_eq!(radius.roles["viewer"].holders, 8);
        assert_eq!(radius.roles["clerk"].holders, 3);
        for member in &radius.page {
            assert!(seen.insert(member.user), "shown twice");
            let loses: Vec<_> = member.loses.iter().map(ToString::to_string).collect();
            if member.organization == acme {
                assert_eq!(loses, ["billing:invoice:read"]);
                assert!(member.gains.is_empty());
            } else {
                assert_eq!(loses, ["billing:invoice:void"]);
                assert_eq!(member.gains[0].to_string(), "billing:invoice:send");
            }
        }
        let Some(next) = radius.next else { break };
        after = Some(next.parse().unwrap());
    }
    assert_eq!(seen, expected);
    assert_eq!(world.rows(), rows, "a dry run writes nothing");
}

fn a_dry_run_shows_what_would_stand_in_the_way(world: &World) {
    world.live(BILLING);
    let acme = world.organization("acme");
    world.member(acme, &["billing/clerk"]);
    let planned = world.plan(
        r#"{"service":"billing","permissions":{}}"#,
        MemberPage::default(),
    );
    let codes: Vec<_> = planned.conflicts.iter().map(Conflict::code).collect();
    assert_eq!(codes, ["newer-manifest-live", "role-still-held"]);
    assert_eq!(planned.blast_radius.losing, 1);
}

fn syncs_at_once_leave_one_of_them_whole(world: &World) {
    world.live(BILLING);
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let barrier = &barrier;
            scope.spawn(move || {
                let json = BILLING
                    .replace("\"version\": 1", &format!("\"version\": {}", 2 + number))
                    .replace("\"void\": null", &format!("\"void{number}\": null"));
                barrier.wait();
                match world.apply(&json) {
                    Ok(_) => {}
                    Err(SyncError::Conflicts(conflicts)) => {
                        assert_eq!(conflicts[0].code(), "newer-manifest-live");
                    }
                    Err(other) => panic!("{other}"),
                }
            });
        }
    });
    // The newest version always wins, whatever the order.
    let newest = BILLING
        .replace("\"version\": 1", "\"version\": 9")
        .replace("\"void\": null", "\"void7\": null");
    assert!(!world.live(&newest).changed);
    assert!(world.plan(&newest, MemberPage::default()).plan.is_empty());
}

fn a_manifest_at_the_limits_is_applied_and_then_only_what_differs_is_touched(world: &World) {
    let large = |extra: &str| {
        let mut json = String::from(r#"{"service":"big","permissions":{"#);
        for resource in 0..100 {
            let comma = if resource == 0 { "" } else { "," };
            write!(json, "{comma}\"r{resource}\":{{").unwrap();
            for action in 0..100 {
                let comma = if action == 0 { "" } else { "," };
                write!(json, "{comma}\"a{action}\":\"Action {action}\"").unwrap();
            }
            json.push('}');
        }
        json.push_str("},\"roles\":{");
        for role in 0..1000 {
            let comma = if role == 0 { "" } else { "," };
            let extra = if role == 7 { extra } else { "" };
            write!(
                json,
                "{comma}\"role{role}\":{{\"permissions\":[\"r{}:*\"{extra}]}}",
                role % 100
            )
            .unwrap();
        }
        json.push_str("}}");
        json
    };
    let json = large("");
    assert_eq!(
        manifest(&json).declared.permissions.len(),
        limits::MAX_PERMISSIONS
    );
    world.live(&json);
    let count = |table: &str| {
        let rows = world.read(|tx| tx.rows(&format!("SELECT count(*) FROM {table}"), &[]));
        rows[0].int(0).unwrap()
    };
    assert_eq!(count("permissions"), 10_000);
    assert_eq!(count("roles"), 1_000);
    assert_eq!(count("role_permissions"), 100_000);
    assert!(!world.live(&json).changed);

    let more = large(",\"r8:a1\"");
    let ids =
        |world: &World| world.read(|tx| tx.rows("SELECT id FROM permissions ORDER BY id", &[]));
    let before = ids(world);
    let written = world.live(&more);
    assert_eq!(written.value.plan.roles.changed.len(), 1);
    assert_eq!(count("role_permissions"), 100_001);
    assert_eq!(ids(world), before, "ids outlive a sync");
}

fn lists_come_in_pages(world: &World) {
    world.live(BILLING);
    world.live(DEPLOY);
    let services = world.read(|tx| services_page(tx, None, 1));
    assert_eq!(services.items[0].service.as_str(), "billing");
    let after = services.next.unwrap().parse().unwrap();
    let services = world.read(|tx| services_page(tx, Some(&after), 1));
    assert_eq!(services.items[0].service.as_str(), "deploy");
    assert_eq!(services.next, None);

    let service = "billing".parse().unwrap();
    let roles = world.read(|tx| roles_page(tx, &service, None, 1));
    assert_eq!(roles.items[0].role.to_string(), "billing/clerk");
    assert_eq!(roles.items[0].permissions.len(), 3);
    assert_eq!(roles.next.as_deref(), Some("clerk"));

    let first = world.read(|tx| permissions_page(tx, &service, None, 2));
    assert_eq!(first.next.as_deref(), Some("invoice:void"));
    let (resource, action) = ("invoice".parse().unwrap(), "void".parse().unwrap());
    let rest = world.read(|tx| permissions_page(tx, &service, Some((&resource, &action)), 2));
    assert_eq!(rest.items.len(), 1);
}

prop_compose! {
    fn any_manifest()(
        permissions in proptest::collection::btree_map(0..5u8, 0..3u8, 0..5),
        roles in proptest::collection::btree_map(0..4u8, proptest::collection::btree_set(0..5u8, 0..5), 0..4),
        scope in any::<bool>(),
        grantable in any::<bool>(),
    ) -> String {
        let mut declared = serde_json::Map::new();
        for (number, text) in &permissions {
            declared.insert(format!("a{number}"), match text {
                0 => serde_json::Value::Null,
                1 => "One".into(),
                _ => serde_json::json!({ "deprecated": true }),
            });
        }
        let roles: serde_json::Map<_, _> = roles.into_iter().map(|(number, granted)| {
            let granted: Vec<_> = granted.iter().filter(|n| permissions.contains_key(n)).map(|n| format!("x:a{n}")).collect();
            (format!("role{number}"), serde_json::json!({ "permissions": granted }))
        }).collect();
        let mut json = serde_json::json!({ "service": "svc", "permissions": { "x": declared }, "roles": roles });
        if scope && !permissions.is_empty() {
            json["scopes"] = serde_json::json!({ "s": ["x:*"] });
        }
        if grantable {
            json["grantable_by"] = serde_json::json!(["other"]);
        }
        json.to_string()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn after_any_history_the_rows_say_what_the_last_manifest_says(history in proptest::collection::vec(any_manifest(), 1..6)) {
        let world = World::sqlite();
        for json in &history {
            world.live(json);
            let again = world.plan(json, MemberPage::default());
            prop_assert!(again.plan.is_empty(), "{:?}", again.plan);
            prop_assert!(!world.live(json).changed);
        }
    }
}

/// The example manifests in the order in which they can be applied.
fn examples() -> Vec<(&'static str, Manifest)> {
    [
        "documents.yaml",
        "billing.json",
        "deploy.toml",
        "kubernetes.yaml",
        "github.yaml",
    ]
    .into_iter()
    .map(|name| {
        let path = format!("{}/examples/manifests/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let read = match name.rsplit_once('.').unwrap().1 {
            "yaml" => from_deserializer(serde_norway::Deserializer::from_str(&text), None),
            "toml" => from_deserializer(toml::Deserializer::parse(&text).unwrap(), None),
            _ => from_json(text.as_bytes(), None),
        };
        (name, read.unwrap_or_else(|error| panic!("{name}: {error}")))
    })
    .collect()
}

fn every_example_manifest_is_planned_and_applied(world: &World) {
    world
        .sync(&request(auth_manifest().unwrap()))
        .expect("the built-in manifest");
    for (name, manifest) in examples() {
        let planned = world.read(|tx| plan_in(tx, &manifest, false, MemberPage::default()));
        assert_eq!(planned.conflicts, [], "{name}");
        assert_eq!(
            planned.plan.warnings.len(),
            usize::from(name == "billing.json") * 2,
            "{name}"
        );
        world.sync(&request(manifest)).unwrap();
    }
}

#[test]
fn the_kubernetes_example_says_what_the_bootstrap_policy_says() {
    let (_, manifest) = examples().swap_remove(3);
    let role = |name: &str| &manifest.declared.roles[name].permissions;
    let (view, edit, admin) = (role("view"), role("edit"), role("admin"));
    assert_eq!((view.len(), edit.len(), admin.len()), (168, 382, 399));
    assert!(view.is_subset(edit) && edit.is_subset(admin));
    let grants = |permissions: &BTreeSet<PermissionKey>, text: &str| {
        permissions.contains(&format!("kubernetes:{text}").parse().unwrap())
    };
    assert!(grants(view, "pods/log:get") && !grants(view, "secrets:get"));
    assert!(grants(edit, "secrets:get") && grants(edit, "deployments.apps/scale:update"));
    assert!(!grants(
        edit,
        "rolebindings.rbac.authorization.k8s.io:create"
    ));
    assert!(grants(
        admin,
        "rolebindings.rbac.authorization.k8s.io:create"
    ));
    assert!(!grants(admin, "resourcequotas:update"));
}

#[test]
fn each_github_role_includes_the_one_before_it() {
    let (_, manifest) = examples().swap_remove(4);
    let roles = ["read", "triage", "write", "maintain", "admin"]
        .map(|name| &manifest.declared.roles[name].permissions);
    for pair in roles.windows(2) {
        assert!(pair[0].is_subset(pair[1]) && pair[0].len() < pair[1].len());
    }
    assert_eq!(roles[4].len(), manifest.declared.permissions.len());
}
