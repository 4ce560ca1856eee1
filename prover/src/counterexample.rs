//! A request that refutes a claim, told with the people and things that the policies' cases are about.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, PolicySet, Request, Schema,
};
use cedar_policy_symcc::Env;
use serde_json::{Value, json};

use crate::cast::{Cast, Naming};
use crate::facts;

/// A request, and the facts on which it is answered as the claim says that none is.
#[derive(Debug, Clone)]
pub struct Counterexample {
    /// Who acts, as Cedar writes it: `Installer::"ivan"`.
    pub principal: String,
    /// What they do: `liveView`.
    pub action: String,
    /// On what: `Device::"cam-7"`.
    pub resource: String,
    /// What is known when they try.
    pub context: Value,
    /// Everybody and everything that it leads to, in Cedar's JSON.
    pub entities: Vec<Value>,
    /// The policies that allow it, sorted; none, when it is an error that refutes the claim.
    pub allowed_by: Vec<String>,
    /// What policies run into.
    pub errors: Vec<String>,
    /// All words in the policies that were asked.
    words: BTreeSet<String>,
}

/// The parts of a request, before there is a request.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) principal: (String, String),
    pub(crate) action: EntityUid,
    pub(crate) resource: (String, String),
    pub(crate) context: Value,
    pub(crate) entities: Vec<Value>,
}

/// What the solver found, asked again: what the policies answered.
struct Replayed {
    allowed_by: Vec<String>,
    errors: Vec<String>,
}

impl Counterexample {
    /// Tells what the solver found with names of the cast, as far as it then still refutes the claim: that
    /// `matching` allows nothing but what `bound` allows, or without one, that nothing errs. `None`: it is
    /// not a counterexample when Cedar is asked.
    pub(crate) fn new(
        found: &Env,
        matching: &PolicySet,
        bound: Option<&PolicySet>,
        schema: &Schema,
    ) -> Option<Self> {
        let parts = Parts::read(found)?;
        let words = words(matching).into_iter().chain(bound.into_iter().flat_map(words)).collect();
        let told = Naming::EACH.into_iter().find_map(|naming| {
            let parts = Cast::new(&words, naming).tell(&parts);
            let replayed = parts.replay(matching, bound, schema)?;
            Some((parts, replayed))
        });
        let (parts, replayed) = told?;
        Some(Self {
            principal: cedar(&parts.principal),
            action: parts.action.id().unescaped().to_owned(),
            resource: cedar(&parts.resource),
            context: parts.context,
            entities: parts.entities,
            allowed_by: replayed.allowed_by,
            errors: replayed.errors,
            words,
        })
    }

    /// The request as a case for `cases/*.json`, that fails while it is a counterexample.
    #[must_use]
    pub fn case(&self, name: &str) -> Value {
        json!({
            "name": name,
            "request": {
                "principal": self.principal,
                "action": cedar(&("Action".to_owned(), self.action.clone())),
                "resource": self.resource,
                "context": self.context,
            },
            "entities": self.entities,
            "decision": "deny",
            "reason": [],
        })
    }

    /// What is so, a line each: of whom or what, and what. Nothing that no policy in question looks at.
    #[must_use]
    pub fn facts(&self) -> Vec<(String, String)> {
        facts::list(&self.action, &self.context, &self.entities, &self.words)
    }
}

impl Parts {
    fn read(found: &Env) -> Option<Self> {
        let request = &found.request;
        let key = |uid: &EntityUid| (uid.type_name().to_string(), uid.id().unescaped().to_owned());
        let mut parts = Self {
            principal: key(request.principal()?),
            action: request.action()?.clone(),
            resource: key(request.resource()?),
            context: request.context()?.to_json_value().ok()?,
            entities: Vec::new(),
        };
        let Value::Array(all) = found.entities.to_json_value().ok()? else { return None };
        let mut known: BTreeMap<_, Value> =
            all.into_iter().filter_map(|entity| Some((uid_of(entity.get("uid")?)?, entity))).collect();
        let mut wanted = vec![parts.principal.clone(), parts.resource.clone()];
        named_in(&parts.context, &mut wanted);
        let mut next = 0;
        while let Some(uid) = wanted.get(next).cloned() {
            if let Some(entity) = known.remove(&uid) {
                named_in(&entity, &mut wanted);
                parts.entities.push(entity);
            }
            next += 1;
        }
        Some(parts)
    }

    fn replay(&self, matching: &PolicySet, bound: Option<&PolicySet>, schema: &Schema) -> Option<Replayed> {
        let entities = Entities::from_json_value(Value::Array(self.entities.clone()), Some(schema)).ok()?;
        let context = Context::from_json_value(self.context.clone(), Some((schema, &self.action))).ok()?;
        let (principal, resource) = (uid(&self.principal)?, uid(&self.resource)?);
        let request = Request::new(principal, self.action.clone(), resource, context, Some(schema)).ok()?;
        let asked = |policies| Authorizer::new().is_authorized(&request, policies, &entities);
        let answer = asked(matching);
        let mut errors: Vec<String> = answer.diagnostics().errors().map(ToString::to_string).collect();
        errors.sort();
        let Some(bound) = bound else {
            return (!errors.is_empty()).then_some(Replayed { allowed_by: Vec::new(), errors });
        };
        let beyond = answer.decision() == Decision::Allow && asked(bound).decision() == Decision::Deny;
        let mut allowed_by: Vec<String> =
            answer.diagnostics().reason().map(|id| AsRef::<str>::as_ref(id).to_owned()).collect();
        allowed_by.sort();
        beyond.then_some(Replayed { allowed_by, errors })
    }
}

/// As Cedar writes it. Not as Rust does: it leaves quotes of one kind as they are, and Cedar reads no other form.
pub(crate) fn cedar((entity_type, id): &(String, String)) -> String {
    format!("{entity_type}::\"{}\"", id.escape_debug())
}

fn uid((entity_type, id): &(String, String)) -> Option<EntityUid> {
    let name: EntityTypeName = entity_type.parse().ok()?;
    Some(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}

/// Type and id, from either of the forms in which Cedar's JSON names an entity.
pub(crate) fn uid_of(value: &Value) -> Option<(String, String)> {
    let object = value.as_object()?;
    let object = object.get("__entity").and_then(Value::as_object).unwrap_or(object);
    let text = |name: &str| object.get(name)?.as_str().map(str::to_owned);
    (object.len() == 2).then(|| Some((text("type")?, text("id")?)))?
}

fn named_in(value: &Value, names: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => match uid_of(value) {
            Some(uid) => names.push(uid),
            None => fields.values().for_each(|value| named_in(value, names)),
        },
        Value::Array(values) => values.iter().for_each(|value| named_in(value, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every string in the policies: names of attributes that they look at, ids, texts.
fn words(policies: &PolicySet) -> BTreeSet<String> {
    fn collect(value: &Value, words: &mut BTreeSet<String>) {
        match value {
            Value::String(text) => {
                words.insert(text.clone());
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, words)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, words)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut all = BTreeSet::new();
    for policy in policies.policies() {
        let mut json = policy.to_json().unwrap_or_default();
        // What a policy is called is no word that it compares with.
        if let Some(fields) = json.as_object_mut() {
            fields.remove("annotations");
        }
        collect(&json, &mut all);
    }
    all
}
