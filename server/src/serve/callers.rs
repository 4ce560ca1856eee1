//! Who calls the server, and what they may ask for.
//!
//! A caller is a program: a gateway, a portal's back end, an operator's tool. Whom it acts for is another question: the
//! principal, which it names.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sha2::{Digest as _, Sha256};

use super::app::App;
use super::config::{CallbackConfig, CallerConfig, ConfigError, Role};
use super::problem::Problem;
use super::seeing::traces;
use super::tls::Peer;
use crate::clock;

/// A caller that is known.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: Role,
    rate: Option<DefaultDirectRateLimiter>,
    /// How it may be told what became of its requests for access.
    pub(crate) callback: Option<Callback>,
}

/// Where a caller can be told something, and the key that both know.
pub(crate) struct Callback {
    pub(crate) urls: Vec<String>,
    pub(crate) key: Vec<u8>,
}

impl std::fmt::Debug for Callback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callback").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// Everybody who may call.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    /// By the digests of their tokens: a token itself is kept nowhere, and a look-up tells nothing about it.
    by_token: HashMap<[u8; 32], Arc<Caller>>,
    by_certificate: HashMap<String, Arc<Caller>>,
    by_name: HashMap<String, Arc<Caller>>,
    /// Where nobody is named: whoever comes.
    anybody: Option<Arc<Caller>>,
}

/// The digest of a token.
pub(crate) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn digits(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

impl Callback {
    fn new(config: &CallbackConfig) -> Result<Self, String> {
        let CallbackConfig { urls, key } = config;
        let is_url = |url: &&String| {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            rest.is_some_and(|rest| rest.contains('/') && !rest.contains(['@', '#', '\\']))
        };
        if let Some(url) = urls.iter().find(|url| !is_url(url)) {
            return Err(format!("has a callback that is no URL with a path: {url}"));
        }
        let read =
            std::fs::read(key).map_err(|error| format!("has a callback key that cannot be read: {error}"))?;
        if read.len() < 16 {
            return Err("has a callback key of less than 16 bytes".to_owned());
        }
        Ok(Self { urls: urls.clone(), key: read })
    }
}

impl Callers {
    pub(crate) fn new(configured: &[CallerConfig]) -> Result<Self, ConfigError> {
        let mut callers = Self::default();
        if configured.is_empty() {
            let anybody =
                Caller { name: "anybody".to_owned(), role: Role::Admin, rate: None, callback: None };
            callers.anybody = Some(Arc::new(anybody));
        }
        for CallerConfig { name, role, token_sha256, certificate, rate, callback } in configured {
            let wrong = |what: &str| ConfigError(format!("the caller `{name}` {what}"));
            if token_sha256.is_none() && certificate.is_none() {
                return Err(wrong("has neither `token_sha256` nor `certificate`: nobody could be that"));
            }
            let rate = rate.map(|rate| RateLimiter::direct(Quota::per_second(rate)));
            let callback = callback.as_ref().map(Callback::new).transpose().map_err(|what| wrong(&what))?;
            let caller = Arc::new(Caller { name: name.clone(), role: *role, rate, callback });
            if callers.by_name.insert(name.clone(), caller.clone()).is_some() {
                return Err(wrong("has the name of another one"));
            }
            if let Some(written) = token_sha256 {
                let digest = digits(written).ok_or_else(|| {
                    wrong(
                        "has a `token_sha256` that is not 64 hexadecimal digits: `consentry token` makes one",
                    )
                })?;
                if callers.by_token.insert(digest, caller.clone()).is_some() {
                    return Err(wrong("has the token of another one"));
                }
            }
            if let Some(subject) = certificate
                && callers.by_certificate.insert(subject.clone(), caller).is_some()
            {
                return Err(wrong("has the certificate of another one"));
            }
        }
        Ok(callers)
    }

    /// How a caller may be told something.
    pub(crate) fn callback(&self, name: &str) -> Option<&Callback> {
        self.by_name.get(name)?.callback.as_ref()
    }

    /// Whether anybody may call who reaches a port.
    pub(crate) fn is_anybody(&self) -> bool {
        self.anybody.is_some()
    }

    /// Whether it may listen at this address: on loopback, or because it is known who may call.
    pub(crate) fn may_listen(&self, address: IpAddr) -> bool {
        address.is_loopback() || !self.is_anybody()
    }

    /// Who sends a request, by what callers show; or, `of_gateways`, by what gateways do.
    pub(crate) fn sender(&self, request: &Request, of_gateways: bool) -> Result<Arc<Caller>, Stranger> {
        let peer = request.extensions().get::<Arc<Peer>>();
        let credentials = if of_gateways { credentials_of_gateway } else { credentials };
        self.who(credentials(request.headers()), peer.map(|peer| &**peer))
    }

    /// Who calls: by the token, or, where none is shown, by the certificate.
    fn who(&self, shown: Shown<'_>, peer: Option<&Peer>) -> Result<Arc<Caller>, Stranger> {
        if let Some(anybody) = &self.anybody {
            return Ok(anybody.clone());
        }
        let tried = Stranger { tried: true };
        match shown {
            Shown::Nothing => {
                let known =
                    peer.and_then(|peer| peer.names.iter().find_map(|name| self.by_certificate.get(name)));
                known.cloned().ok_or(Stranger { tried: false })
            }
            Shown::Token(token) => self.by_token.get(&digest(token)).cloned().ok_or(tried),
            Shown::Unreadable => Err(tried),
        }
    }
}

/// What a caller shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown<'a> {
    Nothing,
    Token(&'a str),
    /// Something that is no token, or more than one.
    Unreadable,
}

/// Somebody who may not call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stranger {
    /// They showed something.
    tried: bool,
}

/// In which a gateway sends its own token: in `Authorization` is that of whoever asks it.
pub(crate) const OF_GATEWAYS: &str = "x-consentry-token";

fn only<'a>(headers: &'a HeaderMap, name: &str, read: impl Fn(&'a str) -> Option<&'a str>) -> Shown<'a> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Shown::Nothing,
        (Some(shown), None) => shown.to_str().ok().and_then(read).map_or(Shown::Unreadable, Shown::Token),
        (Some(_), Some(_)) => Shown::Unreadable,
    }
}

/// What a caller shows: a bearer token (RFC 6750 §2.1).
fn credentials(headers: &HeaderMap) -> Shown<'_> {
    only(headers, AUTHORIZATION.as_str(), |shown| {
        let (scheme, token) = shown.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    })
}

/// What a gateway shows.
fn credentials_of_gateway(headers: &HeaderMap) -> Shown<'_> {
    only(headers, OF_GATEWAYS, Some)
}

/// What a route needs of its callers.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) app: App,
    pub(crate) role: Role,
    /// Whether it is for gateways.
    pub(crate) of_gateways: bool,
}

/// The caller, if it may ask for such things now.
pub(crate) fn admitted(caller: Result<Arc<Caller>, Stranger>, role: Role) -> Result<Arc<Caller>, Problem> {
    let caller = caller.map_err(|Stranger { tried }| {
        let detail = if tried {
            "these credentials are of nobody who may call"
        } else {
            "callers must say who they are"
        };
        Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    })?;
    if caller.role < role {
        let detail = format!("this is for callers with the role {}", role.name());
        return Err(Problem::new(StatusCode::FORBIDDEN, "role_missing", detail));
    }
    if caller.rate.as_ref().is_some_and(|rate| rate.check().is_err()) {
        let detail = format!("`{}` asks too often", caller.name);
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail));
    }
    Ok(caller)
}

/// Lets a request on if its caller may ask for such things.
pub(crate) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let caller = gate.app.callers.sender(&request, gate.of_gateways);
    let tried = caller.as_ref().is_err_and(|stranger| stranger.tried);
    match admitted(caller, gate.role) {
        Ok(caller) => {
            let (route, started) = (request.extensions().get::<MatchedPath>().cloned(), clock::started());
            let route = route.as_ref().map_or("", MatchedPath::as_str);
            traces::routed(request.method(), route, &caller.name);
            request.extensions_mut().insert(caller);
            let response = next.run(request).await;
            let took = clock::started().saturating_duration_since(started);
            gate.app.seeing.metrics.answered(route, response.status(), took);
            response
        }
        Err(problem) if gate.of_gateways => {
            gate.app.seeing.turned_away(problem.code, "a gateway");
            turned_away(problem)
        }
        Err(problem) => {
            gate.app.seeing.turned_away(problem.code, "a caller");
            refused(problem, tried)
        }
    }
}

/// The answer to a gateway that may not ask. It is passed on to whoever asked the gateway, and it is not their
/// credentials that are wrong.
fn turned_away(mut problem: Problem) -> Response {
    if problem.status == StatusCode::UNAUTHORIZED {
        problem.status = StatusCode::FORBIDDEN;
        problem.code = "unknown_gateway";
        "the gateway does not show, in x-consentry-token, who it is".clone_into(&mut problem.detail);
    }
    let reason = HeaderValue::from_static(problem.code);
    let mut response = refused(problem, false);
    response.headers_mut().insert("x-consentry-decision", HeaderValue::from_static("deny"));
    response.headers_mut().insert("x-consentry-reason", reason);
    response
}

/// The answer to somebody who may not ask (RFC 6750 §3).
fn refused(problem: Problem, tried: bool) -> Response {
    let status = problem.status;
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if status == StatusCode::UNAUTHORIZED {
        let challenge = if tried {
            HeaderValue::from_static("Bearer realm=\"consentry\", error=\"invalid_token\"")
        } else {
            HeaderValue::from_static("Bearer realm=\"consentry\"")
        };
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}
