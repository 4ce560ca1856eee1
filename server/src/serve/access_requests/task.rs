//! Tasks: permission applications, seen from outside.
//!
//! A task's id says which applications it is: `arq_<40 letters>.<shape>`, where the shape lists, for each site, the places of
//! its items. So a task is found again after any restart, and nothing is kept beside the ledger. To others it is opaque.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::routing::{delete, get, post};
use consentry::command::{Command, Submission};
use consentry::directory::Directory;
use consentry::domain::{ApplicationId, GrantId, Principal, Timestamp};
use consentry::engine::{Engine, EngineError};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Map;

use super::approval::Outcome;
use super::binding::Bound;
use super::{AccessRequests, REQUESTS, enabled, profile_problem};
use crate::clock;
use crate::serve::api::{Api, Route};
use crate::serve::app::App;
use crate::serve::authzen::{Action, Entity};
use crate::serve::body::{self, Unique};
use crate::serve::config::Role;
use crate::serve::lifecycle::{broken, elsewhere, engine};
use crate::serve::problem::Problem;

/// Which applications a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskId {
    /// Whether several things were asked for at once.
    bundle: bool,
    name: String,
    /// For each application the places of its items.
    groups: Vec<Vec<usize>>,
}

/// Items of one task.
pub(super) const ITEMS: usize = 16;

/// How a task or item stands (ARAP, "Task Status Values").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "TaskStatus")]
pub(super) enum Status {
    Pending,
    Approved,
    Denied,
    Expired,
    Cancelled,
    /// Of several items: not all came to the same.
    Partial,
}

/// One item, as the directory knows it.
#[derive(Debug, Clone, PartialEq)]
struct Item {
    place: usize,
    asker: String,
    action: String,
    resource: (&'static str, String),
    status: Status,
    deadline: Timestamp,
    /// The grant that its acceptance made, and until when.
    grant: Option<(GrantId, Option<Timestamp>)>,
}

/// What is answered about a task.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TaskResponse")]
pub(super) struct Answer {
    task: Task,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Outcome>,
}

#[derive(Serialize, JsonSchema)]
struct Task {
    id: String,
    status: Status,
    status_endpoint: String,
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Links>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<TaskItem>>,
}

#[derive(Serialize, JsonSchema)]
struct Links {
    cancel: String,
}

#[derive(Serialize, JsonSchema)]
struct TaskItem {
    resource: Entity<'static>,
    action: Action<'static>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Outcome>,
}

/// How long to wait before asking for a pending task again, in seconds.
const AGAIN: &str = "5";

impl TaskId {
    pub(super) fn new(bundle: bool, name: String, groups: Vec<Vec<usize>>) -> Self {
        Self { bundle, name, groups }
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, shape) = text.split_once('.')?;
        let (bundle, name) = match head.split_once('_')? {
            ("arq", name) => (false, name),
            ("arb", name) => (true, name),
            _ => return None,
        };
        let places =
            |group: &str| group.split('-').map(|place| place.parse().ok()).collect::<Option<Vec<usize>>>();
        let groups = shape.split('_').map(places).collect::<Option<Vec<_>>>()?;
        let id = Self { bundle, name: name.to_owned(), groups };
        // One way to write it, so that one task has one id.
        (id.to_string() == text && id.groups.iter().map(Vec::len).sum::<usize>() <= ITEMS).then_some(id)
    }

    /// The application for the group with this number.
    pub(super) fn application(&self, group: usize) -> Option<ApplicationId> {
        format!("{self}.{group}").parse().ok()
    }

    fn applications(&self) -> impl Iterator<Item = (ApplicationId, &Vec<usize>)> {
        self.groups
            .iter()
            .enumerate()
            .filter_map(|(number, places)| Some((self.application(number)?, places)))
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}.", if self.bundle { "arb" } else { "arq" }, self.name)?;
        for (number, places) in self.groups.iter().enumerate() {
            let places: Vec<String> = places.iter().map(usize::to_string).collect();
            write!(f, "{}{}", if number > 0 { "_" } else { "" }, places.join("-"))?;
        }
        Ok(())
    }
}

/// The items of a task, in the order of their places; `None`: there is no such task.
fn items(directory: &Directory, id: &TaskId, now: Timestamp) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    for (application, places) in id.applications() {
        let record = directory.application(application.as_str())?;
        let state = record.state.seen_at(now).name();
        for (place, entry) in places.iter().zip(&record.entries) {
            let (permission, device) = (entry.permission.name(), entry.scope.device());
            let grant = match device {
                Some(device) => format!("{application}/{permission}/{device}"),
                None => format!("{application}/{permission}"),
            };
            let grant = directory.grant(&grant).and_then(|made| Some((grant.parse().ok()?, made.until())));
            items.push(Item {
                place: *place,
                asker: record.asking.asker.to_string(),
                action: permission.to_owned(),
                resource: match device {
                    Some(device) => ("Device", device.to_string()),
                    None => ("Site", record.asking.site.to_string()),
                },
                status: match state {
                    "pending" => Status::Pending,
                    "accepted" if grant.is_some() => Status::Approved,
                    // Not this, of all that was asked for; or nothing of it.
                    "accepted" | "rejected" => Status::Denied,
                    "expired" => Status::Expired,
                    _ => Status::Cancelled,
                },
                deadline: record.asking.deadline,
                grant,
            });
        }
    }
    items.sort_by_key(|item| item.place);
    Some(items)
}

/// What all items together come to (ARAP, "Access Request Response").
fn together(items: &[Item]) -> Status {
    let mut statuses: Vec<Status> = items.iter().map(|item| item.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    match statuses.as_slice() {
        [Status::Pending, ..] => Status::Pending,
        [only] => *only,
        _ => Status::Partial,
    }
}

/// What is told about a task without being asked: how it stands, and where to ask.
#[derive(Serialize)]
pub(super) struct Notice {
    task: Task,
}

impl Notice {
    pub(super) fn status(&self) -> Status {
        self.task.status
    }
}

impl Task {
    /// How a task with these items stands, and where to ask.
    fn of(app: &App, id: &TaskId, items: &[Item]) -> Self {
        Self {
            id: id.to_string(),
            status: together(items),
            status_endpoint: format!("{}{REQUESTS}/{id}", app.public_url),
            expires_at: items.iter().map(|item| item.deadline).max().unwrap_or(Timestamp::MIN),
            links: None,
            items: None,
        }
    }
}

impl AccessRequests {
    /// What to tell about a task; `None`: there is none of this id. Blocks.
    pub(super) fn notice(&self, app: &App, engine: &Engine, id: &str) -> Result<Option<Notice>, EngineError> {
        let Some(id) = TaskId::parse(id) else { return Ok(None) };
        let items = engine.look(|directory, now| items(directory, &id, now), clock::now())?;
        Ok(items.map(|items| Notice { task: Task::of(app, &id, &items) }))
    }

    /// What there is to say about a task now. Blocks.
    pub(super) fn answer(&self, app: &App, engine: &Engine, id: &TaskId) -> Result<Response<Body>, Problem> {
        let items = engine.look(|directory, now| items(directory, id, now), clock::now());
        let unknown = || profile_problem(404, "unknown_task", "there is no such task");
        let items = items.map_err(|error| broken(&error))?.ok_or_else(unknown)?;
        let mut task = Task::of(app, id, &items);
        let is_pending = task.status == Status::Pending;
        let mut results: Vec<TaskItem> = items.iter().map(|item| self.item(app, id, item)).collect();
        let result = if id.bundle { None } else { results.first_mut().and_then(|item| item.result.take()) };
        task.links = is_pending.then(|| Links { cancel: format!("{}/cancel", task.status_endpoint) });
        task.items = id.bundle.then_some(results);
        let mut response = body::json(&Answer { task, result });
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if is_pending {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(AGAIN));
        }
        Ok(response)
    }

    fn item(&self, app: &App, id: &TaskId, item: &Item) -> TaskItem {
        let entity = |(entity_type, id): (&str, &String)| Entity {
            r#type: entity_type.to_owned().into(),
            id: id.clone().into(),
            properties: Unique::default(),
        };
        let resource = entity((item.resource.0, &item.resource.1));
        let action = Action { name: item.action.clone().into(), properties: Unique::default() };
        let subject = entity(("Installer", &item.asker));
        let result = item.grant.clone().filter(|_| item.status == Status::Approved).and_then(|grant| {
            let bound = Bound::of(&subject, &resource, &action, Map::new());
            Outcome::approved(&self.signer, &app.public_url, (&id.to_string(), item.place), grant, bound)
        });
        TaskItem { resource, action, status: item.status, result }
    }
}

/// Adds the routes.
pub(super) fn add(api: &mut Api) {
    api.get("/access/v1/requests/{id}", "accessRequest", "ARAP: see how a request for access stands")
        .role(Role::Lifecycle)
        .with_id::<String>()
        .answer::<Answer>(200, "The task")
        .problems(&[503])
        .by(get(status));
    let cancelled = |route: Route<'_>, handler| {
        let route = route.role(Role::Lifecycle).with_id::<String>();
        route.answer::<Answer>(200, "The task, cancelled").problems(&[409, 503]).by(handler);
    };
    let (path, summary) = ("/access/v1/requests/{id}/cancel", "ARAP: take a request for access back");
    cancelled(api.post(path, "cancelAccessRequest", summary), post(cancel));
    cancelled(api.delete(path, "deleteAccessRequest", summary), delete(cancel));
}

fn known(text: &str) -> Result<TaskId, Problem> {
    TaskId::parse(text).ok_or_else(|| profile_problem(404, "unknown_task", "there is no such task"))
}

async fn status(State(app): State<App>, Path(id): Path<String>) -> Result<Response<Body>, Problem> {
    enabled(&app)?;
    let (engine, id) = (engine(&app)?, known(&id)?);
    elsewhere(move || enabled(&app)?.answer(&app, &engine, &id)).await
}

/// The asker takes back what waits for its answer. What it says about why is for nobody here.
async fn cancel(State(app): State<App>, Path(id): Path<String>) -> Result<Response<Body>, Problem> {
    enabled(&app)?;
    let (engine, id) = (engine(&app)?, known(&id)?);
    elsewhere(move || {
        let requests = enabled(&app)?;
        if withdraw(&engine, id.applications().map(|(application, _)| application))? == 0 {
            // Whether there is such a task comes first.
            requests.answer(&app, &engine, &id)?;
            return Err(profile_problem(
                409,
                "invalid_task_state",
                "nothing of this task waits for an answer",
            ));
        }
        requests.answer(&app, &engine, &id)
    })
    .await
}

/// Takes back what of these is pending, for whoever asked, and says how much that was. Blocks.
pub(super) fn withdraw(
    engine: &Engine,
    applications: impl Iterator<Item = ApplicationId>,
) -> Result<usize, Problem> {
    let mut withdrawn = 0;
    for application in applications {
        let directory = engine.directory();
        let Some(record) = directory.application(application.as_str()) else { continue };
        let principal = Principal::Installer(record.asking.asker.clone());
        let submission = Submission::new(principal, Command::WithdrawApplication { application });
        let answer = engine.submit(&submission, clock::now()).map_err(|error| broken(&error))?;
        withdrawn += usize::from(answer.refusal().is_none());
    }
    Ok(withdrawn)
}

/// A task that was just made.
pub(super) fn made(mut response: Response<Body>, app: &App, id: &TaskId) -> Response<Body> {
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(at) = HeaderValue::from_str(&format!("{}{REQUESTS}/{id}", app.public_url)) {
        response.headers_mut().insert(axum::http::header::LOCATION, at);
    }
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_is_found_again_by_its_id_alone() {
        for groups in [vec![vec![0]], vec![vec![0, 2], vec![1]], vec![(0..16).collect()]] {
            let id = TaskId::new(groups.len() > 1, "a".repeat(40), groups);
            assert_eq!(TaskId::parse(&id.to_string()), Some(id.clone()), "{id}");
            assert!(id.application(0).is_some(), "{id}");
        }
        for other in
            ["", "arq_a", "arq_a.", "arx_a.0", "arq_a.0-", "arq_a.00", "arq_a.+1", "arq_a.0.1", "arq_a.x"]
        {
            assert_eq!(TaskId::parse(other), None, "{other}");
        }
        let many: Vec<String> = (0..17).map(|place| place.to_string()).collect();
        assert_eq!(TaskId::parse(&format!("arb_a.{}", many.join("-"))), None);
        assert_eq!(json!(Status::Cancelled), "cancelled");
    }
}
