//! The daemons under a service manager: sockets that it passes, what they tell it, and SIGHUP.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use super::process::{AUTHORITY, Process, SIDECAR};
use super::wire::{At, exchange, request};
use super::world::{Authority, Sidecar, init};
use crate::support::directory;

/// A socket to be passed on, and one to be told by.
struct Manager {
    socket: TcpListener,
    told: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = directory();
        let told = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        // Only ends a hung test.
        told.set_read_timeout(Some(Duration::from_secs(90)))
            .unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            socket,
            told,
            folder,
        }
    }

    fn start(&self, program: &str, config: &Path) -> Process {
        Process::activated(
            program,
            &["serve", "--config", config.to_str().unwrap()],
            &self.folder.path().join("log"),
            (
                self.socket.try_clone().unwrap(),
                &self.folder.path().join("notify"),
            ),
        )
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The next thing that is told.
    fn hear(&self) -> String {
        let mut bytes = [0; 4096];
        let length = self.told.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

const PUBLIC: &str = "[[route]]\nname = 'all'\nhosts = ['*']\npath = '/{rest...}'\npublic = true\n";

#[test]
fn a_sidecar_takes_a_passed_socket_and_a_new_configuration_and_tells_how_it_goes() {
    let directory = directory();
    let authority = Authority::start(&directory.path().join("authority"), "");
    let sidecar = Sidecar::enrolled(&authority, &directory.path().join("sidecar"));
    let (manager, routes) = (Manager::new(), directory.path().join("routes.toml"));
    let configure = |more: &str| {
        let text = format!(
            "data = '{}'\nworkers = 1\nroutes = '{}'\n{more}\n\
             [listen.check]\naddress = 'systemd'\nmetrics = true\n",
            sidecar.data.display(),
            routes.display()
        );
        std::fs::write(&sidecar.config, text).unwrap();
    };
    let ask = |path: &str, headers: &str| {
        let asked = request("GET", path, headers, b"");
        exchange(At::Tcp(manager.address()), &asked).expect("the sidecar answers")
    };
    let door = || {
        let headers = "Doorward-Method: GET\r\nDoorward-Host: app.test\r\nDoorward-Uri: /a\r\n";
        ask("/forward-auth/plain", headers).status
    };
    configure("");
    std::fs::write(&routes, "").unwrap();
    let process = manager.start(SIDECAR, &sidecar.config);
    let ready = manager.hear();
    assert!(
        ready.contains("READY=1") && ready.contains("STATUS="),
        "{ready}"
    );
    assert_eq!(door(), 403);

    let reload = || {
        kill_process(process.pid(), Signal::HUP).unwrap();
        let reloading = manager.hear();
        assert!(reloading.contains("RELOADING=1"), "{reloading}");
        assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
        let ready = manager.hear();
        assert!(ready.contains("READY=1"), "{ready}");
        ready
    };
    std::fs::write(&routes, PUBLIC).unwrap();
    configure("max_connections = 9");
    let told = reload();
    assert!(told.contains("after a restart: max_connections"), "{told}");
    assert_eq!(door(), 200);
    let metrics = String::from_utf8_lossy(&ask("/metrics", "").body).into_owned();
    assert!(
        metrics.contains("doorward_sidecar_reload_success 1"),
        "{metrics}"
    );

    // Neither wrong routes nor a wrong setting changes anything.
    std::fs::write(&routes, "[[route]]\nname = 'a'\nhosts = []\npath = 'b'\n").unwrap();
    assert!(reload().contains("refused"));
    configure("colour = 1");
    let told = reload();
    assert!(
        told.contains("refused") && told.contains("colour"),
        "{told}"
    );
    assert_eq!(door(), 200);
    let metrics = String::from_utf8_lossy(&ask("/metrics", "").body).into_owned();
    assert!(
        metrics.contains("doorward_sidecar_reload_success 0"),
        "{metrics}"
    );

    process.stop();
    assert!(manager.hear().contains("STOPPING=1"));
}

#[test]
fn an_authority_takes_a_passed_socket_and_tells_when_it_is_ready_and_stops() {
    let directory = directory();
    let data = directory.path().join("authority");
    init(&data);
    let config = directory.path().join("authority.toml");
    let text = format!("data = '{}'\nlisten = ['systemd']\n", data.display());
    std::fs::write(&config, text).unwrap();
    let manager = Manager::new();
    let process = manager.start(AUTHORITY, &config);
    assert!(manager.hear().contains("READY=1"));
    let asked = request("GET", "/healthz", "", b"");
    let health = exchange(At::Tcp(manager.address()), &asked).expect("it answers");
    assert_eq!(health.status, 200);
    process.stop();
    assert!(manager.hear().contains("STOPPING=1"));
}
