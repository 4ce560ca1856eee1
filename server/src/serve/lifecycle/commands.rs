//! Commands and checks, in the form that the library, the command line and scripts share.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::post;
use consentry::command::{Command, Submission};
use consentry::domain::{CommandId, Principal};
use consentry::engine::{Answer, Receipt};
use consentry::policy::{AccessRequest, Evaluation};
use consentry::refusal::{Refusal, RefusalCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{broken, elsewhere, engine, text};
use crate::clock;
use crate::script::EffectReply;
use crate::serve::api::Api;
use crate::serve::app::App;
use crate::serve::body;
use crate::serve::callers::Caller;
use crate::serve::config::Role;
use crate::serve::problem::Problem;
use crate::serve::seeing::{Asker, Decided, Via};

/// A command, and who gives it.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Submission")]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(rename = "as")]
    principal: Principal,
    /// By which repeating it is told from doing it twice.
    id: Option<CommandId>,
    #[serde(rename = "do")]
    command: Command,
}

/// That a command happened.
#[derive(Debug, Serialize, JsonSchema)]
struct Done {
    ok: bool,
    #[serde(flatten)]
    receipt: Receipt,
    /// What the submitter has to do in the world, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<EffectReply>,
}

/// Adds the routes.
pub(super) fn add(api: &mut Api) {
    api.post("/v1/commands", "submit", "Give a command")
        .role(Role::Lifecycle)
        .header::<CommandId>("Idempotency-Key", "The command's id, in place of `id`.")
        .body::<Given>()
        .answer::<Done>(200, "It happened, and is durable")
        .answer_as::<Refused<'_>>(
            409,
            "application/problem+json",
            "It was refused: it is in another state, or there already",
        )
        .problems(&[404, 410, 415, 422, 503])
        .by(post(submit));
    api.post("/v1/checks", "check", "Ask whether a principal may do something now")
        .role(Role::Evaluate)
        .body::<AccessRequest>()
        .answer::<Evaluation>(200, "Allow or deny")
        .problems(&[415])
        .by(post(check));
}

/// `POST /v1/commands`
pub(super) async fn submit(State(app): State<App>, request: Request) -> Result<Response<Body>, Problem> {
    let caller = request.extensions().get::<Arc<Caller>>().cloned();
    let key = idempotency_key(request.headers())?;
    let text = text(&app, request).await?;
    let Given { principal, id, command } = body::parsed(&text)?;
    let id = match (id, key) {
        (Some(id), Some(key)) if id != key => {
            return Err(Problem::invalid("`id` and the header Idempotency-Key say two things"));
        }
        (id, key) => id.or(key),
    };
    if id.as_ref().is_some_and(|id| !id.is_chosen()) {
        return Err(Problem::invalid("`id` holds `/`, which is kept for ids that the engine makes"));
    }
    let is_admin = caller.is_some_and(|caller| caller.role >= Role::Admin);
    if matches!(principal, Principal::Operator(_)) && !is_admin {
        let detail = "only callers with the role admin act as operators";
        return Err(Problem::new(StatusCode::FORBIDDEN, "role_missing", detail));
    }
    let engine = engine(&app)?;
    let name = command.name();
    let submission = Submission { principal, command, id };
    let answer =
        elsewhere(move || engine.submit(&submission, clock::now()).map_err(|error| broken(&error))).await?;
    let outcome = answer.refusal().map_or("done", |refusal| refusal.code.name());
    app.seeing.metrics.submitted(name, outcome);
    Ok(match answer {
        Answer::Done(mut receipt) => {
            let effect = receipt.effect.take().map(EffectReply::from);
            private(body::json(&Done { ok: true, receipt, effect }))
        }
        Answer::Refused { command_id, refusal } => refused(&command_id, refusal),
    })
}

/// `POST /v1/checks`
pub(super) async fn check(State(app): State<App>, request: Request) -> Result<Response<Body>, Problem> {
    let asker = Asker::of(Via::Check, &request);
    let text = text(&app, request).await?;
    let question: AccessRequest = body::parsed(&text)?;
    let evaluation = app.decision_point.reading().evaluate(&question);
    let evaluation = evaluation.map_err(|error| Problem::invalid(error.to_string()))?;
    app.seeing.decided(&asker, &Decided::by(&question, &evaluation));
    Ok(body::json(&evaluation))
}

/// The command's id as a header.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<CommandId>, Problem> {
    let mut shown = headers.get_all("idempotency-key").iter();
    let Some(key) = shown.next() else { return Ok(None) };
    let parsed = key.to_str().ok().and_then(|key| key.parse().ok()).filter(|_| shown.next().is_none());
    parsed.map(Some).ok_or_else(|| {
        Problem::invalid(
            "the header Idempotency-Key is no command id: 1 to 128 characters of A-Z a-z 0-9 . _ - @ : +",
        )
    })
}

/// What is told once is kept by nobody on the way.
fn private(mut response: Response<Body>) -> Response<Body> {
    let never = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(axum::http::header::CACHE_CONTROL, never);
    response
}

/// A refusal as a problem: with the members that it has everywhere else.
#[derive(Serialize, JsonSchema)]
struct Refused<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    ok: bool,
    command_id: &'a CommandId,
    #[serde(flatten)]
    refusal: &'a Refusal,
}

fn status(code: RefusalCode) -> StatusCode {
    match code {
        RefusalCode::Invalid => StatusCode::BAD_REQUEST,
        RefusalCode::NotPermitted => StatusCode::FORBIDDEN,
        RefusalCode::NotFound => StatusCode::NOT_FOUND,
        RefusalCode::Conflict
        | RefusalCode::AlreadyExists
        | RefusalCode::WrongState
        | RefusalCode::LiveDuplicate => StatusCode::CONFLICT,
        RefusalCode::Expired => StatusCode::GONE,
        RefusalCode::WiderThanAsked
        | RefusalCode::WeakPassword
        | RefusalCode::LanNotAttested
        | RefusalCode::UnsupportedDevice => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

fn refused(command_id: &CommandId, refusal: Refusal) -> Response<Body> {
    let status = status(refusal.code);
    let refused = Refused {
        r#type: format!("urn:consentry:problem:{}", refusal.code.name()),
        title: status.canonical_reason().unwrap_or("Refused"),
        status: status.as_u16(),
        detail: &refusal.message,
        ok: false,
        command_id,
        refusal: &refusal,
    };
    let mut response = body::json(&refused).into_response();
    *response.status_mut() = status;
    let problem = axum::http::HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, problem);
    response
}
