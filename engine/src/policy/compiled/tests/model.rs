//! Generated schemas.

use std::fmt::Write;

use super::values::{Datum, quoted};

/// Choices that a case is made of, one after another; zeros, the simplest choice of all, when it has run out. Fewer and
/// smaller numbers make a simpler case, which is how proptest finds a small one.
pub(super) struct Tape<'t>(std::slice::Iter<'t, u16>);

impl<'t> Tape<'t> {
    pub(super) fn new(choices: &'t [u16]) -> Self {
        Self(choices.iter())
    }

    /// Less than `count`, which is not 0.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % count
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A type of the language.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Bool,
    Long,
    Text,
    Datetime,
    Duration,
    Decimal,
    Ip,
    /// By its place in the model.
    Entity(usize),
    Set(Box<Shape>),
    Record(Vec<Field>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

#[derive(Debug)]
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) namespace: bool,
    pub(super) parents: Vec<usize>,
    pub(super) fields: Vec<Field>,
    pub(super) tags: Option<Shape>,
}

#[derive(Debug)]
pub(super) struct Action {
    pub(super) name: &'static str,
    /// Earlier ones.
    pub(super) groups: Vec<usize>,
    /// What it applies to: nothing, if it is but a group.
    pub(super) principals: Vec<usize>,
    pub(super) resources: Vec<usize>,
    pub(super) context: Vec<Field>,
}

/// What schema, policies, entities and requests are made from.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) types: Vec<Type>,
    pub(super) actions: Vec<Action>,
    /// How many of the first actions are groups.
    pub(super) groups: usize,
    /// Whether the actions are in the namespace.
    pub(super) namespace: bool,
}

pub(super) const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "in_", "odd name"];
/// Nothing is known of the last one.
pub(super) const IDS: [&str; 4] = ["0", "1", "x \"é\\", "ghost"];
pub(super) const TAGS: [&str; 3] = ["a", "ab", ""];
impl Model {
    pub(super) fn generate(tape: &mut Tape) -> Self {
        let count = 2 + [0, 0, 1, 2][tape.below(4)];
        let types = (0..count).map(|at| generated_type(tape, at, count)).collect();
        let groups = tape.below(3);
        let mut actions: Vec<Action> = Vec::new();
        for (at, name) in ["g", "h", "read", "write", "do it"].into_iter().enumerate().skip(2 - groups) {
            let place = at + groups - 2;
            if place > groups + [0, 0, 0, 1, 2][tape.below(5)] {
                break;
            }
            let mut some = |percent| -> Vec<usize> { (0..place).filter(|_| tape.chance(percent)).collect() };
            let mut action = Action {
                name,
                groups: some(60),
                principals: Vec::new(),
                resources: Vec::new(),
                context: Vec::new(),
            };
            if place >= groups {
                action.principals = few(tape, count);
                action.resources = few(tape, count);
                action.context = fields(tape, count, 2);
            }
            actions.push(action);
        }
        Self { types, actions, groups, namespace: tape.chance(40) }
    }

    /// An action that applies to something.
    pub(super) fn action(&self, tape: &mut Tape) -> usize {
        self.groups + tape.below(self.actions.len() - self.groups)
    }

    pub(super) fn type_name(&self, at: usize) -> String {
        let Type { name, namespace, .. } = &self.types[at];
        if *namespace { format!("Space::Of::{name}") } else { (*name).to_owned() }
    }

    pub(super) fn action_type(&self) -> &'static str {
        if self.namespace { "Space::Of::Action" } else { "Action" }
    }

    pub(super) fn action_uid(&self, at: usize) -> Datum {
        Datum::Entity { type_name: self.action_type().to_owned(), id: self.actions[at].name }
    }

    pub(super) fn uid(&self, tape: &mut Tape, at: usize) -> Datum {
        // Most of a case is about a few entities.
        let id = IDS[[0, 0, 0, 0, 1, 1, 2, 3][tape.below(8)]];
        Datum::Entity { type_name: self.type_name(at), id }
    }

    /// Any type.
    pub(super) fn shape(&self, tape: &mut Tape) -> Shape {
        shape(tape, self.types.len(), 2)
    }

    /// The types of what an entity of a type may be in.
    pub(super) fn above(&self, at: usize) -> Vec<usize> {
        let mut above = vec![at];
        let mut next = 0;
        while let Some(of) = above.get(next).copied() {
            next += 1;
            for parent in &self.types[of].parents {
                if !above.contains(parent) {
                    above.push(*parent);
                }
            }
        }
        above
    }

    /// In Cedar's language.
    pub(super) fn schema(&self) -> String {
        let mut text = String::new();
        for inside in [false, true] {
            let mut body = String::new();
            for own in self.types.iter().filter(|own| own.namespace == inside) {
                let parents: Vec<String> = own.parents.iter().map(|at| self.type_name(*at)).collect();
                let within =
                    if parents.is_empty() { String::new() } else { format!(" in [{}]", parents.join(", ")) };
                let tags =
                    own.tags.as_ref().map_or(String::new(), |of| format!(" tags {}", self.written(of)));
                writeln!(body, "entity {}{within} {}{tags};", own.name, self.record(&own.fields)).unwrap();
            }
            for action in self.actions.iter().filter(|_| self.namespace == inside) {
                let groups: Vec<String> =
                    action.groups.iter().map(|at| quoted(self.actions[*at].name)).collect();
                write!(body, "action {}", quoted(action.name)).unwrap();
                if !groups.is_empty() {
                    write!(body, " in [{}]", groups.join(", ")).unwrap();
                }
                if !action.principals.is_empty() {
                    let names = |of: &[usize]| {
                        of.iter().map(|at| self.type_name(*at)).collect::<Vec<String>>().join(", ")
                    };
                    write!(
                        body,
                        " appliesTo {{ principal: [{}], resource: [{}], context: {} }}",
                        names(&action.principals),
                        names(&action.resources),
                        self.record(&action.context)
                    )
                    .unwrap();
                }
                body.push_str(";\n");
            }
            if inside {
                write!(text, "namespace Space::Of {{\n{body}}}\n").unwrap();
            } else {
                text.push_str(&body);
            }
        }
        text
    }

    fn record(&self, fields: &[Field]) -> String {
        let field = |Field { name, shape, required }: &Field| {
            format!("{}{}: {}", quoted(name), if *required { "" } else { "?" }, self.written(shape))
        };
        format!("{{ {} }}", fields.iter().map(field).collect::<Vec<String>>().join(", "))
    }

    fn written(&self, shape: &Shape) -> String {
        match shape {
            Shape::Bool => "Bool".to_owned(),
            Shape::Long => "Long".to_owned(),
            Shape::Text => "String".to_owned(),
            Shape::Datetime => "datetime".to_owned(),
            Shape::Duration => "duration".to_owned(),
            Shape::Decimal => "decimal".to_owned(),
            Shape::Ip => "ipaddr".to_owned(),
            Shape::Entity(at) => self.type_name(*at),
            Shape::Set(of) => format!("Set<{}>", self.written(of)),
            Shape::Record(fields) => self.record(fields),
        }
    }
}

fn generated_type(tape: &mut Tape, at: usize, count: usize) -> Type {
    Type {
        name: ["User", "Doc", "Team", "Folder"][at],
        namespace: tape.chance(40),
        parents: (0..count).filter(|_| tape.chance(50)).collect(),
        fields: fields(tape, count, 2),
        tags: tape.chance(50).then(|| shape(tape, count, 1)),
    }
}

/// One of some, or two.
fn few(tape: &mut Tape, count: usize) -> Vec<usize> {
    let one = tape.below(count);
    let other = tape.below(count);
    if one == other || tape.chance(70) { vec![one] } else { vec![one, other] }
}

fn fields(tape: &mut Tape, types: usize, depth: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    for name in NAMES {
        if tape.chance(60) {
            fields.push(Field { name, shape: shape(tape, types, depth), required: !tape.chance(35) });
        }
    }
    fields
}

fn shape(tape: &mut Tape, types: usize, depth: usize) -> Shape {
    match tape.below(if depth == 0 { 9 } else { 13 }) {
        0 => Shape::Bool,
        1 => Shape::Long,
        2 => Shape::Text,
        3 => Shape::Datetime,
        4 => Shape::Duration,
        5 => Shape::Decimal,
        6 => Shape::Ip,
        7 | 8 => Shape::Entity(tape.below(types)),
        9 => Shape::Set(Box::new(Shape::Entity(tape.below(types)))),
        10 => Shape::Set(Box::new(Shape::Text)),
        11 => Shape::Set(Box::new(shape(tape, types, depth - 1))),
        _ => Shape::Record(fields(tape, types, depth - 1)),
    }
}
