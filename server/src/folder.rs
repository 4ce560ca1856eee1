//! Policy folders: the files that policy authors edit, as the engine takes them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use consentry::policy::cases::Case;
use consentry::policy::{PolicyFile, PolicySources};
use serde_json::Value;

/// Why a folder of policies cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder that the system does not give.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Cases that cannot be told apart.
    #[error("{file}: {message}")]
    Names {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A file of cases that is none.
    #[error("{}:{}:{}: {}", path.display(), error.line(), error.column(), what(error))]
    Case {
        /// Which.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
}

/// What is wrong with JSON, without its place.
#[must_use]
pub fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// The cases of a folder.
#[derive(Debug, Clone, Default)]
pub struct Cases {
    /// The entities that all cases share.
    pub cast: Vec<Value>,
    /// The cases by the file that they are in, sorted by its name.
    pub files: Vec<(String, Vec<Case>)>,
}

/// Reads the schema (`schema.cedarschema`, if there is one) and every `.cedar` file of `folder` and of
/// the folders in it.
///
/// # Errors
/// When something cannot be read; a folder without policies is one with none.
pub fn read(folder: &Path) -> Result<PolicySources, FolderError> {
    let mut paths = Vec::new();
    collect(folder, &mut paths)?;
    paths.sort();
    let mut sources = PolicySources::default();
    for path in paths {
        let file = |path: &Path| -> Result<PolicyFile, FolderError> {
            Ok(PolicyFile { name: path.display().to_string(), text: text(path)? })
        };
        if path.parent() == Some(folder) && path.file_name().is_some_and(|name| name == "schema.cedarschema")
        {
            sources.schema = Some(file(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "cedar") {
            sources.policies.push(file(&path)?);
        }
    }
    Ok(sources)
}

fn text(path: &Path) -> Result<String, FolderError> {
    let text =
        fs::read_to_string(path).map_err(|error| FolderError::Read { path: path.to_owned(), error })?;
    // What some editors put before the first character is no part of the text.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Every file in `folder` and in the folders in it, but those whose name begins with a dot: editors leave
/// such behind.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), FolderError> {
    let unreadable = |error| FolderError::Read { path: folder.to_owned(), error };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            collect(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// Reads `cases/*.json` of `folder`; `cases/cast.json` holds the cast.
///
/// # Errors
/// When something cannot be read, or is not of the form of cases.
pub fn read_cases(folder: &Path) -> Result<Cases, FolderError> {
    let mut paths = Vec::new();
    let home = folder.join("cases");
    if home.is_dir() {
        collect(&home, &mut paths)?;
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let mut cases = Cases::default();
    for path in paths {
        let (name, text) = (path.display().to_string(), text(&path)?);
        let is_cast = path == home.join("cast.json");
        cases.add(&name, &text, is_cast).map_err(|error| FolderError::Case { path, error })?;
    }
    cases.tell_apart()?;
    Ok(cases)
}

impl Cases {
    /// Sees that every case has a name of its own.
    fn tell_apart(&self) -> Result<(), FolderError> {
        let mut homes: HashMap<&str, &str> = HashMap::new();
        for (file, case) in
            self.files.iter().flat_map(|(file, cases)| cases.iter().map(move |case| (file, case)))
        {
            let message = match homes.insert(&case.name, file) {
                _ if case.name.trim().is_empty() => "a case has no name".to_owned(),
                Some(other) => format!("there is a case `{}` in {other} already", case.name),
                None => continue,
            };
            return Err(FolderError::Names { file: file.clone(), message });
        }
        Ok(())
    }

    /// Adds the cases, or the cast, in `text`.
    ///
    /// # Errors
    /// When it is not of the form of cases.
    pub fn add(&mut self, name: &str, text: &str, is_cast: bool) -> Result<(), serde_json::Error> {
        if is_cast {
            self.cast = serde_json::from_str(text)?;
        } else {
            self.files.push((name.to_owned(), serde_json::from_str(text)?));
        }
        Ok(())
    }
}
