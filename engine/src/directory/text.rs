//! Many short texts with their numbers side by side, in pages that versions of a directory share.

use std::sync::Arc;

use super::rows::Rows;
use super::trie::Index;

/// Bits of a position that say where on its page a text is.
const BITS: u32 = 10;
const PAGE: usize = 1 << BITS;

/// Texts that are added, and never taken out.
#[derive(Debug, Clone, Default)]
struct Texts {
    pages: Rows<Page, 4>,
    /// How much of the last page is written on.
    written: usize,
}

type Page = Arc<[u8; PAGE]>;

/// Where a text is.
pub(super) type Position = u32;

impl Texts {
    /// Adds a text; `None`: it is longer than a page, or there is no room for more. On the page, its number and its length
    /// are before it.
    fn add(&mut self, number: u32, text: &str) -> Option<Position> {
        let (number, length) = (number.to_le_bytes(), u16::try_from(text.len()).ok()?.to_le_bytes());
        let needed = number.len() + length.len() + text.len();
        if needed > PAGE {
            return None;
        }
        if self.pages.end() == 0 || self.written + needed > PAGE {
            self.pages.set(self.pages.end(), Arc::new([0; PAGE]));
            self.written = 0;
        }
        let page = self.pages.end() - 1;
        if page >= u32::MAX >> BITS {
            return None;
        }
        let at = (page << BITS) | u32::try_from(self.written).ok()?;
        let parts = number.iter().chain(&length).chain(text.as_bytes());
        let free = Arc::make_mut(self.pages.get_mut(page)?).get_mut(self.written..)?;
        free.iter_mut().zip(parts).for_each(|(free, byte)| *free = *byte);
        self.written += needed;
        Some(at)
    }

    /// The text at a position, after its number.
    fn get(&self, at: Position) -> Option<(u32, &[u8])> {
        let page = self.pages.get(at >> BITS)?;
        let (number, rest) = page.get(at as usize & (PAGE - 1)..)?.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        Some((u32::from_le_bytes(*number), rest.get(..usize::from(u16::from_le_bytes(*length)))?))
    }
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
    }

    #[test]
    fn what_does_not_fit_on_a_page_is_not_taken() {
        let mut all = Texts::default();
        assert!(all.add(0, &"a".repeat(PAGE - 6)).is_some());
        assert_eq!(all.add(0, &"a".repeat(PAGE - 5)), None);
        assert_eq!(all.add(0, &"a".repeat(1 << 16)), None);
    }
}
