//! The accept loop. `axum::serve` knows no timeouts: a client that connects and says nothing
//! would be kept for ever. Here hyper serves HTTP/1.1 with a time and a size for headers.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a client may take for a request's head; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The greatest length of a request's head.
const MAX_HEAD: usize = 64 * 1024;
/// How long clients are waited for that read their last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// The pause after a failed accept: out of descriptors, say, which only time heals.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running server.
pub(super) struct Server {
    stop: CancellationToken,
    accepting: JoinHandle<GracefulShutdown>,
}

impl Server {
    pub(super) fn start(listener: TcpListener, router: Router) -> Self {
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, router, stop.clone()));
        Server { stop, accepting }
    }

    /// Takes no more requests, and waits for the answers to those that were taken. When they take
    /// too long, `give_up` is called, which must end them, and what is left of them is written.
    /// False in this case.
    pub(super) async fn stop(self, patience: Duration, give_up: impl FnOnce()) -> bool {
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

async fn accept(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return connections,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !is_the_clients(&error) {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        // Answers are small and written at once: waiting to fill packets only delays them.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

/// Whether a failed accept tells of the client only.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
