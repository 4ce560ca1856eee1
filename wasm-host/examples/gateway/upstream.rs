//! Connections to a server, kept for the next request.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bodies::Outlet;

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(3);
/// Connections that are kept while nobody needs them.
const KEPT: usize = 64;

/// A server that requests are sent to.
pub(crate) struct Upstream {
    address: String,
    /// The last that was used is the first to be used again: the others grow old, and their server closes them.
    idle: Mutex<Vec<SendRequest<Outlet>>>,
}

impl Upstream {
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), idle: Mutex::default() }
    }

    /// Sends a request and waits for the head of its answer. A request is never sent twice: only one of which
    /// nothing was sent goes to another connection.
    pub(crate) async fn send(
        self: Arc<Self>,
        mut request: Request<Outlet>,
    ) -> Result<Response<Incoming>, Box<dyn Error + Send + Sync>> {
        while let Some(mut connection) = self.kept() {
            match connection.try_send_request(request).await {
                Ok(response) => {
                    self.keep(connection);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let stream = timeout(CONNECTING, TcpStream::connect(&self.address)).await??;
        stream.set_nodelay(true)?;
        let (mut connection, transport) = http1::handshake(TokioIo::new(stream)).await?;
        // How it ends is told to who sends on it.
        tokio::spawn(transport);
        let response = connection.send_request(request).await?;
        self.keep(connection);
        Ok(response)
    }

    /// A connection that seems to be open.
    fn kept(&self) -> Option<SendRequest<Outlet>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = idle.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection once it is free: when the answer was read to its end, and there is no other end to it.
    fn keep(self: &Arc<Self>, mut connection: SendRequest<Outlet>) {
        let upstream = self.clone();
        tokio::spawn(async move {
            if connection.ready().await.is_ok() {
                let mut idle = upstream.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < KEPT {
                    idle.push(connection);
                }
            }
        });
    }
}
