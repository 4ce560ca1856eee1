//! Paths: read in one way only, and compared with patterns.

use std::borrow::Cow;
use std::fmt;

use super::Unmapped;

/// A path, segment by segment, without its escapes.
pub(super) struct Segments<'a>(Vec<Cow<'a, str>>);

impl<'a> Segments<'a> {
    /// The segments of a path without its query. What servers read in different ways is none.
    pub(super) fn of(path: &'a str) -> Result<Self, Unmapped> {
        let rest = path.strip_prefix('/').ok_or(Unmapped::Ambiguous("it does not begin with `/`"))?;
        if path.contains(['\\', '#', ';']) || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unmapped::Ambiguous("it holds a character that servers read in different ways"));
        }
        rest.split('/').map(decoded).collect::<Result<_, _>>().map(Self)
    }
}

fn decoded(segment: &str) -> Result<Cow<'_, str>, Unmapped> {
    let text = if segment.contains('%') { Cow::Owned(unescaped(segment)?) } else { Cow::Borrowed(segment) };
    if text == "." || text == ".." {
        return Err(Unmapped::Ambiguous("it holds `.` or `..`"));
    }
    if text.contains(['/', '\\', '%', ';', '?', '#']) || text.chars().any(char::is_control) {
        return Err(Unmapped::Ambiguous("an escape in it hides what servers read in different ways"));
    }
    Ok(text)
}

fn unescaped(segment: &str) -> Result<String, Unmapped> {
    let wrong = || Unmapped::Ambiguous("an escape in it is none");
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// A path with variables: `/sites/{site}/devices/{device}/live`, `/static/{rest*}`.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    /// The name of what takes all further segments.
    rest: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Fixed(String),
    Variable(String),
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix('/').ok_or("a path begins with `/`")?;
        let (mut parts, mut rest) = (Vec::new(), None);
        for part in path.split('/') {
            if rest.is_some() {
                return Err("nothing can stand after a variable that takes the rest".into());
            }
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) => match name.strip_suffix('*') {
                    Some(name) => rest = Some(named(name)?),
                    None => parts.push(Part::Variable(named(name)?)),
                },
                None if part.contains(['{', '}', '%', '?', '#']) => {
                    return Err(format!("`{part}`: a segment is text or one variable, without escapes"));
                }
                None => parts.push(Part::Fixed(part.to_owned())),
            }
        }
        let pattern = Self { parts, rest };
        let names: Vec<&str> = pattern.names().collect();
        match names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|before| before == *name))
        {
            Some((_, name)) => Err(format!("{{{name}}} is in it twice")),
            None => Ok(pattern),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let variables = self.parts.iter().filter_map(|part| match part {
            Part::Fixed(_) => None,
            Part::Variable(name) => Some(name.as_str()),
        });
        variables.chain(self.rest.as_deref())
    }

    /// The variables, if the path is of this pattern. No variable is empty.
    pub(super) fn taken(&self, Segments(segments): &Segments<'_>) -> Option<Vec<(&str, String)>> {
        let mut variables = Vec::new();
        let (first, further) = segments.split_at_checked(self.parts.len())?;
        for (part, segment) in self.parts.iter().zip(first) {
            match part {
                Part::Fixed(text) if text == segment => {}
                Part::Variable(name) if !segment.is_empty() => {
                    variables.push((name.as_str(), segment.to_string()))
                }
                Part::Fixed(_) | Part::Variable(_) => return None,
            }
        }
        match &self.rest {
            None => further.is_empty().then_some(variables),
            Some(_) if further.is_empty() || further.iter().any(|segment| segment.is_empty()) => None,
            Some(name) => {
                variables.push((name, further.join("/")));
                Some(variables)
            }
        }
    }

    /// Whether every path of `other` is of this pattern.
    pub(super) fn hides(&self, other: &Self) -> bool {
        let covers = |(own, other): (&Part, &Part)| match (own, other) {
            (Part::Variable(_), Part::Variable(_)) => true,
            (Part::Variable(_), Part::Fixed(text)) => !text.is_empty(),
            (Part::Fixed(own), Part::Fixed(other)) => own == other,
            (Part::Fixed(_), Part::Variable(_)) => false,
        };
        let heads = self.parts.iter().zip(&other.parts).all(covers);
        let tail = other.parts.get(self.parts.len()..);
        let is_long_enough = match (&self.rest, &other.rest, tail) {
            (None, None, Some(tail)) => tail.is_empty(),
            (Some(_), Some(_), Some(tail)) => tail.iter().all(is_full),
            (Some(_), None, Some(tail)) => !tail.is_empty() && tail.iter().all(is_full),
            (None, Some(_), _) | (_, _, None) => false,
        };
        heads && is_long_enough
    }
}

/// Whether a part is never empty.
fn is_full(part: &Part) -> bool {
    match part {
        Part::Fixed(text) => !text.is_empty(),
        Part::Variable(_) => true,
    }
}

fn named(name: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!("{{{name}}}: a variable is named with letters, digits and `_`"));
    }
    Ok(name.to_owned())
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Fixed(text) => write!(f, "/{text}")?,
                Part::Variable(name) => write!(f, "/{{{name}}}")?,
            }
        }
        self.rest.iter().try_for_each(|name| write!(f, "/{{{name}*}}"))
    }
}
