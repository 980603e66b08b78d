//! A private PostgreSQL cluster: one per test process, a database per test.
//!
//! Debian's package is enough; nothing of the machine's own server is touched. The server is a child
//! that dies with this process, and its directory goes with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use doorward::domain::Secret;
use doorward::store::StoreConfig;

struct Cluster {
    port: u16,
    // In a static, so its input is never closed by us: the kernel does it when this process ends.
    _guardian: Child,
}

/// A fresh database, or `None` (with a printed line) on a machine without PostgreSQL.
///
/// With `DOORWARD_REQUIRE_POSTGRES=1` a missing server is a failure.
pub fn database() -> Option<StoreConfig> {
    database_url().map(|url| StoreConfig::Postgres {
        url: Secret::new(url),
        max_connections: 8,
    })
}

/// The URL of a fresh database, for clients of its own.
pub fn database_url() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let cluster = cluster()?;
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let url = |database: &str| {
        format!(
            "postgres://doorward@127.0.0.1:{}/{database}?sslmode=disable",
            cluster.port
        )
    };
    let admin = url("postgres");
    std::thread::spawn({
        let name = name.clone();
        move || {
            postgres::Client::connect(&admin, postgres::NoTls)
                .unwrap()
                .batch_execute(&format!("CREATE DATABASE {name}"))
                .unwrap();
        }
    })
    .join()
    .unwrap();
    Some(url(&name))
}

fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER
        .get_or_init(|| {
            let required =
                std::env::var_os("DOORWARD_REQUIRE_POSTGRES").is_some_and(|value| value == "1");
            let found = binaries();
            assert!(
                found.is_some() || !required,
                "DOORWARD_REQUIRE_POSTGRES=1, and there is no /usr/lib/postgresql/*/bin/initdb"
            );
            if found.is_none() {
                // Past the capture of the test harness, so that it is seen in a green run.
                let _ = writeln!(
                    std::io::stderr(),
                    "SKIPPED: PostgreSQL is not installed; its half of this test did not run"
                );
            }
            found.map(|binaries| start(&binaries))
        })
        .as_ref()
}

fn binaries() -> Option<PathBuf> {
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|path| path.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop()
}

/// The server refuses to run as root: as root it runs as the package's user.
fn command(program: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn start(binaries: &Path) -> Cluster {
    // A free port may be taken by somebody else before the server binds it: then another one.
    (0..3)
        .find_map(|_| attempt(binaries))
        .expect("PostgreSQL starts")
}

fn attempt(binaries: &Path) -> Option<Cluster> {
    // The guardian removes it after the server.
    let root = super::directory().keep();
    let data = root.join("data");
    std::fs::create_dir(&data).unwrap();
    if rustix::process::geteuid().is_root() {
        for path in [&root, &data] {
            let status = Command::new("chown").arg("postgres").arg(path).status();
            assert!(status.unwrap().success());
        }
    }
    let made = command(&binaries.join("initdb"))
        .args(["--auth=trust", "--username=doorward", "--encoding=UTF8"])
        .args(["--locale=C", "--no-sync", "--pgdata"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "initdb: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    serve(binaries, &data, &root)
}

/// Starts the server under a guardian: a shell that waits for the end of its standard input, which
/// is the end of this process however it ends, then stops the server and removes the directory.
fn serve(binaries: &Path, data: &Path, root: &Path) -> Option<Cluster> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let script = r#"
        "$1" -D "$2" -p "$3" -k "$4" -h 127.0.0.1 -F -c full_page_writes=off \
            -c synchronous_commit=off -c max_connections=200 -c log_min_messages=fatal 2>&1 &
        server=$!
        read -r _
        kill -QUIT $server
        wait $server
        rm -rf "$4"
    "#;
    let mut guardian = command(Path::new("/bin/sh"));
    guardian
        .arg("-c")
        .arg(script)
        .arg("guardian")
        .arg(binaries.join("postgres"))
        .arg(data)
        .arg(port.to_string())
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Ctrl-C in a terminal is for the tests; the guardian then sees its input end.
        .process_group(0);
    let mut guardian = guardian.spawn().unwrap();
    let output = guardian.stdout.take().unwrap();
    if ready(binaries, port) {
        std::thread::spawn(move || {
            let mut sink = Vec::new();
            let _ = BufReader::new(output).read_to_end(&mut sink);
        });
        return Some(Cluster {
            port,
            _guardian: guardian,
        });
    }
    drop(guardian.stdin.take());
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let _ = writeln!(std::io::stderr(), "postgres: {line}");
    }
    let _ = guardian.wait();
    None
}

fn ready(binaries: &Path, port: u16) -> bool {
    // pg_isready waits up to a second itself when the server is starting.
    (0..100).any(|_| {
        let answer = Command::new(binaries.join("pg_isready"))
            .args(["-q", "-t", "1", "-h", "127.0.0.1", "-p"])
            .arg(port.to_string())
            .status()
            .unwrap();
        if !answer.success() {
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        answer.success()
    })
}
