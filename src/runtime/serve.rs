//! Serves HTTP/1.1 on a listener until a stop is asked for.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{HttpService, Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use super::limits;
use super::listen::{Accepted, Acceptor, Listening};
use super::tasks::{Stop, Tasks};

/// How long to wait after a failed accept: without descriptors, trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What bounds one listener's connections.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// Connections at a time; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Time for a request's head, idle time of a kept-alive connection included.
    pub head_time: Duration,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            head_time: limits::HEAD_TIME,
            head_bytes: limits::HEAD_BYTES,
            headers: limits::HEADERS,
        }
    }
}

/// Who is at the other end: in each request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A process that may open the Unix socket.
    Unix,
}

/// Serves `service` on `listening` in the background. On a stop, no connection is accepted any
/// more, idle ones are closed and open requests may end; [`Tasks::shutdown`] bounds how long.
///
/// # Errors
///
/// The current runtime has no I/O.
pub fn serve<S, B>(
    listening: Listening,
    service: S,
    limits: ServeLimits,
    tasks: &Tasks,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::error::Error + Send + Sync + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let acceptor = listening.into_acceptor()?;
    let connections = tasks.clone();
    tasks.spawn("accept", async move {
        accept_until_stopped(&acceptor, service, limits, &connections).await;
    });
    Ok(())
}

async fn accept_until_stopped<S, B>(
    acceptor: &Acceptor,
    service: S,
    limits: ServeLimits,
    tasks: &Tasks,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::error::Error + Send + Sync + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.connections));
    let stop = tasks.stop();
    loop {
        let accepted = tokio::select! {
            () = stop.requested() => return,
            accepted = accept_with_slot(acceptor, &slots) => accepted,
        };
        let (accepted, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                metrics::counter!("doorward_accept_errors_total").increment(1);
                tracing::warn!(%error, listener = %acceptor.bound(), "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (service, stop) = (service.clone(), stop.clone());
        tasks.spawn("connection", async move {
            serve_accepted(accepted, service, limits, stop).await;
            drop(slot);
        });
    }
}

async fn accept_with_slot(
    acceptor: &Acceptor,
    slots: &Arc<Semaphore>,
) -> io::Result<(Accepted, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    acceptor.accept().await.map(|accepted| (accepted, slot))
}

async fn serve_accepted<S, B>(accepted: Accepted, service: S, limits: ServeLimits, stop: Stop)
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: std::error::Error + Send + Sync + 'static,
    B: Body + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let peer = match &accepted {
        Accepted::Tcp(_, address) => Peer::Tcp(*address),
        Accepted::Unix(_) => Peer::Unix,
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        service.call(request)
    });
    match accepted {
        Accepted::Tcp(stream, _) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => serve_stream(stream, service, limits, stop).await,
            Err(error) => tracing::debug!(%error, "a connection was lost"),
        },
        Accepted::Unix(stream) => match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => serve_stream(stream, service, limits, stop).await,
            Err(error) => tracing::debug!(%error, "a connection was lost"),
        },
    }
}

async fn serve_stream<I, S, B>(stream: I, service: S, limits: ServeLimits, stop: Stop)
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: std::error::Error + Send + Sync + 'static,
    B: Body + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // A client that goes away or speaks no HTTP is its own affair.
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::runtime::config::Environment;

    fn start(limits: ServeLimits) -> (Tasks, SocketAddr) {
        let tasks = Tasks::new();
        let address = "127.0.0.1:0".parse().unwrap();
        let listening = Listening::bind(&address, &Environment::default()).unwrap();
        let bound = listening.bound().tcp().unwrap();
        let service = service_fn(|request: Request<Incoming>| async move {
            let peer = request.extensions().get::<Peer>().copied();
            let text = format!("{}", matches!(peer, Some(Peer::Tcp(_))));
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
        });
        serve(listening, service, limits, &tasks).unwrap();
        (tasks, bound)
    }

    async fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_request_is_answered_and_knows_its_peer() {
        let (tasks, address) = start(ServeLimits::default());
        let answer = ask(
            address,
            b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        )
        .await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("true"),
            "{answer}"
        );
        assert_eq!(tasks.shutdown(Duration::from_secs(5)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_stop_closes_idle_connections_and_the_port() {
        let (tasks, address) = start(ServeLimits::default());
        let mut idle = tokio::net::TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut first = [0; 12];
        idle.read_exact(&mut first).await.unwrap();
        assert_eq!(tasks.shutdown(Duration::from_secs(5)).await, Ok(()));
        let mut rest = Vec::new();
        idle.read_to_end(&mut rest).await.unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let (tasks, address) = start(ServeLimits {
            head_bytes: 8192,
            ..ServeLimits::default()
        });
        let head = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "x".repeat(9000)
        );
        let answer = ask(address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert_eq!(tasks.shutdown(Duration::from_secs(5)).await, Ok(()));
    }
}
