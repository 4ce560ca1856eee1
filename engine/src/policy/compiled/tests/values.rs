//! Generated values.

use serde_json::{Value as Json, json};

use super::model::{Model, Shape, Tape};

/// A value, which can be written in policies and in JSON.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Datum {
    Bool(bool),
    Long(i64),
    Text(&'static str),
    Entity { type_name: String, id: &'static str },
    Extension(&'static str, &'static str),
    Set(Vec<Datum>),
    Record(Vec<(&'static str, Datum)>),
}

pub(super) const TEXTS: [&str; 7] = ["a", "", "b", "ab", "a*b", "é\"\\", "a\nb"];
const LONGS: [i64; 12] = [0, 1, 2, 3, -1, -2, 60, 1000, 86_400_000, i64::MAX, i64::MIN, i64::MAX - 1];
const DATETIMES: [&str; 9] = [
    "1970-01-01",
    "1970-01-02",
    "1969-12-31",
    "1969-12-31T23:59:59.999Z",
    "2024-02-29",
    "2024-02-29T12:30:00Z",
    "2024-02-29T14:00:00.000+0130",
    "2024-02-29T12:30:00.001Z",
    "9999-12-31T23:59:59Z",
];
/// With their milliseconds.
const DURATIONS: [(&str, i64); 13] = [
    ("0ms", 0),
    ("1ms", 1),
    ("2ms", 2),
    ("-1ms", -1),
    ("1s999ms", 1_999),
    ("-2s", -2_000),
    ("1m", 60_000),
    ("3m1s", 181_000),
    ("1h1m", 3_660_000),
    ("25h", 90_000_000),
    ("2d", 172_800_000),
    ("9223372036854775807ms", i64::MAX),
    ("-9223372036854775808ms", i64::MIN),
];
/// What is made of durations, with its milliseconds.
pub(super) const UNITS: [(&str, i64); 5] = [
    ("toMilliseconds", 1),
    ("toSeconds", 1_000),
    ("toMinutes", 60_000),
    ("toHours", 3_600_000),
    ("toDays", 86_400_000),
];
const DECIMALS: [&str; 10] = [
    "0.0",
    "0.1",
    "1.0",
    "1.00",
    "-1.5",
    "1.2345",
    "1.3",
    "-0.01",
    "922337203685477.5807",
    "-922337203685477.5808",
];
const IPS: [&str; 17] = [
    "127.0.0.1",
    "127.0.0.0/8",
    "127.0.0.0/7",
    "10.0.0.0/8",
    "10.1.2.3",
    "10.1.2.3/32",
    "10.1.2.3/24",
    "224.0.0.1",
    "224.0.0.0/4",
    "224.0.0.0/3",
    "0.0.0.0/0",
    "::1",
    "::1/127",
    "ff00::/8",
    "ff02::1",
    "ff00::/7",
    "::/0",
];

impl Model {
    /// A value of this type.
    pub(super) fn datum(&self, tape: &mut Tape, shape: &Shape) -> Datum {
        match shape {
            Shape::Bool => Datum::Bool(tape.below(2) == 0),
            Shape::Long => {
                let known = if tape.chance(15) { LONGS.len() } else { 6 };
                Datum::Long(LONGS[tape.below(known)])
            }
            Shape::Text => Datum::Text(tape.pick(&TEXTS)),
            Shape::Datetime => Datum::Extension("datetime", tape.pick(&DATETIMES)),
            Shape::Duration => Datum::Extension("duration", duration(tape).0),
            Shape::Decimal => Datum::Extension("decimal", tape.pick(&DECIMALS)),
            Shape::Ip => Datum::Extension("ip", tape.pick(&IPS)),
            Shape::Entity(at) => self.uid(tape, *at),
            // Validation does not allow policies to write an empty set.
            Shape::Set(of) => Datum::Set((0..=tape.below(3)).map(|_| self.datum(tape, of)).collect()),
            Shape::Record(fields) => Datum::Record(
                fields.iter().map(|field| (field.name, self.datum(tape, &field.shape))).collect(),
            ),
        }
    }
}

/// A duration, with its milliseconds: one of the longest now and then.
pub(super) fn duration(tape: &mut Tape) -> (&'static str, i64) {
    let known = if tape.chance(15) { DURATIONS.len() } else { 11 };
    DURATIONS[tape.below(known)]
}

/// As a text of Cedar's.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

impl Datum {
    /// As policies write it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Bool(truth) => truth.to_string(),
            Self::Long(number) if *number < 0 => format!("({number})"),
            Self::Long(number) => number.to_string(),
            Self::Text(text) => quoted(text),
            Self::Entity { type_name, id } => format!("{type_name}::{}", quoted(id)),
            Self::Extension(function, of) => format!("{function}({})", quoted(of)),
            Self::Set(members) => {
                format!("[{}]", members.iter().map(Self::text).collect::<Vec<String>>().join(", "))
            }
            Self::Record(fields) => {
                let field = |(name, value): &(&str, Self)| format!("{}: {}", quoted(name), value.text());
                format!("{{{}}}", fields.iter().map(field).collect::<Vec<String>>().join(", "))
            }
        }
    }

    /// As entities and contexts write it.
    pub(super) fn json(&self) -> Json {
        match self {
            Self::Bool(truth) => json!(truth),
            Self::Long(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Entity { .. } => json!({ "__entity": self.name() }),
            Self::Extension(function, of) => json!({ "__extn": { "fn": function, "arg": of } }),
            Self::Set(members) => members.iter().map(Self::json).collect(),
            Self::Record(fields) => {
                fields.iter().map(|(name, value)| ((*name).to_owned(), value.json())).collect()
            }
        }
    }

    /// The type and id of an entity.
    pub(super) fn name(&self) -> Json {
        let Self::Entity { type_name, id } = self else { panic!("{self:?} is no entity") };
        json!({ "type": type_name, "id": id })
    }
}
