//! A persistent hash map: cloning it is O(1), and a clone never sees later changes.
//!
//! The directory publishes a whole new version of itself at every revision while readers go on with
//! the one they hold, so its maps must share what did not change. Small leaves keep the cost of an
//! entry near that of a plain table; a change copies one path of at most a few leaves and branches.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

/// Entries that a leaf holds before it splits.
const LEAF: usize = 24;
/// Bits of the hash that one level of branches uses.
const BITS: u32 = 4;
const FAN: usize = 1 << BITS;

#[derive(Debug, Clone)]
pub(crate) struct Trie<K, V> {
    root: Arc<Node<K, V>>,
    len: usize,
    hasher: RandomState,
}

#[derive(Debug, Clone)]
enum Node<K, V> {
    Leaf(Vec<Slot<K, V>>),
    Branch(Box<[Arc<Node<K, V>>; FAN]>),
}

#[derive(Debug, Clone)]
struct Slot<K, V> {
    hash: u64,
    key: K,
    value: V,
}

impl<K, V> Default for Trie<K, V> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0, hasher: RandomState::new() }
    }
}

/// Which child holds `hash` at the level that uses the bits from `shift` on.
fn child(hash: u64, shift: u32) -> usize {
    (hash.wrapping_shr(shift) as usize) & (FAN - 1)
}

impl<K, V> Trie<K, V> {
    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All entries, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut stack = vec![&*self.root];
        let mut slots: std::slice::Iter<'_, Slot<K, V>> = [].iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(slot) = slots.next() {
                    return Some((&slot.key, &slot.value));
                }
                match stack.pop()? {
                    Node::Leaf(entries) => slots = entries.iter(),
                    Node::Branch(children) => stack.extend(children.iter().map(|node| &**node)),
                }
            }
        })
    }

    /// All keys, in no order that means anything.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Trie<K, V> {
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The entry's key, as stored, and its value. O(1): at most 16 levels, five at a million entries.
    pub(crate) fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(key);
        let (mut node, mut shift) = (&self.root, 0);
        loop {
            match &**node {
                Node::Leaf(slots) => {
                    let slot = slots.iter().find(|slot| slot.hash == hash && slot.key.borrow() == key)?;
                    return Some((&slot.key, &slot.value));
                }
                Node::Branch(children) => node = children.get(child(hash, shift))?,
            }
            shift += BITS;
        }
    }

    /// The entry's value.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// Whether there is an entry with this key.
    pub(crate) fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get(key).is_some()
    }

    /// The entry's value, to be changed in this version of the map alone.
    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(key);
        let (mut node, mut shift) = (&mut self.root, 0);
        loop {
            match Arc::make_mut(node) {
                Node::Leaf(slots) => {
                    let slot = slots.iter_mut().find(|slot| slot.hash == hash && slot.key.borrow() == key)?;
                    return Some(&mut slot.value);
                }
                Node::Branch(children) => node = children.get_mut(child(hash, shift))?,
            }
            shift += BITS;
        }
    }

    /// Puts an entry in, over any with the same key, and returns the value that was there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hash(&key);
        let (mut node, mut shift) = (&mut self.root, 0);
        loop {
            let inner = Arc::make_mut(node);
            if let Node::Leaf(slots) = inner
                && slots.len() >= LEAF
                && shift < u64::BITS
                && !slots.iter().any(|slot| slot.hash == hash && slot.key == key)
            {
                *inner = split(std::mem::take(slots), shift);
            }
            match inner {
                Node::Leaf(slots) => {
                    if let Some(slot) = slots.iter_mut().find(|slot| slot.hash == hash && slot.key == key) {
                        return Some(std::mem::replace(&mut slot.value, value));
                    }
                    slots.reserve_exact(1);
                    slots.push(Slot { hash, key, value });
                    self.len += 1;
                    return None;
                }
                Node::Branch(children) => match children.get_mut(child(hash, shift)) {
                    Some(next) => node = next,
                    None => return None,
                },
            }
            shift += BITS;
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if !self.contains_key(key) {
            return None;
        }
        let hash = self.hash(key);
        let (mut node, mut shift) = (&mut self.root, 0);
        loop {
            match Arc::make_mut(node) {
                Node::Leaf(slots) => {
                    let at = slots.iter().position(|slot| slot.hash == hash && slot.key.borrow() == key)?;
                    self.len -= 1;
                    return Some(slots.swap_remove(at).value);
                }
                Node::Branch(children) => node = children.get_mut(child(hash, shift))?,
            }
            shift += BITS;
        }
    }
}

/// Makes a map of entries whose keys differ, faster than by inserting them.
impl<K: Hash, V> FromIterator<(K, V)> for Trie<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let hasher = RandomState::new();
        let slot = |(key, value)| Slot { hash: hasher.hash_one(&key), key, value };
        let slots: Vec<Slot<K, V>> = entries.into_iter().map(slot).collect();
        Self { len: slots.len(), root: Arc::new(grown(slots, 0)), hasher }
    }
}

/// Entries, however many, as a node.
fn grown<K, V>(mut slots: Vec<Slot<K, V>>, shift: u32) -> Node<K, V> {
    if slots.len() <= LEAF || shift >= u64::BITS {
        slots.shrink_to_fit();
        return Node::Leaf(slots);
    }
    let parts = parted(slots, shift);
    Node::Branch(Box::new(parts.map(|part| Arc::new(grown(part, shift + BITS)))))
}

/// Entries by the child that holds them.
fn parted<K, V>(slots: Vec<Slot<K, V>>, shift: u32) -> [Vec<Slot<K, V>>; FAN] {
    let mut parts: [Vec<Slot<K, V>>; FAN] = std::array::from_fn(|_| Vec::new());
    for slot in slots {
        if let Some(part) = parts.get_mut(child(slot.hash, shift)) {
            part.push(slot);
        }
    }
    parts
}

/// A full leaf as a branch over leaves. INVARIANT: a leaf below `shift` bits holds only hashes that
/// agree in those bits; with all bits used it may grow without limit (equal hashes).
fn split<K, V>(slots: Vec<Slot<K, V>>, shift: u32) -> Node<K, V> {
    Node::Branch(Box::new(parted(slots, shift).map(|mut leaf| {
        leaf.shrink_to_fit();
        Arc::new(Node::Leaf(leaf))
    })))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_trie_is_a_map_and_its_clones_stand_still(
            ops in prop::collection::vec((any::<u16>(), any::<Option<u8>>()), 0..600),
            cut in 0_usize..600,
        ) {
            let (mut trie, mut map) = (Trie::default(), HashMap::new());
            let mut kept = None;
            for (index, (key, value)) in ops.into_iter().enumerate() {
                if index == cut {
                    kept = Some((trie.clone(), map.clone()));
                }
                let key = key % 400;
                match value {
                    Some(value) => prop_assert_eq!(trie.insert(key, value), map.insert(key, value)),
                    None => prop_assert_eq!(trie.remove(&key), map.remove(&key)),
                }
                if let Some(value) = trie.get_mut(&7) {
                    *value = value.wrapping_add(1);
                    *map.get_mut(&7).unwrap() += 0;
                    map.insert(7, *value);
                }
            }
            let same = |trie: &Trie<u16, u8>, map: &HashMap<u16, u8>| {
                trie.len() == map.len()
                    && trie.iter().all(|(key, value)| map.get(key) == Some(value))
                    && map.keys().all(|key| trie.contains_key(key))
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
            let mut trie: Trie<u16, u8> = entries.clone().into_iter().collect();
            let mut map = entries;
            for (key, value) in more {
                prop_assert_eq!(trie.insert(key, value), map.insert(key, value));
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
        let mut trie = Trie::default();
        for key in 0..200 {
            trie.insert(Same(key), key);
        }
        assert!((0..200).all(|key| trie.get(&Same(key)) == Some(&key)));
        assert_eq!(trie.remove(&Same(100)), Some(100));
        assert_eq!(trie.get(&Same(100)), None);
        assert_eq!(trie.len(), 199);
        let trie: Trie<Same, u32> = (0..200).map(|key| (Same(key), key)).collect();
        assert!((0..200).all(|key| trie.get(&Same(key)) == Some(&key)));
    }
}
