//! Threads: one single-threaded runtime per core, and acceptors that deal sockets to them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use crate::runtime::limits;
use crate::runtime::listen::{Accepted, Acceptor};
use crate::runtime::tasks::{Stop, Tasks};
use crate::sidecar::decide::Worker;
use crate::sidecar::http::door::Door;

/// The most that is read or written at once.
const BUFFER_MAX: usize = 64 * 1024;

/// How long to wait after a failed accept: without descriptors, trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection on its way to a thread.
struct Dealt {
    accepted: Accepted,
    door: Arc<Door>,
    slot: OwnedSemaphorePermit,
}

/// The threads.
pub(in crate::sidecar) struct Workers {
    threads: Vec<mpsc::UnboundedSender<Dealt>>,
    slots: Arc<Semaphore>,
}

impl Workers {
    /// Starts a thread for each worker.
    pub(in crate::sidecar) fn start(
        workers: &[Arc<Mutex<Worker>>],
        max_connections: usize,
        tasks: &Tasks,
    ) -> io::Result<Arc<Self>> {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::with_capacity(workers.len());
        for worker in workers {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (worker, inner) = (Arc::clone(worker), tasks.clone());
            let stopping = Arc::clone(&stopping);
            tasks.spawn_worker("sidecar", move || work(receiver, worker, inner, stopping))?;
            threads.push(sender);
        }
        Ok(Arc::new(Self {
            threads,
            slots: Arc::new(Semaphore::new(max_connections)),
        }))
    }
}

/// Accepts on one address until a stop, dealing round-robin.
pub(in crate::sidecar) async fn accept(
    acceptor: Acceptor,
    door: Arc<Door>,
    workers: Arc<Workers>,
    stop: Stop,
) {
    let mut turn = workers.threads.iter().cycle();
    loop {
        let next = async {
            let slot = Arc::clone(&workers.slots).acquire_owned().await;
            (slot, acceptor.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = stop.requested() => return,
            next = next => next,
        };
        match (slot, accepted) {
            (Ok(slot), Ok(accepted)) => {
                let dealt = Dealt {
                    accepted,
                    door: Arc::clone(&door),
                    slot,
                };
                // A thread that is gone is stopping, and so will this loop.
                let _ = turn.next().map(|thread| thread.send(dealt));
            }
            (Err(_), _) => return,
            (_, Err(error)) => {
                tracing::warn!(%error, listener = %acceptor.bound(), "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One thread's life: serves what it is dealt, and at the end waits for it.
async fn work(
    mut receiver: mpsc::UnboundedReceiver<Dealt>,
    worker: Arc<Mutex<Worker>>,
    tasks: Tasks,
    stopping: Arc<AtomicBool>,
) {
    let (open, stop) = (TaskTracker::new(), tasks.stop());
    loop {
        let dealt = tokio::select! {
            () = stop.requested() => break,
            dealt = receiver.recv() => dealt,
        };
        let Some(dealt) = dealt else { break };
        let connection = Connection {
            door: dealt.door,
            worker: Arc::clone(&worker),
        };
        let served = serve(
            dealt.accepted,
            connection,
            stop.clone(),
            Arc::clone(&stopping),
        );
        let slot = dealt.slot;
        let tracked = open.track_future(async move {
            served.await;
            drop(slot);
        });
        tasks.spawn("connection", tracked);
    }
    stopping.store(true, Ordering::Release);
    open.close();
    open.wait().await;
}

/// What requests of one connection need. One counted pointer per connection: a shared one would be
/// fought over by all cores.
struct Connection {
    door: Arc<Door>,
    worker: Arc<Mutex<Worker>>,
}

async fn serve(accepted: Accepted, connection: Connection, stop: Stop, stopping: Arc<AtomicBool>) {
    match accepted {
        Accepted::Tcp(stream, _) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => serve_stream(stream, connection, stop, stopping).await,
            Err(error) => tracing::debug!(%error, "a connection was lost"),
        },
        Accepted::Unix(stream) => match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => serve_stream(stream, connection, stop, stopping).await,
            Err(error) => tracing::debug!(%error, "a connection was lost"),
        },
    }
}

async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    connection: Connection,
    stop: Stop,
    stopping: Arc<AtomicBool>,
) {
    let connection = Arc::new(connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(connection.door.answer(&connection.worker, request).await) }
    });
    // `max_headers` is left alone: setting it makes hyper allocate them for each request.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIME)
        .max_buf_size(BUFFER_MAX)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service);
    let (mut served, mut requested) = (pin!(served), pin!(stop.requested()));
    let (mut registered, mut told) = (false, false);
    let outcome = poll_fn(|cx| {
        // Polled once, to be woken by a stop; after that a flag is cheaper to look at.
        if !registered {
            registered = true;
            if requested.as_mut().poll(cx).is_ready() {
                stopping.store(true, Ordering::Release);
            }
        }
        if !told && stopping.load(Ordering::Relaxed) {
            told = true;
            served.as_mut().graceful_shutdown();
        }
        match served.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    if let Err(error) = outcome {
        // A client that goes away or speaks no HTTP is its own affair.
        tracing::debug!(%error, "a connection ended early");
    }
}
