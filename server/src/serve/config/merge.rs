//! From file, environment and flags to one configuration: flags win over the environment, the environment over the file.

use std::path::Path;

use toml::{Table, Value};

use super::{Config, ConfigError};

/// The beginning of the variables that are read: `CONSENTRY__LISTEN__HTTP` is `listen.http`.
const PREFIX: &str = "CONSENTRY__";

/// One value that wins over the file's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Override {
    /// Where it came from, for messages.
    pub(crate) from: String,
    /// The names on the way to it.
    path: Vec<String>,
    value: String,
}

impl Override {
    /// `listen.http` set to `value` by something called `from`.
    pub(crate) fn new(from: &str, path: &str, value: &str) -> Self {
        let path = path.split('.').map(str::to_owned).collect();
        Self { from: from.to_owned(), path, value: value.to_owned() }
    }

    /// `KEY=VALUE`.
    pub(crate) fn typed(text: &str) -> Result<Self, ConfigError> {
        let (path, value) = text.split_once('=').ok_or_else(|| {
            ConfigError(format!("--set {text}: expected KEY=VALUE, such as limits.evaluations=50"))
        })?;
        Ok(Self::new(&format!("--set {path}"), path, value))
    }

    /// A variable of the environment, if it is one that is read.
    pub(crate) fn variable(name: &str, value: &str) -> Option<Self> {
        let path = name.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", ".");
        Some(Self::new(name, &path, value))
    }

    /// The value as TOML, where it is some (`true`, `500`, `["a"]`), or as text.
    fn value(&self) -> Value {
        let as_toml = format!("value = {}", self.value).parse::<Table>().ok();
        let value = as_toml.and_then(|mut table| (table.len() == 1).then(|| table.remove("value")).flatten());
        value.filter(|value| !value.is_datetime()).unwrap_or_else(|| Value::String(self.value.clone()))
    }

    fn set(&self, table: &mut Table) -> Result<(), ConfigError> {
        let Some((last, before)) = self.path.split_last() else { return Ok(()) };
        let mut table = table;
        for name in before {
            let inner = table.entry(name.clone()).or_insert_with(|| Value::Table(Table::new()));
            table = inner
                .as_table_mut()
                .ok_or_else(|| ConfigError(format!("{}: `{name}` has no parts", self.from)))?;
        }
        table.insert(last.clone(), self.value());
        Ok(())
    }
}

/// The configuration in `file` (without one: the defaults), with `overrides` in their order.
pub(crate) fn merged(file: Option<&Path>, overrides: &[Override]) -> Result<Config, ConfigError> {
    let mut table = Table::new();
    if let Some(path) = file {
        let error = |error: &dyn std::fmt::Display| ConfigError(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|problem| error(&problem))?;
        table = text.parse().map_err(|problem: toml::de::Error| error(&problem.to_string().trim_end()))?;
        // Alone first: so that what is wrong in the file is told with its place in it.
        toml::from_str::<Config>(&text).map_err(|problem| error(&problem.to_string().trim_end()))?;
    }
    let folder = file.and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let mut config: Config = table.clone().try_into().map_err(|error| ConfigError(plain(&error)))?;
    config.seen_from(&folder);
    let mut table = Table::try_from(&config).map_err(|error| ConfigError(error.to_string()))?;
    for each in overrides {
        each.set(&mut table)?;
        let check: Result<Config, _> = table.clone().try_into();
        check.map_err(|error| ConfigError(format!("{}: {}", each.from, plain(&error))))?;
    }
    let config: Config = table.try_into().map_err(|error| ConfigError(plain(&error)))?;
    config.checked(&folder)
}

fn plain(error: &toml::de::Error) -> String {
    error.to_string().trim_end().to_owned()
}
