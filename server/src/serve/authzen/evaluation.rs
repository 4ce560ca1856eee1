//! One question (AuthZEN 1.0 §5).

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use consentry::policy::Reading;

use super::answer::{Decision, reason};
use super::request::{self, Parts, no_question};
use crate::serve::app::App;
use crate::serve::body;
use crate::serve::problem::Problem;
use crate::serve::seeing::{Asker, Decided, Via};

/// `POST /access/v1/evaluation`
pub(super) async fn evaluate(State(app): State<App>, request: Request) -> Result<Response<Body>, Problem> {
    let asker = Asker::of(Via::AuthZen, &request);
    let text = request::text(&app, request).await?;
    #[cfg(feature = "bench")]
    if app.constant {
        return Ok(super::constant::one());
    }
    let parts: Parts<'_> = body::parsed(&text)?;
    Ok(body::json(&answered(&app, &asker, &app.decision_point.reading(), &parts, &Parts::default())?))
}

/// The answer to a question whose missing parts are taken from `defaults`.
pub(super) fn answered(
    app: &App,
    asker: &Asker,
    reading: &Reading,
    parts: &Parts<'_>,
    defaults: &Parts<'_>,
) -> Result<Decision, Problem> {
    let whole = parts.whole(defaults)?;
    let question = whole.question(reading.policies())?;
    let evaluation = reading.evaluate(&question).map_err(no_question)?;
    let requests = app.access_requests.as_ref();
    let said = requests.map(|requests| Box::new(requests.said(app, reading, &whole, &question, &evaluation)));
    let allowed = evaluation.is_allowed() && !said.as_ref().is_some_and(|said| said.denies);
    let because = if allowed { None } else { reason(&evaluation, said.as_deref()) };
    let decided = Decided { allowed, reason: because, ..Decided::by(&question, &evaluation) };
    app.seeing.decided(asker, &decided);
    Ok(Decision::new(allowed, evaluation, said))
}
