//! Policies as programs over the directory, for the questions that commands ask.
//!
//! A program answers from the directory's own records; no entity is made for Cedar. It covers the part of the
//! language that most policies stay in, and never guesses: a policy outside that part, an attribute that is not
//! where the schema puts it, anything that Cedar would call an error sends the whole question to Cedar, whose
//! answer counts. Where debug assertions are on, as in tests, every answer is compared with Cedar's.

mod compile;
mod facts;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use cedar_policy::{Decision, Effect};

use super::evaluate::Verdict;
use super::slice::Type;
use crate::decide::Question;
use crate::directory::Directory;
use facts::Facts;

/// A policy that can match one kind of question.
#[derive(Debug)]
pub(super) struct Program {
    id: String,
    effect: Effect,
    /// What is left of scope and conditions once principal's type, action and resource's type are known. All
    /// of it is to hold; what comes after something that does not is not looked at.
    conditions: Vec<Expr>,
}

/// An expression of Cedar, as far as programs know them.
#[derive(Debug)]
enum Expr {
    Bool(bool),
    Long(i64),
    Text(String),
    Entity(Type, String),
    Set(Vec<Expr>),
    Principal,
    Resource,
    /// `context.name`
    Context(String),
    /// `context has name`
    ContextHas(String),
    Attribute(Box<Expr>, String),
    Has(Box<Expr>, String),
    Not(Box<Expr>),
    And(Box<[Expr; 2]>),
    Or(Box<[Expr; 2]>),
    If(Box<[Expr; 3]>),
    Equal(Box<[Expr; 2]>),
    In(Box<[Expr; 2]>),
    Contains(Box<[Expr; 2]>),
    ContainsAll(Box<[Expr; 2]>),
    ContainsAny(Box<[Expr; 2]>),
    IsEmpty(Box<Expr>),
}

/// What an expression comes to.
#[derive(Debug, Clone)]
enum Value<'a> {
    Bool(bool),
    Long(i64),
    Text(Cow<'a, str>),
    Entity(Type, &'a str),
    Set(Vec<Value<'a>>),
}

/// The program does not know: Cedar is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsure;

pub(super) type Known<T> = Result<T, Unsure>;

impl PartialEq for Value<'_> {
    /// As Cedar's `==`: values of different types are not equal, and sets are when they hold the same.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Long(one), Self::Long(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Entity(one, one_id), Self::Entity(other, other_id)) => one == other && one_id == other_id,
            (Self::Set(one), Self::Set(other)) => {
                one.iter().all(|value| other.contains(value)) && other.iter().all(|value| one.contains(value))
            }
            _ => false,
        }
    }
}

impl<'a> Value<'a> {
    fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn truth(self) -> Known<bool> {
        if let Self::Bool(truth) = self { Ok(truth) } else { Err(Unsure) }
    }

    fn entity(self) -> Known<(Type, &'a str)> {
        if let Self::Entity(entity_type, id) = self { Ok((entity_type, id)) } else { Err(Unsure) }
    }

    fn set(self) -> Known<Vec<Self>> {
        if let Self::Set(values) = self { Ok(values) } else { Err(Unsure) }
    }
}

/// The answer of all the programs that can match the question, as Cedar combines them; `None`: nobody of the
/// principal's name is registered.
///
/// INVARIANT: programs are sorted by their ids.
pub(super) fn ask(
    programs: &[Arc<Program>],
    directory: &Directory,
    question: &Question<'_>,
) -> Known<Option<Verdict>> {
    let Some(facts) = Facts::new(directory, question)? else { return Ok(None) };
    let (mut permits, mut forbids) = (Vec::new(), Vec::new());
    for program in programs {
        if facts.hold(&program.conditions)? {
            match program.effect {
                Effect::Permit => permits.push(program.id.clone()),
                Effect::Forbid => forbids.push(program.id.clone()),
            }
        }
    }
    let allowed = forbids.is_empty() && !permits.is_empty();
    let decision = if allowed { Decision::Allow } else { Decision::Deny };
    let determining_policies = if forbids.is_empty() { permits } else { forbids };
    Ok(Some(Verdict { decision, determining_policies, errors: Vec::new() }))
}

impl<'a> Facts<'a> {
    fn hold(&self, conditions: &'a [Expr]) -> Known<bool> {
        for condition in conditions {
            if !self.value(condition)?.truth()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn value(&self, expr: &'a Expr) -> Known<Value<'a>> {
        let truth = |expr| self.value(expr)?.truth();
        Ok(match expr {
            Expr::Bool(truth) => Value::Bool(*truth),
            Expr::Long(number) => Value::Long(*number),
            Expr::Text(text) => Value::text(text),
            Expr::Entity(entity_type, id) => Value::Entity(*entity_type, id),
            Expr::Set(all) => Value::Set(all.iter().map(|expr| self.value(expr)).collect::<Known<_>>()?),
            Expr::Principal => self.principal(),
            Expr::Resource => self.resource(),
            Expr::Context(name) => self.context(name).ok_or(Unsure)?,
            Expr::ContextHas(name) => Value::Bool(self.context(name).is_some()),
            Expr::Attribute(of, name) => {
                let (entity_type, id) = self.value(of)?.entity()?;
                self.attribute(entity_type, id, name)?.ok_or(Unsure)?
            }
            Expr::Has(of, name) => {
                let (entity_type, id) = self.value(of)?.entity()?;
                Value::Bool(self.attribute(entity_type, id, name)?.is_some())
            }
            Expr::Not(of) => Value::Bool(!truth(of)?),
            Expr::And(both) => {
                let [one, other] = &**both;
                Value::Bool(truth(one)? && truth(other)?)
            }
            Expr::Or(both) => {
                let [one, other] = &**both;
                Value::Bool(truth(one)? || truth(other)?)
            }
            Expr::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                self.value(if truth(condition)? { then } else { otherwise })?
            }
            Expr::Equal(both) => {
                let [one, other] = self.both(both)?;
                Value::Bool(one == other)
            }
            Expr::In(both) => {
                let [one, other] = self.both(both)?;
                Value::Bool(self.is_in(one.entity()?, other)?)
            }
            Expr::Contains(both) => {
                let [set, element] = self.both(both)?;
                Value::Bool(set.set()?.contains(&element))
            }
            Expr::ContainsAll(both) => {
                let [set, other] = self.both(both)?;
                let (set, other) = (set.set()?, other.set()?);
                Value::Bool(other.iter().all(|element| set.contains(element)))
            }
            Expr::ContainsAny(both) => {
                let [set, other] = self.both(both)?;
                let (set, other) = (set.set()?, other.set()?);
                Value::Bool(other.iter().any(|element| set.contains(element)))
            }
            Expr::IsEmpty(of) => Value::Bool(self.value(of)?.set()?.is_empty()),
        })
    }

    fn both(&self, both: &'a [Expr; 2]) -> Known<[Value<'a>; 2]> {
        let [one, other] = both;
        Ok([self.value(one)?, self.value(other)?])
    }

    fn is_in(&self, entity: (Type, &str), of: Value<'a>) -> Known<bool> {
        let all = if let Value::Set(all) = of { all } else { vec![of] };
        // Every one of them is to be an entity, those after a match too.
        let all = all.into_iter().map(Value::entity).collect::<Known<Vec<_>>>()?;
        let found = all.into_iter().map(|one| self.descends(entity, one)).collect::<Known<Vec<_>>>()?;
        Ok(found.contains(&true))
    }
}
