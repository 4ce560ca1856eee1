use std::fmt;

use serde::{Deserialize, Serialize};

/// A way to reach somebody, in the form in which two are compared: e-mail without case, phone by
/// its digits and `+`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "Written")]
pub enum Contact {
    /// An e-mail address, in lower case.
    Email(String),
    /// A phone number: digits and `+`.
    Phone(String),
}

/// A contact as somebody wrote it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Written {
    Email(String),
    Phone(String),
}

impl From<Written> for Contact {
    fn from(written: Written) -> Self {
        match written {
            Written::Email(text) => Self::email(&text),
            Written::Phone(text) => Self::phone(&text),
        }
    }
}

impl Contact {
    /// An e-mail address as somebody wrote it.
    #[must_use]
    pub fn email(written: &str) -> Self {
        Self::Email(written.trim().to_lowercase())
    }

    /// A phone number as somebody wrote it: everything but digits and `+` falls out.
    #[must_use]
    pub fn phone(written: &str) -> Self {
        Self::Phone(written.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect())
    }

    /// Whether anything could be sent there: an address with an `@` between two parts, a number
    /// with at least one digit, neither longer than 254 characters.
    #[must_use]
    pub fn is_sensible(&self) -> bool {
        match self {
            Self::Email(text) => {
                text.len() <= 254
                    && !text.chars().any(|c| c.is_control() || c.is_whitespace())
                    && text.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty())
            }
            Self::Phone(text) => text.len() <= 254 && text.chars().any(|c| c.is_ascii_digit()),
        }
    }
}

impl fmt::Display for Contact {
    /// `email:olga@example.com` or `phone:+390612345`: the form that policies see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(text) => write!(f, "email:{text}"),
            Self::Phone(text) => write!(f, "phone:{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_the_same_however_they_are_written() {
        assert_eq!(Contact::email("Olga@Example.COM"), Contact::email("olga@example.com"));
        assert_eq!(Contact::phone("+39 (06) 12-345"), Contact::phone("+390612345"));
        let read: Contact = serde_json::from_str(r#"{"email":"OLGA@example.com"}"#).unwrap();
        assert_eq!(read.to_string(), "email:olga@example.com");
    }

    #[test]
    fn plus_addresses_are_other_contacts() {
        assert_ne!(Contact::email("a+b@x.com"), Contact::email("a@x.com"));
    }

    #[test]
    fn contacts_that_nothing_could_reach_are_told() {
        assert!(!Contact::email("olga").is_sensible());
        assert!(!Contact::email("@x").is_sensible());
        assert!(!Contact::phone("call me").is_sensible());
        assert!(Contact::phone("+1").is_sensible());
    }
}
