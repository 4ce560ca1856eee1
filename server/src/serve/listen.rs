//! Connections: accepted, limited, and finished before the server ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::config::Limits;
use super::seeing::{REQUEST_ID, traces};
use super::tls::{self, Handshakes, Peer};

/// Answers whoever connects to `listener`, until `ending` changes; then finishes what was begun, within
/// `limits.shutdown`.
pub(crate) async fn serve(
    listener: TcpListener,
    (protocol, tls): (Protocol, Option<Arc<Handshakes>>),
    router: Router,
    limits: Limits,
    mut ending: watch::Receiver<bool>,
) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let builder = builder(protocol, &limits);
    loop {
        // No place: whoever connects next waits in the system's queue.
        let accepted = tokio::select! {
            place = connections.clone().acquire_owned() => match place {
                Ok(place) => tokio::select! {
                    accepted = listener.accept() => accepted.map(|(stream, _)| (stream, place)),
                    _ = ending.changed() => break,
                },
                Err(_) => break,
            },
            _ = ending.changed() => break,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of files, most likely: others have to end first.
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (builder, watcher) = (builder.clone(), graceful.watcher());
        let acceptor = tls.as_ref().map(|tls| tls.acceptor(protocol));
        let (router, patience) = (router.clone(), limits.head.of_clock());
        let mut ends = ending.clone();
        tokio::spawn(async move {
            let Some(acceptor) = acceptor else {
                connected(builder, watcher, stream, None, router, patience).await;
                return drop(place);
            };
            let shaken = tokio::select! {
                shaken = tokio::time::timeout(patience, acceptor.accept(stream)) => shaken,
                // Nothing was asked yet that would have to be answered.
                _ = ends.wait_for(|ends| *ends) => return,
            };
            match shaken {
                Ok(Ok(stream)) => {
                    let peer = tls::peer(stream.get_ref().1).map(Arc::new);
                    connected(builder, watcher, stream, peer, router, patience).await;
                }
                Ok(Err(error)) => tracing::debug!("a handshake failed: {error}"),
                Err(_) => tracing::debug!("a handshake took too long"),
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.shutdown.of_clock(), graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish within {}", limits.shutdown);
    }
}

/// Answers the requests of one connection. Its first one must come within `patience`.
async fn connected(
    builder: Builder<TokioExecutor>,
    watcher: Watcher,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    peer: Option<Arc<Peer>>,
    router: Router,
    patience: Duration,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let has_asked = asked.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        asked.store(true, Ordering::Release);
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        answer(router.clone(), request)
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    // HTTP/2 has limits of its own only once both have begun to speak it.
    let silence = async {
        tokio::time::sleep(patience).await;
        if has_asked.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = watcher.watch(connection) => {
            if let Err(error) = ended {
                tracing::debug!("a connection broke: {error}");
            }
        }
        () = silence => tracing::debug!("nothing was asked on a connection"),
    }
}

/// What is spoken on a connection. To find it out takes the first bytes, and no time limit is on them: so each has a
/// port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

fn builder(protocol: Protocol, limits: &Limits) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    };
    let patience = limits.head.of_clock();
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(patience)
        .keep_alive_timeout(patience)
        .max_header_list_size(64 * 1024)
        .max_concurrent_streams(256);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(64 * 1024);
    builder
}

/// Answers a request under the id that it came with (AuthZEN 1.0 §10.1.3).
async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let id = request.headers().get(REQUEST_ID).cloned();
    let span = traces::span(&request);
    let mut response = router.oneshot(request).instrument(span.clone()).await?;
    traces::answered(&span, response.status().as_u16());
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}
