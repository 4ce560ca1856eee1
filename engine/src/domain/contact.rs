use std::fmt;

use serde::{Deserialize, Serialize};

/// A way to reach somebody, in the form in which two are compared: e-mail without case, phone by
/// its digits and `+`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Contact {
    /// With [`EMAIL`] or [`PHONE`] in front.
    text: Box<str>,
}

const EMAIL: &str = "email:";
const PHONE: &str = "phone:";

/// A way to reach somebody, in the form in which two are compared: e-mail without case, phone by
/// its digits and `+`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Contact"))]
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Written {
    /// An e-mail address, in lower case.
    Email(String),
    /// A phone number: digits and `+`.
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

impl From<Contact> for Written {
    fn from(contact: Contact) -> Self {
        match contact.email_or_phone() {
            Ok(email) => Self::Email(email.to_owned()),
            Err(phone) => Self::Phone(phone.to_owned()),
        }
    }
}

impl Contact {
    /// An e-mail address as somebody wrote it.
    #[must_use]
    pub fn email(written: &str) -> Self {
        Self { text: (EMAIL.to_owned() + &written.trim().to_lowercase()).into() }
    }

    /// A phone number as somebody wrote it: everything but digits and `+` falls out.
    #[must_use]
    pub fn phone(written: &str) -> Self {
        let digits = written.chars().filter(|c| c.is_ascii_digit() || *c == '+');
        Self { text: PHONE.chars().chain(digits).collect() }
    }

    /// The form that policies see: `email:olga@example.com` or `phone:+390612345`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, or as an `Err` the number.
    fn email_or_phone(&self) -> Result<&str, &str> {
        let phone = || self.text.strip_prefix(PHONE).unwrap_or_default();
        self.text.strip_prefix(EMAIL).ok_or_else(phone)
    }

    /// Whether anything could be sent there: an address with an `@` between two parts, a number
    /// with at least one digit, neither longer than 254 characters.
    #[must_use]
    pub fn is_sensible(&self) -> bool {
        match self.email_or_phone() {
            Ok(email) => {
                email.len() <= 254
                    && !email.chars().any(|c| c.is_control() || c.is_whitespace())
                    && email
                        .split_once('@')
                        .is_some_and(|(local, host)| !local.is_empty() && !host.is_empty())
            }
            Err(phone) => phone.len() <= 254 && phone.chars().any(|c| c.is_ascii_digit()),
        }
    }
}

impl fmt::Display for Contact {
    /// The form that policies see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
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
