//! What plugins with one `vm_id` share: data, and queues.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use crate::slot::{Slot, lock};

/// The shares of a host, by `vm_id`.
#[derive(Default)]
pub(crate) struct Shares {
    all: Mutex<HashMap<String, Weak<Share>>>,
}

impl Shares {
    /// The share of this `vm_id`: there from when the first plugin has it until the last has gone.
    pub(crate) fn of(&self, vm_id: &str, limit: usize) -> Arc<Share> {
        let mut all = lock(&self.all);
        all.retain(|_, share| share.strong_count() > 0);
        if let Some(share) = all.get(vm_id).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(Share { limit, inner: Mutex::default() });
        all.insert(vm_id.to_owned(), Arc::downgrade(&share));
        share
    }
}

/// What plugins with one `vm_id` share.
pub(crate) struct Share {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    bytes: usize,
    data: HashMap<Vec<u8>, (Vec<u8>, u32)>,
    /// The number of the last change: what the next comparison is made with.
    changes: u32,
    queues: Vec<Queue>,
}

/// What an entry takes beside its bytes, more or less: many small ones have an end, too.
const ENTRY: usize = 64;

struct Queue {
    name: Vec<u8>,
    items: VecDeque<Vec<u8>>,
    /// Who is told of what comes.
    reader: Weak<Slot>,
}

/// Why something was not shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotShared {
    /// It was changed in between.
    Mismatch,
    /// There is no room.
    Full,
    /// There is no such queue.
    Unknown,
    /// The queue is empty.
    Empty,
}

impl Share {
    /// A value, and the number to change it with.
    pub(crate) fn get(&self, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        lock(&self.inner).data.get(key).cloned()
    }

    /// Sets a value if its number is still `cas`, or whatever it is when `cas` is 0.
    pub(crate) fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), NotShared> {
        let mut inner = lock(&self.inner);
        let (old, number) =
            inner.data.get(key).map_or((0, 0), |(old, number)| (ENTRY + key.len() + old.len(), *number));
        if cas != 0 && cas != number {
            return Err(NotShared::Mismatch);
        }
        let bytes = inner.bytes - old + ENTRY + key.len() + value.len();
        if bytes > self.limit {
            return Err(NotShared::Full);
        }
        inner.bytes = bytes;
        // 0 means "whatever it is".
        inner.changes = inner.changes.wrapping_add(1).max(1);
        let number = inner.changes;
        inner.data.insert(key.to_owned(), (value.to_owned(), number));
        Ok(())
    }

    /// Opens or makes a queue, and has `reader` told of what comes.
    pub(crate) fn register(&self, name: &[u8], reader: Weak<Slot>) -> Result<u32, NotShared> {
        let mut inner = lock(&self.inner);
        let place = inner.queues.iter().position(|queue| queue.name == name);
        if let Some(queue) = place.and_then(|place| inner.queues.get_mut(place)) {
            queue.reader = reader;
        } else {
            inner.bytes += ENTRY + name.len();
            if inner.bytes > self.limit {
                inner.bytes -= ENTRY + name.len();
                return Err(NotShared::Full);
            }
            inner.queues.push(Queue { name: name.to_owned(), items: VecDeque::new(), reader });
        }
        Ok(number(place.unwrap_or(inner.queues.len() - 1)))
    }

    /// The queue of this name, if there is one.
    pub(crate) fn resolve(&self, name: &[u8]) -> Option<u32> {
        lock(&self.inner).queues.iter().position(|queue| queue.name == name).map(number)
    }

    /// Puts something into a queue. The answer: who is to be told.
    pub(crate) fn enqueue(&self, queue: u32, value: &[u8]) -> Result<Weak<Slot>, NotShared> {
        let mut inner = lock(&self.inner);
        let bytes = inner.bytes + ENTRY + value.len();
        let queue = place(queue).and_then(|place| inner.queues.get_mut(place)).ok_or(NotShared::Unknown)?;
        if bytes > self.limit {
            return Err(NotShared::Full);
        }
        queue.items.push_back(value.to_owned());
        let reader = queue.reader.clone();
        inner.bytes = bytes;
        Ok(reader)
    }

    /// Takes the oldest out of a queue.
    pub(crate) fn dequeue(&self, queue: u32) -> Result<Vec<u8>, NotShared> {
        let mut inner = lock(&self.inner);
        let queue = place(queue).and_then(|place| inner.queues.get_mut(place)).ok_or(NotShared::Unknown)?;
        let value = queue.items.pop_front().ok_or(NotShared::Empty)?;
        inner.bytes -= ENTRY + value.len();
        Ok(value)
    }
}

/// Queues are numbered from 1 on.
fn number(place: usize) -> u32 {
    u32::try_from(place + 1).unwrap_or(u32::MAX)
}

fn place(number: u32) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share() -> Arc<Share> {
        Shares::default().of("vm", 2 * ENTRY + 20)
    }

    #[test]
    fn a_value_changed_in_between_is_not_overwritten() {
        let share = share();
        assert_eq!(share.set(b"k", b"1", 5), Err(NotShared::Mismatch));
        share.set(b"k", b"1", 0).unwrap();
        let (_, number) = share.get(b"k").unwrap();
        share.set(b"k", b"2", number).unwrap();
        assert_eq!(share.set(b"k", b"3", number), Err(NotShared::Mismatch));
        assert_eq!(share.get(b"k").unwrap().0, b"2");
    }

    #[test]
    fn what_is_shared_has_an_end() {
        let share = share();
        share.set(b"k", &[0; 19 + ENTRY], 0).unwrap();
        assert_eq!(share.set(b"l", b"1", 0), Err(NotShared::Full));
        share.set(b"k", b"", 0).unwrap();
        share.set(b"l", b"", 0).unwrap();
        assert_eq!(share.set(b"m", b"", 0), Err(NotShared::Full));
        let share = Shares::default().of("other", 2 * ENTRY + 20);
        let queue = share.register(b"q", Weak::new()).unwrap();
        assert!(share.enqueue(queue, &[0; 19]).is_ok());
        assert!(matches!(share.enqueue(queue, b""), Err(NotShared::Full)));
        assert_eq!(share.dequeue(queue).unwrap().len(), 19);
        assert_eq!(share.dequeue(queue), Err(NotShared::Empty));
        assert_eq!(share.dequeue(queue + 1), Err(NotShared::Unknown));
        assert_eq!(share.register(b"q", Weak::new()), Ok(queue));
    }
}
