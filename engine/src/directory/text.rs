//! Many short texts with their numbers side by side, in pages that versions of a directory share.

use std::sync::Arc;

use super::index::Index;
use super::rows::Rows;

/// Bits of a position that say where on its page a text is.
const BITS: u32 = 10;
/// Bytes of a page: with what allocators and counts need, a little less than positions could tell apart. Larger pieces of
/// memory are dearer to get and to give back.
const PAGE: usize = 1000;

/// Texts that are added, and never taken out.
#[derive(Debug, Clone, Default)]
struct Texts {
    /// Those that are full: the last one is apart, so that a text costs no more than a copy of it.
    full: Rows<Page, 64>,
    last: Page,
    /// How much of the last page is written on.
    written: usize,
}

#[derive(Debug, Clone)]
struct Page(Arc<[u8; PAGE]>);

impl Default for Page {
    fn default() -> Self {
        Self(Arc::new([0; PAGE]))
    }
}

/// Where a text is.
pub(super) type Position = u32;

impl Texts {
    /// Adds a text; `None`: it is longer than a page, or there is no room for more.
    fn add(&mut self, number: u32, text: &str) -> Option<Position> {
        let head = head(number, u16::try_from(text.len()).ok()?);
        let needed = head.len() + text.len();
        if needed > PAGE {
            return None;
        }
        if self.written + needed > PAGE {
            self.full.set(self.full.end(), std::mem::take(&mut self.last));
            self.written = 0;
        }
        let page = self.full.end();
        if page >= u32::MAX >> BITS {
            return None;
        }
        let at = (page << BITS) | u32::try_from(self.written).ok()?;
        let free = Arc::make_mut(&mut self.last.0).get_mut(self.written..)?;
        let parts = head.iter().chain(text.as_bytes());
        free.iter_mut().zip(parts).for_each(|(free, byte)| *free = *byte);
        self.written += needed;
        Some(at)
    }

    /// The text at a position, after its number. `None`: none begins there.
    fn get(&self, at: Position) -> Option<(u32, &[u8])> {
        let page = match self.full.get(at >> BITS) {
            Some(page) => page,
            None if at >> BITS == self.full.end() => &self.last,
            None => return None,
        };
        let (head, rest) = page.0.get(at as usize & ((1 << BITS) - 1)..)?.split_first_chunk::<HEAD>()?;
        let (number, length) = read(*head)?;
        Some((number, rest.get(..usize::from(length))?))
    }
}

/// On a page, this is before each text, and nowhere else: it is no part of any text in UTF-8, and numbers are written in bytes
/// with seven bits.
const BEGIN: u8 = 0xff;
const HEAD: usize = 8;

/// What is before a text on its page: its number, and its length.
fn head(number: u32, length: u16) -> [u8; HEAD] {
    let all = u64::from(number) | u64::from(length) << 35;
    let mut head = [BEGIN; HEAD];
    let (_, bytes) = head.split_at_mut(1);
    for (byte, shift) in bytes.iter_mut().zip((0..).step_by(7)) {
        *byte = u8::try_from(all >> shift & 0x7f).unwrap_or(0);
    }
    head
}

/// What [`head`] has written; `None`: it has not written this.
fn read(head: [u8; HEAD]) -> Option<(u32, u16)> {
    let [BEGIN, bytes @ ..] = head else { return None };
    let all =
        bytes.iter().rev().try_fold(0, |all, byte| (*byte < 0x80).then(|| all << 7 | u64::from(*byte)))?;
    Some((u32::try_from(all & ((1 << 35) - 1)).ok()?, u16::try_from(all >> 35).ok()?))
}

/// Numbers by text.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// By hash: where texts are.
    index: Index,
    texts: Texts,
}

impl Names {
    /// The number of a text. O(1).
    pub(super) fn number(&self, text: &str) -> Option<u32> {
        let is_it = |at| self.texts.get(at).is_some_and(|(_, own)| own == text.as_bytes());
        let (number, _) = self.texts.get(self.index.find(text, is_it)?)?;
        Some(number)
    }

    /// Sends for what finds a text ([`Index::fetch`]).
    pub(super) fn fetch(&self, text: &str) {
        self.index.fetch(text);
    }

    /// Adds a text that has no number yet; `None`: there is no room.
    pub(super) fn add(&mut self, text: &str, number: u32) -> Option<Position> {
        let at = self.texts.add(number, text)?;
        self.index.add(text, at);
        Some(at)
    }

    /// The text at a position.
    pub(super) fn text(&self, at: Position) -> Option<&str> {
        str::from_utf8(self.texts.get(at)?.1).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_is_found_where_it_was_put(texts in prop::collection::vec("[a-z/]{0,200}", 0..40)) {
            let mut all = Texts::default();
            let positions: Vec<Position> = texts.iter().zip(0..).map(|(text, number)| all.add(number, text).unwrap()).collect();
            for ((text, number), at) in texts.iter().zip(0..).zip(positions) {
                prop_assert_eq!(all.get(at), Some((number, text.as_bytes())));
            }
        }

        #[test]
        fn a_text_is_found_nowhere_but_where_it_begins(
            texts in prop::collection::vec(("\\PC{0,60}", any::<u32>()), 1..30),
        ) {
            let mut all = Texts::default();
            let positions: Vec<Position> = texts.iter().map(|(text, number)| all.add(*number, text).unwrap()).collect();
            let end = (all.full.end() + 2) << BITS;
            prop_assert!((0..end).filter(|at| all.get(*at).is_some()).eq(positions));
        }
    }

    #[test]
    fn what_does_not_fit_on_a_page_is_not_taken() {
        let mut all = Texts::default();
        assert!(all.add(0, &"a".repeat(PAGE - HEAD)).is_some());
        assert_eq!(all.add(0, &"a".repeat(PAGE - HEAD + 1)), None);
        assert_eq!(all.add(0, &"a".repeat(1 << 16)), None);
    }
}
