//! Several questions at once (AuthZEN 1.0 §6), all of them answered from the same policies and facts.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::Decision;
use super::evaluation::answered;
use super::request::{self, Parts, or_null};
use crate::serve::app::App;
use crate::serve::body::{self, Object, Unique};
use crate::serve::problem::Problem;
use crate::serve::seeing::{Asker, Decided, Via};

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Batch")]
pub(super) struct Batch<'a> {
    #[serde(borrow, default, deserialize_with = "request::subject")]
    subject: Option<request::Entity<'a>>,
    #[serde(borrow, default, deserialize_with = "request::action")]
    action: Option<request::Action<'a>>,
    #[serde(borrow, default, deserialize_with = "request::resource")]
    resource: Option<request::Entity<'a>>,
    #[serde(default, deserialize_with = "or_null")]
    context: Option<Unique>,
    /// Questions, each with the parts that are not those above. Each is read by itself: what is wrong with one does not keep the others from being answered.
    #[serde(borrow, default, deserialize_with = "or_null")]
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    evaluations: Vec<&'a RawValue>,
    #[schemars(with = "Option<Options>")]
    options: Option<Object<Options>>,
}

#[derive(Deserialize, JsonSchema)]
struct Options {
    #[serde(default, deserialize_with = "or_null")]
    evaluations_semantic: Semantic,
}

/// When a batch ends (AuthZEN 1.0 §6.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Semantic {
    /// At its end.
    #[default]
    ExecuteAll,
    /// At the first denial or failure, which is the last answer.
    DenyOnFirstDeny,
    /// At the first permit, which is the last answer.
    PermitOnFirstPermit,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Answers {
    evaluations: Vec<Decision>,
}

/// What is answered, for those who read about it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "each is answered by itself")]
pub(super) enum OneOrAll {
    All(Answers),
    One(Box<Decision>),
}

/// More than so many are answered where they hold up nobody else.
const FEW: usize = 16;

/// `POST /access/v1/evaluations`
pub(super) async fn evaluate(State(app): State<App>, request: Request) -> Result<Response<Body>, Problem> {
    let asker = Asker::of(Via::AuthZen, &request);
    let text = request::text(&app, request).await?;
    #[cfg(feature = "bench")]
    if app.constant {
        return Ok(super::constant::fifty());
    }
    let Batch { subject, action, resource, context, evaluations, options } = body::parsed(&text)?;
    let most = app.limits.evaluations;
    if evaluations.len() > most {
        let many = evaluations.len();
        return Err(Problem::invalid(format!(
            "there are {many} evaluations; at most {most} go in one request"
        )));
    }
    let defaults = Parts { subject, action, resource, context };
    let reading = app.decision_point.reading();
    if evaluations.is_empty() {
        return Ok(body::json(&answered(&app, &asker, &reading, &defaults, &defaults)?));
    }
    let semantic = options.map(|Object(options)| options.evaluations_semantic).unwrap_or_default();
    let answer = |parts: &Parts<'_>| answered(&app, &asker, &reading, parts, &defaults);
    let failed = |problem: Problem| {
        // Its detail can repeat what was said: secrets, too.
        app.seeing.decided(&asker, &Decided::not(problem.code));
        Decision::from(problem)
    };
    let answer = |text: &RawValue| {
        let parts = body::parsed::<Parts<'_>>(text.get().as_bytes());
        parts.and_then(|parts| answer(&parts)).unwrap_or_else(failed)
    };
    let answers = || Answers { evaluations: all(&answer, &evaluations, semantic) };
    let answers = if evaluations.len() > FEW { tokio::task::block_in_place(answers) } else { answers() };
    Ok(body::json(&answers))
}

fn all(
    answer: &impl Fn(&RawValue) -> Decision,
    evaluations: &[&RawValue],
    semantic: Semantic,
) -> Vec<Decision> {
    let mut decisions = Vec::with_capacity(evaluations.len());
    for evaluation in evaluations {
        let decision = answer(evaluation);
        let is_last = match semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !decision.decision,
            Semantic::PermitOnFirstPermit => decision.decision,
        };
        decisions.push(decision);
        if is_last {
            break;
        }
    }
    decisions
}
