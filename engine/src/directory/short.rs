use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list that mostly holds nothing or one thing, which is then where the list is.
#[derive(Debug, Clone, Default)]
pub(super) enum Short<T> {
    #[default]
    None,
    One(T),
    Many(Arc<[T]>),
}

impl<T> Short<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }
}

impl<T: Copy> Short<T> {
    /// Changes the list, in this version alone. O(its length).
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Vec<T>)) {
        let mut all = self.as_slice().to_vec();
        change(&mut all);
        *self = all.into();
    }
}

impl<T: Copy> From<Vec<T>> for Short<T> {
    fn from(all: Vec<T>) -> Self {
        match all.as_slice() {
            [] => Self::None,
            [only] => Self::One(*only),
            _ => Self::Many(all.into()),
        }
    }
}

impl<T: Serialize> Serialize for Short<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de> + Copy> Deserialize<'de> for Short<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}
