//! What is asked, in AuthZEN's words (AuthZEN 1.0 §4). Unknown members are ignored (§10.1.1).

use std::borrow::Cow;

use consentry::domain::Uid;
use consentry::policy::Policies;
use consentry::policy::{AccessRequest, Claims, RequestError};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::serve::app::App;
use crate::serve::body::{self, Object, Unique};
use crate::serve::problem::Problem;

/// A subject or resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Entity")]
pub(crate) struct Entity<'a> {
    #[serde(borrow)]
    pub(crate) r#type: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Unique::is_empty")]
    #[schemars(with = "Option<Unique>")]
    pub(crate) properties: Unique,
}

/// A subject or resource that is sought: its id is ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Kind<'a> {
    #[serde(borrow)]
    pub(super) r#type: Cow<'a, str>,
    #[serde(default, deserialize_with = "or_null")]
    #[schemars(with = "Option<Unique>")]
    pub(super) properties: Unique,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Action<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Unique::is_empty")]
    #[schemars(with = "Option<Unique>")]
    pub(crate) properties: Unique,
}

/// A question.
#[derive(JsonSchema)]
#[schemars(rename = "EvaluationRequest")]
#[expect(dead_code, reason = "what must be there, for those who read about it")]
pub(super) struct Question {
    subject: Entity<'static>,
    action: Action<'static>,
    resource: Entity<'static>,
    context: Option<Unique>,
}

/// A question whose parts may be missing: those of a batch are taken from its defaults.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(super) struct Parts<'a> {
    #[serde(borrow, default, deserialize_with = "subject")]
    pub(super) subject: Option<Entity<'a>>,
    #[serde(borrow, default, deserialize_with = "action")]
    pub(super) action: Option<Action<'a>>,
    #[serde(borrow, default, deserialize_with = "resource")]
    pub(super) resource: Option<Entity<'a>>,
    #[serde(default, deserialize_with = "context")]
    pub(super) context: Option<Unique>,
}

/// What stands at `name`, with its name before whatever is wrong with it.
macro_rules! named {
    ($($reader:ident: $of:ty, $name:literal;)*) => {$(
        pub(super) fn $reader<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<$of, D::Error> {
            Option::<Object<_>>::deserialize(deserializer)
                .map(|object| object.map(|Object(object)| object))
                .map_err(|error| D::Error::custom(format_args!(concat!("`", $name, "`: {}"), error)))
        }
    )*};
}

named! {
    subject: Option<Entity<'a>>, "subject";
    resource: Option<Entity<'a>>, "resource";
    action: Option<Action<'a>>, "action";
    sought_subject: Option<Kind<'a>>, "subject";
    sought_resource: Option<Kind<'a>>, "resource";
}

fn context<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Unique>, D::Error> {
    let context = Option::<Unique>::deserialize(deserializer);
    context.map_err(|error| D::Error::custom(format_args!("`context`: {error}")))
}

/// A `null` says as little as nothing at all.
pub(super) fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A member that must be there.
pub(super) fn required<T>(member: Option<T>, name: &str) -> Result<T, Problem> {
    member.ok_or_else(|| Problem::malformed(format!("`{name}` is missing")))
}

impl Entity<'_> {
    pub(crate) fn uid(&self) -> Uid {
        Uid::new(&self.r#type, &self.id)
    }
}

/// A question with all of its parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole<'p> {
    pub(crate) subject: &'p Entity<'p>,
    pub(crate) action: &'p Action<'p>,
    pub(crate) resource: &'p Entity<'p>,
    pub(crate) context: Option<&'p Unique>,
}

impl<'a> Parts<'a> {
    /// The question, with what is missing taken from `defaults`: each part whole or not at all.
    pub(super) fn whole<'p>(&'p self, defaults: &'p Self) -> Result<Whole<'p>, Problem> {
        Ok(Whole {
            subject: required(self.subject.as_ref().or(defaults.subject.as_ref()), "subject")?,
            action: required(self.action.as_ref().or(defaults.action.as_ref()), "action")?,
            resource: required(self.resource.as_ref().or(defaults.resource.as_ref()), "resource")?,
            context: self.context.as_ref().or(defaults.context.as_ref()),
        })
    }
}

/// A type, an id or a name has so many bytes at most.
const LONGEST: usize = 1024;

impl Whole<'_> {
    /// The question as the policies are asked it.
    pub(super) fn question(&self, policies: &Policies) -> Result<AccessRequest, Problem> {
        let Self { subject, action, resource, context } = self;
        for name in [&subject.r#type, &subject.id, &action.name, &resource.r#type, &resource.id] {
            if name.len() > LONGEST {
                return Err(Problem::invalid(format!("a type, id or name has more than {LONGEST} bytes")));
            }
        }
        let says_more = [&subject.properties, &action.properties, &resource.properties]
            .into_iter()
            .chain(*context)
            .any(|said| !said.0.is_empty());
        if !says_more {
            return Ok(AccessRequest::new(subject.uid(), &action.name, resource.uid()));
        }
        let said = |said: &Unique| said.0.clone();
        let claims = Claims {
            principal: said(&subject.properties),
            action: said(&action.properties),
            resource: said(&resource.properties),
            context: context.map(said).unwrap_or_default(),
        };
        policies.question_with(subject.uid(), &action.name, resource.uid(), &claims).map_err(no_question)
    }
}

/// Why something is no question.
pub(super) fn no_question(error: RequestError) -> Problem {
    Problem::invalid(error.to_string())
}

/// The body of a request, if it is JSON and says so. AuthZEN wants 400 for another content type, too.
pub(super) async fn text(app: &App, request: axum::extract::Request) -> Result<axum::body::Bytes, Problem> {
    let (head, content) = request.into_parts();
    if !body::is_json(&head.headers) {
        return Err(Problem::malformed("the content type must be application/json"));
    }
    app.read(content).await
}
