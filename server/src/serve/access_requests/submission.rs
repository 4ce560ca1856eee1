//! Asking for access that was denied.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use consentry::domain::{CommandId, PermissionRequest, Principal, SiteId, Timestamp, Validity};
use consentry::engine::Engine;
use consentry::refusal::{Refusal, RefusalCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::binding::{Claims, Denial};
use super::callback::Wanted;
use super::task::{Answer, ITEMS, TaskId, made, withdraw};
use super::{AccessRequests, REQUESTS, apply, askable, enabled, principal, profile_problem};
use crate::clock;
use crate::serve::api::Api;
use crate::serve::app::App;
use crate::serve::authzen::{Action, Entity};
use crate::serve::body::{self, Unique};
use crate::serve::callers::Caller;
use crate::serve::config::Role;
use crate::serve::lifecycle::{broken, elsewhere, engine, text};
use crate::serve::problem::Problem;

/// A request for access (ARAP, "Access Request Submission").
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AccessRequestSubmission", bound = "")]
struct Asked<'a> {
    #[serde(borrow)]
    subject: Entity<'a>,
    /// The one thing that is asked for;
    #[serde(borrow)]
    resource: Option<Entity<'a>>,
    #[serde(borrow)]
    action: Option<Action<'a>>,
    /// or several.
    #[serde(borrow)]
    items: Option<Vec<Item<'a>>>,
    context: Option<Unique>,
    denial: Option<Denial>,
    requested_access: Option<Requested>,
    callback: Option<Wanted>,
}

/// One of several things that are asked for.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AccessRequestItem")]
struct Item<'a> {
    #[serde(borrow)]
    resource: Entity<'a>,
    #[serde(borrow)]
    action: Action<'a>,
    requested_access: Option<Requested>,
    denial: Option<Denial>,
}

#[derive(Clone, Deserialize, JsonSchema)]
#[schemars(rename = "RequestedAccess")]
struct Requested {
    /// Until when. The owner is asked for the longest time that is no longer than from the denial until then, of those that
    /// can be given: 1, 2, 4 or 8 hours. It begins when the owner accepts.
    requested_until: Option<Timestamp>,
}

/// What is asked of the owners of one site.
struct Group {
    site: SiteId,
    places: Vec<usize>,
    permissions: Vec<PermissionRequest>,
}

/// Adds the route.
pub(super) fn add(api: &mut Api) {
    api.post(REQUESTS, "requestAccess", "ARAP: ask for access that was denied")
        .role(Role::Lifecycle)
        .header::<String>("Idempotency-Key", "The same key with the same body is the same request.")
        .body::<Asked<'_>>()
        .answer::<Answer>(202, "The task: the owner was asked")
        .problems(&[404, 409, 410, 415, 503])
        .by(post(submit));
}

async fn submit(State(app): State<App>, request: Request) -> Result<Response<Body>, Problem> {
    enabled(&app)?;
    let engine = engine(&app)?;
    let caller = request.extensions().get::<Arc<Caller>>().cloned();
    let key = key(request.headers())?;
    let text = text(&app, request).await?;
    elsewhere(move || enabled(&app)?.submit(&app, &engine, &text, caller.as_deref(), key.as_deref())).await
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut shown = headers.get_all("idempotency-key").iter();
    let Some(key) = shown.next() else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= 255 && shown.next().is_none());
    let wrong = || {
        Problem::invalid("the header Idempotency-Key is there more than once, empty, too long, or no text")
    };
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

impl AccessRequests {
    /// Opens the applications that a request for access is. Blocks.
    fn submit(
        &self,
        app: &App,
        engine: &Engine,
        text: &[u8],
        caller: Option<&Caller>,
        key: Option<&str>,
    ) -> Result<Response<Body>, Problem> {
        let asked: Asked<'_> = body::parsed(text)?;
        let allowed = caller.and_then(|caller| caller.callback.as_ref());
        let caller = caller.map_or("", |caller| caller.name.as_str());
        let is_allowed = |wanted: &Wanted| allowed.is_some_and(|allowed| allowed.allows(wanted.endpoint()));
        if asked.callback.as_ref().is_some_and(|wanted| !is_allowed(wanted)) {
            let detail = "this callback endpoint is not registered for this caller";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "callback_not_allowed", detail));
        }
        let not_requestable = |why: &str| profile_problem(400, "not_requestable", why);
        let who =
            principal(&asked.subject.uid()).ok_or_else(|| not_requestable("only installers can ask"))?;
        let (bundle, items) = asked.items()?;
        let now = clock::now();
        let mut claims = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        let directory = engine.directory();
        for (place, item) in items.iter().enumerate() {
            let claim = self.claim(app, &asked, item)?;
            let resource = item.resource.uid();
            let askable = askable(&directory, &item.action.name, &resource)
                .ok_or_else(|| not_requestable("this cannot be asked for"))?;
            let validity = validity(item.until(&asked), claim.evaluated_at, self.config.validity);
            let too_short =
                || not_requestable("access is given for an hour at least, from when it is accepted on");
            let entry = askable.entry(validity.ok_or_else(too_short)?);
            match groups.iter_mut().find(|group| group.site == askable.site) {
                Some(group) => {
                    group.places.push(place);
                    group.permissions.push(entry);
                }
                None => {
                    groups.push(Group { site: askable.site, places: vec![place], permissions: vec![entry] })
                }
            }
            claims.push(claim);
        }
        let name = match key {
            Some(key) => self.signer.name("", &["task", caller, key]),
            None => self.signer.random(""),
        };
        let task = TaskId::new(bundle, name, groups.iter().map(|group| group.places.clone()).collect());
        // One for a key, whatever comes with it: with another body, it is refused.
        let command = key.map(|key| self.signer.name("arq-", &["command", caller, key]));
        if claims.iter().any(|claims| claims.is_late(now)) {
            let opened = task.application(0).filter(|_| key.is_some());
            if opened.and_then(|opened| directory.application(opened.as_str())).is_none() {
                let late = "the denial is too long ago: ask again what was denied";
                return Err(profile_problem(410, "expired_denial", late));
            }
        }
        let used = self.used.once(&claims, &task.to_string(), now).ok_or_else(|| {
            profile_problem(400, "invalid_denial_binding", "the denial was used for another request already")
        })?;
        open(engine, &who, &task, groups, command.as_deref(), asked.remark())
            .inspect_err(|_| self.used.forget(&used))?;
        if let Some(wanted) = asked.callback {
            self.callbacks.keep(&task, caller, wanted).map_err(|error| {
                // It was asked for: whoever sends it again with its key is told the same.
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "callback_not_kept", error)
            })?;
        }
        Ok(made(self.answer(app, engine, &task)?, app, &task))
    }

    /// What the denial of an item is bound to, if it is bound to this item.
    fn claim(&self, app: &App, asked: &Asked<'_>, item: &Item<'_>) -> Result<Claims, Problem> {
        let missing = || profile_problem(400, "invalid_denial_binding", "`denial` is missing");
        let denial = item.denial.as_ref().or(asked.denial.as_ref()).ok_or_else(missing)?;
        let claims = self.signer.bound(&app.public_url, denial)?;
        if claims.bound.is_for(&asked.subject, &item.resource, &item.action, asked.context.as_ref()) {
            return Ok(claims);
        }
        let detail = "the denial is of another subject, resource, action or context";
        Err(profile_problem(400, "invalid_denial_binding", detail))
    }
}

impl<'a> Asked<'a> {
    /// What is asked for, and whether it was written as several things.
    fn items(&self) -> Result<(bool, Cow<'_, [Item<'a>]>), Problem>
    where
        Item<'a>: Clone,
    {
        match (&self.items, &self.resource, &self.action) {
            (None, Some(resource), Some(action)) => {
                let (resource, action) = (resource.clone(), action.clone());
                Ok((false, Cow::Owned(vec![Item { resource, action, requested_access: None, denial: None }])))
            }
            (Some(items), None, None) if (1..=ITEMS).contains(&items.len()) => {
                Ok((true, Cow::Borrowed(items)))
            }
            (Some(_), None, None) => Err(Problem::invalid(format!("`items` holds from 1 to {ITEMS} items"))),
            (Some(_), ..) => {
                Err(Problem::invalid("with `items` there is neither `resource` nor `action` beside them"))
            }
            (None, None, _) => Err(Problem::invalid("`resource` is missing")),
            (None, _, None) => Err(Problem::invalid("`action` is missing")),
        }
    }

    /// A word to the owner.
    fn remark(&self) -> Option<String> {
        let said = self.context.as_ref()?.0.get("business_justification")?.as_str()?;
        Some(said.to_owned())
    }
}

impl Clone for Item<'_> {
    fn clone(&self) -> Self {
        Self {
            resource: self.resource.clone(),
            action: self.action.clone(),
            requested_access: self.requested_access.clone(),
            denial: self.denial.clone(),
        }
    }
}

impl Item<'_> {
    fn until(&self, asked: &Asked<'_>) -> Option<Timestamp> {
        let of = |requested: &Option<Requested>| {
            requested.as_ref().and_then(|requested| requested.requested_until)
        };
        of(&self.requested_access).or_else(|| of(&asked.requested_access))
    }
}

/// Clocks may differ by so much, in milliseconds: four hours asked for are four hours.
const SKEW: i64 = 60_000;

/// The longest time that can be given and is no longer than what is asked for. `None`: that is less than an hour.
fn validity(until: Option<Timestamp>, from: Timestamp, otherwise: Validity) -> Option<Validity> {
    let Some(until) = until else { return Some(otherwise) };
    let length = until.millis().saturating_sub(from.millis()).saturating_add(SKEW);
    let hours = |hours: i64| hours * 3_600_000;
    let all = [
        (8, Validity::EightHours),
        (4, Validity::FourHours),
        (2, Validity::TwoHours),
        (1, Validity::OneHour),
    ];
    all.into_iter().find(|(least, _)| length >= hours(*least)).map(|(_, validity)| validity)
}

/// Opens an application for each group: all of them or none.
fn open(
    engine: &Engine,
    who: &Principal,
    task: &TaskId,
    groups: Vec<Group>,
    command: Option<&str>,
    remark: Option<String>,
) -> Result<(), Problem> {
    let mut submissions = Vec::new();
    for (number, group) in groups.into_iter().enumerate() {
        let application =
            task.application(number).ok_or_else(|| Problem::internal("no name could be made"))?;
        let permissions = group.permissions;
        let submission = apply(who.clone(), application.clone(), group.site, permissions, remark.clone());
        let id = command.and_then(|command| format!("{command}.{number}").parse::<CommandId>().ok());
        let submission = match id {
            Some(id) => submission.with_id(id),
            None => submission,
        };
        submissions.push((application, submission));
    }
    let mut opened = Vec::new();
    for (application, submission) in submissions {
        match engine.submit(&submission, clock::now()) {
            Ok(answer) => match answer.refusal() {
                None => opened.push(application),
                Some(refusal) => {
                    // What was opened for other sites goes again.
                    withdraw(engine, opened.into_iter())?;
                    return Err(refused(refusal));
                }
            },
            Err(error) => {
                // It may have been opened all the same. Under a key, the same request again completes what is there.
                if command.is_none() {
                    opened.push(application);
                    withdraw(engine, opened.into_iter())?;
                }
                return Err(broken(&error));
            }
        }
    }
    Ok(())
}

fn refused(refusal: &Refusal) -> Problem {
    let Refusal { code, message, .. } = refusal;
    match code {
        // Its name is made from the key: another body came under the same one.
        RefusalCode::AlreadyExists | RefusalCode::Conflict => {
            profile_problem(409, "duplicate_request", "this Idempotency-Key came with another body before")
        }
        RefusalCode::LiveDuplicate => Problem::new(StatusCode::CONFLICT, "live_duplicate", message.clone()),
        RefusalCode::Invalid => Problem::invalid(message.clone()),
        RefusalCode::NotFound
        | RefusalCode::NotPermitted
        | RefusalCode::WrongState
        | RefusalCode::Expired
        | RefusalCode::WiderThanAsked
        | RefusalCode::WeakPassword
        | RefusalCode::LanNotAttested
        | RefusalCode::UnsupportedDevice => profile_problem(400, "not_requestable", message.clone()),
    }
}
