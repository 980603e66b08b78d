//! Server CPU per request over loopback, 64 connections: a cached AuthZEN check, forward-auth with a
//! remembered Bearer token, and both with the decision log on; the ratios against their limits.
//!
//! `cargo bench --bench doors` measures and fails when a limit is missed. The server is this program
//! again, pinned to one core; the client runs on the other and never sleeps, so that the server pays
//! for no wake-up. Rounds alternate, since shared cores drift.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::exit,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a bench stops where something is missing, and prints what it saw"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward::crypto::sign::{AccessTokenSigner, FeedSigner};
use doorward::domain::{
    Chain, ClientId, Epoch, FeedName, GrantId, OrganizationId, Position, Revision, SessionId,
    Timestamp, UserId,
};
use doorward::protocol::feed::Cell;
use doorward::protocol::jose::{AccessTokenClaims, Audience};
use doorward::runtime::config::Environment;
use doorward::runtime::tasks::Tasks;
use doorward::runtime::{Clock as _, SystemClock, SystemEntropy};
use doorward::sidecar::app::Sidecar;
use doorward::sidecar::config::{Config, Listener};
use doorward::sidecar::decision_log::DecisionLogConfig;
use doorward::sidecar::tokens::Rules;
use doorward::store::replica::Builder;
use doorward::store::replicated::REPLICATED;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CONNECTIONS: usize = 64;
const MEMBERS: u128 = 10_000;
/// Different questions, each asked again and again.
const QUESTIONS: u128 = 4096;
const ROUTES: &str = "[[route]]\nname = \"res\"\nhosts = [\"app.example\"]\n\
                      path = \"/o/{org}/a1/{id}\"\npermission = \"svc:res:a1\"\n\
                      organization = \"capture:org\"\nresource_id = \"id\"\n";

fn organization(n: u128) -> OrganizationId {
    OrganizationId::from_u128((1 << 64) + n / 20)
}

fn user(n: u128) -> UserId {
    UserId::from_u128((2 << 64) + n)
}

fn id(value: u128) -> Cell {
    Cell::Bytes(value.to_be_bytes().to_vec())
}

/// Every second member may do `a1`.
fn copy(path: &Path, signer: &AccessTokenSigner) {
    let position = Position {
        feed: FeedName::Authz,
        epoch: Epoch::from_uuid(uuid::Uuid::from_u128(1)),
        revision: Revision::new(1),
        chain: Chain::ZERO.extend(Revision::new(1), b""),
    };
    let key = FeedSigner::from_seed(&[1; 32]).unwrap().public();
    let mut builder = Builder::create(path, position, &key).unwrap();
    let mut insert = |number: u16, cells: &[Cell]| {
        let table = REPLICATED.iter().find(|table| table.id == number).unwrap();
        builder.insert(table, cells).unwrap();
    };
    let text = |value: &str| Cell::Text(value.to_owned());
    for n in 0..40 {
        insert(
            2,
            &[id(n), text("svc"), text("res"), text(&format!("a{n}"))],
        );
    }
    for r in 0..10 {
        insert(3, &[id(r), text("svc"), text(&format!("role{r}"))]);
        for p in (r % 2..40).step_by(2) {
            insert(4, &[id(r), id(p)]);
        }
    }
    for n in 0..MEMBERS {
        insert(
            5,
            &[
                id(organization(n).as_u128()),
                id(user(n).as_u128()),
                id(n % 10),
            ],
        );
    }
    let jwk = serde_json::to_string(signer.jwk()).unwrap();
    insert(
        11,
        &[&signer.jwk().kid, "access_token", "ES256", &jwk].map(&text),
    );
    insert(12, &[text("svc:all"), id(1)]);
    builder.finish(Timestamp::EPOCH).unwrap();
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
        jti: uuid::Uuid::from_u128(n).to_string(),
        client_id: "board".parse().unwrap(),
        scope: "openid profile svc:all".to_owned(),
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

/// The server: a sidecar on one thread, over a copy in `folder`. Prints its address and serves until
/// its standard input ends.
fn serve(folder: &Path, logged: bool) {
    let mut config = Config::for_data(folder);
    config.workers = 1;
    config.listeners = vec![Listener::at("127.0.0.1:0".parse().unwrap())];
    config.routes = Some(folder.join("routes.toml"));
    config.tokens = Some(Rules {
        issuer: "https://id.example".to_owned(),
        audiences: vec!["https://api.example".to_owned()],
    });
    if logged {
        config.decision_log = Some(DecisionLogConfig {
            directory: Some(folder.join(format!("log-{}", std::process::id()))),
            ..DecisionLogConfig::default()
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new();
        let clocks = (
            Arc::new(SystemClock) as _,
            Arc::new(SystemEntropy::default()) as _,
        );
        let sidecar =
            Sidecar::start(&config, None, clocks, &Environment::default(), &tasks).unwrap();
        sidecar.state().adopt(&folder.join("copy.db")).unwrap();
        let hear = |state: &doorward::sidecar::view::State| {
            let revision = state.view().revision();
            state.hear(revision, SystemClock.since_boot()).unwrap();
        };
        hear(sidecar.state());
        println!("{}", sidecar.bound()[0].tcp().unwrap());
        let (sender, mut ended) = tokio::sync::mpsc::channel::<()>(1);
        std::thread::spawn(move || {
            let _ = std::io::stdin().read(&mut [0]);
            drop(sender);
        });
        loop {
            tokio::select! {
                _ = ended.recv() => break,
                () = tokio::time::sleep(Duration::from_secs(1)) => hear(sidecar.state()),
            }
        }
        tasks.shutdown(Duration::from_secs(10)).await.unwrap();
    });
}

struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(folder: &Path, logged: bool) -> Self {
        let mut process = Command::new("taskset")
            .args(["-c", "0"])
            .arg(std::env::current_exe().unwrap())
            .args([
                "serve",
                folder.to_str().unwrap(),
                if logged { "log" } else { "-" },
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`taskset` is there");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            process,
            address: line
                .trim()
                .parse()
                .expect("the server says where it listens"),
        }
    }

    /// CPU time of all its threads so far.
    fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let nanos = threads.map(|thread| {
            let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
            text.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Server CPU per request, in microseconds.
    fn load(&self, requests: &Rc<Vec<Vec<u8>>>, time: Duration) -> f64 {
        let before = self.cpu();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let local = tokio::task::LocalSet::new();
        let (answered, allowed) = local.block_on(&runtime, async {
            let spin = tokio::task::spawn_local(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
            let end = Instant::now() + time;
            let walks: Vec<_> = (0..CONNECTIONS)
                .map(|place| {
                    let requests = Rc::clone(requests);
                    tokio::task::spawn_local(walk(self.address, requests, place * 7919, end))
                })
                .collect();
            let mut sums = (0_u64, 0_u64);
            for walk in walks {
                let (answered, allowed) = walk.await.unwrap();
                sums = (sums.0 + answered, sums.1 + allowed);
            }
            spin.abort();
            sums
        });
        // An answer that is wrong is no fast answer.
        let share = allowed as f64 / answered as f64;
        assert!(
            (share - 0.5).abs() < 0.02,
            "{allowed} of {answered} allowed, half expected"
        );
        self.cpu().saturating_sub(before).as_secs_f64() * 1e6 / answered as f64
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// One connection's requests, one after the other: how many were answered, and allowed.
async fn walk(
    address: SocketAddr,
    requests: Rc<Vec<Vec<u8>>>,
    mut place: usize,
    end: Instant,
) -> (u64, u64) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 16 * 1024];
    let (mut answered, mut allowed) = (0, 0);
    while Instant::now() < end {
        stream
            .write_all(&requests[place % requests.len()])
            .await
            .unwrap();
        place += 1;
        let mut filled = 0;
        let head = loop {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "the server closed");
            filled += read;
            if let Some(end) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") {
                let text = std::str::from_utf8(&buffer[..end]).unwrap();
                let length = text
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse::<usize>().unwrap());
                if filled == end + 4 + length {
                    break end;
                }
            }
        };
        answered += 1;
        let door = buffer[..head]
            .windows(17)
            .any(|w| w == b"doorward-reason: ");
        let yes = if door {
            buffer.starts_with(b"HTTP/1.1 200")
        } else {
            buffer[head..filled]
                .windows(15)
                .any(|w| w == b"\"decision\":true")
        };
        allowed += u64::from(yes);
    }
    (answered, allowed)
}

fn checks() -> Vec<Vec<u8>> {
    (0..QUESTIONS)
        .map(|n| {
            let body = json!({
                "subject": {"type": "user", "id": user(n).to_string()},
                "action": {"name": "a1"},
                "resource": {"type": "svc:res", "id": n.to_string()},
                "context": {"organization": organization(n).to_string()},
            })
            .to_string();
            format!(
                "POST /access/v1/evaluation HTTP/1.1\r\nhost: localhost\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        })
        .collect()
}

/// As nginx asks, with the headers that a browser sends.
fn proxied(signer: &AccessTokenSigner) -> Vec<Vec<u8>> {
    (0..QUESTIONS)
        .map(|n| {
            format!(
                "GET /forward-auth/nginx HTTP/1.1\r\nx-original-method: GET\r\n\
                 x-original-host: app.example\r\nx-original-uri: /o/{}/a1/{n}\r\n\
                 host: localhost\r\naccept: */*\r\nuser-agent: bench\r\n\
                 authorization: Bearer {}\r\n\r\n",
                organization(n),
                token(signer, n),
            )
            .into_bytes()
        })
        .collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, folder, log] = &arguments[..]
        && mode == "serve"
    {
        return serve(Path::new(folder), log == "log");
    }
    // `cargo test --benches` only wants to know that it runs.
    let measured = arguments.iter().any(|argument| argument == "--bench");
    let (rounds, time) = if measured {
        (7, Duration::from_millis(1500))
    } else {
        (1, Duration::from_millis(200))
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let signer = AccessTokenSigner::generate().unwrap();
    copy(&folder.path().join("copy.db"), &signer);
    std::fs::write(folder.path().join("routes.toml"), ROUTES).unwrap();
    let (checks, proxied) = (Rc::new(checks()), Rc::new(proxied(&signer)));
    let plain = Server::start(folder.path(), false);
    let logging = Server::start(folder.path(), true);
    let cases = [
        ("check", &plain, &checks),
        ("door", &plain, &proxied),
        ("check, logged", &logging, &checks),
        ("door, logged", &logging, &proxied),
    ];
    for (_, server, requests) in cases {
        server.load(requests, time);
    }
    let mut seen: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for round in 0..rounds {
        let mut order = cases;
        if round % 2 == 1 {
            order.reverse();
        }
        for (name, server, requests) in order {
            seen.entry(name)
                .or_default()
                .push(server.load(requests, time));
        }
    }
    let mut missed = false;
    for (what, of, base, limit) in [
        (
            "forward-auth, remembered token / cached check",
            "door",
            "check",
            1.5,
        ),
        (
            "cached check, decision log on / off",
            "check, logged",
            "check",
            1.1,
        ),
        (
            "forward-auth, decision log on / off",
            "door, logged",
            "door",
            1.1,
        ),
    ] {
        let mut ratios: Vec<f64> = seen[of]
            .iter()
            .zip(&seen[base])
            .map(|(a, b)| a / b)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (median, least, most) = (ratios[rounds / 2], ratios[0], ratios[rounds - 1]);
        let us = |name: &str| {
            let mut all = seen[name].clone();
            all.sort_by(f64::total_cmp);
            all[rounds / 2]
        };
        missed |= median > limit;
        println!(
            "{what:<46} {median:.3} [{least:.2}, {most:.2}], limit {limit}; {:.2} / {:.2} us",
            us(of),
            us(base)
        );
    }
    if missed && measured {
        std::process::exit(1);
    }
}
