//! Says what a request stands for, and nothing else: the gateway asks Consentry, and refuses.
//!
//! Who asks is read from the header `x-installer`. Something in front of this plugin must have found out, and must
//! overwrite what a client sends under that name.

wit_bindgen::generate!({ world: "mapping", path: "../../wit" });

use consentry::gateway::access::Entity;
use consentry::gateway::headers;

struct Mapping;

export!(Mapping);

impl Guest for Mapping {
    fn access_request_of(head: RequestHead) -> Option<AccessRequest> {
        let installer = only("x-installer")?;
        // `/sites/{site}/devices/{device}/live`
        let path = head.path.split_once('?').map_or(head.path.as_str(), |(path, _query)| path);
        let mut parts = path.strip_prefix("/sites/")?.split('/');
        let _site = id(parts.next()?)?;
        let ("devices", device) = (parts.next()?, id(parts.next()?)?) else { return None };
        let action = match (parts.next()?, parts.next()) {
            ("live", None) => "liveView",
            ("playback", None) => "playback",
            ("configure", None) => "configure",
            _ => return None,
        };
        Some(AccessRequest {
            principal: Entity { entity_type: "Installer".to_owned(), id: id(&installer)?.to_owned() },
            action: action.to_owned(),
            resource: Entity { entity_type: "Device".to_owned(), id: device.to_owned() },
            context: Vec::new(),
            at_least: None,
        })
    }
}

/// The value of a header that is there once; of two, nobody knows which counts.
fn only(name: &str) -> Option<String> {
    let [value] = <[Vec<u8>; 1]>::try_from(headers::get(name)).ok()?;
    String::from_utf8(value).ok()
}

/// Consentry's ids are of these characters, so that nothing is escaped; `.` and `..` are no ids in a path.
fn id(text: &str) -> Option<&str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@:+".contains(c);
    let dots = text == "." || text == "..";
    ((1..=128).contains(&text.len()) && text.chars().all(fits) && !dots).then_some(text)
}
