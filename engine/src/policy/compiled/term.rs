//! Conditions as trees, simplified while they are put together: what constants alone decide is decided.

use super::constant::Constant;
use super::instruction::{Binary, Pattern, Unary};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Constant(Constant),
    Principal,
    Resource,
    Context,
    Attribute(Box<Term>, Box<str>),
    Has(Box<Term>, Box<[Box<str>]>),
    Is(Box<Term>, Box<str>),
    Like(Box<Term>, Pattern),
    Unary(Unary, Box<Term>),
    Binary(Binary, Box<[Term; 2]>),
    /// Not empty. One alone is there to be a Boolean.
    And(Vec<Term>),
    /// Not empty.
    Or(Vec<Term>),
    If(Box<[Term; 3]>),
    Set(Vec<Term>),
    /// Sorted by name.
    Record(Vec<(Box<str>, Term)>),
    Fail,
}

/// What there is to say of an expression before it is run.
pub(super) enum Sort {
    /// What it comes to.
    Constant(Constant),
    Fails,
    /// That is for the facts to say.
    Open(Term),
}

impl Term {
    #[expect(clippy::wildcard_enum_match_arm, reason = "facts come into everything else")]
    pub(super) fn sort(self) -> Sort {
        match self {
            Self::Constant(constant) => Sort::Constant(constant),
            Self::Fail => Sort::Fails,
            open => Sort::Open(open),
        }
    }

    /// The same, where it is a Boolean; failing otherwise.
    pub(super) fn truthful(term: &Self) -> Self {
        if term.is_boolean() { term.clone() } else { Self::And(vec![term.clone()]) }
    }

    pub(super) fn truth(truth: bool) -> Self {
        Self::Constant(Constant::Bool(truth))
    }

    pub(super) fn constant(&self) -> Option<&Constant> {
        if let Self::Constant(constant) = self { Some(constant) } else { None }
    }

    pub(super) fn attribute(of: Self, name: &str) -> Self {
        match of.sort() {
            Sort::Constant(Constant::Record(fields)) => {
                let field = fields.iter().find(|(own, _)| **own == *name);
                field.map_or(Self::Fail, |(_, value)| Self::Constant(value.clone()))
            }
            Sort::Constant(entity @ Constant::Entity(_)) => {
                Self::Attribute(Box::new(Self::Constant(entity)), name.into())
            }
            Sort::Constant(_) | Sort::Fails => Self::Fail,
            Sort::Open(of) => Self::Attribute(Box::new(of), name.into()),
        }
    }

    pub(super) fn has(of: Self, path: Box<[Box<str>]>) -> Self {
        match of.sort() {
            Sort::Constant(of @ (Constant::Record(_) | Constant::Entity(_))) => {
                Self::Has(Box::new(Self::Constant(of)), path)
            }
            Sort::Constant(_) | Sort::Fails => Self::Fail,
            Sort::Open(of) => Self::Has(Box::new(of), path),
        }
    }

    pub(super) fn like(of: Self, pattern: Pattern) -> Self {
        match of.sort() {
            Sort::Constant(Constant::Text(text)) => Self::truth(pattern.matches(&text)),
            Sort::Constant(_) | Sort::Fails => Self::Fail,
            Sort::Open(of) => Self::Like(Box::new(of), pattern),
        }
    }

    pub(super) fn unary(operation: Unary, of: Self) -> Self {
        if of == Self::Fail {
            return Self::Fail;
        }
        Self::Unary(operation, Box::new(of)).folded()
    }

    pub(super) fn binary(operation: Binary, first: Self, second: Self) -> Self {
        if first == Self::Fail || second == Self::Fail {
            return Self::Fail;
        }
        Self::Binary(operation, Box::new([first, second])).folded()
    }

    /// As a constant, if its parts are and nothing else comes into it.
    fn folded(self) -> Self {
        let is_constant = if let Self::Unary(_, of) = &self {
            of.constant().is_some()
        } else if let Self::Binary(operation, both) = &self {
            // What is in what, and what has which tags, is for the facts to say.
            !matches!(operation, Binary::In | Binary::HasTag | Binary::Tag)
                && both.iter().all(|of| of.constant().is_some())
        } else {
            false
        };
        if is_constant { super::emit::folded(&self).map_or(Self::Fail, Self::Constant) } else { self }
    }

    pub(super) fn set(members: Vec<Self>) -> Self {
        if members.contains(&Self::Fail) {
            return Self::Fail;
        }
        match members.iter().map(|member| member.constant().cloned()).collect() {
            Some(constants) => Self::Constant(Constant::set(constants)),
            None => Self::Set(members),
        }
    }

    pub(super) fn record(fields: Vec<(Box<str>, Self)>) -> Self {
        if fields.iter().any(|(_, value)| *value == Self::Fail) {
            return Self::Fail;
        }
        let constant = |(name, value): &(Box<str>, Self)| Some((name.clone(), value.constant()?.clone()));
        match fields.iter().map(constant).collect() {
            Some(constants) => Self::Constant(Constant::record(constants)),
            None => Self::Record(fields),
        }
    }

    pub(super) fn all(links: Vec<Self>) -> Self {
        Self::linked(links, true)
    }

    pub(super) fn any(links: Vec<Self>) -> Self {
        Self::linked(links, false)
    }

    /// The chain in which `goes_on` leads to the next link, and its opposite is the answer.
    fn linked(links: Vec<Self>, goes_on: bool) -> Self {
        let mut kept: Vec<Self> = Vec::new();
        for link in links {
            match link.sort() {
                Sort::Constant(Constant::Bool(truth)) if truth == goes_on => {}
                Sort::Constant(Constant::Bool(truth)) => {
                    // The answer, unless something before it fails.
                    while kept.pop_if(|before| before.is_certain()).is_some() {}
                    kept.push(Self::truth(truth));
                    break;
                }
                Sort::Constant(_) | Sort::Fails => {
                    kept.push(Self::Fail);
                    break;
                }
                Sort::Open(link) => kept.push(link),
            }
        }
        match kept.pop() {
            None => Self::truth(goes_on),
            Some(only) if kept.is_empty() && only.is_boolean() => only,
            Some(last) => {
                kept.push(last);
                if goes_on { Self::And(kept) } else { Self::Or(kept) }
            }
        }
    }

    /// Whether it can come to nothing but a Boolean, or fail.
    pub(super) fn is_boolean(&self) -> bool {
        match self {
            Self::Constant(constant) => matches!(constant, Constant::Bool(_)),
            Self::Principal
            | Self::Resource
            | Self::Context
            | Self::Attribute(..)
            | Self::Set(_)
            | Self::Record(_) => false,
            Self::Has(..) | Self::Is(..) | Self::Like(..) | Self::And(_) | Self::Or(_) | Self::Fail => true,
            Self::Unary(operation, _) => match operation {
                Unary::Not
                | Unary::IsEmpty
                | Unary::IsIpv4
                | Unary::IsIpv6
                | Unary::IsLoopback
                | Unary::IsMulticast => true,
                Unary::Negate
                | Unary::ToDate
                | Unary::ToTime
                | Unary::ToMilliseconds
                | Unary::ToSeconds
                | Unary::ToMinutes
                | Unary::ToHours
                | Unary::ToDays => false,
            },
            Self::Binary(operation, _) => match operation {
                Binary::Equal
                | Binary::Less
                | Binary::LessOrEqual
                | Binary::In
                | Binary::Contains
                | Binary::ContainsAll
                | Binary::ContainsAny
                | Binary::HasTag
                | Binary::LessThan
                | Binary::LessThanOrEqual
                | Binary::GreaterThan
                | Binary::GreaterThanOrEqual
                | Binary::IsInRange => true,
                Binary::Add
                | Binary::Subtract
                | Binary::Multiply
                | Binary::Tag
                | Binary::Offset
                | Binary::DurationSince => false,
            },
            Self::If(parts) => {
                let [_, then, otherwise] = &**parts;
                then.is_boolean() && otherwise.is_boolean()
            }
        }
    }

    /// Whether it is a Boolean and cannot fail, whatever the facts are.
    fn is_certain(&self) -> bool {
        let is_there = |term: &Self| {
            matches!(term, Self::Constant(_) | Self::Principal | Self::Resource | Self::Context)
        };
        match self {
            Self::Constant(constant) => matches!(constant, Constant::Bool(_)),
            Self::Has(of, path) => {
                matches!(**of, Self::Principal | Self::Resource | Self::Context) && path.len() == 1
            }
            Self::Unary(Unary::Not, of) => of.is_certain(),
            Self::Binary(Binary::Equal, both) => both.iter().all(is_there),
            Self::Binary(Binary::In, both) => {
                matches!(
                    **both,
                    [
                        Self::Principal | Self::Resource,
                        Self::Constant(Constant::Entity(_)) | Self::Principal | Self::Resource
                    ]
                )
            }
            Self::And(links) | Self::Or(links) => links.iter().all(Self::is_certain),
            Self::Principal
            | Self::Resource
            | Self::Context
            | Self::Attribute(..)
            | Self::Is(..)
            | Self::Like(..)
            | Self::Unary(..)
            | Self::Binary(..)
            | Self::If(_)
            | Self::Set(_)
            | Self::Record(_)
            | Self::Fail => false,
        }
    }
}
