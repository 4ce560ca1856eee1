//! A request that a gateway asks about.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::serve::callers::OF_GATEWAYS;

/// The headers of a request, whatever brought them.
pub(crate) trait Headers {
    /// The value of a header; `None`: it is not there, there more than once, or no text.
    fn one(&self, name: &str) -> Option<&str>;

    /// Whether there is such a header, of whatever value.
    fn has(&self, name: &str) -> bool;

    /// Shows every header.
    fn each(&self, see: &mut dyn FnMut(&str, &[u8]));
}

impl Headers for axum::http::HeaderMap {
    fn one(&self, name: &str) -> Option<&str> {
        let mut all = self.get_all(name).iter();
        let first = all.next()?.to_str().ok()?;
        all.next().is_none().then_some(first)
    }

    fn has(&self, name: &str) -> bool {
        self.contains_key(name)
    }

    fn each(&self, see: &mut dyn FnMut(&str, &[u8])) {
        self.iter().for_each(|(name, value)| see(name.as_str(), value.as_bytes()));
    }
}

impl Headers for consentry_wasm_host::Headers {
    fn one(&self, name: &str) -> Option<&str> {
        let mut all = self.iter().filter(|(own, _)| *own == name.as_bytes());
        let (_, first) = all.next()?;
        all.next().is_none().then(|| std::str::from_utf8(first).ok()).flatten()
    }

    fn has(&self, name: &str) -> bool {
        self.get(name.as_bytes()).is_some()
    }

    fn each(&self, see: &mut dyn FnMut(&str, &[u8])) {
        let fields = self.iter().filter(|(name, _)| !name.starts_with(b":"));
        fields.for_each(|(name, value)| see(&String::from_utf8_lossy(name), value));
    }
}

/// A request that a gateway asks about.
#[derive(Clone, Copy)]
pub(crate) struct GatewayRequest<'a> {
    pub(crate) method: &'a str,
    /// Path and query, as they were sent.
    pub(crate) target: &'a str,
    pub(crate) headers: &'a dyn Headers,
}

impl GatewayRequest<'_> {
    /// The path alone.
    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// A value of the query; `None`: it is not there, or more than once.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = serde_urlencoded::from_str(query).ok()?;
        let mut found = pairs.into_iter().filter(|(own, _)| own == name);
        let (_, value) = found.next()?;
        found.next().is_none().then(|| value.into_owned())
    }

    /// A header; `None`: it is not there, or more than once, or says by what the gateway is known.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        (!name.eq_ignore_ascii_case(OF_GATEWAYS)).then(|| self.headers.one(name)).flatten()
    }
}

/// What is known of whoever asks: verified, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Identity(pub(crate) Map<String, Value>);

impl Identity {
    /// A value as text; `realm.role` is `role` in the object `realm`, where there is no value of the whole name.
    pub(crate) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        fn text(value: &Value) -> Option<Cow<'_, str>> {
            match value {
                Value::String(text) => Some(Cow::Borrowed(text)),
                Value::Bool(value) => Some(Cow::Owned(value.to_string())),
                Value::Number(number) => Some(Cow::Owned(number.to_string())),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            }
        }
        if let Some(value) = self.0.get(name) {
            return text(value);
        }
        let mut inner = &self.0;
        let (path, last) = name.rsplit_once('.')?;
        for part in path.split('.') {
            inner = inner.get(part)?.as_object()?;
        }
        text(inner.get(last)?)
    }
}
