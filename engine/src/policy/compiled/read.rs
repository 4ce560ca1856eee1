//! From Cedar's expressions to trees, without what the kind of question has decided already.

use cedar_policy_core::ast::{
    BinaryOp, EntityUID, Expr, ExprKind, Literal, Name, PatternElem, SlotEnv, UnaryOp, Value as CedarValue,
    Var,
};

use super::constant::{self, Constant, Named};
use super::instruction::{Binary, Pattern, Unary};
use super::term::{Sort, Term};

/// What is known of every question of one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind<'k> {
    pub(crate) principal_type: &'k str,
    pub(crate) action: &'k EntityUID,
    /// The action itself, and what it is in.
    pub(crate) action_groups: &'k [EntityUID],
    pub(crate) resource_type: &'k str,
}

/// Why Cedar has to evaluate a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCompiled {
    /// Its conditions are nested too deep.
    #[error("its conditions are nested more than {NESTED} deep")]
    Nested,
    /// It calls a function in a way that validation does not allow.
    #[error("it calls `{0}` on something that is not written out")]
    Call(String),
    /// It asks what an action is in by something that is not written out.
    #[error("it asks whether the action is in something that is not written out")]
    Action,
    /// It holds something that is no part of a whole policy.
    #[error("it holds `{0}`")]
    Unknown(String),
}

/// How deep conditions may be nested; chains of `&&` and of `||` count once.
pub(crate) const NESTED: u32 = 128;

/// Reads expressions for one kind of question.
pub(super) struct Reader<'k> {
    pub(super) kind: Kind<'k>,
    pub(super) slots: &'k SlotEnv,
}

impl Reader<'_> {
    /// The expression, nested no deeper than `depth`.
    pub(super) fn term(&self, expr: &Expr, depth: u32) -> Result<Term, NotCompiled> {
        let depth = depth.checked_sub(1).ok_or(NotCompiled::Nested)?;
        let term = |expr: &Expr| self.term(expr, depth);
        Ok(match expr.expr_kind() {
            ExprKind::Lit(literal) => Term::Constant(self::literal(literal)),
            ExprKind::Var(Var::Principal) => Term::Principal,
            ExprKind::Var(Var::Resource) => Term::Resource,
            ExprKind::Var(Var::Context) => Term::Context,
            ExprKind::Var(Var::Action) => Term::Constant(Constant::Entity(Named::of(self.kind.action))),
            ExprKind::Slot(slot) => match self.slots.get(slot) {
                Some(uid) => Term::Constant(Constant::Entity(Named::of(uid))),
                None => return Err(NotCompiled::Unknown(slot.to_string())),
            },
            ExprKind::If { test_expr, then_expr, else_expr } => {
                self.choice(term(test_expr)?, [then_expr, else_expr], depth)?
            }
            ExprKind::And { .. } => Term::all(self.chain(expr, Chain::And, depth)?),
            ExprKind::Or { .. } => Term::any(self.chain(expr, Chain::Or, depth)?),
            ExprKind::UnaryApp { op, arg } => Term::unary(
                match op {
                    UnaryOp::Not => Unary::Not,
                    UnaryOp::Neg => Unary::Negate,
                    UnaryOp::IsEmpty => Unary::IsEmpty,
                },
                term(arg)?,
            ),
            ExprKind::BinaryApp { op: BinaryOp::In, arg1, arg2 } if is_action(arg1) => {
                self.action_in(term(arg2)?)?
            }
            ExprKind::BinaryApp { op, arg1, arg2 } => Term::binary(binary(*op), term(arg1)?, term(arg2)?),
            ExprKind::ExtensionFunctionApp { fn_name, args } => {
                call(fn_name, args.iter().map(term).collect::<Result<_, _>>()?)?
            }
            ExprKind::GetAttr { expr, attr } => Term::attribute(term(expr)?, attr),
            ExprKind::HasAttr { expr, attr } => Term::has(term(expr)?, [attr.as_str().into()].into()),
            ExprKind::ExtHasAttr { expr, attrs } => {
                Term::has(term(expr)?, attrs.iter().map(|attr| attr.as_str().into()).collect())
            }
            ExprKind::Like { expr, pattern } => {
                let element = |element: &PatternElem| match element {
                    PatternElem::Char(char) => Some(*char),
                    PatternElem::Wildcard => None,
                };
                Term::like(term(expr)?, Pattern(pattern.iter().map(element).collect()))
            }
            ExprKind::Is { expr, entity_type } => self.is(term(expr)?, &entity_type.to_string()),
            ExprKind::Set(members) => Term::set(members.iter().map(term).collect::<Result<_, _>>()?),
            ExprKind::Record(fields) => {
                let field = |(name, value): (&_, _)| Ok((AsRef::<str>::as_ref(name).into(), term(value)?));
                Term::record(fields.iter().map(field).collect::<Result<_, _>>()?)
            }
            ExprKind::Unknown(unknown) => return Err(NotCompiled::Unknown(unknown.to_string())),
        })
    }

    fn choice(&self, test: Term, branches: [&Expr; 2], depth: u32) -> Result<Term, NotCompiled> {
        let [then, otherwise] = branches.map(|branch| self.term(branch, depth));
        Ok(match test.sort() {
            Sort::Constant(Constant::Bool(true)) => then?,
            Sort::Constant(Constant::Bool(false)) => otherwise?,
            Sort::Constant(_) | Sort::Fails => Term::Fail,
            Sort::Open(test) => Term::If(Box::new([test, then?, otherwise?])),
        })
    }

    /// The links of a chain, which is as deep as it is long: to either side.
    fn chain(&self, expr: &Expr, chain: Chain, depth: u32) -> Result<Vec<Term>, NotCompiled> {
        let (mut links, mut rest) = (Vec::new(), vec![expr]);
        while let Some(next) = rest.pop() {
            match chain.parts(next) {
                Some((left, right)) => rest.extend([right, left]),
                None => links.push(self.term(next, depth)?),
            }
        }
        Ok(links)
    }

    /// The schema has said what the action is in.
    fn action_in(&self, of: Term) -> Result<Term, NotCompiled> {
        let is_group = |name: &Named| self.kind.action_groups.iter().any(|group| Named::of(group) == *name);
        Ok(match of.sort() {
            Sort::Constant(Constant::Entity(name)) => Term::truth(is_group(&name)),
            Sort::Constant(Constant::Set(members)) => {
                let mut found = false;
                for member in &members {
                    let Constant::Entity(name) = member else { return Ok(Term::Fail) };
                    found |= is_group(name);
                }
                Term::truth(found)
            }
            Sort::Constant(_) | Sort::Fails => Term::Fail,
            Sort::Open(_) => return Err(NotCompiled::Action),
        })
    }

    fn is(&self, term: Term, type_name: &str) -> Term {
        match term.sort() {
            Sort::Open(Term::Principal) => Term::truth(self.kind.principal_type == type_name),
            Sort::Open(Term::Resource) => Term::truth(self.kind.resource_type == type_name),
            Sort::Constant(Constant::Entity(name)) => Term::truth(*name.type_name == *type_name),
            Sort::Constant(_) | Sort::Open(Term::Context) | Sort::Fails => Term::Fail,
            Sort::Open(term) => Term::Is(Box::new(term), type_name.into()),
        }
    }
}

/// What links a chain.
#[derive(Clone, Copy)]
enum Chain {
    And,
    Or,
}

impl Chain {
    fn parts(self, expr: &Expr) -> Option<(&Expr, &Expr)> {
        match (self, expr.expr_kind()) {
            (Self::And, ExprKind::And { left, right }) | (Self::Or, ExprKind::Or { left, right }) => {
                Some((left, right))
            }
            _ => None,
        }
    }
}

fn is_action(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::Var(Var::Action))
}

fn literal(literal: &Literal) -> Constant {
    match literal {
        Literal::Bool(truth) => Constant::Bool(*truth),
        Literal::Long(number) => Constant::Long(*number),
        Literal::String(text) => Constant::Text(text.as_str().into()),
        Literal::EntityUID(uid) => Constant::Entity(Named::of(uid)),
    }
}

fn binary(operation: BinaryOp) -> Binary {
    match operation {
        BinaryOp::Eq => Binary::Equal,
        BinaryOp::Less => Binary::Less,
        BinaryOp::LessEq => Binary::LessOrEqual,
        BinaryOp::Add => Binary::Add,
        BinaryOp::Sub => Binary::Subtract,
        BinaryOp::Mul => Binary::Multiply,
        BinaryOp::In => Binary::In,
        BinaryOp::Contains => Binary::Contains,
        BinaryOp::ContainsAll => Binary::ContainsAll,
        BinaryOp::ContainsAny => Binary::ContainsAny,
        BinaryOp::GetTag => Binary::Tag,
        BinaryOp::HasTag => Binary::HasTag,
    }
}

/// A call of one of Cedar's functions.
fn call(function: &Name, mut arguments: Vec<Term>) -> Result<Term, NotCompiled> {
    let not_compiled = || NotCompiled::Call(function.to_string());
    if constant::CONSTRUCTORS.contains(function) {
        // Cedar reads what is written out, once; strict validation allows nothing else.
        return match arguments.as_slice() {
            [Term::Constant(Constant::Text(text))] => {
                match constant::called(function, &[CedarValue::from(&**text)]) {
                    Some(value) => Constant::of(&value).map(Term::Constant).ok_or_else(not_compiled),
                    None => Ok(Term::Fail),
                }
            }
            [Term::Constant(_) | Term::Fail] => Ok(Term::Fail),
            [_] => Err(not_compiled()),
            // Too few arguments, or too many.
            _ => Ok(Term::Fail),
        };
    }
    let name = function.to_string();
    let (unary, binary) = (unary_call(&name), binary_call(&name));
    if unary.is_none() && binary.is_none() {
        return Err(not_compiled());
    }
    let (last, first) = (arguments.pop(), arguments.pop());
    Ok(match (unary, binary, first, last, arguments.is_empty()) {
        (Some(operation), _, None, Some(of), true) => Term::unary(operation, of),
        (_, Some(operation), Some(first), Some(second), true) => Term::binary(operation, first, second),
        _ => Term::Fail,
    })
}

fn unary_call(name: &str) -> Option<Unary> {
    Some(match name {
        "isIpv4" => Unary::IsIpv4,
        "isIpv6" => Unary::IsIpv6,
        "isLoopback" => Unary::IsLoopback,
        "isMulticast" => Unary::IsMulticast,
        "toDate" => Unary::ToDate,
        "toTime" => Unary::ToTime,
        "toMilliseconds" => Unary::ToMilliseconds,
        "toSeconds" => Unary::ToSeconds,
        "toMinutes" => Unary::ToMinutes,
        "toHours" => Unary::ToHours,
        "toDays" => Unary::ToDays,
        _ => return None,
    })
}

fn binary_call(name: &str) -> Option<Binary> {
    Some(match name {
        "lessThan" => Binary::LessThan,
        "lessThanOrEqual" => Binary::LessThanOrEqual,
        "greaterThan" => Binary::GreaterThan,
        "greaterThanOrEqual" => Binary::GreaterThanOrEqual,
        "isInRange" => Binary::IsInRange,
        "offset" => Binary::Offset,
        "durationSince" => Binary::DurationSince,
        _ => return None,
    })
}
