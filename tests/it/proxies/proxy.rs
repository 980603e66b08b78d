//! Starting a proxy with its shipped configuration, and asking through it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use doorward::protocol::forward_auth::Dialect;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where `test.sh` puts them: beside the build.
fn installed() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().join("proxies")
}

/// The program of a proxy and the variable that says it must be there.
fn program(dialect: Dialect) -> (PathBuf, &'static str) {
    let (path, required) = match dialect {
        Dialect::Nginx => ("debian/usr/sbin/nginx", "DOORWARD_REQUIRE_PROXIES_DEBIAN"),
        Dialect::Haproxy => ("debian/usr/sbin/haproxy", "DOORWARD_REQUIRE_PROXIES_DEBIAN"),
        Dialect::Traefik => ("python/bin/traefik", "DOORWARD_REQUIRE_PROXIES_PYTHON"),
        Dialect::Caddy => ("python/bin/caddy", "DOORWARD_REQUIRE_PROXIES_PYTHON"),
        Dialect::Envoy | Dialect::EnvoyGrpc => {
            ("python/bin/envoy", "DOORWARD_REQUIRE_PROXIES_PYTHON")
        }
        Dialect::Plain => panic!("no proxy speaks it"),
    };
    (installed().join(path), required)
}

/// Whether it is there. Says so aloud when it is not; fails where it must be.
pub fn is_there(dialect: Dialect) -> bool {
    let (path, required) = program(dialect);
    if path.exists() {
        return true;
    }
    assert!(
        std::env::var_os(required).is_none(),
        "{required} is set, and {dialect} is not installed"
    );
    // Past the harness, which would keep it to itself.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {dialect} is not installed (test.sh installs it)"
    );
    false
}

/// A port that was free a moment ago.
pub fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A proxy that is running; killed with its owner.
pub struct Proxy {
    child: Child,
    pub address: SocketAddr,
    folder: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    /// What the app got, in lower case; `None` if the answer is not the app's.
    pub fn app(&self) -> Option<String> {
        let lower = self.text.to_ascii_lowercase();
        let (head, body) = lower.split_once("\r\n\r\n")?;
        head.contains("x-from: app").then(|| body.to_owned())
    }

    /// The values of a header that the app got.
    pub fn app_header(&self, name: &str) -> Vec<String> {
        let app = self
            .app()
            .unwrap_or_else(|| panic!("not of the app: {self:?}"));
        app.lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(|value| value.trim().to_owned())
            .collect()
    }
}

impl Proxy {
    /// Starts one between a client, the sidecar and the app, and waits until it listens.
    pub async fn start(dialect: Dialect, sidecar: SocketAddr, app: SocketAddr) -> Self {
        let address = free();
        let folder = TempDir::new().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples/proxies")
            .join(dialect.name());
        for entry in std::fs::read_dir(shipped).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path)
                .unwrap()
                .replace("127.0.0.1:7181", &sidecar.to_string())
                .replace("port_value: 7182 ", "port_value: 7181 ")
                .replace("127.0.0.1:3000", &app.to_string())
                .replace("127.0.0.1:8080", &address.to_string())
                .replace(
                    "app.example:8080",
                    &format!("app.example:{}", address.port()),
                );
            // Envoy writes address and port apart.
            let text = [(7181, sidecar), (3000, app), (8080, address)].iter().fold(
                text,
                |text, (port, actual)| {
                    text.replace(
                        &format!("port_value: {port} "),
                        &format!("port_value: {} ", actual.port()),
                    )
                },
            );
            std::fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
        }
        let child = command(dialect, folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log(folder.path()))
            .stderr(log(folder.path()))
            .spawn()
            .unwrap();
        let mut proxy = Self {
            child,
            address,
            folder,
        };
        proxy.wait().await;
        proxy
    }

    async fn wait(&mut self) {
        for _ in 0..600 {
            // Traefik opens its port before it has routes.
            if TcpStream::connect(self.address).await.is_ok()
                && self.get("GET /nothing", "").await.status != 404
            {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status}: {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not listen: {}", self.log());
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log.txt")).unwrap_or_default()
    }

    /// Sends a request of one line and further headers, each with its line end, to `app.example`.
    pub async fn get(&self, line: &str, headers: &str) -> Answer {
        let host = format!("host: app.example:{}\r\n", self.address.port());
        self.raw(&format!(
            "{line} HTTP/1.1\r\n{host}connection: close\r\n{headers}\r\n"
        ))
        .await
    }

    /// Sends bytes and reads one answer.
    pub async fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        // Envoy keeps a connection open for a second after it has answered.
        while !is_whole(&answer) && matches!(stream.read_buf(&mut answer).await, Ok(1..)) {}
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.get(9..12).and_then(|digits| digits.parse().ok());
        Answer {
            status: status.unwrap_or(0),
            text,
        }
    }

    /// Opens a WebSocket and has the app say `ping` back. The status if it is refused.
    pub async fn web_socket(&self, headers: &str) -> Result<(), u16> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "GET /me HTTP/1.1\r\nhost: app.example:{}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n",
            self.address.port()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let status: u16 = String::from_utf8_lossy(&head)[9..12].parse().unwrap();
        if status != 101 {
            return Err(status);
        }
        stream.write_all(b"ping").await.unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"ping");
        Ok(())
    }
}

/// Whether as much is there as the head says.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

fn log(folder: &Path) -> std::fs::File {
    std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log.txt"))
        .unwrap()
}

fn command(dialect: Dialect, folder: &Path) -> Command {
    let mut command = Command::new(program(dialect).0);
    match dialect {
        Dialect::Nginx => {
            // What /etc/nginx/nginx.conf is on a machine.
            let main = "pid nginx.pid;\nerror_log log.txt notice;\nevents {}\nhttp {\n\
                        access_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\n\
                        fastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\n\
                        scgi_temp_path scgi;\ninclude doorward.conf;\n}\n";
            std::fs::write(folder.join("nginx.conf"), main).unwrap();
            command
                .args(["-c", "nginx.conf", "-e", "log.txt", "-p"])
                .arg(folder)
                .args(["-g", "daemon off; master_process off;"]);
        }
        Dialect::Haproxy => {
            let libraries = installed().join("debian/usr/lib/x86_64-linux-gnu");
            command
                .env("LD_LIBRARY_PATH", libraries)
                .args(["-db", "-f", "haproxy.cfg"]);
        }
        Dialect::Traefik => {
            command.arg("--configFile=traefik.yml");
        }
        Dialect::Caddy => {
            command
                .env("HOME", folder)
                .env(
                    "CADDY_ADMIN",
                    format!("unix/{}", folder.join("admin").display()),
                )
                .args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"]);
        }
        Dialect::Envoy | Dialect::EnvoyGrpc => {
            command
                .env("PYTHONPATH", installed().join("python"))
                .args([
                    "-c",
                    "envoy.yaml",
                    "--disable-hot-restart",
                    "--concurrency",
                    "1",
                ])
                .args(["--log-level", "warning"]);
        }
        Dialect::Plain => {}
    }
    command
}
