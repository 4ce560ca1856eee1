//! What expressions come to while a program runs, and what programs run on.

use super::constant::{Constant, Ip, Named};
use super::index::Names;
use crate::policy::word::Name;

/// Where Cedar would tell an error: of types that do not fit, of what is not there, of numbers that are too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// What comes of a step of a program.
pub(crate) type Step<T> = Result<T, Failed>;

/// What a program can look at: entities as they lie somewhere, found by keys that are cheap to copy.
///
/// What it answers must be what Cedar would find in the entities and the context that stand for the same facts. Where it
/// cannot know that, it fails: whoever gets a failed policy asks Cedar.
pub(crate) trait Facts<'a>: Copy {
    /// What an entity is known by. Equal keys, and they alone, are one entity.
    type Entity: Copy + PartialEq;
    /// A set that is not a constant.
    type Set: Copy;
    /// A record that is not a constant.
    type Record: Copy;

    /// The principal.
    fn principal(self) -> Self::Entity;
    /// The resource.
    fn resource(self) -> Self::Entity;
    /// The context.
    fn context(self) -> Fields<'a, Self::Record>;
    /// The entity of this name, known or not.
    fn named(self, name: &'a Named) -> Self::Entity;
    /// Whether this is the entity of this name.
    fn is_named(self, entity: Self::Entity, name: &Named) -> bool;
    /// Whether the entity is of this type.
    fn is_of_type(self, entity: Self::Entity, type_name: &str) -> bool;
    /// Puts an attribute into `value`; `false`: there is none of this name, or no such entity, and `value` is as it was.
    /// It is put where it is to lie, as values are large to be passed on.
    fn attribute(self, entity: &Self::Entity, name: &Name, value: &mut Value<'a, Self>) -> Step<bool>;
    /// A tag; `None`: there is none of this name, or no such entity.
    fn tag(self, entity: Self::Entity, name: &str) -> Step<Option<Value<'a, Self>>>;
    /// Whether the first is in the second, which is another.
    fn is_in(self, entity: Self::Entity, ancestor: Self::Entity) -> Step<bool>;
    /// Which of the names are those of the entity itself or of what it is in: calls `found` with each one's place.
    fn find(self, entity: Self::Entity, names: &Names, found: &mut dyn FnMut(u32));
    /// How many members a set has.
    fn len(self, set: Self::Set) -> usize;
    /// A member of a set.
    fn member(self, set: Self::Set, at: usize) -> Option<Value<'a, Self>>;
    /// Whether a set has this text as a member. O(members).
    fn has_text(self, set: Self::Set, text: &str) -> bool {
        (0..self.len(set)).any(|at| matches!(self.member(set, at), Some(Value::Text(own)) if own == text))
    }
    /// A field of a record.
    fn field(self, record: Self::Record, name: &Name) -> Option<Value<'a, Self>>;
    /// How many fields a record has.
    fn width(self, record: Self::Record) -> usize;
    /// Whether two records have the same fields.
    fn same(self, one: Self::Record, other: Self::Record) -> bool;
}

/// What an expression comes to. The discriminant is as wide as what comes after it, so that a value is copied in whole words:
/// copied in parts, it could not be read again before all of them have come to the cache.
#[repr(u64)]
pub(crate) enum Value<'a, F: Facts<'a>> {
    Bool(bool),
    Long(i64),
    Text(&'a str),
    Entity(F::Entity),
    Set(Members<'a, F::Set>),
    Record(Fields<'a, F::Record>),
    /// Milliseconds since the Unix epoch.
    Datetime(i64),
    /// Milliseconds.
    Duration(i64),
    /// Ten-thousandths.
    Decimal(i64),
    Ip(&'a Ip),
}

impl<'a, F: Facts<'a>> Clone for Value<'a, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, F: Facts<'a>> Copy for Value<'a, F> {}

/// The members of a set, wherever they are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Members<'a, S> {
    /// INVARIANT: sorted.
    Constant(&'a [Constant]),
    Fact(S),
    /// What the program put together: from here on, so many.
    Built(u32, u32),
}

/// The fields of a record, wherever they are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fields<'a, R> {
    /// INVARIANT: sorted by name.
    Constant(&'a [(Box<str>, Constant)]),
    Fact(R),
    /// What the program put together: the values from here on, and their names, sorted.
    Built(u32, &'a [Name]),
}

impl<'a, F: Facts<'a>> Value<'a, F> {
    /// The same among other facts that know things by the same keys.
    pub(crate) fn carried<G>(self) -> Value<'a, G>
    where
        G: Facts<'a, Entity = F::Entity, Set = F::Set, Record = F::Record>,
    {
        match self {
            Self::Bool(truth) => Value::Bool(truth),
            Self::Long(number) => Value::Long(number),
            Self::Text(text) => Value::Text(text),
            Self::Entity(entity) => Value::Entity(entity),
            Self::Set(members) => Value::Set(members),
            Self::Record(fields) => Value::Record(fields),
            Self::Datetime(moment) => Value::Datetime(moment),
            Self::Duration(span) => Value::Duration(span),
            Self::Decimal(number) => Value::Decimal(number),
            Self::Ip(ip) => Value::Ip(ip),
        }
    }

    /// A value that stands still.
    #[inline]
    pub(crate) fn of(constant: &'a Constant, facts: F) -> Self {
        match constant {
            Constant::Bool(truth) => Self::Bool(*truth),
            Constant::Long(number) => Self::Long(*number),
            Constant::Text(text) => Self::Text(text),
            Constant::Entity(name) => Self::Entity(facts.named(name)),
            Constant::Set(members) => Self::Set(Members::Constant(members)),
            Constant::Record(fields) => Self::Record(Fields::Constant(fields)),
            Constant::Datetime(moment) => Self::Datetime(*moment),
            Constant::Duration(span) => Self::Duration(*span),
            Constant::Decimal(number) => Self::Decimal(*number),
            Constant::Ip(ip) => Self::Ip(ip),
        }
    }
}
