//! Threads: one single-threaded runtime per core, and acceptors that deal sockets to them.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::runtime::limits;
use crate::runtime::listen::{Accepted, Acceptor};
use crate::runtime::tasks::{Stop, Tasks};
use crate::sidecar::config::Protocol;
use crate::sidecar::decide::Worker;
use crate::sidecar::http::door::Door;
use crate::sidecar::http::grpc;
use crate::sidecar::watch::Cut;

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
    /// How many connections a listener has at most: each has its own, or whoever may reach one
    /// could keep everybody from all.
    connections: usize,
}

impl Workers {
    /// Starts a thread for each worker.
    pub(in crate::sidecar) fn start(
        workers: &[Arc<Mutex<Worker>>],
        max_connections: usize,
        tasks: &Tasks,
    ) -> io::Result<Arc<Self>> {
        let mut threads = Vec::with_capacity(workers.len());
        for worker in workers {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (worker, inner) = (Arc::clone(worker), tasks.clone());
            tasks.spawn_worker("sidecar", move || work(receiver, worker, inner))?;
            threads.push(sender);
        }
        Ok(Arc::new(Self {
            threads,
            connections: max_connections.min(Semaphore::MAX_PERMITS),
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
    let slots = Arc::new(Semaphore::new(workers.connections));
    let mut turn = workers.threads.iter().cycle();
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
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
) {
    let (open, stop) = (TaskTracker::new(), tasks.stop());
    let drain = Drain::default();
    loop {
        let dealt = tokio::select! {
            () = stop.requested() => break,
            dealt = receiver.recv() => dealt,
        };
        let Some(dealt) = dealt else { break };
        let connection = Connection {
            door: dealt.door,
            worker: Arc::clone(&worker),
            uid: None,
            tasks: tasks.clone(),
            cut: Arc::default(),
        };
        let served = serve(dealt.accepted, connection, drain.clone(), tasks.clone());
        let slot = dealt.slot;
        let tracked = open.track_future(async move {
            served.await;
            drop(slot);
        });
        tasks.spawn("connection", tracked);
    }
    drain.begin();
    open.close();
    open.wait().await;
    // Nothing is decided here any more: the decision log is written to its end.
    worker.lock().unwrap_or_else(PoisonError::into_inner).log = None;
}

/// The end of a thread's connections. The flag is set before anybody is woken, so whoever is woken
/// sees it, and looking at it costs next to nothing each time a connection runs.
#[derive(Clone, Default)]
pub(super) struct Drain {
    begun: Arc<AtomicBool>,
    wake: CancellationToken,
}

impl Drain {
    fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.wake.cancel();
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Runs a connection to its end, which `shut_down` has come sooner once the drain begins.
    pub(super) async fn over<C: Future>(
        &self,
        mut served: Pin<&mut C>,
        shut_down: impl Fn(Pin<&mut C>),
    ) -> C::Output {
        let mut woken = pin!(self.wake.cancelled());
        let (mut registered, mut told) = (false, false);
        poll_fn(|cx| {
            if !registered {
                registered = true;
                // Only to be woken; what counts is the flag.
                let _ = woken.as_mut().poll(cx);
            }
            if !told && self.has_begun() {
                told = true;
                shut_down(served.as_mut());
            }
            served.as_mut().poll(cx)
        })
        .await
    }
}

/// What requests of one connection need. One counted pointer per connection: a shared one would be
/// fought over by all cores.
pub(super) struct Connection {
    pub(super) door: Arc<Door>,
    pub(super) worker: Arc<Mutex<Worker>>,
    /// The user at the other end of a Unix socket.
    pub(super) uid: Option<u32>,
    /// Where watches run.
    pub(super) tasks: Tasks,
    /// By which a watch that is not read ends it.
    pub(super) cut: Arc<Cut>,
}

async fn serve(accepted: Accepted, mut connection: Connection, drain: Drain, tasks: Tasks) {
    match accepted {
        Accepted::Tcp(stream, _) => match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => speak(stream, connection, drain, tasks).await,
            Err(error) => tracing::debug!(%error, "a connection was lost"),
        },
        Accepted::Unix(stream) => match tokio::net::UnixStream::from_std(stream) {
            Ok(stream) => {
                // Without it the peer is nobody in particular.
                connection.uid = stream.peer_cred().ok().map(|peer| peer.uid());
                speak(stream, connection, drain, tasks).await;
            }
            Err(error) => tracing::debug!(%error, "a connection was lost"),
        },
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    connection: Connection,
    drain: Drain,
    tasks: Tasks,
) {
    match connection.door.protocol {
        Protocol::Http => serve_stream(stream, connection, drain).await,
        Protocol::EnvoyGrpc => grpc::serve(stream, connection, drain, tasks).await,
    }
}

async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    connection: Connection,
    drain: Drain,
) {
    let connection = Arc::new(connection);
    let cut = Arc::clone(&connection.cut);
    let service = service_fn(move |request: Request<Incoming>| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(connection.door.respond(&connection, request).await) }
    });
    // `max_headers` is left alone: setting it makes hyper allocate them for each request. Not
    // `pipeline_flush`: with it, answers that nobody reads are kept without any bound.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIME)
        .max_buf_size(BUFFER_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let served = pin!(served);
    let over = drain.over(served, http1::Connection::graceful_shutdown);
    let outcome = cut.unless(over).await.unwrap_or(Ok(()));
    if let Err(error) = outcome {
        // A client that goes away or speaks no HTTP is its own affair.
        tracing::debug!(%error, "a connection ended early");
    }
}
