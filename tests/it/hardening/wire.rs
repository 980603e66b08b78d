//! HTTP as bytes, one connection a request: what is sent may be anything.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// Only ends a hung test.
const HUNG: Duration = Duration::from_mins(1);

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// In lower case.
    pub head: String,
    /// As it came.
    raw: String,
    pub body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let raw = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let head = raw.to_ascii_lowercase();
        let status = head.get(9..12)?.parse().ok()?;
        let mut body = bytes[end + 4..].to_vec();
        if head.contains("transfer-encoding: chunked") {
            body = dechunk(&body);
        }
        Some(Self {
            status,
            head,
            raw,
            body,
        })
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.raw.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into_owned()))
    }

    /// The problem's code, or OAuth's error.
    pub fn code(&self) -> String {
        let json = self.json();
        let code = json.get("code").or_else(|| json.get("error"));
        code.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// It must have this status, whatever the body is.
    pub fn expect_status(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.head);
    }

    /// It must have this status; gives the body.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{} {:#}", self.head, self.json());
        self.json()
    }
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let chunk = bytes.get(end + 2..end + 2 + size);
        let (Some(chunk), true) = (chunk, size > 0) else {
            break;
        };
        all.extend_from_slice(chunk);
        bytes = bytes.get(end + 4 + size..).unwrap_or_default();
    }
    all
}

/// Where a daemon listens.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    Tcp(SocketAddr),
    Unix(&'a Path),
}

/// Sends bytes, reads to the end. `None` when nobody listens or the connection broke.
pub fn exchange(at: At<'_>, request: &[u8]) -> Option<Reply> {
    let mut answer = Vec::new();
    match at {
        At::Tcp(address) => {
            let mut stream = TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(HUNG)).ok()?;
            // A refusal may come before all is sent.
            let _ = stream.write_all(request);
            let _ = stream.read_to_end(&mut answer);
        }
        At::Unix(path) => {
            let mut stream = UnixStream::connect(path).ok()?;
            stream.set_read_timeout(Some(HUNG)).ok()?;
            let _ = stream.write_all(request);
            let _ = stream.read_to_end(&mut answer);
        }
    }
    Reply::parse(&answer)
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The header lines of a JSON request by the bearer of `token`.
pub fn by(token: &str) -> String {
    format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n")
}
