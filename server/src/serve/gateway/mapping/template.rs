//! Texts with values in them: `Device::"{device}"`, `{identity.sub}`, `{query.from}`, `{header.x-site}`.

use consentry::domain::Uid;

use super::super::request::{GatewayRequest, Identity};

/// A text with values in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A variable of the path.
    Variable(String),
    /// What is known of whoever asks.
    Identity(String),
    Query(String),
    Header(String),
}

/// The values that there are.
pub(super) struct Values<'a> {
    pub(super) variables: &'a [(&'a str, String)],
    pub(super) identity: Option<&'a Identity>,
    pub(super) request: Option<&'a GatewayRequest<'a>>,
}

/// An entity whose id is a template. The type is fixed: who asks cannot choose what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntityTemplate {
    type_name: String,
    id: Template,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("`{text}`: a `{{` without its `}}`"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::named(name).ok_or_else(|| {
                format!("`{text}`: {{{name}}} is neither a variable of the path nor {{identity.…}}, {{query.…}} or {{header.…}}")
            })?);
            rest = after;
        }
        if rest.contains('}') {
            return Err(format!("`{text}`: a `}}` without its `{{`"));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// Whether there is no value in it.
    pub(super) fn is_fixed(&self) -> bool {
        self.0.iter().all(|piece| matches!(piece, Piece::Text(_)))
    }

    /// The variables of the path that it needs.
    pub(super) fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for piece in &self.0 {
            if let Piece::Variable(name) = piece {
                names.push(name.as_str());
            }
        }
        names
    }

    /// The text with its values, or the name of one that is missing, or that there are two of.
    pub(super) fn filled(&self, values: &Values<'_>) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.0 {
            let missing = |kind: &str, name: &str| format!("{kind}{name}");
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Variable(name) => {
                    let found = values.variables.iter().find(|(variable, _)| variable == name);
                    text.push_str(&found.ok_or_else(|| missing("", name))?.1);
                }
                Piece::Identity(name) => {
                    let found = values.identity.and_then(|identity| identity.get(name));
                    text.push_str(
                        &found.filter(|value| !value.is_empty()).ok_or_else(|| missing("identity.", name))?,
                    );
                }
                Piece::Query(name) => {
                    let found = values.request.and_then(|request| request.query(name));
                    text.push_str(&found.ok_or_else(|| missing("query.", name))?);
                }
                Piece::Header(name) => {
                    let found = values.request.and_then(|request| request.header(name));
                    text.push_str(found.ok_or_else(|| missing("header.", name))?);
                }
            }
        }
        Ok(text)
    }
}

impl Piece {
    fn named(name: &str) -> Option<Self> {
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:/".contains(c))
        };
        match name.split_once('.') {
            Some(("identity", name)) if is_name(name) => Some(Self::Identity(name.to_owned())),
            Some(("query", name)) if is_name(name) => Some(Self::Query(name.to_owned())),
            Some(("header", name)) if is_name(name) => Some(Self::Header(name.to_ascii_lowercase())),
            None if is_name(name) => Some(Self::Variable(name.to_owned())),
            Some(_) | None => None,
        }
    }
}

impl EntityTemplate {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not of the form Type::\"id\"");
        let (type_name, rest) = text.split_once("::\"").ok_or_else(form)?;
        let id = rest.strip_suffix('"').ok_or_else(form)?;
        let is_name = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if id.is_empty() || !type_name.split("::").all(is_name) {
            return Err(form());
        }
        Ok(Self { type_name: type_name.to_owned(), id: Template::parse(id)? })
    }

    pub(super) fn type_name(&self) -> &str {
        &self.type_name
    }

    pub(super) fn variables(&self) -> Vec<&str> {
        self.id.variables()
    }

    pub(super) fn is_of_identity_alone(&self) -> bool {
        let fits = |piece: &Piece| matches!(piece, Piece::Text(_) | Piece::Identity(_));
        self.id.0.iter().all(fits) && !self.id.is_fixed()
    }

    pub(super) fn filled(&self, values: &Values<'_>) -> Result<Uid, String> {
        Ok(Uid::new(&self.type_name, &self.id.filled(values)?))
    }
}
