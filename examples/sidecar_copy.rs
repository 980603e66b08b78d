//! Makes a sidecar's data directory without an authority, from a world of `gen.py`:
//!
//! ```sh
//! cargo run --release --example sidecar_copy -- WORLD OUT
//! doorward-sidecar serve --data OUT
//! ```
//!
//! `WORLD/opa-data.json` holds members and role permissions. `OUT/policies` gets one hand-written
//! policy that has a say about every action, to measure with.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "an example stops where something is missing"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use doorward::crypto::sign::FeedSigner;
use doorward::domain::{Chain, Epoch, FeedName, PlainToken, Position, Revision, Timestamp};
use doorward::protocol::feed::Cell;
use doorward::sidecar::enrolment::Enrolment;
use doorward::store::replica::Builder;
use doorward::store::replicated::{REPLICATED, Table};

#[derive(Deserialize)]
struct World {
    members: BTreeMap<Uuid, BTreeMap<Uuid, String>>,
    role_permissions: BTreeMap<String, BTreeMap<String, bool>>,
}

const POLICY: &str = r#"@id("frozen")
forbid (principal, action, resource) when { context has frozen && context.frozen };
"#;

fn id(value: Uuid) -> Cell {
    Cell::Bytes(value.as_bytes().to_vec())
}

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

fn table(name: &str) -> &'static Table {
    REPLICATED.iter().find(|table| table.name == name).unwrap()
}

fn numbered(kind: u128, number: usize) -> Uuid {
    Uuid::from_u128((kind << 64) + number as u128)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (world, out) = (arguments.next().unwrap(), arguments.next().unwrap());
    let out = Path::new(&out);
    let text_of_world = fs::read_to_string(Path::new(&world).join("opa-data.json")).unwrap();
    let world: World = serde_json::from_str(&text_of_world).unwrap();
    fs::create_dir_all(out.join("policies")).unwrap();
    fs::write(out.join("policies/frozen.cedar"), POLICY).unwrap();
    fs::write(
        out.join("policies/attributes.toml"),
        "[context]\nfrozen = \"Bool\"\n",
    )
    .unwrap();

    let feed_key = FeedSigner::from_seed(&[1; 32]).unwrap().public();
    let position = Position {
        feed: FeedName::Authz,
        epoch: Epoch::from_uuid(Uuid::from_u128(1)),
        revision: Revision::new(1),
        chain: Chain::ZERO.extend(Revision::new(1), b""),
    };
    let path = out.join(format!("copy-{}-1.db", position.epoch));
    let mut builder = Builder::create(&path, position, &feed_key).unwrap();
    let mut insert = |name: &str, cells: &[Cell]| builder.insert(table(name), cells).unwrap();

    let mut permissions = BTreeMap::new();
    for (permission, _) in world.role_permissions.values().flatten() {
        let next = permissions.len();
        permissions.entry(permission.as_str()).or_insert(next);
    }
    for (permission, number) in &permissions {
        let (resource, action) = permission.split_once(':').unwrap();
        let key = id(numbered(2, *number));
        insert(
            "permissions",
            &[key, text("svc"), text(resource), text(action)],
        );
    }
    let mut roles = BTreeMap::new();
    for (number, (role, granted)) in world.role_permissions.iter().enumerate() {
        let key = numbered(3, number);
        roles.insert(role.as_str(), key);
        insert("roles", &[id(key), text("svc"), text(role)]);
        for permission in granted.keys() {
            let permission = numbered(2, permissions[permission.as_str()]);
            insert("role_permissions", &[id(key), id(permission)]);
        }
    }
    let mut members = 0_u64;
    for (number, (organization, users)) in world.members.iter().enumerate() {
        insert(
            "organizations",
            &[id(*organization), text(&format!("org-{number}"))],
        );
        for (user, role) in users {
            let role = id(roles[role.as_str()]);
            insert(
                "organization_members",
                &[id(*organization), id(*user), role],
            );
            members += 1;
        }
    }
    builder.finish(Timestamp::EPOCH).unwrap();
    Enrolment {
        authority: "http://127.0.0.1:9".parse().unwrap(),
        client_id: "measured".parse().unwrap(),
        client_secret: PlainToken::presented("none".to_owned()),
        feed_key,
        ca_file: None,
    }
    .save(out)
    .unwrap();
    println!("{members} members in {}", path.display());
}
