//! Header fields.

use std::fmt;

/// Bytes, and fields, that cleared headers have room for.
const ROOM: usize = 1 << 10;

/// Header fields in the order in which they came: names in lower case, values in bytes.
///
/// Kept in one piece of memory, so that a copy costs two allocations whatever is in it. Looking something up is
/// O(fields); so is a change.
#[derive(Default, PartialEq, Eq)]
pub struct Headers {
    /// Name, value, name, value …, without anything between them.
    bytes: Vec<u8>,
    /// Where each field's name and value end in `bytes`.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a name and value can be a field: nothing in it would end it where it stands on the wire, and begin
    /// another. Names of pseudo-headers are names here.
    #[must_use]
    pub fn is_field(name: &[u8], value: &[u8]) -> bool {
        let bare = name.strip_prefix(b":").unwrap_or(name);
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let breaks = |byte: &u8| matches!(byte, 0 | b'\r' | b'\n');
        !bare.is_empty() && bare.iter().all(token) && !value.iter().any(breaks)
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all names and values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let name = self.bytes.get(start..name_end).unwrap_or_default();
            let value = self.bytes.get(name_end..value_end).unwrap_or_default();
            start = value_end;
            (name, value)
        })
    }

    /// The value of the first field of this name, whatever its case.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// As [`Headers::get`], when the value is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name.as_bytes()).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Adds a field beside those that have its name.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.extend(name.iter().map(u8::to_ascii_lowercase));
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((name_end, self.bytes.len()));
    }

    /// Takes all fields of this name away and adds this one, at the end; a pseudo-header stays where it was. Nobody can
    /// keep a second value of a name that was set.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        if !name.starts_with(b":") || self.get(name).is_none() {
            self.remove(name);
            self.append(name, value);
            return;
        }
        let before = std::mem::take(self);
        let mut placed = false;
        for (known, old) in before.iter() {
            if !known.eq_ignore_ascii_case(name) {
                self.append(known, old);
            } else if !placed {
                self.append(name, value);
                placed = true;
            }
        }
    }

    /// Takes all fields away, and keeps some of their room for others.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(ROOM);
        self.ends.shrink_to(ROOM);
    }

    /// Takes all fields of this name away.
    pub fn remove(&mut self, name: &[u8]) {
        if self.get(name).is_none() {
            return;
        }
        let before = std::mem::take(self);
        for (known, value) in before.iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name)) {
            self.append(known, value);
        }
    }
}

impl Clone for Headers {
    /// Plugins often add a field or two: there is room for them.
    fn clone(&self) -> Self {
        let mut copy = Self {
            bytes: Vec::with_capacity(self.bytes.len().saturating_add(64)),
            ends: Vec::with_capacity(self.ends.len().saturating_add(2)),
        };
        copy.clone_from(self);
        copy
    }

    fn clone_from(&mut self, other: &Self) {
        self.bytes.clone_from(&other.bytes);
        self.ends.clone_from(&other.ends);
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.append(name.as_ref(), value.as_ref());
        }
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.iter().map(|(name, value)| (name.escape_ascii(), value.escape_ascii()));
        f.debug_map().entries(shown.map(|(name, value)| (name.to_string(), value.to_string()))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_set_has_one_value() {
        let mut headers = Headers::from_iter([("x-a", "1"), ("b", "2"), ("X-A", "3")]);
        headers.set(b"x-A", b"4");
        assert_eq!(headers, Headers::from_iter([("b", "2"), ("x-a", "4")]));
        let mut headers = Headers::from_iter([(":path", "/"), ("b", "2"), (":path", "/x")]);
        headers.set(b":path", b"/y");
        assert_eq!(headers, Headers::from_iter([(":path", "/y"), ("b", "2")]));
    }

    #[test]
    fn fields_keep_their_order_and_their_duplicates() {
        let mut headers = Headers::from_iter([("a", "1"), ("b", "")]);
        headers.append(b"A", b"2");
        headers.remove(b"c");
        assert_eq!(headers.iter().collect::<Vec<_>>().len(), 3);
        assert_eq!(headers.get(b"A"), Some(&b"1"[..]));
        headers.remove(b"a");
        assert_eq!(headers, Headers::from_iter([("b", "")]));
    }
}
