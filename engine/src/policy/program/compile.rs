//! From a policy's JSON to a program.

use cedar_policy::Effect;
use serde_json::Value as Json;

use super::{Expr, Program};
use crate::policy::slice::Type;

impl Program {
    /// The program of a policy for a kind of question that its scope lets it match: by type, and by action.
    /// `None`: something in it is not for programs.
    pub(crate) fn new(id: &str, policy: &Json) -> Option<Self> {
        let effect = match policy.get("effect")?.as_str()? {
            "permit" => Effect::Permit,
            "forbid" => Effect::Forbid,
            _ => return None,
        };
        let mut condition = and(
            scope(Expr::Principal, policy.get("principal")?)?,
            scope(Expr::Resource, policy.get("resource")?)?,
        );
        for clause in policy.get("conditions")?.as_array()? {
            let body = expr(clause.get("body")?)?;
            let body = match clause.get("kind")?.as_str()? {
                "when" => body,
                "unless" => Expr::Not(Box::new(body)),
                _ => return None,
            };
            condition = and(condition, body);
        }
        Some(Self { id: id.to_owned(), effect, condition })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

fn and(one: Expr, other: Expr) -> Expr {
    if matches!(one, Expr::Bool(true)) { other } else { Expr::And(Box::new([one, other])) }
}

/// What a scope asks beyond the type.
fn scope(variable: Expr, constraint: &Json) -> Option<Expr> {
    let entity = || entity(constraint.get("entity")?);
    Some(match constraint.get("op")?.as_str()? {
        "All" => Expr::Bool(true),
        "==" => Expr::Equal(Box::new([variable, entity()?])),
        "in" => Expr::In(Box::new([variable, entity()?])),
        "is" => match constraint.get("in") {
            None => Expr::Bool(true),
            Some(of) => Expr::In(Box::new([variable, self::entity(of.get("entity")?)?])),
        },
        _ => return None,
    })
}

fn entity(json: &Json) -> Option<Expr> {
    let text = |name| json.get(name)?.as_str();
    Some(Expr::Entity(Type::named(text("type")?)?, text("id")?.to_owned()))
}

fn expr(json: &Json) -> Option<Expr> {
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
        "." | "has" => attribute(op == "has", of)?,
        "!" => Expr::Not(one("arg")?),
        "&&" => Expr::And(both()?),
        "||" => Expr::Or(both()?),
        "if-then-else" => Expr::If(Box::new([part("if")?, part("then")?, part("else")?])),
        "==" => Expr::Equal(both()?),
        "!=" => Expr::Not(Box::new(Expr::Equal(both()?))),
        "in" => Expr::In(both()?),
        "contains" => Expr::Contains(both()?),
        "containsAll" => Expr::ContainsAll(both()?),
        "containsAny" => Expr::ContainsAny(both()?),
        "isEmpty" => Expr::IsEmpty(one("arg")?),
        _ => return None,
    })
}

/// `left.attr`, or `left has attr`.
fn attribute(has: bool, of: &Json) -> Option<Expr> {
    let (left, name) = (of.get("left")?, of.get("attr")?.as_str()?.to_owned());
    if left.get("Var").and_then(Json::as_str) == Some("context") {
        // The moment is not among a question's facts.
        return match (name == "now", has) {
            (true, _) => None,
            (false, true) => Some(Expr::ContextHas(name)),
            (false, false) => Some(Expr::Context(name)),
        };
    }
    let left = Box::new(expr(left)?);
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
