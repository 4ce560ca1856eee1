//! Faulty compilers: whatever a step of a program does has a wrong replacement, and an answer that is then not Cedar's.

use std::mem::discriminant;

use super::super::instruction::{At, Binary, Instruction, Pattern, Unary};
use super::*;
use crate::policy::word::Name;

/// Lists the variants of a type; which one is missing does not compile.
macro_rules! every {
    ($list:ident: $type:ident { $($variant:ident $(($of:expr))?,)* }) => {
        pub(super) const $list: &[$type] = {
            const fn all(of: &$type) {
                match of { $($type::$variant { .. } => {})* }
            }
            let list: &[$type] = &[$($type::$variant $(($of))?,)*];
            all(&list[0]);
            list
        };
    };
}

every!(STEPS: Instruction {
    Principal(0), Resource(0), Context(0), Constant(0), Attribute(0), Has(0), Is(0), Like(0), Unary(Unary::Not),
    Binary(Binary::Equal), Truth, And(0), Or(0), Unless(0), Jump(0), Set(0), Record(0), Fail,
});

every!(UNARIES: Unary {
    Not, Negate, IsEmpty, IsIpv4, IsIpv6, IsLoopback, IsMulticast, ToDate, ToTime, ToMilliseconds, ToSeconds, ToMinutes,
    ToHours, ToDays,
});

every!(BINARIES: Binary {
    Equal, Less, LessOrEqual, Add, Subtract, Multiply, In, Contains, ContainsAll, ContainsAny, HasTag, Tag, LessThan,
    LessThanOrEqual, GreaterThan, GreaterThanOrEqual, IsInRange, Offset, DurationSince,
});

/// One step of every kind, operations being kinds of their own.
pub(super) fn kinds() -> Vec<Instruction> {
    let is_operation = |step: &Instruction| matches!(step, Instruction::Unary(_) | Instruction::Binary(_));
    let others = STEPS.iter().copied().filter(|step| !is_operation(step));
    let unaries = UNARIES.iter().copied().map(Instruction::Unary);
    others.chain(unaries).chain(BINARIES.iter().copied().map(Instruction::Binary)).collect()
}

fn is_of_kind(step: Instruction, kind: Instruction) -> bool {
    match (step, kind) {
        (Instruction::Unary(one), Instruction::Unary(other)) => one == other,
        (Instruction::Binary(one), Instruction::Binary(other)) => one == other,
        _ => discriminant(&step) == discriminant(&kind),
    }
}

/// What to write instead of a step at a place. Places are those of the code as it was.
type Replacement = Box<dyn Fn(&mut Code, Instruction, At) -> Vec<Instruction> + Send>;

/// A compiler that writes something else for every step of a kind.
pub(super) struct Fault {
    pub(super) name: String,
    pub(super) kind: Instruction,
    replacement: Replacement,
}

impl Fault {
    pub(super) fn new(
        kind: Instruction,
        name: &str,
        replacement: impl Fn(&mut Code, Instruction, At) -> Vec<Instruction> + Send + 'static,
    ) -> Self {
        let of = format!("{kind:?}").replace("(0)", "");
        Self { name: format!("{of}: {name}"), kind, replacement: Box::new(replacement) }
    }

    /// What that compiler would have written, if it is something else.
    pub(super) fn code(&self, code: &Code) -> Option<Code> {
        if !code.steps.iter().any(|step| is_of_kind(*step, self.kind)) {
            return None;
        }
        let mut faulty = code.clone();
        faulty.steps.clear();
        let mut places: Vec<At> = Vec::new();
        for (at, step) in (0..).zip(code.steps.iter().copied()) {
            places.push(faulty.steps.len().try_into().unwrap());
            let steps = if is_of_kind(step, self.kind) {
                (self.replacement)(&mut faulty, step, at)
            } else {
                vec![step]
            };
            faulty.steps.extend(steps);
        }
        let end = faulty.steps.len().try_into().unwrap();
        for step in &mut faulty.steps {
            if let Instruction::And(to)
            | Instruction::Or(to)
            | Instruction::Unless(to)
            | Instruction::Jump(to) = step
            {
                *to = places.get(*to as usize).copied().unwrap_or(end);
            }
        }
        // Values that nobody takes may be left below.
        faulty.height += faulty.steps.len();
        Some(faulty)
    }

    /// Whether something holds of the question with what that compiler would have written; if it is something else.
    pub(super) fn put_into(
        &self,
        question: &mut Question<'_>,
        holds: impl Fn(&Question<'_>) -> bool,
    ) -> bool {
        let mut right = Vec::new();
        for (at, program) in question.compiled.programs.iter_mut().enumerate() {
            if let Some(faulty) = self.code(&program.code) {
                right.push((at, std::mem::replace(&mut program.code, faulty)));
            }
        }
        let holds = right.is_empty() || holds(question);
        for (at, code) in right {
            question.compiled.programs[at].code = code;
        }
        holds
    }
}

/// What comes to something else than the program does wherever a step of the kind is reached: fails, or, instead of what
/// fails, does not.
pub(super) fn not_reached(kind: Instruction) -> Fault {
    Fault::new(kind, "not reached", |code, step, _| {
        vec![if step == Instruction::Fail { constant(code, Constant::Bool(true)) } else { Instruction::Fail }]
    })
}

/// Every fault of every kind of step.
pub(super) fn faults() -> Vec<Fault> {
    kinds().into_iter().flat_map(faults_of).collect()
}

/// These steps, whatever the place.
fn always(kind: Instruction, name: &str, steps: &[Instruction]) -> Fault {
    let steps = steps.to_vec();
    Fault::new(kind, name, move |_, _, _| steps.clone())
}

fn negated(kind: Instruction) -> Fault {
    Fault::new(kind, "negated", |_, step, _| vec![step, Instruction::Unary(Unary::Not)])
}

fn faults_of(kind: Instruction) -> Vec<Fault> {
    use Instruction as I;
    let always = |name: &str, steps: &[Instruction]| always(kind, name, steps);
    let negated = || negated(kind);
    let fault = |name: &str, replacement: fn(&mut Code, Instruction, At) -> Vec<Instruction>| {
        Fault::new(kind, name, replacement)
    };
    match kind {
        I::Principal(_) => vec![
            fault("the resource's", |_, step, _| vec![I::Resource(names_at(step))]),
            fault("all but the last of the path", |code, step, _| vec![I::Principal(shorter(code, step))]),
        ],
        I::Resource(_) => vec![
            fault("the principal's", |_, step, _| vec![I::Principal(names_at(step))]),
            fault("all but the last of the path", |code, step, _| vec![I::Resource(shorter(code, step))]),
        ],
        I::Context(_) => vec![
            fault("an empty one's", |code, step, _| of_nothing(code, step)),
            fault("all but the last of the path", |code, step, _| vec![I::Context(shorter(code, step))]),
        ],
        I::Constant(_) => constants().iter().map(|of| other_constant(kind, of)).collect(),
        I::Attribute(_) => vec![
            fault("another", |code, step, _| {
                let other = if *name_of(code, step)[0] == *"a" { "b" } else { "a" };
                vec![I::Attribute(names(code, &[other.into()]))]
            }),
            fault("one that is not there", |code, _, _| vec![I::Attribute(names(code, &["~".into()]))]),
        ],
        I::Has(_) => vec![
            negated(),
            fault("the first of the path alone", |code, step, _| {
                let name = name_of(code, step)[..1].to_vec();
                vec![I::Has(names(code, &name))]
            }),
            always("of nothing", &[I::Has(At::MAX)]),
        ],
        I::Is(_) => vec![negated()],
        I::Like(_) => vec![
            negated(),
            fault("without the first of the pattern", |code, step, _| {
                pattern(code, step, |of| of.iter().skip(1).copied().collect())
            }),
            fault("stars as characters", |code, step, _| {
                pattern(code, step, |of| of.iter().map(|of| of.or(Some('*'))).collect())
            }),
        ],
        I::Truth => vec![always("left out", &[])],
        I::And(_) => vec![
            fault("or", |_, step, _| vec![I::Or(target(step))]),
            fault("going on though false", |_, _, at| vec![I::And(at + 1)]),
            fault("ending everything", |_, _, _| vec![I::And(At::MAX)]),
        ],
        I::Or(_) => vec![
            fault("and", |_, step, _| vec![I::And(target(step))]),
            fault("going on though true", |_, _, at| vec![I::Or(at + 1)]),
            fault("ending everything", |_, _, _| vec![I::Or(At::MAX)]),
        ],
        I::Unless(_) => vec![
            fault("negated", |_, step, _| vec![I::Unary(Unary::Not), step]),
            fault("going on though false", |_, _, at| vec![I::Unless(at + 1)]),
            fault("one step too far", |_, step, _| vec![I::Unless(target(step) + 1)]),
        ],
        I::Jump(_) => vec![fault("not taken", |_, _, at| vec![I::Jump(at + 1)])],
        I::Set(_) => vec![fault("one member less", |_, step, _| {
            let I::Set(count) = step else { unreachable!("a set") };
            vec![I::Set(count - 1)]
        })],
        I::Record(_) => vec![
            fault("values of other names", |code, step, _| {
                let name: Vec<Box<str>> = name_of(code, step).iter().rev().cloned().collect();
                vec![I::Record(names(code, &name))]
            }),
            fault("another last name", |code, step, _| {
                let mut name = name_of(code, step).to_vec();
                let last = name.pop().unwrap();
                name.push(format!("{last}~").into());
                vec![I::Record(names(code, &name))]
            }),
        ],
        I::Fail => vec![
            fault("true", |code, _, _| vec![constant(code, Constant::Bool(true))]),
            fault("false", |code, _, _| vec![constant(code, Constant::Bool(false))]),
        ],
        I::Unary(operation) => faults_of_unary(operation),
        I::Binary(operation) => faults_of_binary(operation),
    }
}

fn faults_of_unary(operation: Unary) -> Vec<Fault> {
    use Unary as U;
    let kind = Instruction::Unary(operation);
    let left_out = || vec![always(kind, "left out", &[])];
    let other = |name: &str, other: Unary| vec![always(kind, name, &[Instruction::Unary(other)])];
    match operation {
        U::Not => vec![always(kind, "left out", &[Instruction::Truth])],
        U::Negate | U::ToDate => left_out(),
        U::IsEmpty => vec![negated(kind)],
        U::IsIpv4 => other("the other", U::IsIpv6),
        U::IsIpv6 => other("the other", U::IsIpv4),
        U::IsLoopback => other("multicast", U::IsMulticast),
        U::IsMulticast => other("loopback", U::IsLoopback),
        U::ToTime => {
            vec![Fault::new(kind, "of a later one", |code, step, _| [&later(code)[..], &[step]].concat())]
        }
        U::ToMilliseconds => other("seconds", U::ToSeconds),
        U::ToSeconds => other("milliseconds", U::ToMilliseconds),
        U::ToMinutes => other("seconds", U::ToSeconds),
        U::ToHours => other("minutes", U::ToMinutes),
        U::ToDays => other("hours", U::ToHours),
    }
}

fn faults_of_binary(operation: Binary) -> Vec<Fault> {
    use Binary as B;
    let kind = Instruction::Binary(operation);
    let other = |name: &str, other: Binary| always(kind, name, &[Instruction::Binary(other)]);
    match operation {
        B::Equal => vec![negated(kind), other("contains", B::Contains)],
        B::Less => vec![other("or equal", B::LessOrEqual)],
        B::LessOrEqual => vec![other("not equal", B::Less)],
        B::Add => vec![other("subtract", B::Subtract)],
        B::Subtract | B::Multiply => vec![other("add", B::Add)],
        B::In => vec![negated(kind), other("equal", B::Equal)],
        B::Contains => vec![negated(kind), other("all of it", B::ContainsAll)],
        B::ContainsAll => vec![other("any", B::ContainsAny)],
        B::ContainsAny => vec![other("all", B::ContainsAll)],
        B::HasTag => vec![negated(kind)],
        B::Tag => vec![other("whether it is there", B::HasTag)],
        B::LessThan => vec![other("or equal", B::LessThanOrEqual)],
        B::LessThanOrEqual => vec![other("not equal", B::LessThan)],
        B::GreaterThan => vec![other("or equal", B::GreaterThanOrEqual)],
        B::GreaterThanOrEqual => vec![other("not equal", B::GreaterThan)],
        B::IsInRange => vec![negated(kind), other("equal", B::Equal)],
        B::Offset => {
            vec![Fault::new(kind, "later", |code, step, _| [&[step], &later(code)[..]].concat())]
        }
        B::DurationSince => {
            vec![Fault::new(kind, "of a later one", |code, step, _| [&later(code)[..], &[step]].concat())]
        }
    }
}

/// One constant of every kind.
fn constants() -> Vec<Constant> {
    let uid = Named { type_name: "User".into(), id: "0".into() };
    vec![
        Constant::Bool(true),
        Constant::Long(0),
        Constant::Text("".into()),
        Constant::Entity(uid),
        Constant::set(Vec::new()),
        Constant::record(Vec::new()),
        Constant::Datetime(0),
        Constant::Duration(0),
        Constant::Decimal(0),
        ip("0.0.0.0"),
    ]
}

fn ip(text: &str) -> Constant {
    let made = constant::called(&"ip".parse().unwrap(), &[text.into()]).unwrap();
    Constant::of(&made).unwrap()
}

fn other_constant(kind: Instruction, of: &Constant) -> Fault {
    let which = discriminant(of);
    let name = format!("another than {of:?}");
    Fault::new(kind, &name, move |code, step, _| {
        let Instruction::Constant(at) = step else { unreachable!("a constant") };
        let own = code.constants[at as usize].clone();
        if discriminant(&own) == which { vec![constant(code, other(own))] } else { vec![step] }
    })
}

/// Another constant of the same kind.
fn other(of: Constant) -> Constant {
    match of {
        Constant::Bool(truth) => Constant::Bool(!truth),
        Constant::Long(number) => Constant::Long(number.wrapping_add(1)),
        Constant::Text(text) => Constant::Text(format!("{text}a").into()),
        Constant::Entity(Named { type_name, id }) => {
            let id = if &*id == "0" { "1" } else { "0" };
            Constant::Entity(Named { type_name, id: id.into() })
        }
        Constant::Set(members) => match members.split_last() {
            Some((_, others)) => Constant::set(others.to_vec()),
            None => Constant::set(vec![Constant::Bool(true)]),
        },
        Constant::Record(fields) => match fields.split_last() {
            Some((_, others)) => Constant::record(others.to_vec()),
            None => Constant::record(vec![("a".into(), Constant::Bool(true))]),
        },
        Constant::Datetime(moment) => Constant::Datetime(moment.wrapping_add(1)),
        Constant::Duration(span) => Constant::Duration(span.wrapping_add(1)),
        Constant::Decimal(number) => Constant::Decimal(number.wrapping_add(1)),
        Constant::Ip(_) => ip("9.9.9.9"),
    }
}

fn constant(code: &mut Code, constant: Constant) -> Instruction {
    code.constants.push(constant);
    Instruction::Constant(At::try_from(code.constants.len() - 1).unwrap())
}

fn names(code: &mut Code, names: &[Box<str>]) -> At {
    code.names.push(names.iter().map(|name| Name::new(name)).collect());
    At::try_from(code.names.len() - 1).unwrap()
}

fn names_at(step: Instruction) -> At {
    let (Instruction::Principal(at)
    | Instruction::Resource(at)
    | Instruction::Context(at)
    | Instruction::Attribute(at)
    | Instruction::Has(at)
    | Instruction::Record(at)) = step
    else {
        unreachable!("a step with names")
    };
    at
}

fn name_of(code: &Code, step: Instruction) -> Vec<Box<str>> {
    code.names_at(names_at(step)).iter().map(|name| (**name).into()).collect()
}

/// The path without its last name.
fn shorter(code: &mut Code, step: Instruction) -> At {
    let mut path = name_of(code, step);
    path.pop();
    names(code, &path)
}

/// The same path from an empty record.
fn of_nothing(code: &mut Code, step: Instruction) -> Vec<Instruction> {
    let mut steps = vec![constant(code, Constant::record(Vec::new()))];
    for name in name_of(code, step) {
        steps.push(Instruction::Attribute(names(code, &[name])));
    }
    steps
}

fn pattern(
    code: &mut Code,
    step: Instruction,
    change: fn(&[Option<char>]) -> Vec<Option<char>>,
) -> Vec<Instruction> {
    let Instruction::Like(at) = step else { unreachable!("a pattern") };
    let changed = Pattern(change(&code.patterns[at as usize].0).into());
    code.patterns.push(changed);
    vec![Instruction::Like(At::try_from(code.patterns.len() - 1).unwrap())]
}

fn target(step: Instruction) -> At {
    let (Instruction::And(to) | Instruction::Or(to) | Instruction::Unless(to) | Instruction::Jump(to)) = step
    else {
        unreachable!("a jump")
    };
    to
}

/// Makes of a moment the next one.
fn later(code: &mut Code) -> [Instruction; 2] {
    [constant(code, Constant::Duration(1)), Instruction::Binary(Binary::Offset)]
}
