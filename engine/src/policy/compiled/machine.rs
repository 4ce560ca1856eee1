//! Running programs.

use super::constant::{Constant, Ip};
use super::instruction::{Binary, Code, Instruction, Unary};
use super::stack::Stack;
use super::value::{Facts, Failed, Fields, Members, Step, Value};
use crate::policy::word::Name;

/// The values of programs that are higher are on the heap.
const HEIGHT: usize = 8;

const DAY: i64 = 86_400_000;

/// Runs programs on facts. Nothing is allocated, unless a program puts sets or records
/// together, compares records, or is very high.
pub(crate) struct Machine<'a, F: Facts<'a>> {
    work: Work<'a, F>,
    /// Room for the stack, for one program after the other.
    values: [Value<'a, F>; HEIGHT],
}

/// What programs work with, beside the stack.
struct Work<'a, F: Facts<'a>> {
    facts: F,
    /// The values of sets and records that the program put together.
    built: Vec<Value<'a, F>>,
}

impl<'a, F: Facts<'a>> Machine<'a, F> {
    /// A machine that runs on these facts.
    pub(crate) fn new(facts: F) -> Self {
        Self { work: Work { facts, built: Vec::new() }, values: [Value::Bool(false); HEIGHT] }
    }

    /// Whether the policy of this code is satisfied. O(steps), times the sizes of the sets that they go through.
    ///
    /// # Errors
    /// Where Cedar's evaluator tells an error.
    pub(crate) fn is_satisfied(&mut self, code: &'a Code) -> Step<bool> {
        let Value::Bool(satisfied) = self.value(code)? else { return Err(Failed) };
        Ok(satisfied)
    }

    /// What a code comes to.
    pub(super) fn value(&mut self, code: &'a Code) -> Step<Value<'a, F>> {
        self.work.built.clear();
        if code.height <= HEIGHT {
            self.work.run(code, &mut self.values)
        } else {
            self.work.run(code, &mut vec![Value::Bool(false); code.height])
        }
    }
}

impl<'a, F: Facts<'a>> Work<'a, F> {
    fn run(&mut self, code: &'a Code, values: &mut [Value<'a, F>]) -> Step<Value<'a, F>> {
        let mut stack = Stack::new(values);
        let mut next = 0;
        // INVARIANT: every jump goes forward, so that each step is done once at most.
        while let Some(step) = code.steps.get(next) {
            next += 1;
            match step {
                Instruction::Principal(path) => {
                    self.follow_entity(self.facts.principal(), code.path_at(*path)?, stack.next()?)?;
                }
                Instruction::Resource(path) => {
                    self.follow_entity(self.facts.resource(), code.path_at(*path)?, stack.next()?)?;
                }
                Instruction::Context(path) => {
                    let context = Value::Record(self.facts.context());
                    self.follow(&context, code.path_at(*path)?, stack.next()?)?;
                }
                Instruction::Constant(at) => {
                    let constant = code.constants.get(*at as usize).ok_or(Failed)?;
                    stack.push(Value::of(constant, self.facts))?;
                }
                Instruction::Attribute(name) => {
                    let of = *stack.pop()?;
                    self.follow(&of, code.path_at(*name)?, stack.next()?)?;
                }
                Instruction::Has(path) => {
                    let has = self.leads(stack.pop()?, code.names_at(*path), &mut Value::Bool(false))?;
                    stack.push(Value::Bool(has))?;
                }
                Instruction::Is(type_name) => {
                    let entity = entity(stack.pop()?)?;
                    let type_name = code.name_at(*type_name).ok_or(Failed)?;
                    stack.push(Value::Bool(self.facts.is_of_type(entity, type_name)))?;
                }
                Instruction::Like(pattern) => {
                    let text = text(stack.pop()?)?;
                    let pattern = code.patterns.get(*pattern as usize).ok_or(Failed)?;
                    stack.push(Value::Bool(pattern.matches(text)))?;
                }
                Instruction::Unary(operation) => {
                    let of = stack.pop()?;
                    let value = self.unary(*operation, of)?;
                    stack.push(value)?;
                }
                Instruction::Binary(operation) => {
                    let [first, second] = stack.pop_two()?;
                    let value = self.binary(*operation, first, second)?;
                    stack.push(value)?;
                }
                Instruction::Truth => {
                    let truth = truth(stack.pop()?)?;
                    stack.push(Value::Bool(truth))?;
                }
                Instruction::And(end) | Instruction::Or(end) => {
                    let value = truth(stack.pop()?)?;
                    if value == matches!(step, Instruction::Or(_)) {
                        stack.push(Value::Bool(value))?;
                        next = *end as usize;
                    }
                }
                Instruction::Unless(to) => {
                    if !truth(stack.pop()?)? {
                        next = *to as usize;
                    }
                }
                Instruction::Jump(to) => next = *to as usize,
                Instruction::Set(count) => {
                    let from = self.build(stack.take(*count as usize)?)?;
                    stack.push(Value::Set(Members::Built(from, *count)))?;
                }
                Instruction::Record(at) => {
                    let names = code.names_at(*at);
                    let from = self.build(stack.take(names.len())?)?;
                    stack.push(Value::Record(Fields::Built(from, names)))?;
                }
                Instruction::Fail => return Err(Failed),
            }
        }
        stack.pop().copied()
    }

    fn build(&mut self, values: &[Value<'a, F>]) -> Step<u32> {
        let from = u32::try_from(self.built.len()).map_err(|_| Failed)?;
        self.built.extend_from_slice(values);
        Ok(from)
    }

    /// Puts an attribute or a field into `value`; `false`: there is none, and `value` is as it was.
    #[inline]
    fn attribute(&self, of: &Value<'a, F>, name: &Name, value: &mut Value<'a, F>) -> Step<bool> {
        match of {
            Value::Entity(entity) => self.facts.attribute(entity, name, value),
            Value::Record(fields) => {
                let Some(field) = self.field(fields, name) else { return Ok(false) };
                *value = field;
                Ok(true)
            }
            Value::Bool(_)
            | Value::Long(_)
            | Value::Text(_)
            | Value::Set(_)
            | Value::Datetime(_)
            | Value::Duration(_)
            | Value::Decimal(_)
            | Value::Ip(_) => Err(Failed),
        }
    }

    /// Puts what a path leads to into `value`.
    #[inline]
    fn follow(&self, of: &Value<'a, F>, path: &[Name], value: &mut Value<'a, F>) -> Step<()> {
        there(self.leads(of, path, value)?)
    }

    /// The same from an entity.
    #[inline]
    fn follow_entity(&self, of: F::Entity, path: &[Name], value: &mut Value<'a, F>) -> Step<()> {
        match path {
            [] => {
                *value = Value::Entity(of);
                Ok(())
            }
            [last] => there(self.facts.attribute(&of, last, value)?),
            [first, rest @ ..] => {
                let mut between = Value::Bool(false);
                there(self.facts.attribute(&of, first, &mut between)? && self.leads(&between, rest, value)?)
            }
        }
    }

    /// As [`Self::follow`]; `false`: it leads nowhere. As deep as the path is long.
    fn leads(&self, of: &Value<'a, F>, path: &[Name], value: &mut Value<'a, F>) -> Step<bool> {
        match path {
            [] => {
                *value = *of;
                Ok(true)
            }
            [last] => self.attribute(of, last, value),
            [first, rest @ ..] => {
                let mut between = Value::Bool(false);
                Ok(self.attribute(of, first, &mut between)? && self.leads(&between, rest, value)?)
            }
        }
    }

    fn field(&self, fields: &Fields<'a, F::Record>, name: &Name) -> Option<Value<'a, F>> {
        match fields {
            Fields::Constant(fields) => {
                let at = fields.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
                fields.get(at).map(|(_, value)| Value::of(value, self.facts))
            }
            Fields::Fact(record) => self.facts.field(*record, name),
            Fields::Built(from, names) => {
                let at = names.binary_search_by(|own| (**own).cmp(name)).ok()?;
                self.built.get(*from as usize + at).copied()
            }
        }
    }

    fn width(&self, fields: &Fields<'a, F::Record>) -> usize {
        match fields {
            Fields::Constant(fields) => fields.len(),
            Fields::Fact(record) => self.facts.width(*record),
            Fields::Built(_, names) => names.len(),
        }
    }

    /// How many members there are, a member of a set that the program put together counted as often as it is there.
    fn len(&self, members: &Members<'a, F::Set>) -> usize {
        match members {
            Members::Constant(members) => members.len(),
            Members::Fact(set) => self.facts.len(*set),
            Members::Built(_, count) => *count as usize,
        }
    }

    fn member(&self, members: &Members<'a, F::Set>, at: usize) -> Option<Value<'a, F>> {
        match members {
            Members::Constant(members) => members.get(at).map(|member| Value::of(member, self.facts)),
            Members::Fact(set) => self.facts.member(*set, at),
            Members::Built(from, count) => {
                (at < *count as usize).then(|| self.built.get(*from as usize + at).copied()).flatten()
            }
        }
    }

    fn members(&self, members: &Members<'a, F::Set>) -> impl Iterator<Item = Value<'a, F>> {
        (0..self.len(members)).map_while(move |at| self.member(members, at))
    }

    /// O(log members) for texts among constants, O(members) otherwise.
    fn contains(&self, members: &Members<'a, F::Set>, wanted: &Value<'a, F>) -> bool {
        match (members, wanted) {
            (Members::Constant(members), Value::Text(text)) => {
                members.binary_search_by(|member| member.cmp_text(text)).is_ok()
            }
            (Members::Constant(members), _) => members.iter().any(|member| self.is(wanted, member)),
            (Members::Fact(set), Value::Text(text)) => self.facts.has_text(*set, text),
            (Members::Fact(_) | Members::Built(..), _) => {
                self.members(members).any(|member| self.equal(&member, wanted))
            }
        }
    }

    /// As [`Self::equal`], without looking an entity up for its name.
    fn is(&self, value: &Value<'a, F>, constant: &'a Constant) -> bool {
        match (value, constant) {
            (Value::Entity(entity), Constant::Entity(name)) => self.facts.is_named(*entity, name),
            _ => self.equal(value, &Value::of(constant, self.facts)),
        }
    }

    /// Cedar's `==`: values of different types are not equal, and sets are when they hold the same.
    fn equal(&self, one: &Value<'a, F>, other: &Value<'a, F>) -> bool {
        match (one, other) {
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::Text(one), Value::Text(other)) => one == other,
            (Value::Entity(one), Value::Entity(other)) => one == other,
            (Value::Set(one), Value::Set(other)) => self.includes(one, other) && self.includes(other, one),
            (Value::Record(one), Value::Record(other)) => self.same_fields(one, other),
            (Value::Long(one), Value::Long(other))
            | (Value::Datetime(one), Value::Datetime(other))
            | (Value::Duration(one), Value::Duration(other))
            | (Value::Decimal(one), Value::Decimal(other)) => one == other,
            (Value::Ip(one), Value::Ip(other)) => one == other,
            _ => false,
        }
    }

    /// Whether the first set holds all of the second.
    fn includes(&self, one: &Members<'a, F::Set>, other: &Members<'a, F::Set>) -> bool {
        self.members(other).all(|member| self.contains(one, &member))
    }

    fn same_fields(&self, one: &Fields<'a, F::Record>, other: &Fields<'a, F::Record>) -> bool {
        let same = |name: &Name| match (self.field(one, name), self.field(other, name)) {
            (Some(one), Some(other)) => self.equal(&one, &other),
            _ => false,
        };
        // Of two records of the same width the names of one are enough.
        self.width(one) == self.width(other)
            && match (one, other) {
                (Fields::Constant(fields), _) | (_, Fields::Constant(fields)) => {
                    fields.iter().all(|(name, _)| same(&Name::new(name)))
                }
                (Fields::Built(_, names), _) | (_, Fields::Built(_, names)) => names.iter().all(same),
                (Fields::Fact(one), Fields::Fact(other)) => self.facts.same(*one, *other),
            }
    }

    fn is_in(&self, entity: F::Entity, ancestor: F::Entity) -> Step<bool> {
        if entity == ancestor { Ok(true) } else { self.facts.is_in(entity, ancestor) }
    }

    fn unary(&self, operation: Unary, of: &Value<'a, F>) -> Step<Value<'a, F>> {
        Ok(match operation {
            Unary::Not => Value::Bool(!truth(of)?),
            Unary::Negate => Value::Long(long(of)?.checked_neg().ok_or(Failed)?),
            Unary::IsEmpty => Value::Bool(self.len(set(of)?) == 0),
            Unary::IsIpv4 => Value::Bool(ip(of)?.is_v4()),
            Unary::IsIpv6 => Value::Bool(!ip(of)?.is_v4()),
            Unary::IsLoopback => Value::Bool(ip(of)?.is_loopback()),
            Unary::IsMulticast => Value::Bool(ip(of)?.is_multicast()),
            Unary::ToDate => {
                let moment = datetime(of)?;
                Value::Datetime(moment.checked_sub(moment.rem_euclid(DAY)).ok_or(Failed)?)
            }
            Unary::ToTime => Value::Duration(datetime(of)?.rem_euclid(DAY)),
            Unary::ToMilliseconds => Value::Long(duration(of)?),
            Unary::ToSeconds => Value::Long(duration(of)? / 1_000),
            Unary::ToMinutes => Value::Long(duration(of)? / 60_000),
            Unary::ToHours => Value::Long(duration(of)? / 3_600_000),
            Unary::ToDays => Value::Long(duration(of)? / DAY),
        })
    }

    fn binary(&self, operation: Binary, first: &Value<'a, F>, second: &Value<'a, F>) -> Step<Value<'a, F>> {
        Ok(match operation {
            Binary::Equal => Value::Bool(self.equal(first, second)),
            Binary::Less => Value::Bool(ordered(first, second)?.is_lt()),
            Binary::LessOrEqual => Value::Bool(ordered(first, second)?.is_le()),
            Binary::Add => Value::Long(long(first)?.checked_add(long(second)?).ok_or(Failed)?),
            Binary::Subtract => Value::Long(long(first)?.checked_sub(long(second)?).ok_or(Failed)?),
            Binary::Multiply => Value::Long(long(first)?.checked_mul(long(second)?).ok_or(Failed)?),
            Binary::In => {
                let entity = entity(first)?;
                Value::Bool(if let Value::Entity(ancestor) = second {
                    self.is_in(entity, *ancestor)?
                } else {
                    self.is_in_any(entity, set(second)?)?
                })
            }
            Binary::Contains => Value::Bool(self.contains(set(first)?, second)),
            Binary::ContainsAll => Value::Bool(self.includes(set(first)?, set(second)?)),
            Binary::ContainsAny => {
                let (first, second) = (set(first)?, set(second)?);
                Value::Bool(self.members(second).any(|member| self.contains(first, &member)))
            }
            Binary::HasTag => Value::Bool(self.facts.tag(entity(first)?, text(second)?)?.is_some()),
            Binary::Tag => self.facts.tag(entity(first)?, text(second)?)?.ok_or(Failed)?,
            Binary::LessThan => Value::Bool(decimal(first)? < decimal(second)?),
            Binary::LessThanOrEqual => Value::Bool(decimal(first)? <= decimal(second)?),
            Binary::GreaterThan => Value::Bool(decimal(first)? > decimal(second)?),
            Binary::GreaterThanOrEqual => Value::Bool(decimal(first)? >= decimal(second)?),
            Binary::IsInRange => Value::Bool(ip(first)?.is_in_range(ip(second)?)),
            Binary::Offset => Value::Datetime(datetime(first)?.checked_add(duration(second)?).ok_or(Failed)?),
            Binary::DurationSince => {
                Value::Duration(datetime(first)?.checked_sub(datetime(second)?).ok_or(Failed)?)
            }
        })
    }

    /// Every member is to be an entity, those after a match too.
    fn is_in_any(&self, entity: F::Entity, members: &Members<'a, F::Set>) -> Step<bool> {
        let mut found = false;
        for member in self.members(members) {
            let Value::Entity(ancestor) = member else { return Err(Failed) };
            found = found || self.is_in(entity, ancestor)?;
        }
        Ok(found)
    }
}

/// Fails on what is not there.
fn there(is_there: bool) -> Step<()> {
    if is_there { Ok(()) } else { Err(Failed) }
}

/// How two numbers, moments or spans are to each other.
fn ordered<'a, F: Facts<'a>>(first: &Value<'a, F>, second: &Value<'a, F>) -> Step<std::cmp::Ordering> {
    match (first, second) {
        (Value::Long(first), Value::Long(second))
        | (Value::Datetime(first), Value::Datetime(second))
        | (Value::Duration(first), Value::Duration(second)) => Ok(first.cmp(second)),
        _ => Err(Failed),
    }
}

macro_rules! only {
    ($($name:ident: $variant:ident -> $type:ty;)*) => {$(
        fn $name<'a, F: Facts<'a>>(value: &Value<'a, F>) -> Step<$type> {
            if let Value::$variant(own) = value { Ok(*own) } else { Err(Failed) }
        }
    )*};
}

fn set<'v, 'a, F: Facts<'a>>(value: &'v Value<'a, F>) -> Step<&'v Members<'a, F::Set>> {
    if let Value::Set(own) = value { Ok(own) } else { Err(Failed) }
}

only! {
    truth: Bool -> bool;
    long: Long -> i64;
    text: Text -> &'a str;
    entity: Entity -> F::Entity;
    datetime: Datetime -> i64;
    duration: Duration -> i64;
    decimal: Decimal -> i64;
    ip: Ip -> &'a Ip;
}
