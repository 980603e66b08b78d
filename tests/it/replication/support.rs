//! An authority's feed on loopback, a wire that can be cut, a sidecar's follower.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use doorward::crypto::sign::FeedSigner;
use doorward::domain::{PlainToken, Position, Revision, Timestamp};
use doorward::protocol::feed::Cell;
use doorward::replication::client::ClientConfig;
use doorward::replication::consumer::{Follower, FollowerConfig, SCRUB_EVERY, Sink};
use doorward::replication::endpoint;
use doorward::replication::stream::{FeedBody, Guard};
use doorward::replication::supplier::{Supplier, SupplierConfig};
use doorward::runtime::{Clock, Entropy, ManualClock, SeededEntropy, SystemEntropy, tasks::Tasks};
use doorward::store::replica::{Applied, Replica};
use doorward::store::replicated::REPLICATED;
use doorward::store::{Store, StoreConfig, StoreError, StoreLimits, Tx, Val, feed};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use uuid::Uuid;

/// Longer than any test needs: a guard against waiting for ever, not a measurement.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub fn signer() -> Arc<FeedSigner> {
    Arc::new(FeedSigner::from_seed(&[7; 32]).unwrap())
}

pub fn id(number: u8) -> Uuid {
    Uuid::from_bytes([number; 16])
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_unix_micros(
        1_790_000_000_000_000,
    )))
}

/// An authority without its API: store and supplier, served on loopback.
pub struct Authority {
    pub folder: TempDir,
    pub store: Store,
    pub supplier: Arc<Supplier>,
    pub clock: Arc<ManualClock>,
    pub tasks: Tasks,
    pub address: SocketAddr,
    pub allowed: Arc<AtomicBool>,
    pub snapshots_asked: Arc<AtomicU64>,
}

pub fn open_store(config: &StoreConfig, rows_max: usize) -> Store {
    let limits = StoreLimits {
        frame_rows_max: rows_max,
    };
    Store::open_with(config, limits, &*clock(), &SystemEntropy::default()).unwrap()
}

fn file_in(folder: &Path) -> StoreConfig {
    StoreConfig::Sqlite {
        path: folder.join("authority.db"),
    }
}

/// A fresh database on each engine there is.
pub fn engines() -> Vec<Engine> {
    let postgres = crate::support::postgres::database();
    std::iter::once(Engine(None))
        .chain(postgres.map(|config| Engine(Some(config))))
        .collect()
}

/// A database for an authority: a file in its folder, or a server's.
#[derive(Clone, Debug)]
pub struct Engine(Option<StoreConfig>);

impl Authority {
    pub async fn start() -> Self {
        Self::start_with(50_000, |_| {}).await
    }

    pub async fn start_with(rows_max: usize, configure: impl FnOnce(&mut SupplierConfig)) -> Self {
        let folder = crate::support::directory();
        Self::start_in(folder, rows_max, configure).await
    }

    pub async fn start_in(
        folder: TempDir,
        rows_max: usize,
        configure: impl FnOnce(&mut SupplierConfig),
    ) -> Self {
        Self::start_whole(folder, &Engine(None), rows_max, configure).await
    }

    pub async fn start_on(
        engine: &Engine,
        rows_max: usize,
        configure: impl FnOnce(&mut SupplierConfig),
    ) -> Self {
        Self::start_whole(crate::support::directory(), engine, rows_max, configure).await
    }

    async fn start_whole(
        folder: TempDir,
        engine: &Engine,
        rows_max: usize,
        configure: impl FnOnce(&mut SupplierConfig),
    ) -> Self {
        let path = folder.path().to_owned();
        let database = engine.0.clone().unwrap_or_else(|| file_in(&path));
        let clock = clock();
        let tasks = Tasks::new();
        let mut config = SupplierConfig::new(path.join("feed"));
        config.heartbeat = Duration::from_millis(20);
        configure(&mut config);
        let (shared, own, opened) = (Arc::clone(&clock), tasks.clone(), config);
        let (store, supplier) = std::thread::spawn(move || {
            let store = open_store(&database, rows_max);
            let supplier = Supplier::open(
                store.clone(),
                signer(),
                shared as Arc<dyn Clock>,
                &own,
                opened,
            );
            (store, supplier.unwrap())
        })
        .join()
        .unwrap();
        supplier.start().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = Self {
            folder,
            store,
            supplier,
            clock,
            tasks,
            address: listener.local_addr().unwrap(),
            allowed: Arc::new(AtomicBool::new(true)),
            snapshots_asked: Arc::default(),
        };
        authority.serve(listener);
        authority
    }

    fn serve(&self, listener: TcpListener) {
        let supplier = Arc::clone(&self.supplier);
        let clock = Arc::clone(&self.clock);
        let (allowed, asked) = (Arc::clone(&self.allowed), Arc::clone(&self.snapshots_asked));
        let answer = move |request: Request<Incoming>| {
            let (supplier, allowed, asked) = (
                Arc::clone(&supplier),
                Arc::clone(&allowed),
                Arc::clone(&asked),
            );
            let clock = Arc::clone(&clock);
            async move {
                let query = request.uri().query().unwrap_or_default().to_owned();
                match request.uri().path() {
                    "/oauth2/token" => token(),
                    "/v1/feeds/authz/changes" => {
                        let guard = Guard {
                            expires_at: Some(clock.now().plus(Duration::from_mins(10))),
                            allowed: Box::new(move || {
                                let allowed = allowed.load(Ordering::SeqCst);
                                Box::pin(async move { allowed })
                            }),
                        };
                        endpoint::changes(&supplier, "sidecar", &query, guard).await
                    }
                    "/v1/feeds/authz/snapshot" => {
                        asked.fetch_add(1, Ordering::SeqCst);
                        endpoint::snapshot(&supplier, &query, request.headers()).await
                    }
                    "/v1/feeds/authz/acks" => {
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        endpoint::acknowledge(&supplier, "sidecar", &body)
                    }
                    other => panic!("{other}"),
                }
            }
        };
        let tasks = self.tasks.clone();
        self.tasks.spawn("accept", accept(listener, tasks, answer));
    }

    /// Changes the store in one transaction of raw statements.
    pub async fn change(
        &self,
        f: impl Fn(&mut dyn Tx) -> Result<(), StoreError> + Send + 'static,
    ) -> Position {
        self.store.write(move |tx| f(tx)).await.unwrap().position
    }

    pub fn head(&self) -> Position {
        *self.store.subscribe().borrow()
    }

    pub async fn scan(&self) -> Vec<Vec<Vec<Cell>>> {
        scan(&self.store).await
    }

    pub async fn stop(self) -> TempDir {
        let _ = self.tasks.shutdown(PATIENCE).await;
        self.folder
    }
}

/// All replicated rows of a store, table by table.
pub async fn scan(store: &Store) -> Vec<Vec<Vec<Cell>>> {
    store
        .read(|tx| {
            REPLICATED
                .iter()
                .map(|table| {
                    let mut rows = Vec::new();
                    feed::scan(tx, table, &mut |row| rows.push(row))?;
                    rows.sort();
                    Ok::<_, StoreError>(rows)
                })
                .collect()
        })
        .await
        .unwrap()
}

/// All rows of a copy, table by table, after its own checks.
pub fn rows_of(path: &Path) -> (Position, Vec<Vec<Vec<Cell>>>) {
    let replica = Replica::open(path).unwrap().unwrap();
    replica.verify().unwrap();
    let rows = REPLICATED
        .iter()
        .map(|table| {
            let mut rows = replica.rows(table.id).unwrap().unwrap();
            rows.sort();
            rows
        })
        .collect();
    (replica.position(), rows)
}

pub fn token() -> Response<FeedBody> {
    body(Bytes::from_static(
        br#"{"access_token":"token","token_type":"Bearer","expires_in":600}"#,
    ))
}

pub fn body(bytes: Bytes) -> Response<FeedBody> {
    Response::new(FeedBody::full(bytes))
}

/// Serves `answer` on each connection.
pub async fn accept<F, A>(listener: TcpListener, tasks: Tasks, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<FeedBody>> + Send + 'static,
{
    let stop = tasks.stop();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            () = stop.requested() => return,
        };
        let answer = answer.clone();
        tasks.spawn("connection", async move {
            let service = service_fn(move |request| {
                let answer = answer(request);
                async move { Ok::<_, std::convert::Infallible>(answer.await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A wire to the authority that is cut when told to, and after random numbers of bytes.
pub struct Wire {
    pub address: SocketAddr,
    cut: watch::Sender<u64>,
    upstream: watch::Sender<SocketAddr>,
}

impl Wire {
    /// `budgets`: how many bytes each connection passes down before it is cut, in turn; without
    /// limit when there are none.
    pub async fn to(upstream: SocketAddr, tasks: &Tasks, budgets: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self {
            address: listener.local_addr().unwrap(),
            cut: watch::Sender::new(0),
            upstream: watch::Sender::new(upstream),
        };
        let (cut, upstream) = (wire.cut.clone(), wire.upstream.subscribe());
        let (tasks, stop) = (tasks.clone(), tasks.stop());
        tasks.clone().spawn("wire", async move {
            let mut count = 0_usize;
            loop {
                let down = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    () = stop.requested() => return,
                };
                let budget = (!budgets.is_empty()).then(|| budgets[count % budgets.len()]);
                count += 1;
                let mut cut = cut.subscribe();
                cut.mark_unchanged();
                let upstream = *upstream.borrow();
                tasks.spawn("wire-connection", async move {
                    let Ok(up) = TcpStream::connect(upstream).await else {
                        return;
                    };
                    tokio::select! {
                        () = pump(down, up, budget) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        wire
    }

    /// Cuts every connection there is.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Leads new connections elsewhere.
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.upstream.send_replace(upstream);
        self.cut();
    }
}

async fn pump(down: TcpStream, up: TcpStream, budget: Option<usize>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (mut down_read, mut down_write) = down.into_split();
    let (mut up_read, mut up_write) = up.into_split();
    let requests = async move {
        let _ = tokio::io::copy(&mut down_read, &mut up_write).await;
    };
    let answers = async move {
        let mut left = budget.unwrap_or(usize::MAX);
        let mut buffer = vec![0; 4096];
        while left > 0 {
            let room = left.min(buffer.len());
            let Ok(len) = up_read.read(&mut buffer[..room]).await else {
                return;
            };
            if len == 0 || down_write.write_all(&buffer[..len]).await.is_err() {
                return;
            }
            left -= len;
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}

/// What a follower told.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub position: Option<Position>,
    pub path: Option<PathBuf>,
    pub replaced: u64,
    pub fresh: Vec<Revision>,
    pub disconnected: Vec<String>,
}

/// A sink that remembers.
#[derive(Clone)]
pub struct Memory(Arc<watch::Sender<Told>>);

impl Sink for Memory {
    fn applied(&mut self, applied: &Applied) {
        self.0
            .send_modify(|told| told.position = Some(applied.position));
    }

    fn replaced(&mut self, path: &Path, position: Position) {
        self.0.send_modify(|told| {
            told.position = Some(position);
            told.path = Some(path.to_owned());
            told.replaced += 1;
        });
    }

    fn fresh(&self, head: Revision, _at_boot: Duration) {
        self.0.send_modify(|told| told.fresh.push(head));
    }

    fn disconnected(&self, reason: &str) {
        self.0
            .send_modify(|told| told.disconnected.push(reason.to_owned()));
    }
}

/// A sidecar's follower on its own thread.
pub struct Sidecar {
    pub told: watch::Receiver<Told>,
    tasks: Tasks,
}

static SEED: Mutex<u64> = Mutex::new(0);

impl Sidecar {
    pub fn follow(authority: SocketAddr, data_dir: &Path) -> Self {
        Self::follow_with(authority, data_dir, |_| {})
    }

    pub fn follow_with(
        authority: SocketAddr,
        data_dir: &Path,
        configure: impl FnOnce(&mut FollowerConfig),
    ) -> Self {
        let mut config = FollowerConfig {
            client: ClientConfig {
                authority: format!("http://{authority}").parse().unwrap(),
                client_id: "sidecar".parse().unwrap(),
                client_secret: PlainToken::presented("secret".to_owned()),
                ca_file: None,
            },
            feed_key: signer().public(),
            data_dir: data_dir.to_owned(),
            scrub_every: SCRUB_EVERY,
            silence: Duration::from_secs(3),
        };
        configure(&mut config);
        let memory = Memory(Arc::new(watch::Sender::new(Told::default())));
        let told = memory.0.subscribe();
        let tasks = Tasks::new();
        let stop = tasks.stop();
        let seed = {
            let mut seed = SEED.lock().unwrap();
            *seed += 1;
            *seed
        };
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        let follower =
            Follower::new(config, clock() as Arc<dyn Clock>, entropy, Box::new(memory)).unwrap();
        tasks
            .spawn_worker("follower", move || follower.run(stop))
            .unwrap();
        Self { told, tasks }
    }

    /// Waits until the follower told something.
    pub async fn wait(&mut self, what: impl Fn(&Told) -> bool) -> Told {
        let waited = tokio::time::timeout(PATIENCE, self.told.wait_for(|told| what(told)))
            .await
            .map(|told| told.unwrap().clone());
        waited.unwrap_or_else(|_| panic!("waited in vain: {:?}", self.told.borrow().clone()))
    }

    pub async fn reach(&mut self, position: Position) -> Told {
        self.wait(|told| told.position == Some(position)).await
    }

    pub async fn stop(self) -> Told {
        let _ = self.tasks.shutdown(PATIENCE).await;
        self.told.borrow().clone()
    }
}

/// Small random numbers from a seed.
pub struct Random(SeededEntropy);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    pub fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_be_bytes(bytes) % bound
    }

    pub fn small(&self, bound: u8) -> u8 {
        u8::try_from(self.below(u64::from(bound))).unwrap()
    }
}

/// Users, organizations and roles 1 to 5 exist from the start.
pub async fn plant(authority: &Authority) -> Position {
    authority
        .change(|tx| {
            for number in 1..=5 {
                put_user(tx, number)?;
                put_organization(tx, number)?;
                put_role(tx, number)?;
            }
            Ok(())
        })
        .await
}

const NOW: Timestamp = Timestamp::from_unix_micros(1_790_000_000_000_000);

pub fn put_user(tx: &mut dyn Tx, number: u8) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO users (id, email, display_name, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?4)",
        &[
            Val::Uuid(id(number)),
            format!("user{number}@secret.example").into(),
            "Secret Name".into(),
            NOW.into(),
        ],
    )?;
    Ok(())
}

pub fn put_organization(tx: &mut dyn Tx, number: u8) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO organizations (id, name, slug, created_at, updated_at)
         VALUES (?1, 'Secret Name', ?2, ?3, ?3) ON CONFLICT DO NOTHING",
        &[
            Val::Uuid(id(number)),
            format!("organization-{number}").into(),
            NOW.into(),
        ],
    )?;
    Ok(())
}

pub fn put_role(tx: &mut dyn Tx, number: u8) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO roles (id, service, name, created_at, updated_at)
         VALUES (?1, 'billing', ?2, ?3, ?3)",
        &[
            Val::Uuid(id(number)),
            format!("role{number}").into(),
            NOW.into(),
        ],
    )?;
    Ok(())
}

pub fn put_member(tx: &mut dyn Tx, organization: u8, user: u8, role: u8) -> Result<(), StoreError> {
    let mut row = [organization; 16];
    row[1] = user;
    tx.exec(
        "INSERT INTO organization_members (id, organization_id, user_id, role_id, created_at, updated_at)
         SELECT ?1, id, ?3, ?4, ?5, ?5 FROM organizations WHERE id = ?2
         ON CONFLICT (organization_id, user_id) DO UPDATE SET role_id = excluded.role_id",
        &[
            Val::Uuid(Uuid::from_bytes(row)),
            Val::Uuid(id(organization)),
            Val::Uuid(id(user)),
            Val::Uuid(id(role)),
            NOW.into(),
        ],
    )?;
    Ok(())
}

/// One of the things that happen to an authority.
pub fn something(tx: &mut dyn Tx, kind: u8, a: u8, b: u8, c: u8) -> Result<(), StoreError> {
    let (organization, user, role) = (Val::Uuid(id(a)), Val::Uuid(id(b)), Val::Uuid(id(c)));
    match kind {
        0..=3 => put_member(tx, a, b, c)?,
        4 => {
            tx.exec(
                "DELETE FROM organization_members WHERE organization_id = ?1 AND user_id = ?2",
                &[organization, user],
            )?;
        }
        5 => {
            tx.exec(
                "INSERT INTO user_states (user_id, state, token_epoch) VALUES (?1, ?2, ?3)
                 ON CONFLICT (user_id) DO UPDATE SET state = excluded.state,
                 token_epoch = excluded.token_epoch",
                &[
                    user,
                    if c.is_multiple_of(2) {
                        "suspended"
                    } else {
                        "active"
                    }
                    .into(),
                    i64::from(c).into(),
                ],
            )?;
        }
        6 => {
            tx.exec("DELETE FROM organizations WHERE id = ?1", &[organization])?;
        }
        7 => put_organization(tx, a)?,
        8 => {
            tx.exec(
                "INSERT INTO organization_member_roles (organization_id, user_id, role_id, created_at)
                 SELECT organization_id, user_id, ?3, ?4 FROM organization_members
                 WHERE organization_id = ?1 AND user_id = ?2 ON CONFLICT DO NOTHING",
                &[organization, user, role, NOW.into()],
            )?;
        }
        10..=11 => {
            // `INSERT … SELECT`: the organization may be gone.
            tx.exec(
                "INSERT INTO resource_instances
                 (service, resource, id, organization_id, attributes, updated_at)
                 SELECT 'billing', 'invoice', ?2, id, ?3, ?4 FROM organizations WHERE id = ?1
                 ON CONFLICT (service, resource, id) DO UPDATE
                 SET organization_id = excluded.organization_id, attributes = excluded.attributes",
                &[
                    organization,
                    format!("文書-{b}").into(),
                    format!("{{\"size\":{c}}}").into(),
                    NOW.into(),
                ],
            )?;
        }
        12 => {
            tx.exec(
                "DELETE FROM resource_instances WHERE id = ?1",
                &[format!("文書-{b}").into()],
            )?;
        }
        _ => {
            tx.exec(
                "UPDATE organizations SET slug = ?2 WHERE id = ?1",
                &[organization, format!("renamed-{a}-{b}-{c}").into()],
            )?;
        }
    }
    Ok(())
}

/// One to four things that happen in one transaction.
fn random_things(random: &Random) -> Vec<[u8; 4]> {
    (0..=random.below(4))
        .map(|_| {
            [
                random.small(13),
                1 + random.small(5),
                1 + random.small(5),
                1 + random.small(5),
            ]
        })
        .collect()
}

fn happen(tx: &mut dyn Tx, things: &[[u8; 4]]) -> Result<(), StoreError> {
    for [kind, a, b, c] in things {
        something(tx, *kind, *a, *b, *c)?;
    }
    Ok(())
}

/// A random change, of one to four things.
pub async fn random_change(authority: &Authority, random: &Random) -> Position {
    let things = random_things(random);
    authority.change(move |tx| happen(tx, &things)).await
}

/// A random change while another instance changes the same rows. What it refers to may be
/// deleted under it: then PostgreSQL refuses the whole transaction, and nothing has changed.
pub async fn racing_change(authority: &Authority, random: &Random) {
    let things = random_things(random);
    match authority.store.write(move |tx| happen(tx, &things)).await {
        Ok(_) | Err(StoreError::ForeignKey) => {}
        Err(error) => panic!("{error:?}"),
    }
}
