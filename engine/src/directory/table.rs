//! Things by number. Whatever has an id gets a number the first time that it is registered, and keeps it: who is known
//! by a number is found without a text.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::rows::Rows;
use super::text::Names;

/// The number of what has ids of type `I`. It stands for the id for ever: whatever is registered under the same id once
/// more has the same number.
pub(crate) struct Number<I>(NonZeroU32, PhantomData<fn() -> I>);

impl<I> Number<I> {
    pub(super) fn at(place: u32) -> Option<Self> {
        Some(Self(NonZeroU32::new(place.checked_add(1)?)?, PhantomData))
    }

    pub(super) fn place(self) -> u32 {
        self.0.get() - 1
    }
}

impl<I> Clone for Number<I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I> Copy for Number<I> {}

impl<I> PartialEq for Number<I> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<I> Eq for Number<I> {}

impl<I> Hash for Number<I> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<I> fmt::Debug for Number<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.place())
    }
}

impl<I> Serialize for Number<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, I> Deserialize<'de> for Number<I> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NonZeroU32::deserialize(deserializer).map(|number| Self(number, PhantomData))
    }
}

/// Why nothing more can be registered: there are no more numbers.
pub(super) const FULL: &str = "there are no more numbers";

/// Things of one type: `R` is what checks look at, `C` the rest. The two lie apart, so that what checks look at is small.
#[derive(Debug, Clone)]
pub(super) struct Table<I, R, C = ()> {
    names: Names,
    /// Of all that ever were registered.
    ids: Rows<I>,
    rows: Rows<R, 8>,
    rest: Rows<C, 4>,
    count: usize,
}

impl<I, R, C> Default for Table<I, R, C> {
    fn default() -> Self {
        Self {
            names: Names::default(),
            ids: Rows::default(),
            rows: Rows::default(),
            rest: Rows::default(),
            count: 0,
        }
    }
}

impl<I: AsRef<str>, R, C> Table<I, R, C> {
    /// How many are registered.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The number of this id, whether or not anything is registered under it now.
    pub(super) fn number(&self, id: &str) -> Option<Number<I>> {
        Number::at(self.names.number(id)?)
    }

    /// Sends for what finds an id ([`Names::fetch`]).
    pub(super) fn fetch(&self, id: &str) {
        self.names.fetch(id);
    }

    /// The id of this number.
    pub(super) fn id(&self, number: Number<I>) -> Option<&I> {
        self.ids.get(number.place())
    }

    /// What is registered under this number.
    pub(super) fn row(&self, number: Number<I>) -> Option<&R> {
        self.rows.get(number.place())
    }

    /// The rest of it.
    pub(super) fn rest(&self, number: Number<I>) -> Option<&C> {
        self.rest.get(number.place())
    }

    /// What is registered under this id.
    pub(super) fn find(&self, id: &str) -> Option<(Number<I>, &R)> {
        let number = self.number(id)?;
        Some((number, self.row(number)?))
    }

    /// All that is registered.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Number<I>, &I, &R, &C)> {
        let line = |(place, row)| {
            let number = Number::at(place)?;
            Some((number, self.id(number)?, row, self.rest(number)?))
        };
        self.rows.iter().filter_map(line)
    }

    /// All numbers that were ever given, in order: with the id, and what is registered under it now.
    pub(super) fn names(&self) -> impl Iterator<Item = (&I, Option<(&R, &C)>)> {
        self.ids.iter().map(|(place, id)| (id, self.rows.get(place).zip(self.rest.get(place))))
    }
}

impl<I: AsRef<str> + Clone, R: Clone, C: Clone> Table<I, R, C> {
    /// The number of this id, now or from now on.
    pub(super) fn named(&mut self, id: &I) -> Option<Number<I>> {
        if let Some(number) = self.number(id.as_ref()) {
            return Some(number);
        }
        let number = Number::at(self.ids.end())?;
        self.names.add(id.as_ref(), number.place())?;
        self.ids.set(number.place(), id.clone());
        Some(number)
    }

    /// Registers something, in place of what there is under the same id.
    pub(super) fn insert(&mut self, id: &I, row: R, rest: C) -> Result<Number<I>, String> {
        let number = self.named(id).ok_or(FULL)?;
        self.count += usize::from(self.row(number).is_none());
        self.rows.set(number.place(), row);
        self.rest.set(number.place(), rest);
        Ok(number)
    }

    /// What is registered under this number, to be changed in this version alone.
    pub(super) fn row_mut(&mut self, number: Number<I>) -> Option<&mut R> {
        self.rows.get_mut(number.place())
    }

    /// The rest of it, likewise.
    pub(super) fn rest_mut(&mut self, number: Number<I>) -> Option<&mut C> {
        self.rest.get_mut(number.place())
    }

    /// Takes it out; its number stays.
    pub(super) fn remove(&mut self, number: Number<I>) -> Option<(R, C)> {
        let removed = self.rows.remove(number.place()).zip(self.rest.remove(number.place()));
        self.count -= usize::from(removed.is_some());
        removed
    }
}
