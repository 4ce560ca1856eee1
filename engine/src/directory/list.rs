//! Persistent lists: what is added comes to the end. Cloning them is O(1), and a clone never sees later changes.
//!
//! The last page lies apart, so that what is added costs a copy of it, and of no path to it.

use std::sync::Arc;

use super::rows::Rows;

/// Things on a page: a power of two.
const PAGE: u32 = 16;

/// Things in the order in which they were added.
#[derive(Debug, Clone)]
pub(super) struct List<T> {
    /// INVARIANT: nothing is vacant on these, nor on the last page before the end.
    full: Rows<Page<T>, 8>,
    last: Page<T>,
    len: u32,
}

type Page<T> = Arc<[Option<T>; PAGE as usize]>;

fn vacant<T>() -> Page<T> {
    Arc::new(std::array::from_fn(|_| None))
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { full: Rows::default(), last: vacant(), len: 0 }
    }
}

impl<T> List<T> {
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// What is at this place, counted from 0. O(log places).
    pub(super) fn get(&self, place: u32) -> Option<&T> {
        let is_last = place / PAGE == self.full.end();
        let page = if is_last { &self.last } else { self.full.get(place / PAGE)? };
        page.get((place % PAGE) as usize)?.as_ref()
    }

    /// All, from the first one on.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let full = self.full.iter().map(|(_, page)| page);
        full.chain([&self.last]).flat_map(|page| page.iter().flatten())
    }
}

impl<T: Clone> List<T> {
    /// What is at this place, to be changed in this version alone.
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let is_last = place / PAGE == self.full.end();
        let page = if is_last { &mut self.last } else { self.full.get_mut(place / PAGE)? };
        Arc::make_mut(page).get_mut((place % PAGE) as usize)?.as_mut()
    }

    /// Adds something at the end. `None`: there is no place for it.
    pub(super) fn push(&mut self, thing: T) -> Option<()> {
        let len = self.len.checked_add(1)?;
        if self.len / PAGE > self.full.end() {
            self.full.set(self.full.end(), std::mem::replace(&mut self.last, vacant()));
        }
        *Arc::make_mut(&mut self.last).get_mut((self.len % PAGE) as usize)? = Some(thing);
        self.len = len;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_list_is_a_vector_and_its_clones_stand_still(
            ops in prop::collection::vec((any::<u8>(), prop::option::weighted(0.2, any::<prop::sample::Index>())), 0..400),
            cut in 0_usize..400,
        ) {
            let (mut list, mut vector) = (List::default(), Vec::new());
            let mut kept = None;
            for (index, (thing, changed)) in ops.into_iter().enumerate() {
                if index == cut {
                    kept = Some((list.clone(), vector.clone()));
                }
                match changed.filter(|_| !vector.is_empty()) {
                    Some(place) => {
                        let place = place.index(vector.len());
                        *list.get_mut(u32::try_from(place).unwrap()).unwrap() = thing;
                        vector[place] = thing;
                    }
                    None => {
                        list.push(thing).unwrap();
                        vector.push(thing);
                    }
                }
            }
            for (mut list, vector) in kept.into_iter().chain([(list, vector)]) {
                prop_assert!(list.iter().eq(&vector));
                prop_assert_eq!(list.len() as usize, vector.len());
                prop_assert!((0..list.len()).map(|place| list.get(place)).eq(vector.iter().map(Some)));
                for beyond in [list.len(), list.len() + PAGE, u32::MAX] {
                    prop_assert_eq!(list.get(beyond), None);
                    prop_assert_eq!(list.get_mut(beyond), None);
                }
            }
        }
    }
}
