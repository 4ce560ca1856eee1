//! Generated questions: expressions that come to true or false.

use super::expression::{Writer, attribute, fields_of};
use super::model::{Field, NAMES, Shape};
use super::values::{UNITS, duration};

const PATTERNS: [&str; 11] = ["a*", "*", "*b", "a", "", "*a*", "a\\*b", "*é*", "a*b*", "**", "*\\\\"];
const COMPARISONS: [&str; 6] = ["<", "<=", ">", ">=", "==", "!="];
const IP_TESTS: [&str; 4] = ["isIpv4", "isIpv6", "isLoopback", "isMulticast"];
const ORDERS: [&str; 4] = ["lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"];

impl Writer<'_, '_, '_> {
    pub(super) fn truth(&mut self, depth: usize) -> String {
        let truth = Shape::Bool;
        if self.tape.chance(65) {
            let of = self.known_shape();
            return self.about(&of, depth);
        }
        match self.below(30) {
            0 | 1 => self.infix(&["&&", "||"], &truth, depth),
            2 | 3 => self.chain(depth),
            4 => format!("(!{})", self.enclosed(&truth, depth)),
            5..=7 => {
                let of = self.known_shape();
                self.infix(&COMPARISONS[4..], &of, depth)
            }
            8..=10 => {
                let of = [Shape::Long, Shape::Datetime, Shape::Duration][self.below(3)].clone();
                self.infix(&COMPARISONS[..4], &of, depth)
            }
            11 | 12 => self.is_in(depth),
            13 => self.is(depth),
            14 if self.tape.chance(40) => {
                let (one, other) = (self.some_literal(), self.some_literal());
                format!("({{a: {one}, c: {other}}} has {})", self.tape.pick(&["c", "a", "b"]))
            }
            14 => {
                let of = self.known_shape();
                let of = if self.wild > 0 || !fields_of(self.model, &of).is_empty() {
                    of
                } else {
                    self.places[2].shape.clone()
                };
                let name = self.tape.pick(&NAMES);
                format!("({} has {})", self.enclosed(&of, depth), attribute(name))
            }
            15 => self.has_path(depth),
            16 | 17 => {
                format!("({} like \"{}\")", self.enclosed(&Shape::Text, depth), self.tape.pick(&PATTERNS))
            }
            18..=21 => self.of_sets(depth),
            22 => {
                let (_, entity) = self.entity(depth);
                let name = self.expression(&Shape::Text, depth);
                format!("{entity}.hasTag({name})")
            }
            23 => {
                let test = self.tape.pick(&IP_TESTS);
                self.method(&Shape::Ip, test, depth)
            }
            24 | 25 => self.method_of_two(&Shape::Ip, "isInRange", &Shape::Ip, depth),
            26 | 27 => {
                let how = self.tape.pick(&ORDERS);
                self.method_of_two(&Shape::Decimal, how, &Shape::Decimal, depth)
            }
            _ => self.of_action(depth),
        }
    }

    /// A question about something of this type.
    fn about(&mut self, of: &Shape, depth: usize) -> String {
        match of {
            Shape::Bool => match self.below(3) {
                0 => self.infix(&COMPARISONS[4..], of, depth),
                _ => self.chain(depth),
            },
            Shape::Datetime if self.tape.chance(60) => {
                let (one, with) = match self.below(3) {
                    0 => (self.method(of, "toTime", depth), Shape::Duration),
                    1 => (self.method_of_two(of, "durationSince", of, depth), Shape::Duration),
                    _ => (self.method(of, "toDate", depth), Shape::Datetime),
                };
                let other = if with == Shape::Duration && self.tape.chance(40) {
                    "duration(\"0ms\")".to_owned()
                } else {
                    self.enclosed(&with, depth)
                };
                format!("({one} {} {other})", self.tape.pick(&COMPARISONS))
            }
            Shape::Long | Shape::Datetime => self.infix(&COMPARISONS, of, depth),
            Shape::Duration if self.tape.chance(75) => {
                let (unit, milliseconds) = self.tape.pick(&UNITS);
                let long = self.method(of, unit, depth);
                let (_, other) = duration(self.tape);
                format!("({long} {} ({}))", self.tape.pick(&COMPARISONS), other / milliseconds)
            }
            Shape::Duration => self.infix(&COMPARISONS, of, depth),
            Shape::Text => match self.below(3) {
                0 => self.infix(&COMPARISONS[4..], of, depth),
                1 => format!("({} like \"{}\")", self.enclosed(of, depth), self.tape.pick(&PATTERNS)),
                _ => self.method_of_two(&Shape::Set(Box::new(Shape::Text)), "contains", of, depth),
            },
            Shape::Decimal => {
                let how = self.tape.pick(&ORDERS);
                self.method_of_two(of, how, of, depth)
            }
            Shape::Ip => {
                let test = self.tape.pick(&IP_TESTS);
                if self.tape.chance(60) {
                    self.method(of, test, depth)
                } else {
                    self.method_of_two(of, "isInRange", of, depth)
                }
            }
            Shape::Entity(_) => match self.below(5) {
                0 => self.infix(&COMPARISONS[4..], of, depth),
                1 => self.is(depth),
                2 => self.has_path(depth),
                _ => self.is_in(depth),
            },
            Shape::Set(_) => self.of_sets(depth),
            Shape::Record(_) => match self.below(3) {
                0 => self.has_path(depth),
                1 => format!("({} has {})", self.literal(of), attribute(self.tape.pick(&NAMES))),
                _ => self.infix(&COMPARISONS[4..], of, depth),
            },
        }
    }

    fn chain(&mut self, depth: usize) -> String {
        let count = 2 + self.below(3);
        let mut links: Vec<String> = (0..count).map(|_| self.enclosed(&Shape::Bool, depth)).collect();
        // What comes before a constant may be left out, unless it fails.
        if self.tape.chance(25) {
            links.push(self.literal(&Shape::Bool));
        }
        format!("({})", links.join(if self.tape.chance(50) { " || " } else { " && " }))
    }

    fn is_in(&mut self, depth: usize) -> String {
        let (at, entity) = self.entity(depth);
        let above = self.model.above(at);
        let mut one = || Shape::Entity(self.tape.pick(&above));
        let of = one();
        if self.tape.chance(50) {
            format!("({entity} in {})", self.enclosed(&of, depth))
        } else {
            format!("({entity} in {})", self.enclosed(&Shape::Set(Box::new(of)), depth))
        }
    }

    fn is(&mut self, depth: usize) -> String {
        let (at, entity) = self.entity(depth);
        let asked = if self.tape.chance(40) { self.below(self.model.types.len()) } else { at };
        let name = self.model.type_name(asked);
        if self.tape.chance(50) {
            let above = self.tape.pick(&self.model.above(asked));
            format!("({entity} is {name} in {})", self.enclosed(&Shape::Entity(above), depth))
        } else {
            format!("({entity} is {name})")
        }
    }

    fn has_path(&mut self, depth: usize) -> String {
        let at = self.below(self.places.len());
        let mut shape = self.places[at].shape.clone();
        if fields_of(self.model, &shape).is_empty() && self.wild == 0 {
            shape = self.places[0].shape.clone();
        }
        let of = self.enclosed(&shape, depth);
        let mut path: Vec<&str> = Vec::new();
        for _ in 0..3 {
            let fields: Vec<Field> = fields_of(self.model, &shape)
                .iter()
                .filter(|field| field.name != "odd name")
                .cloned()
                .collect();
            if fields.is_empty() {
                break;
            }
            let field = &fields[self.below(fields.len())];
            path.push(field.name);
            shape = field.shape.clone();
        }
        if path.is_empty() || self.is_wild() {
            path.push("c");
        }
        format!("({of} has {})", path.join("."))
    }

    fn of_sets(&mut self, depth: usize) -> String {
        let known = self.known_shape();
        let of = if let Shape::Set(of) = known { *of } else { known };
        let set = Shape::Set(Box::new(of.clone()));
        match self.below(9) {
            0..=2 => self.method_of_two(&set, "contains", &of, depth),
            3 | 4 => self.method_of_two(&set, "containsAll", &set, depth),
            5 | 6 => self.method_of_two(&set, "containsAny", &set, depth),
            _ => self.method(&set, "isEmpty", depth),
        }
    }

    fn of_action(&mut self, depth: usize) -> String {
        let actions = self.model.actions.len();
        let mut one = || {
            let at = if self.tape.chance(50) { self.action } else { self.tape.below(actions) };
            self.model.action_uid(at).text()
        };
        let (one, other) = (one(), one());
        match self.below(if self.wild > 0 { 14 } else { 7 }) {
            0 => format!("(action == {one})"),
            1 => format!("(action != {one})"),
            2 => format!("(action in {one})"),
            3 => format!("(action in [{one}, {other}])"),
            4 => format!("[action].contains({one})"),
            5 => format!("[{one}, {other}].contains(action)"),
            6 => format!("(action is {})", self.model.action_type()),
            7 => {
                format!("((if {} then action else {one}) in [{other}])", self.expression(&Shape::Bool, depth))
            }
            8 => format!("({one} in action)"),
            9 => format!("(principal in [action, {}])", self.any(depth)),
            10 => "(action has a)".to_owned(),
            11 => "(action.a == 1)".to_owned(),
            12 => format!("(action in [{one}, {}])", self.some_literal()),
            _ => format!("(action in {})", self.any(0)),
        }
    }
}
