//! How proxy-wasm puts header fields into bytes: the number of fields, the lengths of each name and value, then names
//! and values, each followed by a zero byte (proxy-wasm 0.2.1, Serialization). All integers are little-endian.

use crate::http::Headers;

/// Appends the fields to `out`.
pub(super) fn write(headers: &Headers, out: &mut Vec<u8>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    out.extend(u32::try_from(headers.len()).unwrap_or(u32::MAX).to_le_bytes());
    for (name, value) in headers.iter() {
        out.extend(length(name));
        out.extend(length(value));
    }
    for (name, value) in headers.iter() {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
}

/// How many bytes [`write()`] appends.
pub(super) fn size(headers: &Headers) -> usize {
    4 + headers.len() * 10 + headers.size()
}

/// Reads fields. `None`: the bytes are none, or they are more than `limit`. No bytes, or one zero byte, are no fields.
pub(super) fn read(bytes: &[u8], limit: usize) -> Option<Headers> {
    if matches!(bytes, [] | [0]) {
        return Some(Headers::new());
    }
    let (count, rest) = number(bytes)?;
    if count > limit || count > rest.len() / 8 {
        return None;
    }
    let (mut lengths, mut content) = rest.split_at_checked(count * 8)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let (name_length, after) = number(lengths)?;
        let (value_length, after) = number(after)?;
        lengths = after;
        let (name, after) = text(content, name_length)?;
        let (value, after) = text(after, value_length)?;
        content = after;
        headers.append(name, value);
    }
    content.is_empty().then_some(headers)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

/// So many bytes, and the zero after them.
fn text(bytes: &[u8], length: usize) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(length)?;
    Some((text, rest.strip_prefix(&[0])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_specification_has_them() {
        let mut bytes = Vec::new();
        let headers = Headers::from_iter([("a", "1"), ("b", "22")]);
        write(&headers, &mut bytes);
        let lengths = [2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0];
        assert_eq!(bytes, [&lengths[..], b"a\x001\0b\x0022\0"].concat());
        assert_eq!(bytes.len(), size(&headers));
        assert_eq!(read(&bytes, 2), Some(headers));
        assert_eq!(read(&bytes, 1), None);
    }

    #[test]
    fn nothing_is_read_from_bytes_that_are_none() {
        assert_eq!(read(&[], 9), Some(Headers::new()));
        assert_eq!(read(&[0], 9), Some(Headers::new()));
        assert_eq!(read(&[0, 0, 0, 0], 9), Some(Headers::new()));
        let mut bytes = Vec::new();
        write(&Headers::from_iter([("a", "1")]), &mut bytes);
        for cut in 2..bytes.len() {
            assert_eq!(read(&bytes[..cut], 9), None, "{cut}");
        }
        assert_eq!(read(&[255, 255, 255, 255, 0, 0, 0, 0], usize::MAX), None);
        bytes.push(0);
        assert_eq!(read(&bytes, 9), None);
    }
}
