//! Checks in process, from body to answer: hit, miss, depends, batch. Access tokens: known, to be
//! looked at again, and to be verified.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench stops where something is missing"
)]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::json;
use uuid::Uuid;

use doorward::crypto::sign::{AccessTokenSigner, FeedSigner};
use doorward::domain::{
    Chain, ClientId, Epoch, FeedName, GrantId, OrganizationId, Position, Revision, SessionId,
    Timestamp, UserId,
};
use doorward::policy::{Attributes, CustomPolicies};
use doorward::protocol::feed::Cell;
use doorward::protocol::jose::{AccessTokenClaims, Audience};
use doorward::runtime::{Clock as _, SystemClock};
use doorward::sidecar::config::{CacheSizes, Mapping};
use doorward::sidecar::decide::{Check, Properties, Worker, decide};
use doorward::sidecar::http::{Terms, evaluation, evaluations};
use doorward::sidecar::tokens::{self, Rules};
use doorward::sidecar::view::State;
use doorward::store::replica::Builder;
use doorward::store::replicated::REPLICATED;

const MEMBERS: u128 = 10_000;
const POLICY: &str = "@id(\"frozen\") forbid (principal, action, resource) when { context has \
                      frozen && context.frozen };";

fn organization(n: u128) -> OrganizationId {
    OrganizationId::from_u128((1 << 64) + n / 20)
}

fn user(n: u128) -> UserId {
    UserId::from_u128((2 << 64) + n)
}

fn id(value: u128) -> Cell {
    Cell::Bytes(value.to_be_bytes().to_vec())
}

fn copy(folder: &tempfile::TempDir, signer: &AccessTokenSigner) -> std::path::PathBuf {
    let path = folder.path().join("copy.db");
    let position = Position {
        feed: FeedName::Authz,
        epoch: Epoch::from_uuid(Uuid::from_u128(1)),
        revision: Revision::new(1),
        chain: Chain::ZERO.extend(Revision::new(1), b""),
    };
    let key = FeedSigner::from_seed(&[1; 32]).unwrap().public();
    let mut builder = Builder::create(&path, position, &key).unwrap();
    let mut insert = |number: u16, cells: &[Cell]| {
        let table = REPLICATED.iter().find(|table| table.id == number).unwrap();
        builder.insert(table, cells).unwrap();
    };
    let text = |value: &str| Cell::Text(value.to_owned());
    for n in 0..40 {
        let name = format!("a{n}");
        insert(2, &[id(n), text("svc"), text("res"), text(&name)]);
    }
    for r in 0..10 {
        insert(3, &[id(r), text("svc"), text(&format!("role{r}"))]);
        for p in 0..10 {
            insert(4, &[id(r), id((r * 3 + p) % 40)]);
        }
    }
    for n in 0..MEMBERS {
        let (organization, user) = (organization(n).as_u128(), user(n).as_u128());
        insert(5, &[id(organization), id(user), id(n % 10)]);
    }
    let jwk = serde_json::to_string(signer.jwk()).unwrap();
    let kid = &signer.jwk().kid;
    insert(11, &[kid, "access_token", "ES256", &jwk].map(text));
    builder.finish(Timestamp::EPOCH).unwrap();
    path
}

fn state(path: &std::path::Path, custom: CustomPolicies, members: u64) -> State {
    let sizes = CacheSizes {
        members,
        ..CacheSizes::default()
    };
    let state = State::new(&sizes, Mapping::default(), custom, Arc::new(SystemClock)).unwrap();
    state.adopt(path).unwrap();
    state
}

fn body(n: u128) -> Vec<u8> {
    json!({
        "subject": {"type": "user", "id": user(n).to_string()},
        "action": {"name": format!("a{}", n % 40)},
        "resource": {"type": "svc:res", "id": "7"},
        "context": {"organization": organization(n).to_string()},
    })
    .to_string()
    .into_bytes()
}

fn batch(size: u128) -> Vec<u8> {
    let actions: Vec<_> = (0..size)
        .map(|n| json!({"action": {"name": format!("a{}", n % 40)}}))
        .collect();
    let mut batch: serde_json::Value = serde_json::from_slice(&body(0)).unwrap();
    batch["evaluations"] = json!(actions);
    batch.to_string().into_bytes()
}

fn checks(criterion: &mut Criterion) {
    let folder = tempfile::TempDir::new().unwrap();
    let path = copy(&folder, &AccessTokenSigner::generate().unwrap());
    let bodies: Vec<Vec<u8>> = (0..1000).map(body).collect();
    let terms = Terms::default();
    let mut group = criterion.benchmark_group("sidecar");

    let warm = state(&path, CustomPolicies::none(), 100_000);
    let mut worker = Worker::new(&warm);
    let mut turn = bodies.iter().cycle();
    group.bench_function("evaluation/hit", |b| {
        b.iter(|| evaluation(&warm, &mut worker, &terms, black_box(turn.next().unwrap())));
    });
    let view = warm.view();
    let mut number = (0..1000_u128).cycle();
    group.bench_function("decide/hit", |b| {
        b.iter(|| {
            let n = number.next().unwrap();
            let check = Check {
                user: user(n),
                organization: organization(n),
                resource_type: "svc:res".into(),
                action: "a1",
                resource_id: "7",
                properties: Properties::default(),
            };
            decide(&warm, &view, &mut worker, black_box(&check))
        });
    });
    group.bench_function("evaluation/miss", |b| {
        let mut turn = (0..1000_u128).cycle();
        b.iter_batched(
            || turn.next().unwrap(),
            |n| {
                worker.evict(&warm, organization(n), user(n));
                evaluation(&warm, &mut worker, &terms, &bodies[n as usize])
            },
            BatchSize::SmallInput,
        );
    });
    for size in [10, 100] {
        let batch = batch(size);
        group.bench_function(format!("evaluations/{size}"), |b| {
            b.iter(|| evaluations(&warm, &mut worker, &terms, black_box(&batch)));
        });
    }

    let attributes = Attributes::parse("a", "[context]\nfrozen = \"Bool\"\n").unwrap();
    let files = vec![("frozen.cedar".to_owned(), POLICY.to_owned())];
    let custom = CustomPolicies::parse(files, attributes).unwrap();
    let depends = state(&path, custom, 100_000);
    let mut worker = Worker::new(&depends);
    let mut turn = bodies.iter().cycle();
    group.bench_function("depends/kept", |b| {
        b.iter(|| {
            evaluation(
                &depends,
                &mut worker,
                &terms,
                black_box(turn.next().unwrap()),
            )
        });
    });
    let mut number = 0_u64;
    group.bench_function("depends/asked", |b| {
        b.iter_batched(
            || {
                number += 1;
                String::from_utf8(bodies[(number % 1000) as usize].clone())
                    .unwrap()
                    .replace("\"id\":\"7\"", &format!("\"id\":\"{number}\""))
            },
            |body| evaluation(&depends, &mut worker, &terms, body.as_bytes()),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn token(signer: &AccessTokenSigner, n: u128) -> String {
    let now = SystemClock.now().unix_seconds();
    let claims = AccessTokenClaims {
        iss: "https://id.example".to_owned(),
        sub: user(n).to_string(),
        aud: Audience::One("https://api.example".to_owned()),
        exp: now + 3600,
        iat: now,
        nbf: None,
        jti: n.to_string(),
        client_id: "board".parse().unwrap(),
        scope: "openid profile svc:read svc:write".to_owned(),
        dw_epoch: 0,
        dw_client_epoch: Some(0),
        dw_client: Some(ClientId::from_u128(3 << 64)),
        dw_org: None,
        sid: Some(SessionId::from_u128((4 << 64) + n)),
        gid: Some(GrantId::from_u128((5 << 64) + n)),
        cnf: None,
    };
    signer.sign(&claims).unwrap()
}

fn access_tokens(criterion: &mut Criterion) {
    let folder = tempfile::TempDir::new().unwrap();
    let signer = AccessTokenSigner::generate().unwrap();
    let state = state(&copy(&folder, &signer), CustomPolicies::none(), 100_000);
    let tokens: Vec<String> = (0..1000).map(|n| token(&signer, n)).collect();
    let rules = Rules {
        issuer: "https://id.example".to_owned(),
        audiences: vec!["https://api.example".to_owned()],
    };
    let mut worker = Worker::new(&state);
    let mut group = criterion.benchmark_group("token");
    let mut turn = tokens.iter().cycle();
    group.bench_function("hit", |b| {
        b.iter(|| tokens::verify(&state, &mut worker, &rules, black_box(turn.next().unwrap())));
    });
    let mut turn = tokens.iter().cycle();
    group.bench_function("miss", |b| {
        b.iter_batched(
            || turn.next().unwrap(),
            |token| {
                tokens::evict(&state, token);
                tokens::verify(&state, &mut worker, &rules, black_box(token)).unwrap()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, checks, access_tokens);
criterion_main!(benches);
