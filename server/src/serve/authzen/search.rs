//! Who may, on what, and what (AuthZEN 1.0 §8).

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use consentry::policy::{Claims, Reading, Sought};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::{self, Action, Entity, Kind, no_question, or_null, required};
use crate::clock;
use crate::serve::app::{App, Limits};
use crate::serve::body::{self, Object, Unique};
use crate::serve::problem::Problem;
use page::{Page, PageAnswer, Token};

mod page;

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SubjectSearch", extend("required" = ["subject", "action", "resource"]))]
pub(super) struct SubjectSearch<'a> {
    #[serde(borrow, default, deserialize_with = "request::sought_subject")]
    #[schemars(with = "Kind<'_>")]
    subject: Option<Kind<'a>>,
    #[serde(borrow, default, deserialize_with = "request::action")]
    #[schemars(with = "Action<'_>")]
    action: Option<Action<'a>>,
    #[serde(borrow, default, deserialize_with = "request::resource")]
    #[schemars(with = "Entity<'_>")]
    resource: Option<Entity<'a>>,
    #[serde(default, deserialize_with = "or_null")]
    #[schemars(with = "Option<Unique>")]
    context: Unique,
    #[schemars(with = "Option<Page>")]
    page: Option<Object<Page>>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ResourceSearch", extend("required" = ["subject", "action", "resource"]))]
pub(super) struct ResourceSearch<'a> {
    #[serde(borrow, default, deserialize_with = "request::subject")]
    #[schemars(with = "Entity<'_>")]
    subject: Option<Entity<'a>>,
    #[serde(borrow, default, deserialize_with = "request::action")]
    #[schemars(with = "Action<'_>")]
    action: Option<Action<'a>>,
    #[serde(borrow, default, deserialize_with = "request::sought_resource")]
    #[schemars(with = "Kind<'_>")]
    resource: Option<Kind<'a>>,
    #[serde(default, deserialize_with = "or_null")]
    #[schemars(with = "Option<Unique>")]
    context: Unique,
    #[schemars(with = "Option<Page>")]
    page: Option<Object<Page>>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ActionSearch", extend("required" = ["subject", "resource"]))]
pub(super) struct ActionSearch<'a> {
    #[serde(borrow, default, deserialize_with = "request::subject")]
    #[schemars(with = "Entity<'_>")]
    subject: Option<Entity<'a>>,
    #[serde(borrow, default, deserialize_with = "request::resource")]
    #[schemars(with = "Entity<'_>")]
    resource: Option<Entity<'a>>,
    #[serde(default, deserialize_with = "or_null")]
    #[schemars(with = "Option<Unique>")]
    context: Unique,
    #[schemars(with = "Option<Page>")]
    page: Option<Object<Page>>,
}

/// The page is first, so that a reader sees early how much there is (AuthZEN 1.0 §8.3).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Results")]
pub(super) struct Results<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PageAnswer>,
    results: Vec<T>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FoundEntity<'a> {
    r#type: &'a str,
    id: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FoundAction {
    name: String,
}

/// `POST /access/v1/search/subject`
pub(super) async fn subjects(State(app): State<App>, request: Request) -> Result<Response<Body>, Problem> {
    searched(app, request, |text, reading, limits, go_on| {
        let search: SubjectSearch<'_> = body::parsed(text)?;
        let subject = required(search.subject, "subject")?;
        let action = required(search.action, "action")?;
        let resource = required(search.resource, "resource")?;
        let sought = Sought::Principals {
            entity_type: subject.r#type.to_string(),
            action: action.name.to_string(),
            resource: resource.uid(),
        };
        let asked = Token::over("subject", &(&subject, &action, &resource, &search.context))?;
        let claims = Claims {
            principal: subject.properties.0,
            action: action.properties.0,
            resource: resource.properties.0,
            context: search.context.0,
        };
        entities(reading, limits, (&sought, &claims, &subject.r#type), wanted(search.page), &asked, go_on)
    })
    .await
}

/// `POST /access/v1/search/resource`
pub(super) async fn resources(State(app): State<App>, request: Request) -> Result<Response<Body>, Problem> {
    searched(app, request, |text, reading, limits, go_on| {
        let search: ResourceSearch<'_> = body::parsed(text)?;
        let subject = required(search.subject, "subject")?;
        let action = required(search.action, "action")?;
        let resource = required(search.resource, "resource")?;
        let sought = Sought::Resources {
            principal: subject.uid(),
            action: action.name.to_string(),
            entity_type: resource.r#type.to_string(),
        };
        let asked = Token::over("resource", &(&subject, &action, &resource, &search.context))?;
        let claims = Claims {
            principal: subject.properties.0,
            action: action.properties.0,
            resource: resource.properties.0,
            context: search.context.0,
        };
        entities(reading, limits, (&sought, &claims, &resource.r#type), wanted(search.page), &asked, go_on)
    })
    .await
}

/// `POST /access/v1/search/action`
pub(super) async fn actions(State(app): State<App>, request: Request) -> Result<Response<Body>, Problem> {
    searched(app, request, |text, reading, limits, _| {
        let search: ActionSearch<'_> = body::parsed(text)?;
        let subject = required(search.subject, "subject")?;
        let resource = required(search.resource, "resource")?;
        let asked = Token::over("action", &(&subject, &resource, &search.context))?;
        let (principal, target) = (subject.uid(), resource.uid());
        let claims = Claims {
            principal: subject.properties.0,
            resource: resource.properties.0,
            context: search.context.0,
            ..Claims::default()
        };
        let page = wanted(search.page);
        let span = Page::span(page.as_ref(), &asked, limits)?;
        let permitted = reading.permitted(&principal, &target, &claims).map_err(no_question)?;
        let mut names =
            permitted.into_iter().map(|(name, _)| name).filter(|name| Some(name) > span.after.as_ref());
        let results: Vec<FoundAction> =
            names.by_ref().take(span.found).map(|name| FoundAction { name }).collect();
        let last = results.last().map(|last| last.name.clone()).or_else(|| span.after.clone());
        let next = names.next().is_some().then_some(last);
        let page = PageAnswer::of(page.as_ref(), next, results.len(), span.found, &asked);
        Ok(body::json(&Results { page, results }))
    })
    .await
}

fn wanted(page: Option<Object<Page>>) -> Option<Page> {
    page.map(|Object(page)| page)
}

fn entities(
    reading: &Reading,
    limits: &Limits,
    (sought, claims, entity_type): (&Sought, &Claims, &Cow<'_, str>),
    page: Option<Page>,
    asked: &Token,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Response<Body>, Problem> {
    let span = Page::span(page.as_ref(), asked, limits)?;
    let (ids, next) = if span.found == 0 {
        (Vec::new(), Some(span.after))
    } else {
        let found = reading.search(sought, claims, &span, go_on).map_err(no_question)?;
        (found.ids, found.next.map(Some))
    };
    let page = PageAnswer::of(page.as_ref(), next, ids.len(), span.found, asked);
    let results = ids.into_iter().map(|id| FoundEntity { r#type: entity_type, id }).collect();
    Ok(body::json(&Results { page, results }))
}

/// Searches ask many questions: only so many at once, on threads that hold up nobody else.
async fn searched(
    app: App,
    request: Request,
    search: impl FnOnce(&Bytes, &Reading, &Limits, &mut dyn FnMut() -> bool) -> Result<Response<Body>, Problem>
    + Send
    + 'static,
) -> Result<Response<Body>, Problem> {
    let text = request::text(&app, request).await?;
    let patience = app.limits.search.of_clock();
    let turn = match tokio::time::timeout(patience, app.searches.clone().acquire_owned()).await {
        Ok(turn) => turn.map_err(|_| Problem::internal("the server is ending"))?,
        Err(_) => {
            let detail = "as many searches are under way as there may be";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_searches", detail));
        }
    };
    let searching = tokio::task::spawn_blocking(move || {
        let begun = clock::started();
        let ending = app.ending.clone();
        let mut go_on = || !*ending.borrow() && clock::started().saturating_duration_since(begun) < patience;
        let answer = search(&text, &app.decision_point.reading(), &app.limits, &mut go_on);
        drop(turn);
        answer
    });
    searching.await.map_err(|_| Problem::internal("the search failed"))?
}
