//! The mapping file: how a request through a gateway becomes a question.
//!
//! ```toml
//! [[principal]]
//! is = 'Installer::"{identity.sub}"'
//!
//! [[route]]
//! methods = ["GET"]
//! path = "/sites/{site}/devices/{device}/live"
//! action = "liveView"
//! resource = 'Device::"{device}"'
//! ```

mod path;
mod template;

use std::collections::{BTreeMap, BTreeSet};

use consentry::domain::Uid;
use consentry::policy::{AccessRequest, Claims, Policies};
use serde::Deserialize;
use serde_json::Value;

use super::request::{GatewayRequest, Identity};
use path::{Pattern, Segments};
pub(super) use template::Template;
use template::{EntityTemplate, Values};

/// What requests through gateways stand for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapping {
    principals: Vec<PrincipalRule>,
    routes: Vec<Route>,
}

#[derive(Debug, Clone)]
struct PrincipalRule {
    /// The values that the identity must have.
    when: BTreeMap<String, String>,
    is: EntityTemplate,
}

#[derive(Debug, Clone)]
struct Route {
    methods: BTreeSet<String>,
    pattern: Pattern,
    meaning: Meaning,
}

#[derive(Debug, Clone)]
enum Meaning {
    /// Anybody may pass; nobody is asked.
    Open,
    Question {
        action: String,
        resource: EntityTemplate,
        context: Vec<(String, Said)>,
    },
}

/// A value of the context.
#[derive(Debug, Clone)]
enum Said {
    Fixed(Value),
    Text(Template),
}

/// What a request stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StandsFor {
    /// Nothing that would be asked: anybody may pass.
    Open,
    Question(Box<AccessRequest>),
}

/// Why a request stands for nothing: it is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unmapped {
    /// No route is for it.
    NoRoute,
    /// Those behind the gateway may see another path in it.
    Ambiguous(&'static str),
    /// Nobody says who asks.
    NoIdentity,
    /// Whoever asks is no principal of any rule.
    NoPrincipal,
    /// The question makes no sense.
    NoQuestion(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    principal: Vec<WrittenPrincipal>,
    #[serde(default)]
    route: Vec<WrittenRoute>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrincipal {
    #[serde(default)]
    when: BTreeMap<String, String>,
    is: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRoute {
    #[serde(default)]
    methods: BTreeSet<String>,
    path: String,
    action: Option<String>,
    resource: Option<String>,
    #[serde(default)]
    context: BTreeMap<String, toml::Value>,
    #[serde(default)]
    open: bool,
}

impl Mapping {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let written: Written =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let principals = written.principal.into_iter().map(PrincipalRule::new).collect::<Result<_, _>>()?;
        let routes: Vec<Route> = written.route.into_iter().map(Route::new).collect::<Result<_, _>>()?;
        for (at, route) in routes.iter().enumerate() {
            let before = routes.iter().take(at).find(|before| before.hides(route));
            if before.is_some() {
                return Err(format!(
                    "the route {} is never reached: one before it is for the same requests",
                    route.pattern
                ));
            }
        }
        Ok(Self { principals, routes })
    }

    /// Whether the schema knows the questions that routes lead to.
    ///
    /// # Errors
    /// Which one it does not know, as a sentence.
    pub(crate) fn fits(&self, policies: &Policies) -> Result<(), String> {
        for Route { pattern, meaning, .. } in &self.routes {
            let Meaning::Question { action, resource, context } = meaning else { continue };
            let mut kinds = self
                .principals
                .iter()
                .filter_map(|rule| policies.context_of(rule.is.type_name(), action, resource.type_name()));
            let Some(declared) = kinds.next() else {
                let resource = resource.type_name();
                return Err(format!(
                    "the route {pattern}: the schema has no {action} on a {resource} by any of the principals"
                ));
            };
            let is_declared = |name: &str| declared.iter().any(|(own, _)| *own == name);
            if let Some((name, _)) = context.iter().find(|(name, _)| !is_declared(name)) {
                return Err(format!(
                    "the route {pattern}: the schema has no `{name}` in the context of {action}"
                ));
            }
            let is_said = |name: &str| context.iter().any(|(said, _)| said == name);
            if let Some((name, _)) = declared.iter().find(|(name, asked)| *asked && !is_said(name)) {
                return Err(format!("the route {pattern}: {action} needs `{name}` in its `context`"));
            }
        }
        Ok(())
    }

    /// What a request stands for, asked by whom `identity` says.
    pub(crate) fn stands_for(
        &self,
        request: &GatewayRequest<'_>,
        identity: Option<&Identity>,
        policies: &Policies,
    ) -> Result<StandsFor, Unmapped> {
        let segments = Segments::of(request.path())?;
        let matching =
            self.routes.iter().find_map(|route| Some((route, route.taken(request.method, &segments)?)));
        let Some((route, variables)) = matching else { return Err(Unmapped::NoRoute) };
        let Meaning::Question { action, resource, context } = &route.meaning else {
            return Ok(StandsFor::Open);
        };
        let identity = identity.ok_or(Unmapped::NoIdentity)?;
        let principal = self.principal(identity).ok_or(Unmapped::NoPrincipal)?;
        let values = Values { variables: &variables, identity: Some(identity), request: Some(request) };
        let nothing = |name: String| Unmapped::NoQuestion(format!("`{name}` has no value, or more than one"));
        let resource = resource.filled(&values).map_err(nothing)?;
        let mut claims = Claims::default();
        for (name, said) in context {
            let value = match said {
                Said::Fixed(value) => value.clone(),
                Said::Text(template) => Value::String(template.filled(&values).map_err(nothing)?),
            };
            claims.context.insert(name.clone(), value);
        }
        let question = policies.question_with(principal, action, resource, &claims);
        let question = question.map_err(|error| Unmapped::NoQuestion(error.to_string()))?;
        // What the schema does not declare would be left out, and policies would not see what they were to see.
        let lost = context.iter().find(|(name, _)| !question.context.contains_key(name));
        match lost {
            Some((name, _)) => {
                Err(Unmapped::NoQuestion(format!("the schema has no `{name}` in the context of {action}")))
            }
            None => Ok(StandsFor::Question(Box::new(question))),
        }
    }

    /// The principal that an identity is: by the first rule whose conditions hold and whose values are there.
    pub(crate) fn principal(&self, identity: &Identity) -> Option<Uid> {
        let values = Values { variables: &[], identity: Some(identity), request: None };
        let holds = |(name, value): (&String, &String)| identity.get(name).as_deref() == Some(value);
        self.principals
            .iter()
            .filter(|rule| rule.when.iter().all(holds))
            .find_map(|rule| rule.is.filled(&values).ok())
    }
}

impl PrincipalRule {
    fn new(written: WrittenPrincipal) -> Result<Self, String> {
        let is = EntityTemplate::parse(&written.is)?;
        if !is.is_of_identity_alone() {
            return Err(format!(
                "the principal `{}`: it is made of a verified identity alone, {{identity.…}}",
                written.is
            ));
        }
        Ok(Self { when: written.when, is })
    }
}

impl Route {
    fn new(written: WrittenRoute) -> Result<Self, String> {
        let WrittenRoute { methods, path, action, resource, context, open } = written;
        let wrong = |what: &str| format!("the route {path}: {what}");
        let pattern = Pattern::parse(&path).map_err(|what| wrong(&what))?;
        if let Some(method) =
            methods.iter().find(|method| !method.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            return Err(wrong(&format!("`{method}` is no method: they are written in capitals")));
        }
        let meaning = match (open, action, resource) {
            (true, None, None) if context.is_empty() => Meaning::Open,
            (true, ..) => {
                return Err(wrong("an `open` route asks nothing: it has no action, resource or context"));
            }
            (false, Some(action), Some(resource)) => {
                let resource = EntityTemplate::parse(&resource).map_err(|what| wrong(&what))?;
                let context = context.into_iter().map(|(name, value)| Ok((name, Said::new(value)?)));
                let context: Vec<_> = context.collect::<Result<_, String>>().map_err(|what| wrong(&what))?;
                let mut used = resource.variables();
                for (_, said) in &context {
                    if let Said::Text(template) = said {
                        used.extend(template.variables());
                    }
                }
                if let Some(name) = used.into_iter().find(|name| !pattern.names().any(|known| known == *name))
                {
                    return Err(wrong(&format!("there is no {{{name}}} in the path")));
                }
                Meaning::Question { action, resource, context }
            }
            (false, ..) => return Err(wrong("it needs an `action` and a `resource`, or must be `open`")),
        };
        Ok(Self { methods, pattern, meaning })
    }

    /// The variables of the path, if the route is for this request.
    fn taken<'r>(&'r self, method: &str, segments: &Segments<'_>) -> Option<Vec<(&'r str, String)>> {
        let is_for = self.methods.is_empty() || self.methods.contains(method);
        if is_for { self.pattern.taken(segments) } else { None }
    }

    /// Whether every request that `other` is for is for this one.
    fn hides(&self, other: &Self) -> bool {
        let all =
            self.methods.is_empty() || (!other.methods.is_empty() && other.methods.is_subset(&self.methods));
        all && self.pattern.hides(&other.pattern)
    }
}

impl Said {
    fn new(value: toml::Value) -> Result<Self, String> {
        if let toml::Value::String(text) = &value {
            let template = Template::parse(text)?;
            if !template.is_fixed() {
                return Ok(Self::Text(template));
            }
        }
        serde_json::to_value(value).map(Self::Fixed).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests;
