//! From files to a validated set of policies.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cedar_policy::{
    ActionConstraint, Authorizer, Effect, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint,
    ResourceConstraint, Schema, ValidationMode, Validator,
};
use cedar_policy_core::ast::EntityUID;
use miette::Diagnostic;
use sha2::{Digest as _, Sha256};

use super::compiled::{self, Compiled};
use super::declared::Declared;
use super::depth;
use super::sight::{Hints, looks_at_the_time};
use super::{Actions, Environment, Evaluator, Inner, Policies};
use crate::command::Command;
use crate::domain::Type;
use crate::ledger::hex;

/// A file, as text.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    /// Its name, for messages.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// What a folder of policies holds. Reading the folder is for the edges.
#[derive(Debug, Clone, Default)]
pub struct PolicySources {
    /// The schema; without one, the shipped schema counts.
    pub schema: Option<PolicyFile>,
    /// The `.cedar` files.
    pub policies: Vec<PolicyFile>,
}

/// One thing wrong with the policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// The file.
    pub file: String,
    /// Line and column, from 1, where they are known.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What would help, where Cedar knows.
    pub help: Option<String>,
}

/// Everything wrong with the policies: never empty. Code `policy_invalid`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PolicyErrors(pub Vec<PolicyError>);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message)?,
            None => write!(f, "{}: {}", self.file, self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, " (help: {help})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

/// How many dereferences a policy may chain: a slice holds what is reached by so many.
pub(super) const LEVEL: u32 = 2;

impl PolicySources {
    /// The schema and policies that come with Consentry.
    #[must_use]
    pub fn shipped() -> Self {
        let file = |name: &str, text: &str| PolicyFile { name: name.to_owned(), text: text.to_owned() };
        macro_rules! shipped {
            ($($name:literal),*) => {
                vec![$(file(concat!("policies/", $name), include_str!(concat!("../../../policies/", $name)))),*]
            };
        }
        Self {
            schema: Some(shipped_schema()),
            policies: shipped!(
                "access.cedar",
                "directory.cedar",
                "grant.cedar",
                "invite.cedar",
                "permission_application.cedar",
                "reset_ticket.cedar"
            ),
        }
    }
}

fn shipped_schema() -> PolicyFile {
    PolicyFile {
        name: "policies/schema.cedarschema".to_owned(),
        text: include_str!("../../../policies/schema.cedarschema").to_owned(),
    }
}

impl Policies {
    /// The policies that come with Consentry.
    ///
    /// # Errors
    /// None that a test has not ruled out.
    pub fn shipped() -> Result<Self, PolicyErrors> {
        Self::load(&PolicySources::shipped())
    }

    /// No policies at all: everything is denied.
    ///
    /// # Errors
    /// None that a test has not ruled out.
    pub fn none() -> Result<Self, PolicyErrors> {
        Self::load(&PolicySources::default())
    }

    /// Parses, checks that every policy has its own `@id`, and validates strictly against the
    /// schema.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and column.
    pub fn load(sources: &PolicySources) -> Result<Self, PolicyErrors> {
        let policies = Self::load_for_checks(sources)?;
        let missing = lacking(policies.schema());
        if missing.is_empty() {
            return Ok(policies);
        }
        let file = sources.schema.as_ref().map_or("schema", |file| &file.name);
        Err(one(file, format!("the schema lacks the actions {}", missing.join(", "))))
    }

    /// As [`Policies::load`], of a schema of any domain: it need not have the actions of Consentry's commands. Where
    /// it lacks them, all of its actions can be checked, and no command is permitted.
    ///
    /// # Errors
    /// As [`Policies::load`]; and when two actions have the same name, in two namespaces, for the same types.
    pub fn load_for_checks(sources: &PolicySources) -> Result<Self, PolicyErrors> {
        let schema_file = sources.schema.clone().unwrap_or_else(shipped_schema);
        let deep: Vec<PolicyError> =
            std::iter::once(&schema_file).chain(&sources.policies).filter_map(nested).collect();
        if !deep.is_empty() {
            return Err(PolicyErrors(deep));
        }
        stacker::maybe_grow(depth::STACK, depth::STACK, || Self::read(&schema_file, &sources.policies))
    }

    fn read(schema_file: &PolicyFile, files: &[PolicyFile]) -> Result<Self, PolicyErrors> {
        let schema = load_schema(schema_file)?;
        let (policies, homes) = parse(files)?;
        let set = PolicySet::from_policies(policies.iter().cloned())
            .map_err(|error| one("policies", error.to_string()))?;
        let warnings = validate(&schema, &set, &homes)?;
        let mut ids: Vec<String> = policies.iter().map(|policy| name(policy.id()).to_owned()).collect();
        ids.sort();
        let known =
            policies.into_iter().map(|policy| Known::new(policy, &homes)).collect::<Result<Vec<_>, _>>()?;
        let has_commands = lacking(&schema).is_empty();
        let inner = Inner {
            actions: actions(&schema, &known, has_commands)?,
            number: SETS.fetch_add(1, Ordering::Relaxed),
            has_commands,
            version: version(schema_file, files).into(),
            schema,
            ids,
            warnings,
            authorizer: Authorizer::new(),
        };
        Ok(Self { inner: Arc::new(inner), evaluator: Evaluator::default() })
    }
}

/// How many sets of policies there were.
static SETS: AtomicU64 = AtomicU64::new(0);

/// What is nested too deep to be read.
fn nested(file: &PolicyFile) -> Option<PolicyError> {
    let offset = depth::too_deep(&file.text)?;
    let deepest = depth::DEEPEST;
    Some(PolicyError {
        file: file.name.clone(),
        place: Some(place(file, offset)),
        message: format!("this is nested, or chained by operators, more than {deepest} deep"),
        help: Some(
            "a list of values is written as a set: [\"a\", \"b\"].contains(principal.name)".to_owned(),
        ),
    })
}

fn one(file: &str, message: String) -> PolicyErrors {
    PolicyErrors(vec![PolicyError { file: file.to_owned(), place: None, message, help: None }])
}

fn load_schema(file: &PolicyFile) -> Result<Schema, PolicyErrors> {
    let (schema, _) = Schema::from_cedarschema_str(&file.text)
        .map_err(|error| PolicyErrors(vec![located(file, &error)]))?;
    Ok(schema)
}

/// Whether an action is one that is checked; the others are asked by commands, where the schema has commands.
pub(super) fn is_access(action: &str, has_commands: bool) -> bool {
    !has_commands || (!Command::NAMES.contains(&action) && action != "keepAsking")
}

/// The actions that commands are asked by and that the schema does not have.
fn lacking(schema: &Schema) -> Vec<&'static str> {
    let actions: BTreeSet<&str> = schema.actions().map(|action| action.id().unescaped()).collect();
    Command::NAMES.iter().copied().chain(["keepAsking"]).filter(|name| !actions.contains(name)).collect()
}

/// The policies under their `@id`s, and the file of each.
fn parse(files: &[PolicyFile]) -> Result<(Vec<Policy>, HashMap<String, &PolicyFile>), PolicyErrors> {
    let mut errors = Vec::new();
    let mut policies = Vec::new();
    let mut homes: HashMap<String, &PolicyFile> = HashMap::new();
    for file in files {
        let set = match PolicySet::from_str(&file.text) {
            Ok(set) => set,
            Err(parse_errors) => {
                errors.extend(parse_errors.iter().map(|error| located(file, error)));
                continue;
            }
        };
        let mut wrong = |text: Option<String>, message: String| {
            // Of two that say the same, the later one is too many.
            let place = text.and_then(|text| file.text.rfind(text.trim())).map(|offset| place(file, offset));
            errors.push(PolicyError { file: file.name.clone(), place, message, help: None });
        };
        for template in set.templates() {
            let name = template.annotation("id").unwrap_or("a policy");
            wrong(Some(template.to_cedar()), format!("`{name}` has slots: nothing fills them here"));
        }
        for policy in set.policies() {
            match policy.annotation("id") {
                None | Some("") => {
                    let message = format!("the policy that begins `{}` has no @id(\"…\")", beginning(policy));
                    wrong(policy.to_cedar(), message);
                }
                Some(id) => match homes.get(id) {
                    Some(other) => wrong(
                        policy.to_cedar(),
                        format!("there is a policy `{id}` in {} already", other.name),
                    ),
                    None => {
                        homes.insert(id.to_owned(), file);
                        policies.push(policy.new_id(PolicyId::new(id)));
                    }
                },
            }
        }
    }
    if errors.is_empty() { Ok((policies, homes)) } else { Err(PolicyErrors(errors)) }
}

/// A policy's `@id` as its author wrote it; `Display` would escape what is not a letter or digit of ASCII.
pub(super) fn name(id: &PolicyId) -> &str {
    id.as_ref()
}

fn beginning(policy: &Policy) -> String {
    let text = policy.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().take(60).collect()
}

fn validate(
    schema: &Schema,
    set: &PolicySet,
    homes: &HashMap<String, &PolicyFile>,
) -> Result<Vec<PolicyError>, PolicyErrors> {
    let validator = Validator::new(schema.clone());
    let nowhere = PolicyFile { name: "policies".to_owned(), text: String::new() };
    let home = |id: &PolicyId| homes.get(name(id)).copied().unwrap_or(&nowhere);
    let result = validator.validate(set, ValidationMode::Strict);
    let warnings =
        result.validation_warnings().map(|warning| located(home(warning.policy_id()), warning)).collect();
    let mut errors: Vec<PolicyError> =
        result.validation_errors().map(|error| located(home(error.policy_id()), error)).collect();
    if errors.is_empty() {
        let result = validator.validate_with_level(set, ValidationMode::Strict, LEVEL);
        errors.extend(result.validation_errors().map(|error| located(home(error.policy_id()), error)));
    }
    errors.sort_by(|one, other| {
        (&one.file, one.place, &one.message).cmp(&(&other.file, other.place, &other.message))
    });
    if errors.is_empty() { Ok(warnings) } else { Err(PolicyErrors(errors)) }
}

/// What Cedar says, with its place in the file.
fn located(file: &PolicyFile, error: &dyn Diagnostic) -> PolicyError {
    let offset = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    PolicyError {
        file: file.name.clone(),
        place: offset.map(|offset| place(file, offset)),
        message: error.to_string(),
        help: error.help().map(|help| help.to_string()),
    }
}

/// Line and column, from 1.
fn place(file: &PolicyFile, offset: usize) -> (usize, usize) {
    let before = file.text.get(..offset).unwrap_or(&file.text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn version(schema: &PolicyFile, policies: &[PolicyFile]) -> String {
    let mut files: Vec<&PolicyFile> = policies.iter().collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    let mut hash = Sha256::new();
    for file in std::iter::once(schema).chain(files) {
        hash.update((file.text.len() as u64).to_be_bytes());
        hash.update(&file.text);
    }
    hex(hash.finalize().iter().take(8))
}

/// A policy, and what was read off it.
struct Known {
    policy: Policy,
    hints: Hints,
    timed: bool,
}

impl Known {
    fn new(policy: Policy, homes: &HashMap<String, &PolicyFile>) -> Result<Self, PolicyErrors> {
        let json = policy.to_json().map_err(|error| {
            let file = homes.get(name(policy.id())).map_or("policies", |file| &file.name);
            one(file, format!("`{}` cannot be written as JSON: {error}", policy.id()))
        })?;
        Ok(Self { hints: Hints::of(&json), timed: looks_at_the_time(&json), policy })
    }
}

fn actions(schema: &Schema, policies: &[Known], has_commands: bool) -> Result<Actions, PolicyErrors> {
    let actions = schema.action_entities().map_err(|error| one("schema", error.to_string()))?;
    let mut by_action: HashMap<String, Vec<Environment>> = HashMap::new();
    for request in schema.request_envs() {
        let action = request.action();
        let groups: BTreeSet<&EntityUid> =
            actions.ancestors(action).into_iter().flatten().chain([action]).collect();
        let can_match = |Known { policy, .. }: &&Known| {
            let on_action = match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(uid) => uid == *action,
                ActionConstraint::In(uids) => uids.iter().any(|uid| groups.contains(uid)),
            };
            let on_principal = match policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::In(_) => true,
                PrincipalConstraint::Eq(uid) => uid.type_name() == request.principal(),
                PrincipalConstraint::Is(name) | PrincipalConstraint::IsIn(name, _) => {
                    name == *request.principal()
                }
            };
            let on_resource = match policy.resource_constraint() {
                ResourceConstraint::Any | ResourceConstraint::In(_) => true,
                ResourceConstraint::Eq(uid) => uid.type_name() == request.resource(),
                ResourceConstraint::Is(name) | ResourceConstraint::IsIn(name, _) => {
                    name == *request.resource()
                }
            };
            on_action && on_principal && on_resource
        };
        let matching: Vec<&Known> = policies.iter().filter(can_match).collect();
        let timed = |effect| {
            let policies = matching.iter().filter(|known| known.timed).map(|known| &known.policy);
            policies.filter(move |policy| policy.effect() == effect)
        };
        let uid = |uid: &EntityUid| AsRef::<EntityUID>::as_ref(uid).clone();
        let compiled = Compiled::new(
            matching.iter().map(|known| known.policy.as_ref()),
            compiled::Kind {
                principal_type: &request.principal().to_string(),
                action: action.as_ref(),
                action_groups: &groups.iter().copied().map(uid).collect::<Vec<_>>(),
                resource_type: &request.resource().to_string(),
            },
        );
        let environment = Environment {
            principal_type: request.principal().to_string(),
            resource_type: request.resource().to_string(),
            types: [request.principal().clone(), request.resource().clone()],
            known_types: [request.principal(), request.resource()].map(|name| Type::named(&name.to_string())),
            action: action.clone(),
            action_entities: if groups.len() > 1 {
                groups.iter().filter_map(|uid| actions.get(uid).cloned()).collect()
            } else {
                Vec::new()
            },
            declared: Declared::new(schema, request.principal(), action, request.resource()),
            is_access: is_access(action.id().unescaped(), has_commands),
            timed_forbid: timed(Effect::Forbid).next().is_some(),
            timed_permits: timed(Effect::Permit).map(|policy| name(policy.id()).to_owned()).collect(),
            not_compiled: not_compiled(&compiled, &matching)?,
            compiled,
            hints: Hints::together(matching.iter().map(|known| &known.hints)),
            policies: PolicySet::from_policies(matching.iter().map(|known| known.policy.clone()))
                .map_err(|error| one("policies", error.to_string()))?,
        };
        let same_action = by_action.entry(action.id().unescaped().to_owned()).or_default();
        if let Some(other) = same_action.iter().find(|other| other.is_for_the_types_of(&environment)) {
            return Err(one("schema", format!("{} and {action} have the same name", other.action)));
        }
        same_action.push(environment);
    }
    Ok(by_action.into_iter().collect())
}

/// The policies that Cedar has to evaluate; `None`: there are none.
fn not_compiled(compiled: &Compiled, policies: &[&Known]) -> Result<Option<PolicySet>, PolicyErrors> {
    let ids: BTreeSet<&str> = compiled.not_compiled().iter().map(|(id, _)| &**id).collect();
    if ids.is_empty() {
        return Ok(None);
    }
    let policies = policies.iter().map(|known| &known.policy);
    PolicySet::from_policies(policies.filter(|policy| ids.contains(name(policy.id()))).cloned())
        .map(Some)
        .map_err(|error| one("policies", error.to_string()))
}
