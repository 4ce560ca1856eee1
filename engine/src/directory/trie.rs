//! Persistent hash maps and sets: cloning one is O(1), and a clone never sees later changes.
//!
//! The directory publishes a whole new version of itself at every revision while readers go on with
//! the one they hold, so its maps must share what did not change. A change copies one path: a few small
//! branches and one small leaf. What a copy costs are the reference counts that it raises, each in another
//! place of memory; so nodes are small, and an entry is one shared thing.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::quality::RandomState;

/// Entries that a leaf holds before it splits.
const LEAF: usize = 12;
/// Bits of the hash that one level of branches uses.
const BITS: u32 = 3;
const FAN: usize = 1 << BITS;

/// A map.
#[derive(Debug, Clone)]
pub(crate) struct Map<K, V>(Trie<Arc<(K, V)>>);

/// A set.
#[derive(Debug, Clone)]
pub(crate) struct Set<K>(Trie<K>);

#[derive(Debug, Clone)]
struct Trie<E> {
    root: Node<E>,
    len: usize,
    hasher: RandomState,
}

#[derive(Debug, Clone)]
enum Node<E> {
    Leaf(Slots<E>),
    Branch(Arc<[Node<E>; FAN]>),
}

type Slots<E> = Arc<[Slot<E>]>;

#[derive(Debug, Clone)]
struct Slot<E> {
    hash: u32,
    entry: E,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self(Trie::default())
    }
}

impl<K, V> Map<K, V> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    /// All entries, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|entry| (&entry.0, &entry.1))
    }

    /// All keys, in no order that means anything.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The entry's key, as stored, and its value. O(1): at most 22 levels, about six at a million entries.
    pub(crate) fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.0.get(self.0.hash(key), |entry| entry.0.borrow() == key)?;
        Some((&entry.0, &entry.1))
    }

    /// The entry's value.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Map<K, V> {
    /// The entry's value, to be changed in this version of the map alone.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.0.get_mut(self.0.hash(key), |entry| entry.0.borrow() == key)?;
        Some(&mut Arc::make_mut(entry).1)
    }

    /// Puts an entry in, in place of any with the same key.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let slot = Slot { hash: self.0.hash(&key), entry: Arc::new((key, value)) };
        self.0.insert(slot, |one, other| one.0 == other.0);
    }
}

/// Makes a map of entries whose keys differ, faster than by inserting them.
impl<K: Hash, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(Trie::of(entries.into_iter().map(Arc::new), |entry| &entry.0))
    }
}

impl<K> Default for Set<K> {
    fn default() -> Self {
        Self(Trie::default())
    }
}

impl<K> Set<K> {
    /// Whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len
    }

    /// All keys, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        self.0.iter()
    }
}

impl<K: Hash + Eq + Clone> Set<K> {
    /// Puts a key in.
    pub(crate) fn insert(&mut self, key: K) {
        let slot = Slot { hash: self.0.hash(&key), entry: key };
        self.0.insert(slot, K::eq);
    }

    /// Takes a key out.
    pub(crate) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.remove(self.0.hash(key), |entry| entry.borrow() == key);
    }
}

/// Makes a set of keys that differ, faster than by inserting them.
impl<K: Hash> FromIterator<K> for Set<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        Self(Trie::of(keys, |key| key))
    }
}

impl<E> Default for Trie<E> {
    fn default() -> Self {
        Self { root: Node::Leaf(Arc::default()), len: 0, hasher: RandomState::default() }
    }
}

/// Half of a hash tells enough apart: equal ones share a leaf.
#[expect(clippy::cast_possible_truncation, reason = "half of a good hash is one")]
fn hash<Q: Hash + ?Sized>(hasher: &RandomState, key: &Q) -> u32 {
    hasher.hash_one(key) as u32
}

/// Which child holds `hash` at the level that uses the bits from `shift` on.
fn child(hash: u32, shift: u32) -> usize {
    (hash.wrapping_shr(shift) as usize) & (FAN - 1)
}

impl<E> Trie<E> {
    /// Entries that differ.
    fn of<K: Hash>(entries: impl IntoIterator<Item = E>, key: impl Fn(&E) -> &K) -> Self {
        let hasher = RandomState::default();
        let slot = |entry| Slot { hash: hash(&hasher, key(&entry)), entry };
        let slots: Vec<Slot<E>> = entries.into_iter().map(slot).collect();
        Self { len: slots.len(), root: grown(slots, 0), hasher }
    }

    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u32 {
        hash(&self.hasher, key)
    }

    fn iter(&self) -> impl Iterator<Item = &E> {
        let mut stack = vec![&self.root];
        let mut slots: std::slice::Iter<'_, Slot<E>> = [].iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(slot) = slots.next() {
                    return Some(&slot.entry);
                }
                match stack.pop()? {
                    Node::Leaf(leaf) => slots = leaf.iter(),
                    Node::Branch(children) => stack.extend(children.iter()),
                }
            }
        })
    }

    /// The entry with this hash that `is_it`.
    fn get(&self, hash: u32, is_it: impl Fn(&E) -> bool) -> Option<&E> {
        let (mut node, mut shift) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(slots) => return slots.get(place(slots, hash, is_it)?).map(|slot| &slot.entry),
                Node::Branch(children) => node = children.get(child(hash, shift))?,
            }
            shift += BITS;
        }
    }
}

impl<E: Clone> Trie<E> {
    /// The leaf for this hash, in this version alone.
    fn leaf(&mut self, hash: u32) -> Option<&mut Slots<E>> {
        let (mut node, mut shift) = (&mut self.root, 0);
        loop {
            match node {
                Node::Leaf(slots) => return Some(slots),
                Node::Branch(children) => {
                    fetch(children, || children.iter().map(Node::shared));
                    node = Arc::make_mut(children).get_mut(child(hash, shift))?;
                }
            }
            shift += BITS;
        }
    }

    fn get_mut(&mut self, hash: u32, is_it: impl Fn(&E) -> bool) -> Option<&mut E> {
        let slots = self.leaf(hash)?;
        let at = place(slots, hash, is_it)?;
        Arc::make_mut(slots).get_mut(at).map(|slot| &mut slot.entry)
    }

    fn insert(&mut self, slot: Slot<E>, same: impl Fn(&E, &E) -> bool) {
        let hash = slot.hash;
        let (mut node, mut shift) = (&mut self.root, 0);
        loop {
            if let Node::Leaf(slots) = node {
                let at = place(slots, hash, |entry| same(entry, &slot.entry));
                if at.is_some() || slots.len() < LEAF || shift >= u32::BITS {
                    self.len += usize::from(at.is_none());
                    return put(slots, at, slot);
                }
                *node = split(slots.to_vec(), shift);
            }
            if let Node::Branch(children) = node {
                fetch(children, || children.iter().map(Node::shared));
                match Arc::make_mut(children).get_mut(child(hash, shift)) {
                    Some(next) => node = next,
                    None => return,
                }
            }
            shift += BITS;
        }
    }

    fn remove(&mut self, hash: u32, is_it: impl Fn(&E) -> bool) -> Option<E> {
        // What is not there shall not cost a copy.
        self.get(hash, &is_it)?;
        let slots = self.leaf(hash)?;
        let at = place(slots, hash, is_it)?;
        let (before, after) = slots.split_at_checked(at)?;
        let (removed, after) = after.split_first()?;
        let removed = removed.entry.clone();
        *slots = before.iter().chain(after).cloned().collect();
        self.len -= 1;
        Some(removed)
    }
}

/// Looks at the reference counts of a branch's children, if it is shared and has to be copied: the copy raises them, each
/// in another place of memory, and waits for one after the other where all can be on their way at once.
pub(super) fn fetch<B, I: Iterator<Item = usize>>(branch: &Arc<B>, counts: impl FnOnce() -> I) {
    if Arc::strong_count(branch) > 1 {
        std::hint::black_box(counts().fold(0, usize::wrapping_add));
    }
}

impl<E> Node<E> {
    /// How many versions share it.
    fn shared(&self) -> usize {
        match self {
            Self::Leaf(slots) => Arc::strong_count(slots),
            Self::Branch(children) => Arc::strong_count(children),
        }
    }
}

/// Where in a leaf the entry with this hash is that `is_it`.
fn place<E>(slots: &[Slot<E>], hash: u32, is_it: impl Fn(&E) -> bool) -> Option<usize> {
    slots.iter().position(|slot| slot.hash == hash && is_it(&slot.entry))
}

/// Puts an entry into a leaf: at this place, or at a new one.
fn put<E: Clone>(slots: &mut Slots<E>, at: Option<usize>, slot: Slot<E>) {
    match at {
        Some(at) => {
            if let Some(place) = Arc::make_mut(slots).get_mut(at) {
                *place = slot;
            }
        }
        None => *slots = slots.iter().cloned().chain([slot]).collect(),
    }
}

/// Entries, however many, as a node.
fn grown<E>(slots: Vec<Slot<E>>, shift: u32) -> Node<E> {
    if slots.len() <= LEAF || shift >= u32::BITS {
        return Node::Leaf(slots.into());
    }
    Node::Branch(Arc::new(parted(slots, shift).map(|part| grown(part, shift + BITS))))
}

/// A full leaf as a branch over leaves. INVARIANT: a leaf below `shift` bits holds only hashes that
/// agree in those bits; with all bits used it may grow without limit (equal hashes).
fn split<E>(slots: Vec<Slot<E>>, shift: u32) -> Node<E> {
    Node::Branch(Arc::new(parted(slots, shift).map(|part| Node::Leaf(part.into()))))
}

/// Entries by the child that holds them.
fn parted<E>(slots: Vec<Slot<E>>, shift: u32) -> [Vec<Slot<E>>; FAN] {
    let mut parts: [Vec<Slot<E>>; FAN] = std::array::from_fn(|_| Vec::new());
    for slot in slots {
        if let Some(part) = parts.get_mut(child(slot.hash, shift)) {
            part.push(slot);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Entries of maps are never taken out; those of sets are, in the same way.
    impl<K: Hash + Eq + Clone, V: Clone> Map<K, V> {
        fn remove<Q>(&mut self, key: &Q) -> Option<V>
        where
            K: Borrow<Q>,
            Q: Hash + Eq + ?Sized,
        {
            let entry = self.0.remove(self.0.hash(key), |entry| entry.0.borrow() == key)?;
            Some(Arc::unwrap_or_clone(entry).1)
        }
    }

    proptest! {
        #[test]
        fn a_trie_is_a_map_and_its_clones_stand_still(
            ops in prop::collection::vec((any::<u16>(), any::<Option<u8>>()), 0..600),
            cut in 0_usize..600,
        ) {
            let (mut trie, mut map) = (Map::default(), HashMap::new());
            let mut kept = None;
            for (index, (key, value)) in ops.into_iter().enumerate() {
                if index == cut {
                    kept = Some((trie.clone(), map.clone()));
                }
                let key = key % 400;
                match value {
                    Some(value) => {
                        trie.insert(key, value);
                        map.insert(key, value);
                    }
                    None => prop_assert_eq!(trie.remove(&key), map.remove(&key)),
                }
                if let Some(value) = trie.get_mut(&7) {
                    *value = value.wrapping_add(1);
                    *map.get_mut(&7).unwrap() += 0;
                    map.insert(7, *value);
                }
            }
            let same = |trie: &Map<u16, u8>, map: &HashMap<u16, u8>| {
                trie.len() == map.len()
                    && trie.iter().all(|(key, value)| map.get(key) == Some(value))
                    && map.keys().all(|key| trie.get(key).is_some())
            };
            prop_assert!(same(&trie, &map));
            if let Some((trie, map)) = kept {
                prop_assert!(same(&trie, &map));
            }
        }
    }

    proptest! {
        #[test]
        fn a_trie_made_at_once_is_one_made_by_inserting(
            entries in prop::collection::hash_map(any::<u16>(), any::<u8>(), 0..2_000),
            more in prop::collection::vec((any::<u16>(), any::<u8>()), 0..50),
        ) {
            let mut trie: Map<u16, u8> = entries.clone().into_iter().collect();
            let mut map = entries;
            for (key, value) in more {
                trie.insert(key, value);
                map.insert(key, value);
                prop_assert_eq!(trie.remove(&(key / 2)), map.remove(&(key / 2)));
            }
            prop_assert_eq!(trie.len(), map.len());
            prop_assert!(trie.iter().all(|(key, value)| map.get(key) == Some(value)));
            prop_assert!(map.iter().all(|(key, value)| trie.get(key) == Some(value)));
        }
    }

    /// Keys that all hash alike.
    #[derive(Clone, PartialEq, Eq)]
    struct Same(u32);

    impl Hash for Same {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            0_u8.hash(state);
        }
    }

    #[test]
    fn keys_that_all_hash_alike_are_kept_apart() {
        let mut trie = Map::default();
        for key in 0..200 {
            trie.insert(Same(key), key);
        }
        assert!((0..200).all(|key| trie.get(&Same(key)) == Some(&key)));
        assert_eq!(trie.remove(&Same(100)), Some(100));
        assert_eq!(trie.get(&Same(100)), None);
        assert_eq!(trie.len(), 199);
        let trie: Map<Same, u32> = (0..200).map(|key| (Same(key), key)).collect();
        assert!((0..200).all(|key| trie.get(&Same(key)) == Some(&key)));
    }
}
