//! Heads of messages, between what hyper has and what plugins see, by the rules for who stands in between.
//!
//! Two rules hold whatever clients, upstreams and plugins do, for else one of them could have a message read as two:
//! a message that goes out says its length in one way only, and what is said of a connection (RFC 9110, 7.6.1)
//! stays on it.

use consentry_wasm_host::Headers;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::uri::PathAndQuery;
use hyper::http::{request, response};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};

use crate::bodies::Length;

/// What the two ends of a connection say to each other alone. `te` may pass as far as it asks for trailers.
const OF_A_CONNECTION: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    UPGRADE,
    // What it asks for, the gateway has answered.
    EXPECT,
];

/// A head that cannot be sent: a plugin made it so.
#[derive(Debug)]
pub(crate) struct Unusable;

/// The head of a request, as plugins see it. `None`: it does not say for whom it is, or says it twice.
pub(crate) fn of_request(parts: &request::Parts) -> Option<Headers> {
    let path = parts.uri.path_and_query()?;
    let mut hosts = parts.headers.get_all(HOST).iter();
    let authority = match (parts.uri.authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) | (None, None, None) => return None,
        (Some(authority), _, None) => authority.as_str().as_bytes(),
        (None, Some(host), None) => host.as_bytes(),
    };
    let mut head = Headers::new();
    head.append(b":authority", authority);
    head.append(b":path", path.as_str().as_bytes());
    head.append(b":method", parts.method.as_str().as_bytes());
    head.append(b":scheme", b"http");
    copy(&parts.headers, &mut head);
    Some(head)
}

/// The head of an answer, as plugins see it.
pub(crate) fn of_response(parts: &response::Parts) -> Headers {
    let mut head = Headers::from_iter([(":status", parts.status.as_str())]);
    copy(&parts.headers, &mut head);
    head
}

/// Copies what is not of the connection alone. `transfer-encoding` stays to be looked at, and goes no further.
fn copy(from: &HeaderMap, to: &mut Headers) {
    let values = |name| from.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let listed = |name| values(name).flat_map(|value| value.split(',').map(str::trim));
    let stays = |name: &HeaderName| {
        OF_A_CONNECTION.contains(name)
            || name == HOST
            || listed(CONNECTION).any(|option| option.eq_ignore_ascii_case(name.as_str()))
            // What is sent in chunks is as long as its chunks.
            || name == CONTENT_LENGTH && from.contains_key(TRANSFER_ENCODING)
    };
    for (name, value) in from.iter().filter(|(name, _)| !stays(name)) {
        to.append(name.as_str().as_bytes(), value.as_bytes());
    }
    if listed(TE).any(|coding| coding.eq_ignore_ascii_case("trailers")) {
        to.append(b"te", b"trailers");
    }
}

/// The request that plugins let on; `whole`: without a body.
pub(crate) fn to_request(head: &Headers, whole: bool) -> Result<(Request<()>, Length), Unusable> {
    let mut request = Request::new(());
    let method = head.get(b":method").ok_or(Unusable)?;
    *request.method_mut() = Method::from_bytes(method).map_err(|_| Unusable)?;
    let path = head.get(b":path").filter(|path| path.starts_with(b"/") || path == b"*").ok_or(Unusable)?;
    let path = PathAndQuery::try_from(path).map_err(|_| Unusable)?;
    *request.uri_mut() = Uri::from(path);
    if request.method() == Method::CONNECT {
        return Err(Unusable);
    }
    let length = length(head)?;
    let fields = request.headers_mut();
    let host = head.get(b":authority").unwrap_or_default();
    fields.insert(HOST, HeaderValue::from_bytes(host).map_err(|_| Unusable)?);
    fields.extend(fields_of(head)?);
    if head.get(b"te").is_some_and(|te| te.eq_ignore_ascii_case(b"trailers")) {
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    match length {
        Some(length) if !whole || length == 0 => {
            fields.insert(CONTENT_LENGTH, length.into());
        }
        // hyper sends no body with a GET that does not say so.
        None if !whole => {
            fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        _ => {}
    }
    Ok((request, Length::new(length.filter(|_| !whole))))
}

/// The answer that plugins let on. How a body of no known length is sent depends on the client: hyper says it.
pub(crate) fn to_response(
    head: &Headers,
    whole: bool,
    asked: &Method,
) -> Result<(Response<()>, Length), Unusable> {
    let mut response = Response::new(());
    let status = head.get(b":status").ok_or(Unusable)?;
    let status = StatusCode::from_bytes(status).map_err(|_| Unusable)?;
    if status.is_informational() {
        return Err(Unusable);
    }
    *response.status_mut() = status;
    let length = length(head)?;
    *response.headers_mut() = fields_of(head)?;
    // Both tell the length of a body that they do not have; what has none by its status tells nothing.
    let bare = asked == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    let told = |length: &u64| bare || status != StatusCode::NO_CONTENT && (!whole || *length == 0);
    if let Some(length) = length.filter(told) {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    Ok((response, Length::new(length.filter(|_| !whole && !bare))))
}

/// The fields that go on, without those that are said anew on every connection.
pub(crate) fn fields_of(head: &Headers) -> Result<HeaderMap, Unusable> {
    let mut fields = HeaderMap::with_capacity(head.len());
    for (name, value) in head.iter().filter(|(name, _)| !name.starts_with(b":")) {
        let name = HeaderName::from_bytes(name).map_err(|_| Unusable)?;
        if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) && !OF_A_CONNECTION.contains(&name) {
            fields.append(name, HeaderValue::from_bytes(value).map_err(|_| Unusable)?);
        }
    }
    Ok(fields)
}

/// The length that a head tells, if it tells one. The host takes it away where a plugin may change the body. What is
/// left, a plugin may have made up all the same: it is a promise, and `bodies` sees that it is kept.
fn length(head: &Headers) -> Result<Option<u64>, Unusable> {
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut length = None;
    for (_, value) in head.iter().filter(|(name, _)| *name == b"content-length") {
        let text = std::str::from_utf8(value).ok().filter(digits).ok_or(Unusable)?;
        let this = text.parse().map_err(|_| Unusable)?;
        if *length.get_or_insert(this) != this {
            return Err(Unusable);
        }
    }
    Ok(length)
}
