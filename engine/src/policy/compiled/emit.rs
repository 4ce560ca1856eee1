//! From trees to flat programs.

use std::collections::HashMap;

use super::constant::{Constant, Named};
use super::instruction::{At, Code, Instruction};
use super::machine::Machine;
use super::table::{EntityTable, TableFacts};
use super::term::Term;
use super::value::Value;
use crate::policy::word::Name;

/// Writes a program.
#[derive(Default)]
struct Emitter {
    code: Code,
    names: HashMap<Box<[Box<str>]>, At>,
    height: usize,
}

/// The program that comes to what `term` does, or fails where it does.
pub(super) fn code(term: &Term) -> Code {
    let mut emitter = Emitter::default();
    emitter.term(term);
    emitter.code
}

/// A kind of step that says a place.
type Placed = fn(At) -> Instruction;

/// A place, or where a list ends that is too long to have places: no jump leads there, and nothing is found there.
fn place(at: usize) -> At {
    At::try_from(at).unwrap_or(At::MAX)
}

impl Emitter {
    fn step(&mut self, step: Instruction) {
        self.code.steps.push(step);
    }

    /// A step that puts a value more on the stack than it takes.
    fn push(&mut self, step: Instruction) {
        self.step(step);
        self.height += 1;
        self.code.height = self.code.height.max(self.height);
    }

    /// A step to a place that is not known yet.
    fn jump(&mut self, jump: Placed) -> (usize, Placed) {
        let at = self.code.steps.len();
        self.step(jump(0));
        (at, jump)
    }

    /// That place is here.
    fn land(&mut self, (from, jump): (usize, Placed)) {
        let here = place(self.code.steps.len());
        if let Some(step) = self.code.steps.get_mut(from) {
            *step = jump(here);
        }
    }

    fn constant(&mut self, constant: &Constant) {
        let at = place(self.code.constants.len());
        self.code.constants.push(constant.clone());
        self.push(Instruction::Constant(at));
    }

    fn names(&mut self, names: &[Box<str>]) -> At {
        if let Some(at) = self.names.get(names) {
            return *at;
        }
        let at = place(self.code.names.len());
        self.code.names.push(names.iter().map(|name| Name::new(name)).collect());
        self.names.insert(names.into(), at);
        at
    }

    fn term(&mut self, term: &Term) {
        match term {
            Term::Constant(constant) => self.constant(constant),
            Term::Principal | Term::Resource | Term::Context => self.path(term),
            Term::Fail => self.push(Instruction::Fail),
            Term::Attribute(..) if begins(term).is_some() => self.path(term),
            Term::Attribute(of, name) => {
                self.term(of);
                let name = self.names(std::slice::from_ref(name));
                self.step(Instruction::Attribute(name));
            }
            Term::Has(of, path) => {
                self.term(of);
                let path = self.names(path);
                self.step(Instruction::Has(path));
            }
            Term::Is(of, type_name) => {
                self.term(of);
                let name = self.names(std::slice::from_ref(type_name));
                self.step(Instruction::Is(name));
            }
            Term::Like(of, pattern) => {
                self.term(of);
                let at = place(self.code.patterns.len());
                self.code.patterns.push(pattern.clone());
                self.step(Instruction::Like(at));
            }
            Term::Unary(operation, of) => {
                self.term(of);
                self.step(Instruction::Unary(*operation));
            }
            Term::Binary(operation, both) => {
                both.iter().for_each(|of| self.term(of));
                self.step(Instruction::Binary(*operation));
                self.height -= 1;
            }
            Term::And(links) => self.chain(links, Instruction::And),
            Term::Or(links) => self.chain(links, Instruction::Or),
            Term::If(parts) => {
                let [test, then, otherwise] = &**parts;
                self.term(test);
                let unless = self.jump(Instruction::Unless);
                self.height -= 1;
                self.term(then);
                let end = self.jump(Instruction::Jump);
                self.height -= 1;
                self.land(unless);
                self.term(otherwise);
                self.land(end);
            }
            Term::Set(members) => {
                members.iter().for_each(|member| self.term(member));
                self.height -= members.len();
                self.push(Instruction::Set(place(members.len())));
            }
            Term::Record(fields) => {
                fields.iter().for_each(|(_, value)| self.term(value));
                self.height -= fields.len();
                let names: Vec<Box<str>> = fields.iter().map(|(name, _)| name.clone()).collect();
                let names = self.names(&names);
                self.push(Instruction::Record(names));
            }
        }
    }

    /// What principal, resource or context leads to, in one step.
    fn path(&mut self, term: &Term) {
        let Some((step, path)) = begins(term) else { return };
        let path = self.names(&path);
        self.push(step(path));
    }

    /// Each link leads to the end or to the next; the last one is the answer.
    fn chain(&mut self, links: &[Term], jump: Placed) {
        let Some((last, before)) = links.split_last() else { return };
        let mut ends = Vec::new();
        for link in before {
            self.term(link);
            ends.push(self.jump(jump));
            self.height -= 1;
        }
        self.term(last);
        if !last.is_boolean() {
            self.step(Instruction::Truth);
        }
        ends.into_iter().for_each(|end| self.land(end));
    }
}

/// From what a chain of attributes begins, if it is principal, resource or context; and its names.
#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is there from the beginning")]
fn begins(term: &Term) -> Option<(Placed, Vec<Box<str>>)> {
    let (mut rest, mut path) = (term, Vec::new());
    while let Term::Attribute(of, name) = rest {
        path.push(name.clone());
        rest = of;
    }
    path.reverse();
    Some(match rest {
        Term::Principal => (Instruction::Principal, path),
        Term::Resource => (Instruction::Resource, path),
        Term::Context => (Instruction::Context, path),
        _ => return None,
    })
}

/// What a term of constants comes to; `None`: it fails.
pub(super) fn folded(term: &Term) -> Option<Constant> {
    let code = code(term);
    // Facts do not come into it.
    let (table, nobody) = (EntityTable::default(), Named { type_name: Box::default(), id: Box::default() });
    let facts = TableFacts { table: &table, principal: &nobody, resource: &nobody, context: &[] };
    Some(match Machine::new(facts).value(&code).ok()? {
        Value::Bool(truth) => Constant::Bool(truth),
        Value::Long(number) => Constant::Long(number),
        Value::Text(text) => Constant::Text(text.into()),
        Value::Datetime(moment) => Constant::Datetime(moment),
        Value::Duration(span) => Constant::Duration(span),
        Value::Decimal(number) => Constant::Decimal(number),
        Value::Ip(ip) => Constant::Ip(*ip),
        Value::Entity(name) => Constant::Entity(name.clone()),
        // No operation makes one of constants alone.
        Value::Set(_) | Value::Record(_) => return None,
    })
}
