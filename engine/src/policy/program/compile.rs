//! From a policy's JSON to a program.

use cedar_policy::Effect;
use serde_json::Value as Json;

use super::{Expr, Program};
use crate::policy::load::LEVEL;
use crate::policy::sight::{is_context, text};
use crate::policy::slice::Type;

/// How high an expression may be. Cedar gives up on those that would need too much of the stack, a program must
/// not be the one that needs it.
const HEIGHT: u32 = 64;

impl Program {
    /// The program of a policy for a kind of question that its scope lets it match: by type, and by action.
    /// `None`: something in it is not for programs.
    pub(crate) fn new(id: &str, policy: &Json) -> Option<Self> {
        let effect = match text(policy, "effect")? {
            "permit" => Effect::Permit,
            "forbid" => Effect::Forbid,
            _ => return None,
        };
        let mut conditions = Vec::new();
        conditions.extend(scope(Expr::Principal, policy.get("principal")?)?);
        conditions.extend(scope(Expr::Resource, policy.get("resource")?)?);
        for clause in policy.get("conditions")?.as_array()? {
            let body = expr(clause.get("body")?, HEIGHT)?;
            conditions.push(match text(clause, "kind")? {
                "when" => body,
                "unless" => Expr::Not(Box::new(body)),
                _ => return None,
            });
        }
        Some(Self { id: id.to_owned(), effect, conditions })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// What a scope asks beyond the type, if anything.
fn scope(variable: Expr, constraint: &Json) -> Option<Option<Expr>> {
    let with = |variable, of: &Json| Some(Box::new([variable, entity(of.get("entity")?)?]));
    Some(match (text(constraint, "op")?, constraint.get("in")) {
        ("All", None) | ("is", None) => None,
        ("==", None) => Some(Expr::Equal(with(variable, constraint)?)),
        ("in", None) => Some(Expr::In(with(variable, constraint)?)),
        ("is", Some(of)) => Some(Expr::In(with(variable, of)?)),
        _ => return None,
    })
}

fn entity(json: &Json) -> Option<Expr> {
    Some(Expr::Entity(Type::named(text(json, "type")?)?, text(json, "id")?.to_owned()))
}

/// Whether Cedar's slice holds the entity that this leads to: what one dereference leads to, and nothing that
/// is named in the policy alone. Validation asks for as much, by the schema; the schema may be wrong.
fn is_at_hand(expr: &Expr) -> bool {
    dereferences(expr).is_some_and(|count| count < LEVEL)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else leads to an entity of the question's")]
fn dereferences(expr: &Expr) -> Option<u32> {
    match expr {
        Expr::Principal | Expr::Resource | Expr::Context(_) => Some(0),
        Expr::Attribute(of, _) => Some(dereferences(of)? + 1),
        Expr::If(parts) => {
            let [_, then, otherwise] = &**parts;
            Some(dereferences(then)?.max(dereferences(otherwise)?))
        }
        _ => None,
    }
}

/// An expression of at most this height.
fn expr(json: &Json, height: u32) -> Option<Expr> {
    let height = height.checked_sub(1)?;
    let expr = |json| expr(json, height);
    let fields = json.as_object()?;
    let mut fields = fields.iter();
    let (Some((op, of)), None) = (fields.next(), fields.next()) else { return None };
    let part = |name| expr(of.get(name)?);
    let one = |name| Some(Box::new(part(name)?));
    let both = || Some(Box::new([part("left")?, part("right")?]));
    Some(match op.as_str() {
        "Value" => literal(of)?,
        "Var" => match of.as_str()? {
            "principal" => Expr::Principal,
            "resource" => Expr::Resource,
            _ => return None,
        },
        "Set" => Expr::Set(of.as_array()?.iter().map(expr).collect::<Option<_>>()?),
        "." | "has" => attribute(op == "has", of, height)?,
        "!" => Expr::Not(one("arg")?),
        "&&" => Expr::And(both()?),
        "||" => Expr::Or(both()?),
        "if-then-else" => Expr::If(Box::new([part("if")?, part("then")?, part("else")?])),
        "==" => Expr::Equal(both()?),
        "!=" => Expr::Not(Box::new(Expr::Equal(both()?))),
        "in" => Expr::In(Box::new([part("left").filter(is_at_hand)?, part("right")?])),
        "contains" => Expr::Contains(both()?),
        "containsAll" => Expr::ContainsAll(both()?),
        "containsAny" => Expr::ContainsAny(both()?),
        "isEmpty" => Expr::IsEmpty(one("arg")?),
        _ => return None,
    })
}

/// `left.attr`, or `left has attr`.
fn attribute(has: bool, of: &Json, height: u32) -> Option<Expr> {
    let (left, name) = (of.get("left")?, text(of, "attr")?.to_owned());
    if is_context(left) {
        // The moment is not among a question's facts.
        return match (name == "now", has) {
            (true, _) => None,
            (false, true) => Some(Expr::ContextHas(name)),
            (false, false) => Some(Expr::Context(name)),
        };
    }
    let left = Box::new(expr(left, height).filter(is_at_hand)?);
    Some(if has { Expr::Has(left, name) } else { Expr::Attribute(left, name) })
}

fn literal(json: &Json) -> Option<Expr> {
    match json {
        Json::Bool(truth) => Some(Expr::Bool(*truth)),
        Json::Number(number) => number.as_i64().map(Expr::Long),
        Json::String(text) => Some(Expr::Text(text.clone())),
        Json::Array(all) => Some(Expr::Set(all.iter().map(literal).collect::<Option<_>>()?)),
        Json::Object(_) => entity(json.get("__entity")?),
        Json::Null => None,
    }
}
