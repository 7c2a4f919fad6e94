//! The accept loop. `axum::serve` knows no timeouts: a client that connects and says nothing
//! would be kept for ever. Here hyper serves HTTP/1.1, and HTTP/2 where TLS has agreed on it, over
//! connections whose silences end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::http::limits::{ClientLimits, MAX_HEAD, MAX_HEADERS};
use crate::http::wire::connection::{Pulse, Timed};
use crate::http::wire::edge::{Caller, Edge};
use crate::http::wire::guard::client::grouped;
use crate::http::wire::half_close::HalfOpen;
use crate::http::wire::places::Places;
use crate::http::wire::reset::Resetting;
use crate::http::wire::tls::Tls;

/// How long clients are waited for that read their last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// The pause after a failed accept: out of descriptors, say, which only time heals.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often what is kept of clients is tidied up.
const TIDY: Duration = Duration::from_mins(1);
/// Requests at a time on a connection of HTTP/2.
const MAX_STREAMS: u32 = 100;
/// What a client hears whose connection is one too many.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\
                      connection: close\r\n\r\n";

/// A running server.
pub(crate) struct Server {
    stop: CancellationToken,
    accepting: JoinHandle<GracefulShutdown>,
}

impl Server {
    pub(crate) fn start(
        listener: TcpListener,
        edge: Edge,
        limits: ClientLimits,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        let stop = CancellationToken::new();
        let files = ai_integration_engine::raise_open_files();
        let most = usize::try_from(files).unwrap_or(usize::MAX).min(limits.max_connections);
        let acceptor = Arc::new(Acceptor {
            edge: Arc::new(edge),
            limits,
            places: Arc::new(Places::new(most)),
            tls,
            stop: stop.clone(),
        });
        tokio::spawn(acceptor.clone().look_after());
        let accepting = tokio::spawn(acceptor.accept(listener));
        Server { stop, accepting }
    }

    /// Takes no more requests, and waits for the answers to those that were taken. When they take
    /// too long, `give_up` is called, which must end them, and what is left of them is written.
    /// False in this case.
    pub(crate) async fn stop(self, patience: Duration, give_up: impl FnOnce()) -> bool {
        self.stop.cancel();
        let Ok(connections) = self.accepting.await else { return false };
        let answered = connections.shutdown();
        tokio::pin!(answered);
        if timeout(patience, &mut answered).await.is_ok() {
            return true;
        }
        give_up();
        let _ = timeout(LAST_ANSWERS, answered).await;
        false
    }
}

/// What every connection needs.
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
                    if !is_the_clients(&error) {
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
                // A new connection has room for this, so it is not waited for.
                let _ = stream.try_write(FULL);
            }
            return;
        };
        // Answers are small and written at once: waiting to fill packets only delays them.
        let _ = stream.set_nodelay(true);
        let acceptor = self.clone();
        tokio::spawn(async move {
            let _count = ConnectionCount::new(&acceptor.edge);
            tokio::select! {
                () = acceptor.attend(stream, peer, watcher, place.pulse()) => {}
                () = place.is_wanted() => {
                    tracing::debug!("a connection without a request was closed for another client's");
                }
            }
        });
    }

    async fn attend(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: Watcher,
        pulse: Arc<Pulse>,
    ) {
        if !self.has_begun(&stream).await {
            return;
        }
        // On the heap, and buffers there too: whoever says nothing costs next to nothing.
        if let Err(error) = Box::pin(self.serve(stream, peer, watcher, pulse)).await {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    /// Waits for the first byte, as long as there is time for it.
    async fn has_begun(&self, stream: &TcpStream) -> bool {
        let mut first = [0];
        tokio::select! {
            peeked = timeout(self.limits.head_timeout, stream.peek(&mut first)) => {
                matches!(peeked, Ok(Ok(1)))
            }
            () = self.stop.cancelled() => false,
        }
    }

    async fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: Watcher,
        pulse: Arc<Pulse>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let caller = Caller { edge: self.edge.clone(), pulse: pulse.clone(), peer: peer.ip() };
        let holder = grouped(peer.ip());
        let reservation = self.edge.budget.reserve(Some(holder));
        let stream = Resetting::new(stream, pulse.clone());
        let stream = Timed::new(stream, pulse.clone(), self.limits, reservation);
        let Some(tls) = &self.tls else { return self.http1(stream, caller, watcher).await };
        // Plain HTTP/1.1 need not keep room for this.
        let handshake = Box::pin(tls.accept(stream));
        let (stream, is_http2) = timeout(self.limits.head_timeout, handshake).await??;
        if is_http2 {
            pulse.multiplexes.store(true, Ordering::Relaxed);
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
        // The stream's own clock is finer, and ends what this one does not look at.
        http.timer(TokioTimer::new()).header_read_timeout(None);
        http.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD).max_headers(MAX_HEADERS);
        // The stream looks by itself whether the client of a request is still there.
        http.half_close(true);
        let stream = HalfOpen::new(stream, caller.pulse.clone());
        let connection = http.serve_connection(TokioIo::new(stream), caller);
        Ok(watcher.watch(connection).await?)
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        caller: Caller,
        watcher: Watcher,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut http = http2::Builder::new(TokioExecutor::new());
        // It refuses from this length on, HTTP/1.1 beyond it.
        let most = u32::try_from(MAX_HEAD + 1).unwrap_or(u32::MAX);
        http.timer(TokioTimer::new()).max_header_list_size(most);
        http.max_concurrent_streams(MAX_STREAMS);
        let connection = http.serve_connection(TokioIo::new(stream), caller);
        Ok(watcher.watch(connection).await?)
    }

    /// Reads certificates again when told to, and forgets clients that are gone.
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

/// A connection among those that are counted.
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

/// Whether a failed accept tells of the client only.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
