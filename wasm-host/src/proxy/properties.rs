//! Properties: what a plugin can look up by a path (proxy-wasm 0.2.1, Properties). Numbers are eight bytes,
//! little-endian; all else is text.

use std::net::SocketAddr;

use super::state::State;
use crate::http::Headers;

/// What a request's own properties may take together.
const LIMIT: usize = 64 << 10;

/// Bytes of a path.
const PATH: usize = 1_024;

/// Appends the value of a property to `out`; false: there is none.
pub(super) fn get(state: &mut State, path: &[u8], out: &mut Vec<u8>) -> bool {
    if path.len() > PATH {
        return false;
    }
    let path = path.strip_suffix(&[0]).unwrap_or(path);
    if let Some(part) = state.part()
        && let Some((_, value)) = part.properties.iter().find(|(known, _)| known == path)
    {
        out.extend_from_slice(value);
        return true;
    }
    let steps: Vec<&[u8]> = path.split(|byte| *byte == 0).collect();
    let settings = state.around.settings.clone();
    let text = match steps.as_slice() {
        [b"plugin_name"] => state.around.name.as_bytes().to_owned(),
        [b"plugin_root_id"] => settings.root_id.as_bytes().to_owned(),
        [b"plugin_vm_id"] => {
            settings.vm_id.as_ref().map_or(&*state.around.name, |id| id).as_bytes().to_owned()
        }
        [b"request", rest @ ..] => return request(state, rest, out).is_some(),
        [b"response", rest @ ..] => return response(state, rest, out).is_some(),
        [b"source", which] => {
            return address(state.part().and_then(|part| part.connection.source), which, out);
        }
        [b"destination", which] => {
            return address(state.part().and_then(|part| part.connection.destination), which, out);
        }
        _ => return false,
    };
    out.extend(text);
    true
}

/// Keeps a property for this request; false: there is no room, or no request.
pub(super) fn set(state: &mut State, path: &[u8], value: &[u8]) -> bool {
    let path = path.strip_suffix(&[0]).unwrap_or(path);
    let Some(part) = state.part() else { return false };
    let others = part.properties.iter().filter(|(known, _)| known != path);
    let taken: usize = others.map(|(known, value)| known.len() + value.len()).sum();
    if taken + path.len() + value.len() > LIMIT {
        return false;
    }
    part.properties.retain(|(known, _)| known != path);
    part.properties.push((path.to_owned(), value.to_owned()));
    true
}

fn request(state: &mut State, path: &[&[u8]], out: &mut Vec<u8>) -> Option<()> {
    let part = state.part()?;
    let headers = part.request.headers.as_ref()?;
    let value = match path {
        [b"path"] => headers.get(b":path")?,
        [b"url_path"] => headers.get(b":path")?.split(|byte| *byte == b'?').next()?,
        [b"query"] => headers.get(b":path")?.splitn(2, |byte| *byte == b'?').nth(1)?,
        [b"method"] => headers.get(b":method")?,
        [b"host"] => headers.get(b":authority")?,
        [b"scheme"] => headers.get(b":scheme")?,
        [b"referer"] => headers.get(b"referer")?,
        [b"useragent"] => headers.get(b"user-agent")?,
        [b"id"] => headers.get(b"x-request-id")?,
        [b"headers", name] => return joined(headers, name, out),
        [b"size"] => {
            out.extend(part.request.body_bytes.to_le_bytes());
            return Some(());
        }
        [b"protocol"] => part.connection.protocol?.as_bytes(),
        _ => return None,
    };
    out.extend_from_slice(value);
    Some(())
}

fn response(state: &mut State, path: &[&[u8]], out: &mut Vec<u8>) -> Option<()> {
    let headers = state.part()?.response.headers.as_ref()?;
    match path {
        [b"code"] => {
            let code: i64 = headers.text(":status")?.parse().ok()?;
            out.extend(code.to_le_bytes());
        }
        [b"headers", name] => return joined(headers, name, out),
        _ => return None,
    }
    Some(())
}

/// All values of this name, with commas between them.
fn joined(headers: &Headers, name: &[u8], out: &mut Vec<u8>) -> Option<()> {
    headers.get(name)?;
    for (place, (_, value)) in
        headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).enumerate()
    {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(value);
    }
    Some(())
}

fn address(address: Option<SocketAddr>, which: &[u8], out: &mut Vec<u8>) -> bool {
    match (address, which) {
        (Some(address), b"address") => out.extend(address.to_string().into_bytes()),
        (Some(address), b"port") => out.extend(i64::from(address.port()).to_le_bytes()),
        _ => return false,
    }
    true
}
