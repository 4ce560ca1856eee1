use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::id::check_chosen;
use super::text::parsed;
use super::{EndUserId, IdError, InstallerId, OperatorId};

/// An entity's name in Cedar's form: `Device::"cam-7"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid {
    type_name: Box<str>,
    id: Box<str>,
}

/// An entity's name, borrowed: its type, and its id without quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UidRef<'a> {
    /// The entity's type, such as `Device`.
    pub type_name: &'a str,
    /// The entity's id, such as `cam-7`.
    pub id: &'a str,
}

impl<'a> UidRef<'a> {
    /// The name of an entity of this type with this id.
    #[must_use]
    pub fn new(type_name: &'a str, id: &'a str) -> Self {
        Self { type_name, id }
    }
}

impl<'a> From<&'a Uid> for UidRef<'a> {
    fn from(uid: &'a Uid) -> Self {
        Self::new(uid.type_name(), uid.id())
    }
}

impl From<UidRef<'_>> for Uid {
    fn from(uid: UidRef<'_>) -> Self {
        Self::new(uid.type_name, uid.id)
    }
}

/// Why a text is not a Cedar entity uid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UidError {
    /// Not of the form `Type::"id"`.
    #[error("`{0}` is not of the form Type::\"id\"")]
    Form(String),
    /// The id between the quotes is not one.
    #[error("in `{0}`: {1}")]
    Id(String, IdError),
    /// Well-formed, of a type that cannot act.
    #[error("`{0}` cannot act: a principal is an Installer, an EndUser or an Operator")]
    Type(String),
}

impl Uid {
    /// The uid of an entity of this type with this id. Any text is an id here; Cedar escapes it.
    #[must_use]
    pub fn new(type_name: &str, id: &str) -> Self {
        Self { type_name: type_name.into(), id: id.into() }
    }

    /// As [`Uid::new`], of texts that are at hand.
    #[must_use]
    pub fn from_parts(type_name: String, id: String) -> Self {
        Self { type_name: type_name.into(), id: id.into() }
    }

    /// The entity's type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The entity's id, without quotes.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::\"{}\"", self.type_name, self.id.escape_debug())
    }
}

impl FromStr for Uid {
    type Err = UidError;

    fn from_str(text: &str) -> Result<Self, UidError> {
        let form = || UidError::Form(text.to_owned());
        let (type_name, rest) = text.split_once("::\"").ok_or_else(form)?;
        let id = rest.strip_suffix('"').ok_or_else(form)?;
        let is_name = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if !type_name.split("::").all(is_name) {
            return Err(form());
        }
        // The ids of grants hold `/`; every other id is of the chosen form.
        let most = if type_name == "Grant" { 3 } else { 1 };
        let wrong = |error| UidError::Id(text.to_owned(), error);
        if id.split('/').count() > most {
            return Err(wrong(IdError::Character('/')));
        }
        id.split('/').try_for_each(check_chosen).map_err(wrong)?;
        Ok(Self::new(type_name, id))
    }
}

impl Serialize for Uid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// Who acts: the principal of a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// Somebody who runs the platform.
    Operator(OperatorId),
    /// An employee of a company of installers.
    Installer(InstallerId),
    /// An account on the owners' platform.
    EndUser(EndUserId),
}

impl Principal {
    /// The principal's Cedar uid.
    #[must_use]
    pub fn uid(&self) -> Uid {
        let (type_name, id) = self.parts();
        Uid::new(type_name, id)
    }

    pub(crate) fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Operator(id) => ("Operator", id.as_str()),
            Self::Installer(id) => ("Installer", id.as_str()),
            Self::EndUser(id) => ("EndUser", id.as_str()),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (type_name, id) = self.parts();
        [type_name, "::\"", id, "\""].into_iter().try_for_each(|part| f.write_str(part))
    }
}

impl FromStr for Principal {
    type Err = UidError;

    fn from_str(text: &str) -> Result<Self, UidError> {
        let uid: Uid = text.parse()?;
        let id = |error| UidError::Id(text.to_owned(), error);
        Ok(match uid.type_name() {
            "Operator" => Self::Operator(uid.id().parse().map_err(id)?),
            "Installer" => Self::Installer(uid.id().parse().map_err(id)?),
            "EndUser" => Self::EndUser(uid.id().parse().map_err(id)?),
            _ => return Err(UidError::Type(text.to_owned())),
        })
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_read_in_cedars_form_only() {
        let uid: Uid = r#"Device::"cam-7""#.parse().unwrap();
        assert_eq!((uid.type_name(), uid.id()), ("Device", "cam-7"));
        assert_eq!(uid.to_string(), r#"Device::"cam-7""#);
        let colons: Uid = r#"Device::"a::b""#.parse().unwrap();
        assert_eq!(colons.id(), "a::b");
        assert!(r#"Grant::"a/liveView/b""#.parse::<Uid>().is_ok());
        for bad in [
            "cam-7",
            "Device::cam-7",
            r#"Device::"""#,
            r#"::"a""#,
            r#"Device::"a b""#,
            r#"De vice::"a""#,
            r#"Device::"a"#,
        ] {
            assert!(bad.parse::<Uid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_three_types_act() {
        assert!(r#"Installer::"ivan""#.parse::<Principal>().is_ok());
        assert!(r#"Device::"cam""#.parse::<Principal>().is_err());
        assert!(r#"Installer::"a/b""#.parse::<Principal>().is_err());
    }
}
