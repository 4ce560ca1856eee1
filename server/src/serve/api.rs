//! Routes together with what is said about them: a route is in the OpenAPI document because it is served.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::app::App;
use super::body;
use super::callers::{Gate, admit};
use super::config::Role;
use super::plugins;
use super::problem::Written as Problem;

/// What is said about one route.
pub(crate) struct Endpoint {
    method: &'static str,
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    role: Option<Role>,
    /// Whether plugins see its requests first.
    plugins: bool,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    problems: Vec<u16>,
}

/// Routes, and the document about them.
pub(crate) struct Api {
    app: App,
    router: Router<App>,
    paths: BTreeMap<String, Map<String, Value>>,
    asked: SchemaGenerator,
    answered: SchemaGenerator,
}

/// Where schemas are in the document.
const SCHEMAS: &str = "/components/schemas";

/// What every route may answer instead, and what every route with callers, and with a body.
const ALWAYS: [u16; 2] = [400, 500];
const OF_CALLERS: [u16; 3] = [401, 403, 429];
const OF_BODIES: [u16; 2] = [408, 413];

impl Api {
    pub(crate) fn new(app: &App) -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = SCHEMAS.into();
                settings.meta_schema = None;
            })
        };
        Self {
            app: app.clone(),
            router: Router::new(),
            paths: BTreeMap::new(),
            asked: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
        }
    }

    pub(crate) fn get(&mut self, path: &'static str, name: &'static str, summary: &'static str) -> Route<'_> {
        self.route("get", path, name, summary)
    }

    pub(crate) fn post(
        &mut self,
        path: &'static str,
        name: &'static str,
        summary: &'static str,
    ) -> Route<'_> {
        self.route("post", path, name, summary)
    }

    pub(crate) fn delete(
        &mut self,
        path: &'static str,
        name: &'static str,
        summary: &'static str,
    ) -> Route<'_> {
        self.route("delete", path, name, summary)
    }

    fn route(
        &mut self,
        method: &'static str,
        path: &'static str,
        name: &'static str,
        summary: &'static str,
    ) -> Route<'_> {
        let endpoint = Endpoint {
            method,
            path,
            name,
            summary,
            role: None,
            plugins: false,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            problems: Vec::new(),
        };
        Route { api: self, endpoint }
    }

    /// Adds a route for gateways, which is no operation of the API: it is asked about requests of every kind.
    pub(crate) fn of_gateways(&mut self, path: &'static str, role: Role, handler: MethodRouter<App>) {
        let handler = handler.layer(from_fn_with_state(self.gate(role, true), admit));
        self.router = std::mem::take(&mut self.router).route(path, handler);
    }

    fn gate(&self, role: Role, of_gateways: bool) -> Gate {
        Gate { app: self.app.clone(), role, of_gateways }
    }

    /// The routes, and the document.
    pub(crate) fn finished(mut self) -> (Router<App>, Value) {
        let problem = self.answered.subschema_for::<Problem>().to_value();
        let (asked, answered) = (self.asked.take_definitions(true), self.answered.take_definitions(true));
        // What is written in one way in questions and in another in answers has two names.
        let differ =
            |(name, schema): (&String, _)| answered.get(name).is_some_and(|answered| answered != schema);
        let twice: BTreeSet<String> =
            asked.iter().filter(|entry| differ(*entry)).map(|(name, _)| name.clone()).collect();
        let mut schemas = answered;
        for (name, schema) in asked {
            let name = if twice.contains(&name) { format!("{name}{ASKED}") } else { name };
            schemas.insert(name, told_apart(schema, true, &twice));
        }
        let paths = told_apart(json!(self.paths), false, &twice);
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Consentry",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Authorization for access that has to be asked for.",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
                "responses": {
                    "Problem": {
                        "description": "Why the request was not answered (RFC 9457).",
                        "content": { "application/problem+json": { "schema": problem } },
                    },
                },
            },
        });
        (self.router, body::sorted(document))
    }
}

/// What is added to the name of a schema that is another one in questions.
const ASKED: &str = "Asked";

/// The member that holds a question's schema, until all of them are known.
const QUESTION: &str = "x-question";

/// Gives the schemas of questions their own names, where they are `twice` there.
fn told_apart(value: Value, in_question: bool, twice: &BTreeSet<String>) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| told_apart(item, in_question, twice)).collect(),
        Value::Object(members) => {
            let each = |(name, value): (String, Value)| match (name.as_str(), value) {
                (QUESTION, value) => ("schema".to_owned(), told_apart(value, true, twice)),
                ("$ref", Value::String(at)) if in_question => {
                    let is_twice = at.rsplit('/').next().is_some_and(|name| twice.contains(name));
                    (name, Value::String(if is_twice { at + ASKED } else { at }))
                }
                (_, value) => (name, told_apart(value, in_question, twice)),
            };
            members.into_iter().map(each).collect()
        }
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => value,
    }
}

/// A route that is being described.
pub(crate) struct Route<'a> {
    api: &'a mut Api,
    endpoint: Endpoint,
}

impl Route<'_> {
    /// Who may ask; without it, anybody.
    pub(crate) fn role(mut self, role: Role) -> Self {
        self.endpoint.role = Some(role);
        self
    }

    /// Plugins see its requests first.
    pub(crate) fn through_plugins(mut self) -> Self {
        self.endpoint.plugins = true;
        self.endpoint.problems.push(503);
        self
    }

    /// What stands in the path.
    pub(crate) fn with_id<T: JsonSchema>(mut self) -> Self {
        let schema = self.api.asked.subschema_for::<T>();
        self.endpoint
            .parameters
            .push(json!({ "name": "id", "in": "path", "required": true, QUESTION: schema }));
        self.endpoint.problems.push(404);
        self
    }

    /// What may stand in the query: the members of `T`.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        let schema = T::json_schema(&mut self.api.asked);
        let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, mut schema) in properties {
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({ "name": name, "in": "query", QUESTION: unwrapped(schema) });
            if let Some(members) = parameter.as_object_mut() {
                members.extend(description.map(|text| ("description".to_owned(), text)));
                if required.contains(&Value::String(name)) {
                    members.insert("required".to_owned(), Value::Bool(true));
                }
            }
            self.endpoint.parameters.push(parameter);
        }
        self
    }

    /// A header that may be sent.
    pub(crate) fn header<T: JsonSchema>(mut self, name: &'static str, what: &'static str) -> Self {
        let schema = T::json_schema(&mut self.api.asked).to_value();
        self.endpoint
            .parameters
            .push(json!({ "name": name, "in": "header", "description": what, QUESTION: schema }));
        self
    }

    /// What is sent.
    pub(crate) fn body<T: JsonSchema>(mut self) -> Self {
        let schema = self.api.asked.subschema_for::<T>();
        let content = json!({ "application/json": { QUESTION: schema } });
        self.endpoint.body = Some(json!({ "required": true, "content": content }));
        self
    }

    /// What is answered.
    pub(crate) fn answer<T: JsonSchema>(self, status: u16, what: &'static str) -> Self {
        self.answer_as::<T>(status, "application/json", what)
    }

    pub(crate) fn answer_as<T: JsonSchema>(
        mut self,
        status: u16,
        media_type: &str,
        what: &'static str,
    ) -> Self {
        let schema = self.api.answered.subschema_for::<T>();
        let content = json!({ media_type: { "schema": schema } });
        self.endpoint.answers.insert(status, json!({ "description": what, "content": content }));
        self
    }

    /// A form that the answer speaks of.
    pub(crate) fn with<T: JsonSchema>(self) -> Self {
        self.api.answered.subschema_for::<T>();
        self
    }

    /// Statuses with which it may say that it cannot answer, beside those of every route.
    pub(crate) fn problems(mut self, problems: &[u16]) -> Self {
        self.endpoint.problems.extend(problems);
        self
    }

    /// Serves it.
    pub(crate) fn by(self, handler: MethodRouter<App>) {
        let Self { api, endpoint } = self;
        let handler = if endpoint.plugins && api.app.plugins.is_some() {
            handler.route_layer(from_fn_with_state(api.app.clone(), plugins::through))
        } else {
            handler
        };
        let handler = match endpoint.role {
            Some(role) => handler.route_layer(from_fn_with_state(api.gate(role, false), admit)),
            None => handler,
        };
        api.router = std::mem::take(&mut api.router).route(endpoint.path, handler);
        let path = endpoint.path.replace("{*", "{");
        let method = endpoint.method.to_owned();
        api.paths.entry(path).or_default().insert(method, endpoint.operation());
    }
}

impl Endpoint {
    fn operation(self) -> Value {
        let mut responses: BTreeMap<String, Value> =
            self.answers.into_iter().map(|(status, answer)| (status.to_string(), answer)).collect();
        let of_callers = OF_CALLERS.iter().filter(|_| self.role.is_some());
        let of_bodies = OF_BODIES.iter().filter(|_| self.body.is_some());
        let problems = ALWAYS.iter().chain(of_callers).chain(of_bodies).chain(&self.problems);
        for status in problems {
            let problem = json!({ "$ref": "#/components/responses/Problem" });
            responses.entry(status.to_string()).or_insert(problem);
        }
        let mut operation = Map::new();
        operation.insert("operationId".to_owned(), json!(self.name));
        operation.insert("summary".to_owned(), json!(self.summary));
        if let Some(role) = self.role {
            operation.insert("security".to_owned(), json!([{ "token": [] }]));
            operation.insert(
                "description".to_owned(),
                json!(format!("For callers with the role {}.", role.name())),
            );
        }
        if !self.parameters.is_empty() {
            operation.insert("parameters".to_owned(), Value::Array(self.parameters));
        }
        operation.extend(self.body.map(|body| ("requestBody".to_owned(), body)));
        operation.insert("responses".to_owned(), json!(responses));
        Value::Object(operation)
    }
}

/// The schema of a value that may be left out: in a query, nothing is `null`.
fn unwrapped(mut schema: Value) -> Value {
    if let Some(either) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        either.retain(|schema| schema.get("type") != Some(&json!("null")));
        if let [only] = either.as_slice() {
            return only.clone();
        }
    }
    if let Some(types) = schema.get_mut("type").filter(|types| types.is_array()) {
        let only = types.as_array().and_then(|types| types.first()).cloned();
        *types = only.unwrap_or_default();
    }
    schema
}
