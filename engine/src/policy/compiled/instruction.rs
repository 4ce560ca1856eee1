//! What programs are made of.

use std::fmt;

use super::constant::Constant;
use super::value::{Failed, Step};
use crate::policy::word::Name;

/// A policy's conditions as a flat list of steps on a stack of values. It ends with one value, a Boolean: whether the
/// policy is satisfied.
#[derive(Debug, Clone, Default)]
pub(crate) struct Code {
    pub(super) steps: Vec<Instruction>,
    pub(super) constants: Vec<Constant>,
    /// Names of attributes, types and tags, by themselves or several in a row.
    pub(super) names: Vec<Box<[Name]>>,
    pub(super) patterns: Vec<Pattern>,
    /// How many values are on the stack at most.
    pub(super) height: usize,
}

/// A place in a list of the code.
pub(super) type At = u32;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    /// Puts what a path of attributes leads to from the principal; of no attributes, the principal itself.
    Principal(At),
    /// The same from the resource.
    Resource(At),
    /// The same from the context.
    Context(At),
    /// Puts a constant on the stack.
    Constant(At),
    /// Takes an entity or record, puts its attribute.
    Attribute(At),
    /// Takes an entity or record, puts whether it has the first of some attributes, that one has the next, and so on.
    Has(At),
    /// Takes an entity, puts whether it is of a type.
    Is(At),
    /// Takes a text, puts whether it is like a pattern.
    Like(At),
    /// Takes a value, puts another.
    Unary(Unary),
    /// Takes two values, the second one on top, puts another.
    Binary(Binary),
    /// Takes a Boolean, and puts it back: what is anything else fails.
    Truth,
    /// Where a Boolean that is false is on the stack, leaves it there and goes on at a step; takes it otherwise.
    And(At),
    /// Where a Boolean that is true is on the stack, leaves it there and goes on at a step; takes it otherwise.
    Or(At),
    /// Takes a Boolean, goes on at a step if it is false.
    Unless(At),
    /// Goes on at a step.
    Jump(At),
    /// Takes so many values, puts the set of them.
    Set(u32),
    /// Takes as many values as there are names, puts the record of them.
    Record(At),
    /// Fails.
    Fail,
}

/// From one value to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Negate,
    IsEmpty,
    IsIpv4,
    IsIpv6,
    IsLoopback,
    IsMulticast,
    ToDate,
    ToTime,
    ToMilliseconds,
    ToSeconds,
    ToMinutes,
    ToHours,
    ToDays,
}

/// From two values to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    Less,
    LessOrEqual,
    Add,
    Subtract,
    Multiply,
    In,
    Contains,
    ContainsAll,
    ContainsAny,
    HasTag,
    Tag,
    LessThan,
    LessThanOrEqual,
    GreaterThan,
    GreaterThanOrEqual,
    IsInRange,
    Offset,
    DurationSince,
}

/// What a text may be like: a sequence of characters, and of any number of any characters where there is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(pub(super) Box<[Option<char>]>);

impl Pattern {
    /// Whether a text is like this. O(text × pattern), and O(text) of patterns without several stars.
    pub(super) fn matches(&self, text: &str) -> bool {
        let (mut rest, mut at) = (text.chars(), 0);
        // Where to go on when what follows the last star does not fit: with one character more for the star.
        let mut star: Option<(std::str::Chars<'_>, usize)> = None;
        loop {
            match self.0.get(at) {
                Some(None) => {
                    at += 1;
                    star = Some((rest.clone(), at));
                    continue;
                }
                Some(Some(wanted)) => {
                    let mut next = rest.clone();
                    if next.next() == Some(*wanted) {
                        (rest, at) = (next, at + 1);
                        continue;
                    }
                }
                None if rest.as_str().is_empty() => return true,
                // Nothing follows the last star: it takes the rest.
                None if star.as_ref().is_some_and(|(_, after)| *after == at) => return true,
                None => {}
            }
            let Some((from, after)) = &mut star else { return false };
            if from.next().is_none() {
                return false;
            }
            (rest, at) = (from.clone(), *after);
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for element in &self.0 {
            match element {
                Some('*') => f.write_str("\\*")?,
                Some(char) => write!(f, "{}", char.escape_debug())?,
                None => f.write_str("*")?,
            }
        }
        f.write_str("\"")
    }
}

impl Code {
    pub(super) fn names_at(&self, at: At) -> &[Name] {
        self.names.get(at as usize).map_or(&[], |names| names)
    }

    /// As [`Self::names_at`], failing where there are none, not even no names.
    pub(super) fn path_at(&self, at: At) -> Step<&[Name]> {
        self.names.get(at as usize).map(|names| &**names).ok_or(Failed)
    }

    pub(super) fn name_at(&self, at: At) -> Option<&Name> {
        self.names_at(at).first()
    }

    /// A path as it is written down after where it begins.
    fn path(&self, at: At) -> String {
        self.names_at(at).iter().map(|name| format!(".{}", &**name)).collect()
    }

    /// Names as they are written down.
    fn written(&self, at: At, between: &str) -> String {
        self.names_at(at).iter().map(|name| &**name).collect::<Vec<_>>().join(between)
    }
}

/// One step a line, with its place.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Instruction as I;
        for (at, step) in self.steps.iter().enumerate() {
            write!(f, "{at:4}  ")?;
            match step {
                I::Truth | I::Fail => writeln!(f, "{step:?}")?,
                I::Principal(path) => writeln!(f, "Principal{}", self.path(*path))?,
                I::Resource(path) => writeln!(f, "Resource{}", self.path(*path))?,
                I::Context(path) => writeln!(f, "Context{}", self.path(*path))?,
                I::Constant(at) => match self.constants.get(*at as usize) {
                    Some(constant) => writeln!(f, "Constant {constant}")?,
                    None => writeln!(f, "Constant ?")?,
                },
                I::Attribute(at) => writeln!(f, "Attribute {}", self.written(*at, "."))?,
                I::Has(at) => writeln!(f, "Has {}", self.written(*at, "."))?,
                I::Is(at) => writeln!(f, "Is {}", self.written(*at, "."))?,
                I::Like(at) => match self.patterns.get(*at as usize) {
                    Some(pattern) => writeln!(f, "Like {pattern}")?,
                    None => writeln!(f, "Like ?")?,
                },
                I::Unary(operation) => writeln!(f, "{operation:?}")?,
                I::Binary(operation) => writeln!(f, "{operation:?}")?,
                I::And(to) => writeln!(f, "And, or to {to}")?,
                I::Or(to) => writeln!(f, "Or to {to}")?,
                I::Unless(to) => writeln!(f, "Unless true to {to}")?,
                I::Jump(to) => writeln!(f, "Jump to {to}")?,
                I::Set(count) => writeln!(f, "Set of {count}")?,
                I::Record(at) => writeln!(f, "Record of {}", self.written(*at, ", "))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_are_like_patterns_as_cedar_has_it(
            pattern in prop::collection::vec(prop::option::of(prop::sample::select(vec!['a', 'b', 'é'])), 0..7),
            text in "[abé]{0,8}",
        ) {
            use cedar_policy_core::ast::{Pattern as Cedars, PatternElem};
            let element = |element: &Option<char>| element.map_or(PatternElem::Wildcard, PatternElem::Char);
            let cedars: Cedars = pattern.iter().map(element).collect();
            prop_assert_eq!(Pattern(pattern.into()).matches(&text), cedars.wildcard_match(&text));
        }
    }
}
