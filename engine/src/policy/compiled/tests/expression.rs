//! Generated expressions.

use super::model::{Field, IDS, Model, NAMES, Shape, TAGS, Tape};
use super::values::{Datum, TEXTS, UNITS, quoted};

/// Something that can be read from principal, resource or context.
pub(super) struct Place {
    pub(super) text: String,
    /// What has to be asked first: whether each optional attribute on the way is there.
    guards: Vec<String>,
    pub(super) shape: Shape,
    /// How many steps it is away.
    far: usize,
}

/// Writes expressions of the types that are asked for.
pub(super) struct Writer<'m, 't, 'c> {
    pub(super) model: &'m Model,
    pub(super) tape: &'t mut Tape<'c>,
    /// So many in a hundred expressions are of any type.
    pub(super) wild: usize,
    pub(super) action: usize,
    pub(super) places: Vec<Place>,
}

impl<'m, 't, 'c> Writer<'m, 't, 'c> {
    /// For policies on a principal, an action and a resource of these places in the model.
    pub(super) fn new(
        model: &'m Model,
        tape: &'t mut Tape<'c>,
        wild: usize,
        [principal, action, resource]: [usize; 3],
    ) -> Self {
        let context = Shape::Record(model.actions[action].context.clone());
        let roots = [
            ("principal", Shape::Entity(principal)),
            ("resource", Shape::Entity(resource)),
            ("context", context),
        ];
        let mut places: Vec<Place> = roots
            .into_iter()
            .map(|(text, shape)| Place { text: text.to_owned(), guards: Vec::new(), shape, far: 0 })
            .collect();
        let mut next = 0;
        while next < places.len() && places.len() < 80 {
            let Place { text, guards, shape, far } = &places[next];
            if *far == 4 {
                break;
            }
            let further = fields_of(model, shape).iter().map(|Field { name, shape, required }| {
                let guard = (!required).then(|| format!("{text} has {}", attribute(name)));
                let guards = guards.iter().cloned().chain(guard).collect();
                Place { text: member(text, name), guards, shape: shape.clone(), far: far + 1 }
            });
            let further: Vec<Place> = further.collect();
            places.extend(further);
            next += 1;
        }
        Self { model, tape, wild, action, places }
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        self.tape.below(count)
    }

    /// What a clause asks.
    pub(super) fn condition(&mut self, depth: usize) -> String {
        self.expression(&Shape::Bool, depth)
    }

    pub(super) fn is_wild(&mut self) -> bool {
        self.wild > 0 && self.tape.chance(self.wild)
    }

    pub(super) fn expression(&mut self, shape: &Shape, depth: usize) -> String {
        if self.is_wild() {
            let other = self.model.shape(self.tape);
            return if self.tape.chance(40) { self.odd(depth) } else { self.of_shape(&other, depth) };
        }
        self.of_shape(shape, depth)
    }

    fn of_shape(&mut self, shape: &Shape, depth: usize) -> String {
        let Some(depth) = depth.checked_sub(1) else { return self.leaf(shape) };
        if self.wild == 0 && !is_writable(shape) {
            return self.leaf(shape);
        }
        match self.below(24) {
            0 | 1 => self.leaf(shape),
            2 => self.choice(shape, depth),
            3 => self.tag(shape, depth),
            4 => {
                let own = self.expression(shape, depth);
                let other = self.any(depth);
                member(&format!("{{b: {own}, a: {other}}}"), "b")
            }
            _ => self.operation(shape, depth),
        }
    }

    fn choice(&mut self, shape: &Shape, depth: usize) -> String {
        let test = self.expression(&Shape::Bool, depth);
        let (then, otherwise) = (self.expression(shape, depth), self.expression(shape, depth));
        format!("(if {test} then {then} else {otherwise})")
    }

    pub(super) fn any(&mut self, depth: usize) -> String {
        let shape = self.known_shape();
        self.expression(&shape, depth)
    }

    /// A type that something there is of: the simple ones more often, most of all those of which most
    /// can be asked.
    pub(super) fn known_shape(&mut self) -> Shape {
        let simple = [
            Shape::Long,
            Shape::Text,
            Shape::Datetime,
            Shape::Datetime,
            Shape::Duration,
            Shape::Duration,
            Shape::Decimal,
            Shape::Ip,
        ];
        let wanted = self.below(simple.len() + 5);
        if let Some(shape) = simple.get(wanted)
            && self.places.iter().any(|place| place.shape == *shape)
        {
            return shape.clone();
        }
        let at = self.below(self.places.len());
        let shape = &self.places[at].shape;
        if self.wild > 0 || is_writable(shape) { shape.clone() } else { Shape::Long }
    }

    pub(super) fn literal(&mut self, shape: &Shape) -> String {
        self.model.datum(self.tape, shape).text()
    }

    pub(super) fn some_literal(&mut self) -> String {
        let shape = self.model.shape(self.tape);
        self.literal(&shape)
    }

    fn leaf(&mut self, shape: &Shape) -> String {
        let fits = |place: &Place| {
            place.shape == *shape && (self.wild > 0 || is_writable(shape) || place.guards.is_empty())
        };
        let fitting: Vec<usize> = (0..self.places.len()).filter(|at| fits(&self.places[*at])).collect();
        if fitting.is_empty() || self.tape.chance(25) {
            return self.literal(shape);
        }
        let at = self.tape.pick(&fitting);
        let otherwise = self.literal(shape);
        let careless = self.wild > 0 && self.tape.chance(30);
        let Place { text, guards, .. } = &self.places[at];
        if guards.is_empty() || careless {
            text.clone()
        } else {
            let guards = guards.join(" && ");
            if *shape == Shape::Bool {
                format!("({guards} && {text})")
            } else {
                format!("(if {guards} then {text} else {otherwise})")
            }
        }
    }

    fn operation(&mut self, shape: &Shape, depth: usize) -> String {
        match shape {
            Shape::Bool => self.truth(depth),
            Shape::Long => match self.below(5) {
                0..=2 => self.infix(&["+", "-", "*"], shape, depth),
                3 => format!("(-{})", self.enclosed(shape, depth)),
                _ => {
                    let (unit, _) = self.tape.pick(&UNITS);
                    self.method(&Shape::Duration, unit, depth)
                }
            },
            Shape::Datetime => match self.below(2) {
                0 => self.method(shape, "toDate", depth),
                _ => self.method_of_two(shape, "offset", &Shape::Duration, depth),
            },
            Shape::Duration => match self.below(2) {
                0 => self.method(&Shape::Datetime, "toTime", depth),
                _ => self.method_of_two(&Shape::Datetime, "durationSince", &Shape::Datetime, depth),
            },
            Shape::Set(of) => self.set(of, depth),
            Shape::Record(fields) => {
                let mut written = Vec::new();
                for field in fields {
                    written.push(format!("{}: {}", quoted(field.name), self.expression(&field.shape, depth)));
                }
                format!("{{{}}}", written.join(", "))
            }
            Shape::Text | Shape::Decimal | Shape::Ip | Shape::Entity(_) => self.choice(shape, depth),
        }
    }

    fn set(&mut self, of: &Shape, depth: usize) -> String {
        let members: Vec<String> = (0..=self.below(3)).map(|_| self.expression(of, depth)).collect();
        format!("[{}]", members.join(", "))
    }

    pub(super) fn enclosed(&mut self, shape: &Shape, depth: usize) -> String {
        format!("({})", self.expression(shape, depth))
    }

    pub(super) fn infix(&mut self, operators: &[&str], of: &Shape, depth: usize) -> String {
        let operator = self.tape.pick(operators);
        let one = self.enclosed(of, depth);
        let other = self.other(&one, of, depth);
        format!("({one} {operator} {other})")
    }

    /// Beside one of the same type. Often the same, because it is there that comparisons differ.
    pub(super) fn other(&mut self, one: &str, of: &Shape, depth: usize) -> String {
        if self.tape.chance(15) { one.to_owned() } else { self.enclosed(of, depth) }
    }

    pub(super) fn method(&mut self, of: &Shape, name: &str, depth: usize) -> String {
        format!("{}.{name}()", self.enclosed(of, depth))
    }

    pub(super) fn method_of_two(&mut self, of: &Shape, name: &str, with: &Shape, depth: usize) -> String {
        let one = self.enclosed(of, depth);
        let other = if of == with { self.other(&one, of, depth) } else { self.enclosed(with, depth) };
        format!("{one}.{name}({other})")
    }

    pub(super) fn entity(&mut self, depth: usize) -> (usize, String) {
        let at = if self.tape.chance(30) {
            self.below(self.model.types.len())
        } else {
            let of = self.below(2);
            let Shape::Entity(at) = self.places[of].shape else { unreachable!("principal, resource") };
            at
        };
        (at, self.enclosed(&Shape::Entity(at), depth))
    }

    /// What a tag of the type holds, with a name that is written out or computed.
    fn tag(&mut self, shape: &Shape, depth: usize) -> String {
        let tagged: Vec<usize> = (0..self.model.types.len())
            .filter(|at| {
                self.model.types[*at].tags.as_ref().is_some_and(|tags| self.wild > 0 || tags == shape)
            })
            .collect();
        if tagged.is_empty() {
            return self.operation(shape, depth);
        }
        let at = self.tape.pick(&tagged);
        let entity = self.enclosed(&Shape::Entity(at), 0);
        let name = if self.tape.chance(40) {
            self.expression(&Shape::Text, depth.min(1))
        } else {
            quoted(self.tape.pick(&TAGS))
        };
        if self.wild > 0 && self.tape.chance(60) {
            return format!("{entity}.getTag({name})");
        }
        let otherwise = self.leaf(shape);
        format!("(if {entity}.hasTag({name}) then {entity}.getTag({name}) else {otherwise})")
    }

    /// What nobody would write.
    fn odd(&mut self, depth: usize) -> String {
        let depth = depth.saturating_sub(1);
        match self.below(21) {
            0 => {
                let function = self.tape.pick(&["ip", "decimal", "datetime", "duration"]);
                let text = self.tape.pick(&["zz", "127.0.0.1", "1.0", "1d", "", "2024-02-30", "1.00000"]);
                format!("{function}({})", quoted(text))
            }
            1 => {
                let function = self.tape.pick(&["ip", "decimal", "datetime", "duration"]);
                if self.tape.chance(5) {
                    format!("{function}({})", self.any(depth))
                } else {
                    format!("{function}({})", self.literal(&Shape::Long))
                }
            }
            2 => "[]".to_owned(),
            3 => "{}".to_owned(),
            4 | 5 => {
                let name = self.tape.pick(&NAMES);
                let of = self.any(depth);
                member(&format!("({of})"), name)
            }
            6 => {
                format!("({} has {})", self.enclosed(&Shape::Bool, depth), attribute(self.tape.pick(&NAMES)))
            }
            7 => Datum::Entity { type_name: "Nothing::Such".to_owned(), id: self.tape.pick(&IDS) }.text(),
            8 => quoted(self.tape.pick(&TEXTS)),
            9 => format!("[{}, {}]", self.any(depth), self.any(depth)),
            10 => format!("[{}, {}].isEmpty()", self.any(depth), self.any(depth)),
            11 => "principal".to_owned(),
            12 => "action".to_owned(),
            13 => "context".to_owned(),
            _ => self.tempting(depth),
        }
    }

    /// What looks as if it could be simplified, and cannot where something in it is of another type or not there.
    fn tempting(&mut self, depth: usize) -> String {
        match self.below(4) {
            0 => {
                let how_deep = if self.tape.chance(50) { 0 } else { depth };
                let (test, other) = (self.enclosed(&Shape::Bool, how_deep), self.any(depth));
                format!("(({test} {} {other}) == {other})", self.tape.pick(&["&&", "||"]))
            }
            1 => {
                let own = if self.tape.chance(50) { self.any(0) } else { self.expression(&Shape::Text, 0) };
                let (one, other) = (self.literal(&Shape::Text), self.some_literal());
                format!("[1, {one}, true, {other}, 2].contains({own})")
            }
            2 => {
                let at = if self.tape.chance(50) { self.below(3) } else { self.below(self.places.len()) };
                let mut names = [self.tape.pick(&NAMES[..6]), self.tape.pick(&NAMES[..6])];
                let known = fields_of(self.model, &self.places[at].shape).first();
                if let Some(field) = known.filter(|field| field.name != "odd name") {
                    names[0] = field.name;
                }
                let path = names[..=self.below(2)].join(".");
                let truth = self.literal(&Shape::Bool);
                format!("(({} has {path}) {} {truth})", self.places[at].text, self.tape.pick(&["&&", "||"]))
            }
            _ => {
                let (_, own) = self.entity(0);
                format!("({own} in [{own}, {}])", self.any(0))
            }
        }
    }
}

pub(super) fn fields_of<'m>(model: &'m Model, shape: &'m Shape) -> &'m [Field] {
    match shape {
        Shape::Entity(at) => &model.types[*at].fields,
        Shape::Record(fields) => fields,
        Shape::Bool
        | Shape::Long
        | Shape::Text
        | Shape::Datetime
        | Shape::Duration
        | Shape::Decimal
        | Shape::Ip
        | Shape::Set(_) => &[],
    }
}

/// Whether policies can write values of this type: validation has it that a record that is written out does not leave
/// open what is there.
fn is_writable(shape: &Shape) -> bool {
    match shape {
        Shape::Record(fields) => fields.iter().all(|field| field.required && is_writable(&field.shape)),
        Shape::Set(of) => is_writable(of),
        Shape::Bool
        | Shape::Long
        | Shape::Text
        | Shape::Datetime
        | Shape::Duration
        | Shape::Decimal
        | Shape::Ip
        | Shape::Entity(_) => true,
    }
}

/// The name of an attribute, after `has`.
pub(super) fn attribute(name: &str) -> String {
    if name.contains(' ') { quoted(name) } else { name.to_owned() }
}

fn member(of: &str, name: &str) -> String {
    if name.contains(' ') { format!("{of}[{}]", quoted(name)) } else { format!("{of}.{name}") }
}
