//! Gateways that ask over HTTP: Envoy's `ext_authz`, nginx's `auth_request`, the `forwardAuth` of Traefik and Caddy.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::any;

use super::Verdict;
use super::request::{GatewayRequest, Headers as _};
use crate::serve::api::Api;
use crate::serve::app::App;
use crate::serve::config::Role;
use crate::serve::seeing::{Asker, Via};

/// Below this is the path of the request that Envoy asks about.
const ENVOY: &str = "/gateway/envoy";

/// Adds the routes. Of whatever method: the request that is asked about has one of its own.
pub(crate) fn add(api: &mut Api) {
    api.of_gateways(ENVOY, Role::Evaluate, any(envoy));
    api.of_gateways("/gateway/envoy/", Role::Evaluate, any(envoy));
    api.of_gateways("/gateway/envoy/{*path}", Role::Evaluate, any(envoy));
    api.of_gateways("/gateway/auth-request", Role::Evaluate, any(auth_request));
    api.of_gateways("/gateway/forward-auth", Role::Evaluate, any(forward_auth));
}

/// Envoy sends the request itself, without its body, under a prefix.
async fn envoy(State(app): State<App>, request: Request) -> Response<Body> {
    let (method, headers) = (request.method().as_str(), request.headers());
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let target = target.strip_prefix(ENVOY).unwrap_or_default();
    let asker = Asker::of(Via::ExtAuthzHttp, &request);
    answered(&app, &asker, &GatewayRequest { method, target, headers })
}

/// nginx says in headers what it asks about; its configuration sets them.
async fn auth_request(State(app): State<App>, request: Request) -> Response<Body> {
    told(
        &app,
        &Asker::of(Via::AuthRequest, &request),
        request.headers(),
        ["x-original-method", "x-original-uri"],
    )
}

/// So do Traefik and Caddy, by other names.
async fn forward_auth(State(app): State<App>, request: Request) -> Response<Body> {
    told(
        &app,
        &Asker::of(Via::ForwardAuth, &request),
        request.headers(),
        ["x-forwarded-method", "x-forwarded-uri"],
    )
}

fn told(
    app: &App,
    asker: &Asker,
    headers: &HeaderMap,
    [method, target]: [&'static str; 2],
) -> Response<Body> {
    match (headers.one(method), headers.one(target)) {
        (Some(method), Some(target)) => answered(app, asker, &GatewayRequest { method, target, headers }),
        _ => {
            let why = format!("the gateway must send {method} and {target}, once each");
            said(&Verdict::denied("invalid", Some(why)))
        }
    }
}

fn answered(app: &App, asker: &Asker, request: &GatewayRequest<'_>) -> Response<Body> {
    said(&app.gateway.answer(app, asker, request))
}

fn said(verdict: &Verdict) -> Response<Body> {
    let mut response = match &verdict.answer {
        _ if verdict.allowed => Response::new(Body::empty()),
        None => verdict.problem().into_response(),
        Some(answer) => {
            let mut response = Response::new(Body::from(answer.body.clone()));
            *response.status_mut() = verdict.status;
            response
        }
    };
    let headers = response.headers_mut();
    let told = verdict.headers();
    let removed = verdict.removed(&told);
    for (name, value) in told {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(&*name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    // As Envoy reads it; others have no means to remove what they are not configured to.
    if !removed.is_empty()
        && let Ok(removed) = HeaderValue::try_from(removed.join(","))
    {
        headers.insert("x-envoy-auth-headers-to-remove", removed);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if verdict.status == StatusCode::UNAUTHORIZED && verdict.answer.is_none() {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"consentry\""));
    }
    response
}
