//! Envoy's `Check` over HTTP/2, spoken by a client of the tests' own. What Envoy itself makes of the
//! answers is in `proxies`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use doorward::protocol::ext_authz::CHECK_PATH;
use doorward::protocol::forward_auth::Dialect;
use doorward::sidecar::config::{Listener, Protocol};
use doorward::sidecar::forward_auth::DoorOutcome;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::door_world::*;
use super::possession::Holder;
use super::world::{organization, user};

/// A field of a message: everything that is read has a length before it.
fn field(tag: usize, data: &[u8]) -> Vec<u8> {
    let mut out = varint(tag << 3 | 2);
    out.extend(varint(data.len()));
    out.extend_from_slice(data);
    out
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number > 127 {
        out.push(u8::try_from(number & 127 | 128).unwrap());
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
    out
}

/// `about`: method, space, host and path. `headers` as an HTTP head has them.
fn check(about: &str, headers: &str) -> Vec<u8> {
    let (method, url) = about.split_once(' ').unwrap();
    let (host, path) = url.split_at(url.find('/').unwrap());
    let pseudo = [(":method", method), (":path", path), (":authority", host)];
    let lines = headers.lines().filter_map(|line| line.split_once(": "));
    let map: Vec<u8> = pseudo
        .into_iter()
        .chain(lines)
        .flat_map(|(name, value)| {
            let header = [field(1, name.as_bytes()), field(3, value.as_bytes())].concat();
            field(1, &header)
        })
        .collect();
    let http = [
        field(2, method.as_bytes()),
        field(4, path.as_bytes()),
        field(5, host.as_bytes()),
        field(13, &map),
    ];
    field(1, &field(4, &field(2, &http.concat())))
}

/// What came back, read by hand: code of the status, then the rest as it stands.
#[derive(Debug)]
struct Checked {
    /// `grpc-status`.
    grpc: i32,
    /// `CheckResponse.status.code`; `None` where there is no status, which to Envoy is an allow.
    code: Option<i32>,
    text: String,
}

impl Checked {
    fn is_allow(&self) -> bool {
        self.grpc == 0 && self.code.is_none_or(|code| code == 0)
    }

    fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }
}

struct Client(SendRequest<Full<Bytes>>);

#[expect(
    clippy::disallowed_methods,
    reason = "it ends with the runtime of its test"
)]
async fn connect<S, B>(stream: S) -> SendRequest<B>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

impl Client {
    async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Self {
        Self(connect(stream).await)
    }

    async fn of(doors: &Doors) -> Self {
        let address = doors.running.sidecar.bound()[0].tcp().unwrap();
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    async fn send(
        &mut self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> (u16, HeaderMap, Bytes) {
        let request = Request::post(format!("http://doorward{path}"))
            .header("content-type", content_type)
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let response = self.0.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let mut headers = parts.headers;
        headers.extend(collected.trailers().cloned().unwrap_or_default());
        (parts.status.as_u16(), headers, collected.to_bytes())
    }

    /// Calls `Check` with a message.
    async fn check(&mut self, message: &[u8]) -> Checked {
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(message);
        let (status, headers, body) = self.send(CHECK_PATH, "application/grpc", body).await;
        assert_eq!(status, 200);
        checked(&headers, &body)
    }
}

fn checked(headers: &HeaderMap, body: &[u8]) -> Checked {
    let grpc = headers["grpc-status"].to_str().unwrap().parse().unwrap();
    let message = body.get(5..).unwrap_or_default();
    // Field 1 comes first, is a message, and has nothing or the code in it.
    let code = match message {
        [0x0a, 0, ..] => Some(0),
        [0x0a, 2, 0x08, code, ..] => Some(i32::from(*code)),
        _ => None,
    };
    let text = String::from_utf8_lossy(message).into_owned();
    Checked { grpc, code, text }
}

async fn doors() -> Doors {
    Doors::with(|config| config.listeners[0].protocol = Protocol::EnvoyGrpc).await
}

#[tokio::test]
async fn whoever_may_is_let_in_with_the_identity_written_over_what_the_client_sent() {
    let doors = doors().await;
    let mut client = Client::of(&doors).await;
    let bearer = format!(
        "authorization: Bearer {}\nx-auth-org: root",
        doors.token(|_| ())
    );
    let allowed = client
        .check(&check("PUT app.test/o/acme/pages/p1?a=b", &bearer))
        .await;
    assert_eq!(allowed.code, Some(0));
    assert!(allowed.has(&user(1).to_string()) && allowed.has(&organization(1).to_string()));
    // Somebody whom nothing is known of: all three are taken away.
    let public = client.check(&check("GET app.test/health", &bearer)).await;
    assert_eq!(public.code, Some(0));
    for name in ["x-auth-user", "x-auth-client", "x-auth-org"] {
        assert!(public.has(name), "{public:?}");
    }
    let holder = Holder::new(&doors);
    let proof = holder.proof(&doors, "GET", "https://app.test/me");
    let headers = holder.headers(&proof).replace("\r\n", "\n");
    let proved = client.check(&check("GET app.test/me", &headers)).await;
    assert_eq!(proved.code, Some(0), "{proved:?}");
    let counts = doors.running.sidecar.counts();
    let counts = counts.doors[Dialect::EnvoyGrpc as usize];
    assert_eq!(counts[DoorOutcome::Allowed as usize], 3);
}

#[tokio::test]
async fn every_other_answer_is_a_denial_that_says_so() {
    let doors = doors().await;
    let mut client = Client::of(&doors).await;
    let token = doors.token(|_| ());
    let bearer = format!("authorization: Bearer {token}");
    for (about, headers, code, told) in [
        ("GET app.test/me", "", 16, "Bearer, DPoP algs="),
        (
            "GET app.test/me",
            "authorization: Bearer x",
            16,
            "invalid_token",
        ),
        ("GET app.test/nothing", &*bearer, 7, "unmatched"),
        ("PUT app.test/o/globex/pages/p1", &*bearer, 7, "roles"),
        ("GET app.test/x/../me", &*bearer, 7, "malformed"),
        ("GET app.test/me", "x-original-url: /health", 7, "malformed"),
        (
            "GET app.test/me",
            "authorization: a\nauthorization: a",
            7,
            "malformed",
        ),
        (
            "GET app.test/me",
            "authorization: Bearer a, Bearer b",
            7,
            "credentials",
        ),
        ("GET app.test/me", "host: evil.test", 7, "malformed"),
        ("GET app.test/me", "x_auth_user: root", 7, "malformed"),
        ("GET app.test/me", "dpop: a\ndpop: a", 7, "malformed"),
    ] {
        let denied = client.check(&check(about, headers)).await;
        assert!(!denied.is_allow());
        assert_eq!(
            (denied.grpc, denied.code),
            (0, Some(code)),
            "{about} {headers}"
        );
        assert!(denied.has(told), "{about} {headers}: {denied:?}");
    }
    doors.running.clock.advance(Duration::from_mins(11));
    let stale = client.check(&check("GET app.test/me", &bearer)).await;
    assert_eq!(stale.code, Some(14));
}

#[tokio::test]
async fn a_message_that_tells_no_request_and_a_call_of_something_else_allow_nothing() {
    let doors = doors().await;
    let mut client = Client::of(&doors).await;
    let good = check("GET app.test/health", "");
    assert!(client.check(&good).await.is_allow());
    for message in [
        &b""[..],
        b"\x0a\x00",
        b"\xff\xff\xff",
        &good[..good.len() - 3],
    ] {
        let denied = client.check(message).await;
        assert!(!denied.is_allow(), "{message:?}: {denied:?}");
    }
    let large = check(
        "GET app.test/health",
        &format!("x: {}", "a".repeat(300_000)),
    );
    let refused = client.check(&large).await;
    assert_eq!((refused.grpc, refused.code), (11, None), "{refused:?}");
    let framed = |flag: u8, length: u32| {
        let mut body = vec![flag];
        body.extend(length.to_be_bytes());
        body.extend_from_slice(&good);
        body
    };
    let length = u32::try_from(good.len()).unwrap();
    for (what, path, kind, body, status) in [
        ("nothing", CHECK_PATH, "application/grpc", Vec::new(), 200),
        (
            "compressed",
            CHECK_PATH,
            "application/grpc",
            framed(1, length),
            200,
        ),
        (
            "cut short",
            CHECK_PATH,
            "application/grpc",
            framed(0, length + 9),
            200,
        ),
        (
            "another method",
            "/envoy.service.auth.v3.Authorization/Other",
            "application/grpc",
            framed(0, length),
            200,
        ),
        (
            "an endpoint",
            "/forward-auth/plain",
            "application/grpc",
            framed(0, length),
            200,
        ),
        (
            "no gRPC",
            CHECK_PATH,
            "application/json",
            framed(0, length),
            415,
        ),
    ] {
        let (told, headers, body) = client.send(path, kind, body).await;
        assert_eq!(told, status, "{what}");
        if status == 200 {
            let checked = checked(&headers, &body);
            assert!(!checked.is_allow(), "{what}: {checked:?}");
        }
    }
    assert!(client.check(&good).await.is_allow());
}

#[tokio::test]
async fn a_listener_speaks_what_it_is_told_to_and_nothing_else() {
    let doors = doors().await;
    let address = doors.running.sidecar.bound()[0].tcp().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envoy.sock");
    let doors = Doors::with(|config| {
        let mut listener = Listener::at(format!("unix:{}", path.display()).parse().unwrap());
        listener.protocol = Protocol::EnvoyGrpc;
        config.listeners.push(listener);
    })
    .await;
    let mut client = Client::over(UnixStream::connect(&path).await.unwrap()).await;
    assert!(
        client
            .check(&check("GET app.test/health", ""))
            .await
            .is_allow()
    );
    let closed = Doors::with(|config| {
        config.listeners[0].protocol = Protocol::EnvoyGrpc;
        config.listeners[0].forward_auth = Some(false);
    })
    .await;
    let refused = Client::of(&closed)
        .await
        .check(&check("GET app.test/health", ""))
        .await;
    assert_eq!((refused.grpc, refused.code), (12, None));
    assert_eq!(
        doors
            .ask(Dialect::Plain, "GET app.test/health", "")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_stop_lets_open_connections_go_at_once() {
    let doors = doors().await;
    let mut client = Client::of(&doors).await;
    assert!(
        client
            .check(&check("GET app.test/health", ""))
            .await
            .is_allow()
    );
    let address = doors.running.sidecar.bound()[0].tcp().unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM").await.unwrap();
    let stopped = doors.running.tasks.shutdown(Duration::from_secs(20)).await;
    assert_eq!(stopped, Ok(()));
    assert!(client.0.ready().await.is_err());
}

#[tokio::test]
async fn what_takes_longer_than_the_deadline_is_denied_whatever_it_would_have_been() {
    let doors = doors().await;
    let mut client = Client::of(&doors).await;
    let token = doors.token(|claims| claims.exp += 3_600);
    let about = "PUT app.test/o/acme/pages/p1";
    let bearer = format!("authorization: Bearer {token}");
    for (lag, code, status) in [(0, 0, 200), (300, 14, 503)] {
        doors.running.clock.lag(Duration::ZERO);
        doors.freshen();
        doors.running.clock.lag(Duration::from_millis(lag));
        let checked = client.check(&check(about, &bearer)).await;
        assert_eq!(checked.code, Some(code), "{checked:?}");
        assert_eq!(checked.has("deadline"), lag > 0);
        for about in [about, "GET app.test/health"] {
            let request = asking(Dialect::Plain, about, &format!("{bearer}\r\n"));
            let reply = doors.running.raw_unix(&request).await;
            assert_eq!(reply.status, status, "{reply:?}");
            let reason = reply.header("doorward-reason");
            assert_eq!(reason == Some("deadline"), lag > 0);
            assert_eq!(reply.header("retry-after").is_some(), lag > 0);
            assert_eq!(reply.header("x-auth-user").is_none(), lag > 0);
        }
    }
    let counts = doors.running.sidecar.counts();
    for dialect in [Dialect::EnvoyGrpc, Dialect::Plain] {
        assert!(counts.doors[dialect as usize][DoorOutcome::Late as usize] > 0);
    }
}

/// A message that is begun and never told whole.
struct Begun;

impl Body for Begun {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_call_whose_message_does_not_come_ends_when_its_time_is_over() {
    let doors = Doors::with(|config| {
        config.listeners[0].protocol = Protocol::EnvoyGrpc;
        config.door_deadline = Duration::ZERO;
    })
    .await;
    let address = doors.running.sidecar.bound()[0].tcp().unwrap();
    let mut sender = connect(TcpStream::connect(address).await.unwrap()).await;
    let request = Request::post(format!("http://doorward{CHECK_PATH}"))
        .header("content-type", "application/grpc")
        .body(Begun)
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "4");
}
