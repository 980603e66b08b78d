//! A way to the authority on which answers get lost, because it is killed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// What becomes of the requests that pass from now on.
#[derive(Debug, Clone, Copy)]
pub enum Fate {
    /// They are answered.
    Pass,
    /// The authority answers, which it does after it has committed; then it is killed, and the
    /// answer is not passed on.
    Swallow(Pid),
    /// The authority is killed so long after it got the request.
    Kill(Pid, Duration),
}

/// A listener whose connections lead to the authority.
pub struct Relay {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    to: Mutex<SocketAddr>,
    fate: Mutex<Fate>,
    swallowed: Mutex<Vec<Vec<u8>>>,
}

impl Relay {
    pub fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            to: Mutex::new(to),
            fate: Mutex::new(Fate::Pass),
            swallowed: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.relay(client));
            }
        });
        Self { address, state }
    }

    /// Where the authority is from now on.
    pub fn lead_to(&self, address: SocketAddr) {
        *self.state.to.lock().unwrap() = address;
    }

    /// What becomes of the next requests.
    pub fn decide(&self, fate: Fate) {
        *self.state.fate.lock().unwrap() = fate;
    }

    /// The answers that were swallowed since this was asked before.
    pub fn swallowed(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state.swallowed.lock().unwrap())
    }
}

impl State {
    /// One connection is one request; both sides close after it.
    fn relay(&self, mut client: TcpStream) {
        let Some(request) = whole_request(&mut client) else {
            return;
        };
        let (to, fate) = (*self.to.lock().unwrap(), *self.fate.lock().unwrap());
        let Ok(mut authority) = TcpStream::connect(to) else {
            return;
        };
        if authority.write_all(&request).is_err() {
            return;
        }
        if let Fate::Kill(pid, moment) = fate {
            std::thread::park_timeout(moment);
            let _ = kill_process(pid, Signal::KILL);
        }
        let mut answer = Vec::new();
        let _ = authority.read_to_end(&mut answer);
        if let Fate::Swallow(pid) = fate {
            let _ = kill_process(pid, Signal::KILL);
            self.swallowed.lock().unwrap().push(answer);
        } else {
            let _ = client.write_all(&answer);
        }
        let _ = client.shutdown(Shutdown::Both);
    }
}

/// Reads a request to its end.
fn whole_request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = client.read(&mut buffer).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        if super::is_whole(&bytes) {
            return Some(bytes);
        }
    }
}
