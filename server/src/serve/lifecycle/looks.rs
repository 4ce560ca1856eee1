//! Where things stand, and what is registered.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Response, StatusCode};
use axum::routing::{MethodRouter, get};
use consentry::Timestamp;
use consentry::directory::Directory;
use consentry::ledger::AuditEntry;
use consentry::view::lists::{
    AskedFilter, AskedKind, AskedLine, EntryFilter, EntryKind, EntryView, Page, Turn, asked, entry,
    list_asked, list_entries, list_grants_page,
};
use consentry::view::{GrantFilter, GrantLine, ShowRequest, View};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{broken, elsewhere, engine};
use crate::clock;
use crate::serve::api::Api;
use crate::serve::app::App;
use crate::serve::body;
use crate::serve::config::Role;
use crate::serve::problem::Problem;

type Answered = Result<Response<Body>, Problem>;

/// Which page of a list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    /// The id after which the page begins: `next` of the page before.
    after: Option<String>,
    /// How much is on it at most.
    #[schemars(range(max = 4_294_967_295_u32))]
    limit: Option<u32>,
}

/// Which part of the audit trail.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// The number after which it begins.
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    after: Option<u64>,
    /// How many lines at most.
    #[schemars(range(max = 4_294_967_295_u32))]
    limit: Option<u32>,
}

/// Lines of the audit trail.
#[derive(Debug, Serialize, JsonSchema)]
struct Audit {
    items: Vec<AuditEntry>,
}

/// What a page holds where nobody says how much.
const LIMIT: usize = 100;

/// How much was asked for.
fn page_of(limit: Option<u32>) -> usize {
    limit.map_or(LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Adds the routes.
pub(super) fn add(api: &mut Api) {
    use consentry::domain::{
        ApplicationId, CompanyId, DeviceId, EndUserId, GrantId, InstallerId, InviteId, SiteId, TicketId,
    };
    macro_rules! listed {
        ($($kind:expr, $look:ident($filter:ty) -> $line:ty, $id:ty: $all:literal $names:literal, $one:literal $name:literal;)*) => {$(
            api.get($all, $names, concat!("List ", $names))
                .role(Role::Lifecycle)
                .query::<$filter>()
                .query::<PageQuery>()
                .answer::<Page<$line>>(200, "A page of them")
                .problems(&[404, 503])
                .by($look::all($kind));
            api.get($one, $name, concat!("Look at one of the ", $names))
                .role(Role::Lifecycle)
                .with_id::<$id>()
                .answer::<$line>(200, "Where it stands")
                .problems(&[503])
                .by($look::one($kind));
        )*};
    }
    listed! {
        AskedKind::Invite, things(AskedFilter) -> AskedLine, InviteId: "/v1/invites" "invites", "/v1/invites/{id}" "invite";
        AskedKind::Application, things(AskedFilter) -> AskedLine, ApplicationId: "/v1/applications" "applications", "/v1/applications/{id}" "application";
        AskedKind::Ticket, things(AskedFilter) -> AskedLine, TicketId: "/v1/tickets" "tickets", "/v1/tickets/{id}" "ticket";
        EntryKind::Company, registered(EntryFilter) -> EntryView, CompanyId: "/v1/companies" "companies", "/v1/companies/{id}" "company";
        EntryKind::EndUser, registered(EntryFilter) -> EntryView, EndUserId: "/v1/end-users" "endUsers", "/v1/end-users/{id}" "endUser";
        EntryKind::Installer, registered(EntryFilter) -> EntryView, InstallerId: "/v1/installers" "installers", "/v1/installers/{id}" "installer";
        EntryKind::Site, registered(EntryFilter) -> EntryView, SiteId: "/v1/sites" "sites", "/v1/sites/{id}" "site";
        EntryKind::Device, registered(EntryFilter) -> EntryView, DeviceId: "/v1/devices" "devices", "/v1/devices/{id}" "device";
    }
    api.get("/v1/grants", "grants", "List grants")
        .role(Role::Lifecycle)
        .query::<GrantFilter>()
        .query::<PageQuery>()
        .answer::<Page<GrantLine>>(200, "A page of them")
        .problems(&[404, 503])
        .by(get(grants));
    api.get("/v1/grants/{*id}", "grant", "Look at one of the grants")
        .role(Role::Lifecycle)
        .with_id::<GrantId>()
        .answer::<View>(200, "Where it stands")
        .problems(&[503])
        .by(get(grant));
    api.get("/v1/audit", "audit", "Read the audit trail: every command, and what it was answered")
        .role(Role::Admin)
        .query::<AuditQuery>()
        .answer::<Audit>(200, "Lines of it")
        .problems(&[404, 503])
        .by(get(audit));
}

mod things {
    use super::*;

    pub(super) fn all(kind: AskedKind) -> MethodRouter<App> {
        get(move |State(app): State<App>, RawQuery(query): RawQuery| {
            page(app, query, move |directory, filter, turn, now| {
                list_asked(directory, kind, filter, turn, now)
            })
        })
    }

    pub(super) fn one(kind: AskedKind) -> MethodRouter<App> {
        get(move |State(app): State<App>, Path(id): Path<String>| {
            found(app, id, move |directory, id, now| asked(directory, kind, id, now))
        })
    }
}

mod registered {
    use super::*;

    pub(super) fn all(kind: EntryKind) -> MethodRouter<App> {
        get(move |State(app): State<App>, RawQuery(query): RawQuery| {
            page(app, query, move |directory, filter, turn, now| {
                list_entries(directory, kind, filter, turn, now)
            })
        })
    }

    pub(super) fn one(kind: EntryKind) -> MethodRouter<App> {
        get(move |State(app): State<App>, Path(id): Path<String>| {
            found(app, id, move |directory, id, now| entry(directory, kind, id, now))
        })
    }
}

async fn grants(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    page(app, query, |directory, filter: &GrantFilter, turn, now| {
        list_grants_page(directory, filter, turn, now)
    })
    .await
}

async fn grant(State(app): State<App>, Path(id): Path<String>) -> Answered {
    found(app, id, |directory, id, now| {
        consentry::view::show(directory, &ShowRequest::Grant(id.parse().ok()?), now)
    })
    .await
}

async fn audit(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    let AuditQuery { after, limit } = read(&pairs(query.as_deref().unwrap_or_default())?)?;
    let (engine, limit) = (engine(&app)?, page_of(limit).min(app.limits.search_page));
    elsewhere(move || {
        let items = engine.audit(after.unwrap_or_default(), limit).map_err(|error| broken(&error))?;
        Ok(body::json(&Audit { items }))
    })
    .await
}

/// One thing, or that there is none.
async fn found<T: Serialize + PartialEq>(
    app: App,
    id: String,
    look: impl Fn(&Directory, &str, Timestamp) -> Option<T> + Send + 'static,
) -> Answered {
    let engine = engine(&app)?;
    elsewhere(move || {
        let seen = engine.look(|directory, now| look(directory, &id, now), clock::now());
        match seen.map_err(|error| broken(&error))? {
            Some(seen) => Ok(body::json(&seen)),
            None => Err(Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no `{id}`"))),
        }
    })
    .await
}

/// A page of a list.
async fn page<F: DeserializeOwned + Send + 'static, T: Serialize + PartialEq>(
    app: App,
    query: Option<String>,
    list: impl Fn(&Directory, &F, &Turn, Timestamp) -> Page<T> + Send + 'static,
) -> Answered {
    let engine = engine(&app)?;
    let pairs = pairs(query.as_deref().unwrap_or_default())?;
    let (of_page, of_filter): (Vec<_>, Vec<_>) =
        pairs.into_iter().partition(|(name, _)| ["after", "limit"].contains(&name.as_str()));
    let PageQuery { after, limit } = read(&of_page)?;
    let filter: F = read(&of_filter)?;
    let turn = Turn { after, most: page_of(limit).clamp(1, app.limits.search_page) };
    elsewhere(move || {
        let seen = engine.look(|directory, now| list(directory, &filter, &turn, now), clock::now());
        seen.map(|page| body::json(&page)).map_err(|error| broken(&error))
    })
    .await
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    serde_urlencoded::from_str(query).map_err(no_query)
}

/// What pairs of a query say.
fn read<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, Problem> {
    let text = serde_urlencoded::to_string(pairs).map_err(|error| Problem::internal(error.to_string()))?;
    serde_urlencoded::from_str(&text).map_err(no_query)
}

fn no_query(error: serde_urlencoded::de::Error) -> Problem {
    Problem::invalid(format!("the query: {error}"))
}
