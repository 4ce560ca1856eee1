//! Persistent rows by number: cloning them is O(1), and a clone never sees later changes.
//!
//! As in the tries, a change copies one path. The rows of a leaf lie side by side and are copied with it, so that rows
//! which are plain numbers cost one copy of a few hundred bytes, and reading one touches one place in memory.

use std::sync::Arc;

use super::trie::fetch;

/// Bits of a number that one level of branches uses.
const BITS: u32 = 3;
const FAN: usize = 1 << BITS;

/// Rows, some of which may be vacant. `LEAF` rows lie together: a power of two.
#[derive(Debug, Clone)]
pub(super) struct Rows<R, const LEAF: usize = 16> {
    root: Option<Node<R, LEAF>>,
    /// Branches on the way to a row.
    levels: u32,
    /// One more than the greatest number of a row so far.
    end: u32,
}

#[derive(Debug, Clone)]
enum Node<R, const LEAF: usize> {
    Leaf(Arc<[Option<R>; LEAF]>),
    Branch(Arc<[Option<Self>; FAN]>),
}

impl<R, const LEAF: usize> Default for Rows<R, LEAF> {
    fn default() -> Self {
        Self { root: None, levels: 0, end: 0 }
    }
}

impl<R, const LEAF: usize> Node<R, LEAF> {
    /// Nothing but vacant rows, below so many levels of branches.
    fn vacant(levels: u32) -> Self {
        if levels == 0 {
            Self::Leaf(Arc::new(std::array::from_fn(|_| None)))
        } else {
            Self::Branch(Arc::new(std::array::from_fn(|_| None)))
        }
    }

    /// How many versions share it.
    fn shared(&self) -> usize {
        match self {
            Self::Leaf(rows) => Arc::strong_count(rows),
            Self::Branch(children) => Arc::strong_count(children),
        }
    }
}

/// Which child of a branch that has `levels` below it leads to a row.
const fn child<const LEAF: usize>(number: u32, levels: u32) -> usize {
    (number >> (LEAF.trailing_zeros() + BITS * levels)) as usize & (FAN - 1)
}

/// Where in its leaf a row is.
const fn place<const LEAF: usize>(number: u32) -> usize {
    number as usize & (LEAF - 1)
}

impl<R, const LEAF: usize> Rows<R, LEAF> {
    /// One more than the greatest number that a row ever had.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// The row with this number. O(log numbers): six levels at a million.
    pub(super) fn get(&self, number: u32) -> Option<&R> {
        if number >= self.end {
            return None;
        }
        let (mut node, mut levels) = (self.root.as_ref()?, self.levels);
        loop {
            match node {
                Node::Leaf(rows) => return rows.get(place::<LEAF>(number))?.as_ref(),
                Node::Branch(children) => {
                    levels = levels.saturating_sub(1);
                    node = children.get(child::<LEAF>(number, levels))?.as_ref()?;
                }
            }
        }
    }

    /// The rows that are not vacant, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &R)> {
        (0..self.end).filter_map(|number| Some((number, self.get(number)?)))
    }

    /// Whether the branches reach as far as this number.
    fn reaches(&self, number: u32) -> bool {
        let bits = LEAF.trailing_zeros() + BITS * self.levels;
        number.checked_shr(bits).unwrap_or(0) == 0
    }
}

impl<R: Clone, const LEAF: usize> Rows<R, LEAF> {
    /// The row with this number, to be changed in this version alone.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut R> {
        // What is not there shall not cost a copy.
        self.get(number)?;
        self.place(number)?.as_mut()
    }

    /// Puts a row in, in place of any of the same number.
    pub(super) fn set(&mut self, number: u32, row: R) {
        while !self.reaches(number) {
            let root = self.root.take();
            let mut children: [_; FAN] = std::array::from_fn(|_| None);
            if let Some(first) = children.first_mut() {
                *first = root;
            }
            self.root = Some(Node::Branch(Arc::new(children)));
            self.levels += 1;
        }
        self.end = self.end.max(number.saturating_add(1));
        if let Some(place) = self.place(number) {
            *place = Some(row);
        }
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, number: u32) -> Option<R> {
        self.get(number)?;
        self.place(number)?.take()
    }

    /// Where a row is, or is to be, in this version alone.
    fn place(&mut self, number: u32) -> Option<&mut Option<R>> {
        let mut levels = self.levels;
        let mut node = self.root.get_or_insert_with(|| Node::vacant(levels));
        loop {
            match node {
                Node::Leaf(rows) => return Arc::make_mut(rows).get_mut(place::<LEAF>(number)),
                Node::Branch(children) => {
                    levels = levels.saturating_sub(1);
                    fetch(children, || children.iter().flatten().map(Node::shared));
                    let next = Arc::make_mut(children).get_mut(child::<LEAF>(number, levels))?;
                    node = next.get_or_insert_with(|| Node::vacant(levels));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_a_map_of_numbers_and_their_clones_stand_still(
            ops in prop::collection::vec((any::<u32>(), 0_u32..=32, any::<Option<u8>>()), 0..300),
            cut in 0_usize..300,
        ) {
            let (mut rows, mut map) = (Rows::<u8, 4>::default(), BTreeMap::new());
            let mut kept = None;
            for (index, (number, few, row)) in ops.into_iter().enumerate() {
                if index == cut {
                    kept = Some((rows.clone(), map.clone()));
                }
                // Small numbers and large ones.
                let number = number.checked_shr(few).unwrap_or(0) & 0xfff;
                match row {
                    Some(row) => {
                        rows.set(number, row);
                        map.insert(number, row);
                    }
                    None => prop_assert_eq!(rows.remove(number), map.remove(&number)),
                }
                if let (Some(own), Some(other)) = (rows.get_mut(number / 2), map.get_mut(&(number / 2))) {
                    *own = own.wrapping_add(1);
                    *other = other.wrapping_add(1);
                }
            }
            let same = |rows: &Rows<u8, 4>, map: &BTreeMap<u32, u8>| {
                rows.iter().map(|(number, row)| (number, *row)).eq(map.iter().map(|(number, row)| (*number, *row)))
            };
            prop_assert!(same(&rows, &map));
            if let Some((rows, map)) = kept {
                prop_assert!(same(&rows, &map));
            }
        }
    }

    #[test]
    fn the_greatest_number_has_a_row() {
        let mut rows = Rows::<&str>::default();
        rows.set(u32::MAX - 1, "last");
        rows.set(0, "first");
        assert_eq!(rows.get(u32::MAX - 1), Some(&"last"));
        assert_eq!(rows.get(0), Some(&"first"));
        assert_eq!(rows.get(u32::MAX), None);
    }
}
