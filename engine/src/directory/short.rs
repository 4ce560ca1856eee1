use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list of a few things, which are where the list is; of more, elsewhere.
#[derive(Debug, Clone)]
pub(super) enum Short<T, const FEW: usize> {
    /// INVARIANT: after the first that is none there are no more.
    Few([Option<T>; FEW]),
    Many(Arc<[T]>),
}

impl<T, const FEW: usize> Default for Short<T, FEW> {
    fn default() -> Self {
        Self::Few(std::array::from_fn(|_| None))
    }
}

impl<T, const FEW: usize> Short<T, FEW> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let (few, many): (&[Option<T>], &[T]) = match self {
            Self::Few(few) => (few, &[]),
            Self::Many(many) => (&[], many),
        };
        few.iter().map_while(Option::as_ref).chain(many)
    }
}

impl<T: Copy, const FEW: usize> Short<T, FEW> {
    /// Changes the list, in this version alone. O(its length).
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Vec<T>)) {
        let mut all: Vec<T> = self.iter().copied().collect();
        change(&mut all);
        *self = all.into();
    }
}

impl<T: Copy, const FEW: usize> From<Vec<T>> for Short<T, FEW> {
    fn from(all: Vec<T>) -> Self {
        if all.len() > FEW {
            return Self::Many(all.into());
        }
        let mut all = all.into_iter();
        Self::Few(std::array::from_fn(|_| all.next()))
    }
}

impl<T: Serialize, const FEW: usize> Serialize for Short<T, FEW> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.iter().collect::<Vec<_>>().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de> + Copy, const FEW: usize> Deserialize<'de> for Short<T, FEW> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}
