//! The accept loop. `axum::serve` has no timeouts, so a client that connects and sends nothing
//! would stay connected for ever. Here hyper serves HTTP/1.1, or HTTP/2 if TLS has negotiated it or
//! the first bytes are those of HTTP/2, over connections with timeouts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::limits::{ClientLimits, MAX_HEAD};
use crate::http::wire::connection::{Activity, Timed};
use crate::http::wire::edge::{Caller, Edge};
use crate::http::wire::guard::client::grouped;
use crate::http::wire::half_close::HalfOpen;
use crate::http::wire::places::Places;
use crate::http::wire::reset::Resetting;
use crate::http::wire::tls::Tls;

/// The time that clients have to read the last responses during the shutdown.
const LAST_RESPONSES: Duration = Duration::from_secs(1);
/// The pause after a failed accept, for instance when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The interval at which the state of clients that left is removed.
const TIDY: Duration = Duration::from_mins(1);
/// The maximum number of concurrent requests on a connection of HTTP/2.
const MAX_STREAMS: u32 = 100;
/// The first bytes of a connection of HTTP/2 without TLS (RFC 9113, section 3.4), as far as they
/// differ from those of every request of HTTP/1.1.
const PREFACE: &[u8] = b"PRI ";
/// The pause before the first bytes are looked at again, if they are fewer than [`PREFACE`].
const PREFACE_PAUSE: Duration = Duration::from_millis(10);
/// The time without traffic after which the server checks that the client of a request over HTTP/2
/// is still there.
const ALIVE_AFTER: Duration = Duration::from_mins(1);
/// The response to a connection over the limit.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\
                      connection: close\r\n\r\n";

/// A running server.
pub(crate) struct Server {
    stop: CancellationToken,
    accepting: Vec<JoinHandle<GracefulShutdown>>,
    detached: TaskTracker,
}

impl Server {
    pub(crate) fn start(
        listeners: Vec<TcpListener>,
        edge: Edge,
        limits: ClientLimits,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        let stop = CancellationToken::new();
        let files = ai_integration_engine::raise_open_files();
        let most = usize::try_from(files).unwrap_or(usize::MAX).min(limits.max_connections);
        let detached = edge.detached.clone();
        let acceptor = Arc::new(Acceptor {
            edge: Arc::new(edge),
            limits,
            places: Arc::new(Places::new(most)),
            tls,
            stop: stop.clone(),
        });
        tokio::spawn(acceptor.clone().look_after());
        let accept = |listener| tokio::spawn(acceptor.clone().accept(listener));
        let accepting = listeners.into_iter().map(accept).collect();
        Server { stop, accepting, detached }
    }

    /// Accepts no more requests, and waits for the responses to the accepted ones, and for the requests
    /// that go on without their clients. Returns false if they take longer than `grace`. In this case
    /// `cancel` is called, which must end the requests, and clients get 1 s to read the last responses.
    pub(crate) async fn stop(self, grace: Duration, cancel: impl FnOnce()) -> bool {
        self.stop.cancel();
        let Ok(connections) = try_join_all(self.accepting).await else { return false };
        let finished = async {
            join_all(connections.into_iter().map(GracefulShutdown::shutdown)).await;
            self.detached.close();
            self.detached.wait().await;
        };
        tokio::pin!(finished);
        if timeout(grace, &mut finished).await.is_ok() {
            return true;
        }
        cancel();
        let _ = timeout(LAST_RESPONSES, finished).await;
        false
    }
}

/// The state that all connections share.
struct Acceptor {
    edge: Arc<Edge>,
    limits: ClientLimits,
    places: Arc<Places>,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
}

impl Acceptor {
    async fn accept(self: Arc<Self>, listener: TcpListener) -> GracefulShutdown {
        let connections = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return connections,
            };
            match accepted {
                Ok((stream, peer)) => self.open(stream, peer, connections.watcher()),
                Err(error) => {
                    if !is_of_client(&error) {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    fn open(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        let Some(mut place) = self.places.take(grouped(peer.ip())) else {
            self.edge.metrics.refused_connections.inc();
            if self.tls.is_none() {
                // The send buffer of a new connection has room for this, so the write does not
                // block.
                let _ = stream.try_write(FULL);
            }
            return;
        };
        // Responses are written in one go, so Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let acceptor = self.clone();
        tokio::spawn(async move {
            let _count = ConnectionCount::new(&acceptor.edge);
            tokio::select! {
                () = acceptor.attend(stream, peer, watcher, place.activity()) => {}
                () = place.must_close() => {
                    tracing::debug!("an idle connection was closed to make room for another client");
                }
            }
        });
    }

    async fn attend(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: Watcher,
        activity: Arc<Activity>,
    ) {
        let Some(is_http2) = self.begin(&stream).await else { return };
        activity.multiplexes.store(is_http2, Ordering::Relaxed);
        // The future and its buffers are allocated only now, so that a connection that sends
        // nothing needs little memory.
        if let Err(error) = Box::pin(self.serve(stream, peer, watcher, activity)).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    /// Waits for the first bytes, and returns true if they are those of HTTP/2 without TLS. Returns
    /// `None` if they did not come within the timeout.
    async fn begin(&self, stream: &TcpStream) -> Option<bool> {
        tokio::select! {
            begun = timeout(self.limits.head_timeout, is_http2(stream)) => begun.ok()?,
            () = self.stop.cancelled() => None,
        }
    }

    async fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: Watcher,
        activity: Arc<Activity>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let caller =
            Caller { edge: self.edge.clone(), activity: activity.clone(), peer: peer.ip() };
        let holder = grouped(peer.ip());
        let reservation = self.edge.budget.reserve(Some(holder));
        let stream = Resetting::new(stream, activity.clone());
        let stream = Timed::new(stream, activity.clone(), self.limits, reservation);
        // The other futures are boxed, so that the one of plain HTTP/1.1 does not have their size.
        let Some(tls) = &self.tls else {
            if activity.is_multiplexed() {
                return Box::pin(self.http2(stream, caller, watcher)).await;
            }
            return self.http1(stream, caller, watcher).await;
        };
        let handshake = Box::pin(tls.accept(stream));
        let (stream, is_http2) = timeout(self.limits.head_timeout, handshake).await??;
        if is_http2 {
            Box::pin(self.http2(stream, caller, watcher)).await
        } else {
            Box::pin(self.http1(stream, caller, watcher)).await
        }
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        caller: Caller,
        watcher: Watcher,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut http = http1::Builder::new();
        // `Timed` has timeouts for every wait, not only for the head.
        http.timer(TokioTimer::new()).header_read_timeout(None);
        // hyper refuses more than 100 headers. If that number is set, hyper clears the memory for 100
        // headers twice for each request, which takes 2 % of all instructions of a small one.
        http.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD);
        // `HalfOpen` checks by itself whether the client of a request is still there.
        http.half_close(true);
        let stream = HalfOpen::new(stream, caller.activity.clone());
        let connection = http.serve_connection(TokioIo::new(stream), caller);
        Ok(watcher.watch(connection).await?)
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        caller: Caller,
        watcher: Watcher,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        caller.activity.multiplexes.store(true, Ordering::Relaxed);
        let mut http = http2::Builder::new(TokioExecutor::new());
        // hyper rejects a head that reaches this limit over HTTP/2, but over HTTP/1.1 only a longer
        // one.
        let most = u32::try_from(MAX_HEAD + 1).unwrap_or(u32::MAX);
        http.timer(TokioTimer::new()).max_header_list_size(most);
        http.max_concurrent_streams(MAX_STREAMS).keep_alive_interval(ALIVE_AFTER);
        let connection = http.serve_connection(TokioIo::new(stream), caller);
        Ok(watcher.watch(connection).await?)
    }

    /// Reloads the certificate on SIGHUP, and regularly removes the state of clients that left.
    async fn look_after(self: Arc<Self>) {
        let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
        let mut tidy = interval(TIDY);
        loop {
            tokio::select! {
                _ = hangups.recv() => self.tls.iter().for_each(|tls| tls.reload()),
                _ = tidy.tick() => self.edge.guard.tidy(),
                () = self.stop.cancelled() => return,
            }
        }
    }
}

/// Waits for the first bytes of a connection, and returns true if they are those of HTTP/2 without
/// TLS. Returns `None` if the connection ends before them.
async fn is_http2(stream: &TcpStream) -> Option<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut first).await.ok().filter(|count| *count > 0)?;
        let first = &first[..count];
        if first == PREFACE {
            return Some(true);
        }
        if !PREFACE.starts_with(first) {
            return Some(false);
        }
        // Nothing wakes this task when more arrives, since the first bytes stay unread.
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}

/// Counts an open connection in the metrics until it is dropped.
struct ConnectionCount(Arc<Edge>);

impl ConnectionCount {
    fn new(edge: &Arc<Edge>) -> Self {
        edge.metrics.connections.inc();
        ConnectionCount(edge.clone())
    }
}

impl Drop for ConnectionCount {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}

/// Returns true if an accept failed because of the client, and not because of this system.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
