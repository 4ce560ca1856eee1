//! Places by the hashes of texts: flat tables that all versions of a directory share.
//!
//! A text that has a place keeps it. So a table is only added to, whichever version is held, and what it says is a hint:
//! whoever looks a text up compares it with the one that its own version has at that place, and passes over what only other
//! versions know. Looking up waits for nobody, and for one place in memory.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::quality::RandomState;

/// From texts to places of which somebody else knows the texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    hasher: RandomState,
    /// How many bits of a hash, from the first one, say which part it is in.
    bits: u32,
    /// As many as there are such bits, a part as often as it has fewer of them; none before the first place.
    parts: Arc<Vec<Arc<Part>>>,
    len: usize,
}

/// The places for the hashes that begin with the same bits.
#[derive(Debug)]
struct Part {
    bits: u32,
    /// INVARIANT: a power of two of them. What is not vacant stays as it is.
    slots: Box<[AtomicU64]>,
    used: AtomicUsize,
}

/// A place under its hash; 0 is vacant.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slot(u64);

const FIRST: usize = 16;
/// With more slots a part becomes two, so that nobody who adds a place has to move many.
const MANY: usize = 1 << 12;
/// Parts have so many bits at most.
const BITS: u32 = 20;

impl Slot {
    /// `None`: there is no room for such a place.
    fn new(hash: u32, place: u32) -> Option<Self> {
        Some(Self(u64::from(hash) << 32 | u64::from(place.checked_add(1)?)))
    }

    fn hash(self) -> u32 {
        let [.., hash] = self.halves();
        hash
    }

    fn place(self) -> Option<u32> {
        let [place, _] = self.halves();
        place.checked_sub(1)
    }

    #[expect(clippy::cast_possible_truncation, reason = "these are the halves")]
    fn halves(self) -> [u32; 2] {
        [self.0 as u32, (self.0 >> 32) as u32]
    }
}

impl Index {
    /// The place of a text: the one that `is_it`. O(1).
    pub(super) fn find(&self, text: &str, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = self.hash(text);
        let known =
            self.parts.get(self.part(hash))?.chain(hash).map(|slot| Slot(slot.load(Ordering::Relaxed)));
        let same = known.take_while(|slot| *slot != Slot(0)).filter(|slot| slot.hash() == hash);
        same.filter_map(Slot::place).find(|place| is_it(*place))
    }

    /// Sends for the slot at which looking a text up begins, and does not wait for it: a look-up soon after finds it on
    /// its way. Several that do not depend on one another so cost about one wait for memory.
    pub(super) fn fetch(&self, text: &str) {
        let hash = self.hash(text);
        let slot = self.parts.get(self.part(hash)).and_then(|part| part.chain(hash).next());
        std::hint::black_box(slot.map(|slot| slot.load(Ordering::Relaxed)));
    }

    /// Adds the place of a text that has none. O(1), but for one in some thousands that moves so many.
    pub(super) fn add(&mut self, text: &str, place: u32) {
        let hash = self.hash(text);
        let Some(slot) = Slot::new(hash, place) else { return };
        self.len += 1;
        while !self.parts.get(self.part(hash)).is_some_and(|part| part.add(slot)) {
            self.grow(hash);
        }
    }

    /// Half of a hash tells enough apart.
    #[expect(clippy::cast_possible_truncation, reason = "half of a good hash is one")]
    fn hash(&self, text: &str) -> u32 {
        self.hasher.hash_one(text) as u32
    }

    fn part(&self, hash: u32) -> usize {
        hash.checked_shr(u32::BITS - self.bits).unwrap_or(0) as usize
    }

    /// Makes room in the part of this hash, for this version and those that come from it.
    fn grow(&mut self, hash: u32) {
        let Some(part) = self.parts.get(self.part(hash)).cloned() else {
            self.parts = Arc::new(vec![Arc::new(Part::new(0, FIRST))]);
            return;
        };
        // Hashes that do not differ are not taken apart by however many bits.
        let is_split =
            part.slots.len() >= MANY && part.bits < BITS && MANY << part.bits <= self.len.saturating_mul(16);
        if !is_split {
            let larger = Part::new(part.bits, part.slots.len() * 2);
            part.slots().for_each(|slot| _ = larger.add(slot));
            return self.replace(hash, part.bits, &Arc::new(larger));
        }
        let bits = part.bits + 1;
        if bits > self.bits {
            self.parts = Arc::new(self.parts.iter().flat_map(|part| [part.clone(), part.clone()]).collect());
            self.bits = bits;
        }
        let last = 1 << (u32::BITS - bits);
        let halves = [0, last].map(|bit| (bit, Arc::new(Part::new(bits, part.slots.len()))));
        for slot in part.slots() {
            let half = halves.iter().find(|(bit, _)| slot.hash() & last == *bit);
            half.iter().for_each(|(_, half)| _ = half.add(slot));
        }
        for (bit, half) in halves {
            self.replace(hash & !last | bit, bits, &half);
        }
    }

    /// Has a part for all hashes that have the first bits of this one.
    fn replace(&mut self, hash: u32, bits: u32, part: &Arc<Part>) {
        let free = self.bits - bits;
        let from = self.part(hash) >> free << free;
        Arc::make_mut(&mut self.parts)
            .iter_mut()
            .skip(from)
            .take(1 << free)
            .for_each(|own| *own = part.clone());
    }
}

impl Part {
    fn new(bits: u32, slots: usize) -> Self {
        Self { bits, slots: (0..slots).map(|_| AtomicU64::new(0)).collect(), used: AtomicUsize::new(0) }
    }

    /// All slots, from the one on where a hash belongs.
    fn chain(&self, hash: u32) -> impl Iterator<Item = &AtomicU64> {
        let from = hash as usize & (self.slots.len() - 1);
        let (before, after) = self.slots.split_at_checked(from).unwrap_or_default();
        after.iter().chain(before)
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        self.slots.iter().map(|slot| Slot(slot.load(Ordering::Relaxed))).filter(|slot| *slot != Slot(0))
    }

    /// Puts a slot where its hash belongs, or after that. `false`: there is too little room.
    ///
    /// What is seen of a version is seen after it was published; that what is in the slots is seen, too, needs no order
    /// of its own.
    fn add(&self, slot: Slot) -> bool {
        if self.used.load(Ordering::Relaxed) >= self.slots.len() / 4 * 3 {
            return false;
        }
        for place in self.chain(slot.hash()) {
            match place.compare_exchange(0, slot.0, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.used.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
                // Another version had the same text at the same place, and may be gone.
                Err(other) if other == slot.0 => return true,
                Err(_) => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An index, and the texts whose places it has.
    #[derive(Clone, Default)]
    struct Known {
        index: Index,
        texts: Vec<String>,
    }

    impl Known {
        fn add(&mut self, text: &str) {
            let place = u32::try_from(self.texts.len()).unwrap();
            self.index.add(text, place);
            self.texts.push(text.to_owned());
        }

        fn find(&self, text: &str) -> Option<u32> {
            self.index.find(text, |place| self.texts.get(place as usize).is_some_and(|own| own == text))
        }

        fn is_whole(&self) -> bool {
            (0..).zip(&self.texts).all(|(place, text)| self.find(text) == Some(place))
        }
    }

    proptest! {
        #[test]
        fn versions_that_go_different_ways_find_their_own(
            steps in prop::collection::vec((0_usize..4, 1_usize..3_000), 1..12),
        ) {
            let mut versions = vec![Known::default()];
            for (step, (which, more)) in steps.into_iter().enumerate() {
                let mut next = versions[which % versions.len()].clone();
                for number in 0..more {
                    // Some of them are texts that another version has at another place.
                    let text = format!("{}/{number}", if number % 2 == 0 { 0 } else { step });
                    if next.find(&text).is_none() {
                        next.add(&text);
                    }
                }
                versions.push(next);
            }
            for known in versions {
                prop_assert!(known.is_whole());
                prop_assert_eq!(known.find("nobody"), None);
            }
        }
    }

    #[test]
    fn a_hundred_thousand_are_found_in_parts_that_stay_small() {
        let mut known = Known::default();
        (0..100_000).for_each(|number| known.add(&format!("camera-{number}")));
        assert!(known.is_whole());
        assert!(known.index.parts.iter().all(|part| part.slots.len() <= MANY));
        assert!(known.index.parts.len() <= 128, "{} parts", known.index.parts.len());
    }

    #[test]
    fn hashes_that_are_all_alike_are_kept_in_one_part() {
        let mut index = Index::default();
        for place in 0..5_000 {
            index.add("the same", place);
        }
        assert!((0..5_000).all(|place| index.find("the same", |at| at == place) == Some(place)));
        assert!(index.parts.len() <= 64, "{} parts", index.parts.len());
    }

    #[test]
    fn what_is_added_while_others_look_is_found_by_all() {
        let mut known = Known::default();
        (0..2_000).for_each(|number| known.add(&format!("first-{number}")));
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let mut own = known.clone();
                scope.spawn(move || {
                    (0..5_000).for_each(|number| own.add(&format!("{writer}-{number}")));
                    assert!(own.is_whole());
                });
            }
            for _ in 0..20 {
                assert!(known.is_whole());
            }
        });
    }
}
