//! HTTP, as gateways and plugins exchange it here.

mod headers;

use std::net::SocketAddr;

pub use headers::Headers;

/// The head of a request: its fields, `:method`, `:scheme`, `:authority` and `:path` among them and first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHead {
    /// The fields.
    pub headers: Headers,
    /// The connection it came on.
    pub connection: Connection,
}

/// The connection that a request came on, as far as the gateway tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connection {
    /// The client's address.
    pub source: Option<SocketAddr>,
    /// The address that the client connected to.
    pub destination: Option<SocketAddr>,
    /// The protocol, as `HTTP/1.1`.
    pub protocol: Option<&'static str>,
}

impl HttpHead {
    /// A request with this method and path (with its query), and nothing else.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        let headers = Headers::from_iter([
            (":method", method),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", path),
        ]);
        Self { headers, connection: Connection::default() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(name.as_bytes(), value.as_ref());
        self
    }

    /// The connection it came on.
    #[must_use]
    pub fn connection(mut self, connection: Connection) -> Self {
        self.connection = connection;
        self
    }

    /// Whether its headers announce a body.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.headers.get(b"transfer-encoding").is_some()
            || self.headers.get(b"content-length").is_some_and(|length| length != b"0")
    }
}

/// An answer that a plugin, or the host for it, gives in place of the upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// The headers, without `:status`.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer with a status alone.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Headers::new(), body: Vec::new() }
    }

    /// The head that goes to the client: `:status`, and the length that the body has, whatever a plugin says of it.
    pub(crate) fn head(&self) -> Headers {
        let mut head = Headers::from_iter([(":status", self.status.to_string())]);
        let framing = [&b":status"[..], b"content-length", b"transfer-encoding"];
        for (name, value) in self.headers.iter().filter(|(name, _)| !framing.contains(name)) {
            head.append(name, value);
        }
        if self.may_have_body() {
            head.append(b"content-length", self.body.len().to_string().as_bytes());
        }
        head
    }

    /// Whether its status lets it have a body.
    pub(crate) fn may_have_body(&self) -> bool {
        ![204, 304].contains(&self.status)
    }
}
