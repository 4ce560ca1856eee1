//! Envoy's `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction,
    HeaderValue, HeaderValueOption, HttpStatus, OkHttpResponse,
};
use envoy_types::ext_authz::v3::{CheckResponseExt as _, ToHttpResponse as _};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use tonic::{Request, Response, Status};

use super::Verdict;
use super::request::{GatewayRequest, Headers};
use crate::clock;
use crate::serve::app::App;
use crate::serve::callers::{Caller, admitted};
use crate::serve::config::Role;
use crate::serve::problem::Problem;
use crate::serve::seeing::{Asker, Via, traces};

/// The one method.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Answers Envoy.
struct Service {
    app: App,
}

/// The service, as routes of HTTP/2.
pub(crate) fn service(app: &App) -> Router {
    let service = AuthorizationServer::new(Service { app: app.clone() })
        .max_decoding_message_size(app.limits.body_bytes);
    Router::new()
        .route_service("/envoy.service.auth.v3.Authorization/{method}", service)
        .layer(from_fn_with_state(app.clone(), admit))
}

/// Lets a request on if its caller may ask, and with its body read within the limits: nothing is kept for strangers.
async fn admit(
    State(app): State<App>,
    mut request: axum::extract::Request,
    next: Next,
) -> axum::response::Response {
    let refused = |problem: Problem| {
        let status = match problem.status {
            StatusCode::UNAUTHORIZED => Status::unauthenticated(problem.detail),
            StatusCode::TOO_MANY_REQUESTS => Status::resource_exhausted(problem.detail),
            StatusCode::REQUEST_TIMEOUT => Status::deadline_exceeded(problem.detail),
            StatusCode::PAYLOAD_TOO_LARGE => Status::out_of_range(problem.detail),
            StatusCode::BAD_REQUEST => Status::invalid_argument(problem.detail),
            _ => Status::permission_denied(problem.detail),
        };
        status.into_http()
    };
    match admitted(app.callers.sender(&request, true), Role::Evaluate) {
        Ok(caller) => {
            traces::routed(request.method(), CHECK, &caller.name);
            request.extensions_mut().insert(caller);
        }
        Err(problem) => {
            app.seeing.turned_away(problem.code, "a gateway");
            return refused(problem);
        }
    }
    let (head, body) = request.into_parts();
    match app.read(body).await {
        Ok(body) => next.run(axum::extract::Request::from_parts(head, Body::from(body))).await,
        Err(problem) => refused(problem),
    }
}

#[tonic::async_trait]
impl Authorization for Service {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let caller = request.extensions().get::<Arc<Caller>>().cloned();
        let asker = Asker::new(Via::ExtAuthzGrpc, request.metadata().as_ref(), caller);
        let asked = request.into_inner().attributes.and_then(|attributes| attributes.request?.http);
        let verdict = match &asked {
            #[cfg(feature = "bench")]
            _ if self.app.constant => Verdict::denied("constant", None),
            None => Verdict::denied("invalid", Some("there is no HTTP request to answer".to_owned())),
            Some(http) => {
                let asked = GatewayRequest { method: &http.method, target: &http.path, headers: http };
                self.app.gateway.answer(&self.app, &asker, &asked)
            }
        };
        let took = clock::started().saturating_duration_since(asker.started);
        self.app.seeing.metrics.answered(CHECK, StatusCode::OK, took);
        Ok(Response::new(said(&verdict)))
    }
}

/// Where Envoy sends headers one by one, two of a name are two; where it joins them, they are one with a comma in it.
impl Headers for HttpRequest {
    fn one(&self, name: &str) -> Option<&str> {
        let Some(all) = &self.header_map else { return one(&self.headers, name) };
        let mut all = all.headers.iter().filter(|header| header.key.eq_ignore_ascii_case(name));
        let first = all.next()?;
        if all.next().is_some() {
            return None;
        }
        if first.raw_value.is_empty() {
            Some(&first.value)
        } else {
            std::str::from_utf8(&first.raw_value).ok()
        }
    }

    fn has(&self, name: &str) -> bool {
        match &self.header_map {
            Some(all) => all.headers.iter().any(|header| header.key.eq_ignore_ascii_case(name)),
            None => self.headers.contains_key(name),
        }
    }

    fn each(&self, see: &mut dyn FnMut(&str, &[u8])) {
        if !self.host.is_empty() {
            see("host", self.host.as_bytes());
        }
        let is_field = |name: &&String| !name.starts_with(':') && !name.eq_ignore_ascii_case("host");
        match &self.header_map {
            Some(all) => {
                for header in all.headers.iter().filter(|header| is_field(&&header.key)) {
                    let raw = &header.raw_value;
                    see(&header.key, if raw.is_empty() { header.value.as_bytes() } else { raw });
                }
            }
            None => {
                let fields = self.headers.iter().filter(|(name, _)| is_field(name));
                fields.for_each(|(name, value)| see(name, value.as_bytes()));
            }
        }
    }
}

fn one<'a>(headers: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    headers.get(name).map(String::as_str)
}

fn said(verdict: &Verdict) -> CheckResponse {
    let told = verdict.headers();
    let headers_to_remove = verdict.removed(&told);
    let mut headers: Vec<HeaderValueOption> =
        told.into_iter().map(|(name, value)| header(name.into_owned(), value)).collect();
    if verdict.answer.is_some() {
        one_after_another(&mut headers);
    }
    let detail = verdict.detail.as_deref().or(verdict.reason).unwrap_or_default();
    let mut response = CheckResponse::with_status(match verdict.status {
        StatusCode::OK => Status::ok(""),
        StatusCode::UNAUTHORIZED => Status::unauthenticated(detail),
        _ => Status::permission_denied(detail),
    });
    response.set_http_response(if verdict.allowed {
        OkHttpResponse { headers, headers_to_remove, ..OkHttpResponse::default() }.to_http_response()
    } else {
        let mut say = |name: &str, value: &str| headers.push(header(name.to_owned(), value.to_owned()));
        let body = match &verdict.answer {
            Some(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
            None => {
                say("content-type", "application/problem+json");
                serde_json::to_string(&verdict.problem().written()).unwrap_or_default()
            }
        };
        if verdict.status == StatusCode::UNAUTHORIZED && verdict.answer.is_none() {
            say("www-authenticate", "Bearer realm=\"consentry\"");
        }
        let status = Some(HttpStatus { code: i32::from(verdict.status.as_u16()) });
        DeniedHttpResponse { status, headers, body }.to_http_response()
    });
    response.set_dynamic_metadata(Some(metadata(verdict)));
    response
}

/// Of several headers of a name, each is said: `set-cookie` cannot be joined.
fn one_after_another(headers: &mut [HeaderValueOption]) {
    let mut said = HashSet::new();
    for option in headers {
        let name = option.header.as_ref().map(|header| header.key.clone()).unwrap_or_default();
        if !said.insert(name) {
            option.append_action = HeaderAppendAction::AppendIfExistsOrAdd.into();
        }
    }
}

/// A header that takes the place of any that the request came with.
fn header(key: String, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key, value, ..HeaderValue::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

/// All that there is to know: for the gateway's own logs and filters.
fn metadata(verdict: &Verdict) -> Struct {
    let value = |kind: Kind| Value { kind: Some(kind) };
    let text = |text: &str| value(Kind::StringValue(text.to_owned()));
    let texts = |texts: &[String]| {
        value(Kind::ListValue(ListValue { values: texts.iter().map(|said| text(said)).collect() }))
    };
    let mut fields = HashMap::with_capacity(11);
    let mut say = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    say("decision", text(verdict.decision()));
    for (name, said) in [("reason", verdict.reason), ("detail", verdict.detail.as_deref())] {
        if let Some(said) = said {
            say(name, text(said));
        }
    }
    if let Some(question) = &verdict.question {
        say("principal", value(Kind::StringValue(question.principal.to_string())));
        say("action", text(&question.action));
        say("resource", value(Kind::StringValue(question.resource.to_string())));
    }
    if let Some(evaluation) = &verdict.evaluation {
        say("determining_policies", texts(&evaluation.determining_policies));
        say("errors", texts(&evaluation.errors));
        #[expect(clippy::cast_precision_loss, reason = "protobuf's numbers are as JSON's; exact up to 2^53")]
        say("revision", value(Kind::NumberValue(evaluation.revision as f64)));
        say("policy_version", text(&evaluation.policy_version));
        if let Some(until) = evaluation.valid_until {
            say("valid_until", value(Kind::StringValue(until.to_string())));
        }
    }
    Struct { fields }
}
