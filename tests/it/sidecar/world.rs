//! A copy fed with frames, and a sidecar over it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorward::crypto::sign::FeedSigner;
use doorward::domain::{
    Chain, Epoch, FeedName, OrganizationId, PermissionId, Position, Revision, RoleId, Timestamp,
    UserId,
};
use doorward::policy::CustomPolicies;
use doorward::protocol::feed::{Cell, EPOCH_JUMP, Frame, Op, SealedFrame};
use doorward::runtime::config::Environment;
use doorward::runtime::tasks::Tasks;
use doorward::runtime::{ManualClock, SeededEntropy};
use doorward::sidecar::app::Sidecar;
use doorward::sidecar::config::{CacheSizes, Config, Listener, Mapping};
use doorward::sidecar::decide::Worker;
use doorward::sidecar::http::{Terms, evaluation, evaluations};
use doorward::sidecar::view::State;
use doorward::store::replica::{Advance, Applied, Builder, NewEpoch, Replica, ReplicaError};
use doorward::store::replicated::RESOURCE_INSTANCES;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use uuid::Uuid;

pub fn organization(n: u128) -> OrganizationId {
    OrganizationId::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + n)
}

pub fn user(n: u128) -> UserId {
    UserId::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + n)
}

pub fn role(n: u128) -> RoleId {
    RoleId::from_u128(0x019A_0000_0000_7000_8000_0000_0000_0000 + n)
}

fn permission(n: u128) -> PermissionId {
    PermissionId::from_u128(0x019B_0000_0000_7000_8000_0000_0000_0000 + n)
}

fn id(value: u128) -> Cell {
    Cell::Bytes(value.to_be_bytes().to_vec())
}

fn text(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

fn put(table: u16, cells: Vec<Cell>) -> Op {
    Op::Put { table, cells }
}

pub fn put_organization(n: u128, slug: &str) -> Op {
    put(1, vec![id(organization(n).as_u128()), text(slug)])
}

pub fn put_permission(n: u128, service: &str, resource: &str, action: &str) -> Op {
    let names = [service, resource, action].map(text);
    let key = id(permission(n).as_u128());
    put(2, std::iter::once(key).chain(names).collect())
}

pub fn remove_permission(n: u128) -> Op {
    Op::Delete {
        table: 2,
        key: vec![id(permission(n).as_u128())],
    }
}

pub fn put_role(n: u128, service: &str, name: &str) -> Op {
    put(3, vec![id(role(n).as_u128()), text(service), text(name)])
}

pub fn grant(r: u128, p: u128) -> Op {
    put(4, vec![id(role(r).as_u128()), id(permission(p).as_u128())])
}

pub fn ungrant(r: u128, p: u128) -> Op {
    Op::Delete {
        table: 4,
        key: vec![id(role(r).as_u128()), id(permission(p).as_u128())],
    }
}

pub fn member(o: u128, u: u128, r: u128) -> Op {
    let key = [
        organization(o).as_u128(),
        user(u).as_u128(),
        role(r).as_u128(),
    ];
    put(5, key.map(id).to_vec())
}

pub fn no_member(o: u128, u: u128) -> Op {
    Op::Delete {
        table: 5,
        key: vec![id(organization(o).as_u128()), id(user(u).as_u128())],
    }
}

pub fn further(o: u128, u: u128, r: u128) -> Op {
    let key = [
        organization(o).as_u128(),
        user(u).as_u128(),
        role(r).as_u128(),
    ];
    put(6, key.map(id).to_vec())
}

pub fn user_state(u: u128, state: &str) -> Op {
    put(7, vec![id(user(u).as_u128()), text(state), Cell::Int(1)])
}

fn instance_key(resource: &str, instance: &str) -> Vec<Cell> {
    vec![text("docs"), text(resource), text(instance)]
}

/// Registers an instance of a resource of `docs`.
pub fn put_instance(resource: &str, instance: &str, o: u128, attributes: &Value) -> Op {
    let mut cells = instance_key(resource, instance);
    cells.push(id(organization(o).as_u128()));
    cells.push(text(&attributes.to_string()));
    put(RESOURCE_INSTANCES, cells)
}

pub fn remove_instance(resource: &str, instance: &str) -> Op {
    Op::Delete {
        table: RESOURCE_INSTANCES,
        key: instance_key(resource, instance),
    }
}

pub fn epoch() -> Epoch {
    Epoch::from_uuid(Uuid::from_u128(0xE0))
}

/// Two organizations; `docs/reader` reads, `docs/editor` reads and writes. User 1 edits in `acme`
/// and reads in `globex`; user 2 reads in `acme`; user 3 is in no organization.
fn facts() -> Vec<Op> {
    vec![
        put_organization(1, "acme"),
        put_organization(2, "globex"),
        put_permission(1, "docs", "page", "read"),
        put_permission(2, "docs", "page", "write"),
        put_permission(3, "docs", "page", "publish"),
        put_role(1, "docs", "reader"),
        put_role(2, "docs", "editor"),
        grant(1, 1),
        grant(2, 1),
        grant(2, 2),
        member(1, 1, 2),
        member(2, 1, 1),
        member(1, 2, 1),
    ]
}

/// A copy, its writer and the state that decides over it.
pub struct World {
    pub replica: Replica,
    pub state: Arc<State>,
    pub clock: Arc<ManualClock>,
    pub folder: TempDir,
}

pub struct Setup {
    pub sizes: CacheSizes,
    pub mapping: Mapping,
    pub custom: CustomPolicies,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sizes: CacheSizes {
                members: 1000,
                front: 64,
                depends_bytes: 1 << 20,
                token_bytes: 1 << 20,
                proof_bytes: 1 << 20,
                instance_bytes: 1 << 20,
                role_sets: 1000,
            },
            mapping: Mapping::default(),
            custom: CustomPolicies::none(),
        }
    }
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_unix_micros(
        1_790_000_000_000_000,
    )))
}

pub fn empty_copy(path: &std::path::Path, epoch: Epoch) -> Replica {
    let start = Position {
        feed: FeedName::Authz,
        epoch,
        revision: Revision::ZERO,
        chain: Chain::ZERO,
    };
    let key = FeedSigner::from_seed(&[1; 32]).unwrap().public();
    let mut builder = Builder::create(path, start, &key).unwrap();
    builder.epoch(epoch, Revision::new(1)).unwrap();
    builder.finish(Timestamp::EPOCH).unwrap()
}

/// Commits one frame to a copy.
pub fn commit(replica: &mut Replica, ops: Vec<Op>) -> Applied {
    let frame = next_frame(replica, ops);
    replica.apply(&Advance::frames(&[frame])).unwrap()
}

fn next_frame(replica: &Replica, ops: Vec<Op>) -> SealedFrame {
    let position = replica.position();
    let payload = Frame { reset: false, ops }.encode();
    let revision = position.revision.next();
    SealedFrame {
        revision,
        chain: position.chain.extend(revision, &payload),
        payload,
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Self {
        let folder = TempDir::new().unwrap();
        let mut replica = empty_copy(&folder.path().join("copy-1.db"), epoch());
        commit(&mut replica, facts());
        let clock = clock();
        let state = State::new(
            &setup.sizes,
            setup.mapping,
            setup.custom,
            Arc::clone(&clock) as _,
        )
        .unwrap();
        state.adopt(replica.path()).unwrap();
        Self {
            replica,
            state: Arc::new(state),
            clock,
            folder,
        }
    }

    pub fn worker(&self) -> Worker {
        Worker::new(&self.state)
    }

    /// The first half of what the follower does: policies are compiled and rows are committed.
    pub fn commit(&mut self, ops: Vec<Op>) -> Result<Applied, ReplicaError> {
        let frame = next_frame(&self.replica, ops);
        let state = &self.state;
        self.replica
            .apply_with(&Advance::frames(&[frame]), &mut |change| {
                state.prepare(change).map_err(|error| error.to_string())
            })
    }

    /// As the follower does: commit, then tell.
    pub fn apply(&mut self, ops: Vec<Op>) -> Applied {
        let applied = self.commit(ops).unwrap();
        self.state.apply(&applied).unwrap();
        applied
    }

    /// A new epoch begins, with one empty frame.
    pub fn begin_epoch(&mut self, epoch: Epoch) -> Position {
        let before = self.replica.position();
        let revision = Revision::new(before.revision.get() + EPOCH_JUMP);
        let payload = Frame::default().encode();
        let frames = [SealedFrame {
            revision,
            chain: before.chain.extend(revision, &payload),
            payload,
        }];
        let advance = Advance {
            epoch: Some(NewEpoch {
                epoch,
                first_revision: revision,
            }),
            ..Advance::frames(&frames)
        };
        let applied = self.replica.apply(&advance).unwrap();
        self.state.apply(&applied).unwrap();
        applied.position
    }

    pub fn ask(&self, worker: &mut Worker, question: &Value) -> Value {
        let body = question.to_string();
        let answer = evaluation(&self.state, worker, &Terms::default(), body.as_bytes()).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    pub fn allowed(&self, worker: &mut Worker, question: &Value) -> bool {
        self.ask(worker, question)["decision"].as_bool().unwrap()
    }

    pub fn ask_batch(&self, worker: &mut Worker, batch: &Value) -> Value {
        let body = batch.to_string();
        let answer = evaluations(&self.state, worker, &Terms::default(), body.as_bytes()).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

/// "May `u` do `action` on a page in `o`?"
pub fn question(o: &str, u: u128, action: &str) -> Value {
    json!({
        "subject": {"type": "user", "id": user(u).to_string()},
        "action": {"name": action},
        "resource": {"type": "docs:page", "id": "p1"},
        "context": {"organization": o},
    })
}

/// A sidecar that listens on a free loopback port and on a Unix socket, over a world's copy.
pub struct Running {
    pub sidecar: Sidecar,
    pub tasks: Tasks,
    pub socket: PathBuf,
    pub clock: Arc<ManualClock>,
    pub replica: Replica,
    _folder: TempDir,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Running {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    #[expect(
        clippy::unused_async,
        reason = "callers await a start, as with every other daemon of the tests"
    )]
    pub async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut replica = empty_copy(&folder.path().join("copy-1.db"), epoch());
        commit(&mut replica, facts());
        let socket = folder.path().join("check.sock");
        let mut config = Config::for_data(folder.path());
        config.workers = 2;
        config.at_least_wait = Duration::from_secs(20);
        config.listeners = [
            "127.0.0.1:0".to_owned(),
            format!("unix:{}", socket.display()),
        ]
        .iter()
        .map(|address| Listener::at(address.parse().unwrap()))
        .collect();
        adjust(&mut config);
        let (tasks, clock) = (Tasks::new(), clock());
        let entropy = Arc::new(SeededEntropy::new(7));
        let sidecar = Sidecar::start(
            &config,
            None,
            (Arc::clone(&clock) as _, entropy),
            &Environment::default(),
            &tasks,
        )
        .unwrap();
        sidecar.state().adopt(replica.path()).unwrap();
        Self {
            sidecar,
            tasks,
            socket,
            clock,
            replica,
            _folder: folder,
        }
    }

    pub fn apply(&mut self, ops: Vec<Op>) -> Applied {
        let applied = commit(&mut self.replica, ops);
        self.sidecar.state().apply(&applied).unwrap();
        applied
    }

    /// Sends raw bytes over TCP and reads one answer.
    pub async fn raw(&self, request: &str) -> Reply {
        let address = self.sidecar.bound()[0].tcp().unwrap();
        exchange(
            tokio::net::TcpStream::connect(address).await.unwrap(),
            request,
        )
        .await
    }

    pub async fn raw_unix(&self, request: &str) -> Reply {
        let stream = tokio::net::UnixStream::connect(&self.socket).await.unwrap();
        exchange(stream, request).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.raw(&get(path)).await
    }

    pub async fn get_unix(&self, path: &str) -> Reply {
        self.raw_unix(&get(path)).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Reply {
        self.raw(&post(path, "", body)).await
    }

    pub async fn post_with(&self, path: &str, headers: &str, body: &str) -> Reply {
        self.raw(&post(path, headers, body)).await
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

/// `headers`: each with its line end.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> Reply {
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {answer:?}"));
    Reply {
        status: head[9..12].parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
