//! One connection: HTTP/2 with prior knowledge.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::call::call;
use crate::runtime::limits;
use crate::runtime::tasks::Tasks;
use crate::sidecar::http::workers::{Connection, Drain};

/// Calls at once on one connection; Envoy opens another when they are used up.
const STREAMS: u32 = 1024;
/// What one call may send before it is read, and all of them together.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// How often a quiet peer is asked whether it is still there, and how long it has to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIME: Duration = Duration::from_secs(10);

/// Runs a connection's calls on its own thread.
#[derive(Clone)]
struct OnThread(Tasks);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for OnThread {
    fn execute(&self, call: F) {
        self.0.spawn("call", call);
    }
}

/// Serves a connection until its peer closes it or the drain begins. One on which no call comes
/// within the time of a request's head is closed: there are no pings before the first frame.
pub(in crate::sidecar::http) async fn serve<S>(
    stream: S,
    connection: Connection,
    drain: Drain,
    tasks: Tasks,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Arc::new(connection);
    let has_called = Arc::new(AtomicBool::new(false));
    let called = Arc::clone(&has_called);
    let service = service_fn(move |request: Request<Incoming>| {
        called.store(true, Ordering::Relaxed);
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(call(connection, request).await) }
    });
    let served = http2::Builder::new(OnThread(tasks))
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(limits::HEAD_BYTES).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIME)
        .serve_connection(TokioIo::new(stream), service);
    let silent = async {
        tokio::time::sleep(limits::HEAD_TIME).await;
        if has_called.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let served = pin!(served);
    let served = drain.over(served, http2::Connection::graceful_shutdown);
    tokio::select! {
        outcome = served => if let Err(error) = outcome {
            tracing::debug!(%error, "a connection ended early");
        },
        () = silent => tracing::debug!("a connection was closed on which nobody called"),
    }
}
