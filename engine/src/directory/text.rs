//! Many short texts side by side, in pages that versions of a directory share.

use std::sync::Arc;

use super::rows::Rows;

/// Bits of a position that say where on its page a text is.
const BITS: u32 = 12;
const PAGE: usize = 1 << BITS;

/// Texts that are added, and never taken out.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    full: Rows<Arc<[u8]>, 4>,
    /// The page that the next text goes on.
    open: Arc<Vec<u8>>,
}

/// Where a text is.
pub(super) type Position = u32;

impl Texts {
    /// Adds a text; `None`: it is longer than a page, or there is no room for more. On the page, its length is before it.
    pub(super) fn add(&mut self, text: &str) -> Option<Position> {
        let length = u16::try_from(text.len()).ok()?.to_le_bytes();
        let needed = length.len() + text.len();
        if needed > PAGE {
            return None;
        }
        if self.open.len() + needed > PAGE {
            let page = std::mem::take(&mut self.open);
            self.full.set(self.full.end(), page.as_slice().into());
        }
        let page = self.full.end();
        if page >= u32::MAX >> BITS {
            return None;
        }
        let at = (page << BITS) | u32::try_from(self.open.len()).ok()?;
        let open = Arc::make_mut(&mut self.open);
        open.extend_from_slice(&length);
        open.extend_from_slice(text.as_bytes());
        Some(at)
    }

    /// The text at a position.
    pub(super) fn get(&self, at: Position) -> Option<&[u8]> {
        let page: &[u8] = match at >> BITS {
            page if page == self.full.end() => &self.open,
            page => self.full.get(page)?,
        };
        let (length, rest) = page.get(at as usize & (PAGE - 1)..)?.split_first_chunk::<2>()?;
        rest.get(..usize::from(u16::from_le_bytes(*length)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_is_found_where_it_was_put(texts in prop::collection::vec("[a-z/]{0,200}", 0..200)) {
            let mut all = Texts::default();
            let positions: Vec<Position> = texts.iter().map(|text| all.add(text).unwrap()).collect();
            for (text, at) in texts.iter().zip(positions) {
                prop_assert_eq!(all.get(at), Some(text.as_bytes()));
            }
        }
    }

    #[test]
    fn what_does_not_fit_on_a_page_is_not_taken() {
        let mut all = Texts::default();
        assert!(all.add(&"a".repeat(PAGE - 2)).is_some());
        assert_eq!(all.add(&"a".repeat(PAGE - 1)), None);
        assert_eq!(all.add(&"a".repeat(1 << 16)), None);
    }
}
