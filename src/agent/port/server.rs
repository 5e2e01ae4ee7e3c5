//! Serves HTTP/1 within limits, so that nobody who reaches the port can use up the process's memory or descriptors.
//!
//! | what | limit |
//! |---|---|
//! | connections | 128; one more takes the place of the one that has been idle for longest |
//! | a TLS handshake | done after 5 s |
//! | headers | 64, 16 KiB together, complete after 5 s |
//! | a connection that does nothing, or does not take its answer | closed after 15 s |
//! | a request | answered after 75 s, whatever the agent does |

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::agent::port::refusal::Refusal;
use crate::clients::tls_server::Certificates;
use crate::output;

/// Most connections at a time.
pub const CONNECTIONS_MAX: usize = 128;

const HEADERS_MAX: usize = 64;
const BUFFER_BYTES_MAX: usize = 16 << 10;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
const IDLE_MAX: Duration = Duration::from_secs(15);
const REQUEST_MAX: Duration = Duration::from_secs(75);

/// How long requests that are under way may take when the port closes.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// The pause after an accept that failed: descriptors are used up, most likely by another part of the process.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that is served until it is closed.
#[derive(Debug)]
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    closes: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Served {
    /// Stops listening; requests that are under way are still answered, if that takes no longer than a second.
    pub async fn close(self) {
        let _ = self.closes.send(true);
        // A task that panicked is closed, too.
        let _ = self.task.await;
    }
}

/// Listens on an address and serves routes there.
pub async fn serve(address: SocketAddr, routes: Router) -> anyhow::Result<Served> {
    listen(address, Service { routes, certificates: None }).await
}

/// The same as HTTPS.
pub async fn serve_tls(address: SocketAddr, routes: Router, certificates: Arc<Certificates>) -> anyhow::Result<Served> {
    listen(address, Service { routes, certificates: Some(certificates) }).await
}

/// What is served on each connection.
#[derive(Debug, Clone)]
struct Service {
    routes: Router,
    /// Of HTTPS.
    certificates: Option<Arc<Certificates>>,
}

async fn listen(address: SocketAddr, service: Service) -> anyhow::Result<Served> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
    let address = listener.local_addr()?;
    let (closes, closing) = watch::channel(false);
    Ok(Served { address, closes, task: tokio::spawn(accept(listener, service, closing)) })
}

async fn accept(listener: TcpListener, service: Service, mut closing: watch::Receiver<bool>) {
    let (seats, mut connections, mut is_failing) = (Arc::new(Seats::default()), JoinSet::new(), false);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = closing.wait_for(|closes| *closes) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    output::complain(&format!("the HTTP port can't accept connections now: {error}"));
                }
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        is_failing = false;
        // Without a seat, every other connection has a request under way: this one is closed.
        if let Some(seat) = seats.take() {
            connections.spawn(connection(stream, seat, service.clone(), closing.clone()));
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // What is open after that is dropped with the set.
    let _ = timeout(CLOSE_MAX, all).await;
}

async fn connection(stream: TcpStream, seat: Seat, service: Service, mut closing: watch::Receiver<bool>) {
    let Service { routes, certificates } = service;
    let Some(certificates) = certificates else { return requests(stream, seat, routes, closing).await };
    let secured = tokio::select! {
        secured = timeout(HANDSHAKE_WITHIN, certificates.accept(stream)) => secured,
        () = seat.used.leave.notified() => return,
        _ = closing.wait_for(|closes| *closes) => return,
    };
    match secured {
        Ok(Ok(stream)) => Box::pin(requests(stream, seat, routes, closing)).await,
        // A client that does not trust us, or speaks no TLS, is no fault of ours; whoever looks into that needs the reason.
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took longer than {} s", HANDSHAKE_WITHIN.as_secs()),
    }
}

/// Answers the requests of one connection.
async fn requests<S>(stream: S, seat: Seat, routes: Router, mut closing: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let routes = TowerToHyperService::new(routes);
    let use_of_seat = Arc::clone(&seat.used);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (busy, answer) = (Busy::begin(&use_of_seat), routes.call(request));
        async move {
            let answer = timeout(REQUEST_MAX, answer).await;
            drop(busy);
            Ok::<_, Infallible>(answer.map_or_else(
                |_| {
                    let words = format!("the agent did not answer within {} s; look at its log", REQUEST_MAX.as_secs());
                    Refusal(StatusCode::GATEWAY_TIMEOUT, words).into_response()
                },
                |answer| answer.unwrap_or_else(|never| match never {}),
            ))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(BUFFER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut is_closing = false;
    loop {
        let is_over = tokio::select! {
            // A client that speaks no HTTP, or is gone, is no fault of ours.
            _ = connection.as_mut() => true,
            () = seat.used.leave.notified() => true,
            () = sleep_until(seat.used.idle_until()) => seat.used.is_idle(),
            _ = closing.wait_for(|closes| *closes), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
                false
            }
        };
        if is_over {
            return;
        }
    }
}

/// The connections that there are.
#[derive(Debug, Default)]
struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    by: BTreeMap<u64, Arc<Use>>,
}

/// One connection's place; free when it is dropped.
#[derive(Debug)]
struct Seat {
    number: u64,
    used: Arc<Use>,
    seats: Arc<Seats>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().by.remove(&self.number);
    }
}

/// What a connection does.
#[derive(Debug)]
struct Use {
    /// Requests under way: one, or none.
    busy: AtomicUsize,
    idle_since: Mutex<Instant>,
    /// Asks it to make room.
    leave: Notify,
}

impl Seats {
    /// A place: a free one, or that of the connection that has been idle for longest; none where all are busy.
    fn take(self: &Arc<Self>) -> Option<Seat> {
        let mut taken = self.lock();
        if taken.by.len() >= CONNECTIONS_MAX {
            let idle = taken.by.iter().filter(|(_, used)| !used.is_busy());
            let (number, _) = idle.min_by_key(|(_, used)| used.idle_since())?;
            let number = *number;
            taken.by.remove(&number)?.leave.notify_one();
        }
        let number = taken.next;
        taken.next += 1;
        let used =
            Arc::new(Use { busy: AtomicUsize::new(0), idle_since: Mutex::new(Instant::now()), leave: Notify::new() });
        taken.by.insert(number, Arc::clone(&used));
        Some(Seat { number, used, seats: Arc::clone(self) })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Use {
    fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    fn idle_since(&self) -> Instant {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has done nothing for too long.
    fn is_idle(&self) -> bool {
        !self.is_busy() && self.idle_since().elapsed() >= IDLE_MAX
    }

    /// When to look again whether it is idle.
    fn idle_until(&self) -> Instant {
        if self.is_busy() { Instant::now() + IDLE_MAX } else { self.idle_since() + IDLE_MAX }
    }
}

/// A request is under way while this is there.
struct Busy(Arc<Use>);

impl Busy {
    fn begin(used: &Arc<Use>) -> Self {
        used.busy.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(used))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}
