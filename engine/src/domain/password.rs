use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A device's new password on its way through the engine. It is printed nowhere, compared nowhere
/// and cannot be serialized, so that it reaches no event, log, digest or error.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// The password that somebody typed.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself, for the one who sets it on the device.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether a device takes it: 8 to 16 characters of printable ASCII without space, of at least
    /// two of lower case, upper case, digits and others (seed 000).
    #[must_use]
    pub fn is_strong(&self) -> bool {
        let text = self.0.as_bytes();
        let classes = [
            u8::is_ascii_lowercase as fn(&u8) -> bool,
            u8::is_ascii_uppercase,
            u8::is_ascii_digit,
            u8::is_ascii_punctuation,
        ];
        let used = classes.iter().filter(|class| text.iter().any(class)).count();
        (8..=16).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic) && used >= 2
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'de> Deserialize<'de> for Password {
    /// Reads a string. The error never repeats what was there instead.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        macro_rules! refuse {
            ($($visit:ident: $type:ty),*) => {
                $(fn $visit<E: Error>(self, _: $type) -> Result<Self::Value, E> {
                    Err(E::custom("the password must be a string"))
                })*
            };
        }

        impl<'de> Visitor<'de> for Text {
            type Value = Password;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a password: a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Password, E> {
                Ok(Password(text.to_owned()))
            }

            refuse!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_bytes: &[u8]);
        }

        deserializer.deserialize_any(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_8_to_16_printable_characters_of_two_classes() {
        let cases = [
            ("abcdef1", false),
            ("abcdefg1", true),
            ("abcdefghijklmno1", true),
            ("abcdefghijklmnop1", false),
            ("abcdefgh", false),
            ("ABCDEFGH", false),
            ("12345678", false),
            ("!!!!!!!!", false),
            ("ABCDefgh", true),
            ("!!!!1111", true),
            ("abcdefg ", false),
            ("abcdefg1 ", false),
            ("abcdefé1", false),
            ("abcdefg1\0", false),
            ("", false),
        ];
        for (text, strong) in cases {
            assert_eq!(Password::new(text).is_strong(), strong, "{text:?}");
        }
    }

    #[test]
    fn no_error_or_debug_print_repeats_a_password() {
        assert_eq!(format!("{:?}", Password::new("hunter2222")), "Password(…)");
        for json in ["4711", "true", "-3", "1.5", "null", "[\"hunter2222\"]", "{\"hunter2222\":1}"] {
            let error = serde_json::from_str::<Password>(json).unwrap_err().to_string();
            assert!(!error.contains("hunter") && !error.contains("4711"), "{error}");
        }
    }
}
