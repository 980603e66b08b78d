//! Reads keys one by one and collects every mistake.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use toml::{Table, Value};

use crate::domain::Secret;
use crate::runtime::files::read_text;

use super::environment::Environment;
use super::error::{ConfigError, Mistake};
use super::units::{parse_duration, parse_size};

const FILE_LIMIT: u64 = 1024 * 1024;
const SECRET_LIMIT: u64 = 64 * 1024;

/// A table of the configuration, being read. Getters take a key out; a wrong value is noted and
/// the default given, so that reading goes on to the next mistake; [`Self::finish`] tells them all.
#[derive(Debug)]
pub struct Reader<'e> {
    table: Table,
    environment: &'e Environment,
    /// `DOORWARD_AUTHORITY__`, then the sections so far.
    variables: String,
    /// `tokens.`, the sections so far.
    path: String,
    /// Where relative paths of the file start.
    directory: PathBuf,
    origin: String,
    asked: BTreeSet<String>,
    used_variables: BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

impl<'e> Reader<'e> {
    /// Opens `file`, or starts from nothing when there is none to read. `prefix` is the one of the
    /// environment variables: `DOORWARD_AUTHORITY`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: the file is missing, unreadable or not TOML.
    pub fn open(
        file: Option<&Path>,
        environment: &'e Environment,
        prefix: &str,
    ) -> Result<Self, ConfigError> {
        let Some(path) = file else {
            return Self::from_text("", "the environment", environment, prefix);
        };
        let name = path.display().to_string();
        let text = read_text(path, FILE_LIMIT).map_err(|error| {
            if error.is_not_found() {
                ConfigError::Missing { path: name.clone() }
            } else {
                ConfigError::Unreadable(error)
            }
        })?;
        let mut reader = Self::from_text(&text, &format!("`{name}`"), environment, prefix)?;
        reader.directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(reader)
    }

    /// Reads TOML from a text. `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Syntax`] if it is not TOML.
    pub fn from_text(
        text: &str,
        origin: &str,
        environment: &'e Environment,
        prefix: &str,
    ) -> Result<Self, ConfigError> {
        let table = text.parse::<Table>().map_err(|error| ConfigError::Syntax {
            path: origin.trim_matches('`').to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        Ok(Self {
            table,
            environment,
            variables: format!("{prefix}__"),
            path: String::new(),
            directory: PathBuf::new(),
            origin: origin.to_owned(),
            asked: BTreeSet::new(),
            used_variables: BTreeSet::new(),
            mistakes: Vec::new(),
        })
    }

    /// A value, if it is set and right.
    pub fn optional<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        self.with(key, |text| {
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }

    /// A value or its default.
    pub fn or<T>(&mut self, key: &str, default: T) -> T
    where
        T: FromStr<Err: Display>,
    {
        self.optional(key).unwrap_or(default)
    }

    /// A value that must be set; `None` is a mistake already noted.
    pub fn required<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let mistakes = self.mistakes.len();
        let value = self.optional(key);
        if value.is_none() && self.mistakes.len() == mistakes {
            let variable = self.variable(key);
            self.mistake(key, format!("it must be set, here or as `{variable}`"));
        }
        value
    }

    /// A duration such as `10m`, or its default.
    pub fn duration(&mut self, key: &str, default: Duration) -> Duration {
        self.with(key, parse_duration).unwrap_or(default)
    }

    /// A number of bytes such as `64MiB`, or its default.
    pub fn size(&mut self, key: &str, default: u64) -> u64 {
        self.with(key, parse_size).unwrap_or(default)
    }

    /// A path. A relative one in the file starts at the file's directory.
    pub fn path(&mut self, key: &str) -> Option<PathBuf> {
        let from_environment = self.environment.get(&self.variable(key)).is_some();
        let path: PathBuf = self.optional(key)?;
        Some(if from_environment {
            path
        } else {
            self.directory.join(path)
        })
    }

    /// A secret. Only the name of its file is configured, as `<key>_file`; a line end after it is
    /// cut off.
    pub fn secret(&mut self, key: &str) -> Option<Secret<String>> {
        let key = format!("{key}_file");
        let path = self.path(&key)?;
        match read_text(&path, SECRET_LIMIT) {
            Ok(text) => {
                let secret = text.trim_end_matches(['\r', '\n']);
                if secret.is_empty() {
                    self.mistake(&key, format!("`{}` is empty", path.display()));
                    return None;
                }
                Some(Secret::new(secret.to_owned()))
            }
            Err(error) => {
                self.mistake(&key, format!("{error}: {}", error.source));
                None
            }
        }
    }

    /// A list: an array in the file, comma-separated in the environment. Empty when not set.
    pub fn list<T>(&mut self, key: &str) -> Vec<T>
    where
        T: FromStr<Err: Display>,
    {
        let parts = match self.take(key) {
            None => return Vec::new(),
            Some(Value::Array(values)) => values,
            Some(Value::String(text)) => text
                .split(',')
                .map(|part| Value::String(part.trim().to_owned()))
                .collect(),
            Some(_) => {
                self.mistake(key, "a list is wanted".to_owned());
                return Vec::new();
            }
        };
        let mut list = Vec::with_capacity(parts.len());
        for part in parts {
            match scalar(&part).map(|text| text.parse::<T>().map_err(|error| error.to_string())) {
                Some(Ok(value)) => list.push(value),
                Some(Err(message)) => self.mistake(key, message),
                None => self.mistake(key, "a list of simple values is wanted".to_owned()),
            }
        }
        list
    }

    /// Reads a table of the file with `read`; an absent one is empty.
    pub fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.asked.insert(key.to_owned());
        let table = match self.table.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.mistake(key, "a table is wanted".to_owned());
                Table::new()
            }
        };
        let mut inner = Self {
            table,
            environment: self.environment,
            variables: format!("{}__", self.variable(key)),
            path: format!("{}{key}.", self.path),
            directory: self.directory.clone(),
            origin: self.origin.clone(),
            asked: BTreeSet::new(),
            used_variables: BTreeSet::new(),
            mistakes: Vec::new(),
        };
        let value = read(&mut inner);
        inner.note_unknown_keys();
        self.mistakes.append(&mut inner.mistakes);
        self.used_variables.append(&mut inner.used_variables);
        value
    }

    /// The keys of the file's table here, for sections whose names its author chooses.
    pub fn names(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// A map of the file whose keys the configuration's author chooses, each value a table or a
    /// text. Not overridable by the environment.
    pub fn map(&mut self, key: &str) -> Table {
        self.asked.insert(key.to_owned());
        match self.table.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.mistake(key, "a table is wanted".to_owned());
                Table::new()
            }
        }
    }

    /// Notes a mistake that only the caller can see, such as two values that exclude each other.
    pub fn mistake(&mut self, key: &str, message: String) {
        self.mistakes.push(Mistake {
            key: format!("{}{key}", self.path),
            message,
        });
    }

    /// Ends reading.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Mistakes`] with every one, unknown keys and variables included.
    pub fn finish(mut self) -> Result<(), ConfigError> {
        self.note_unknown_keys();
        let unknown: Vec<_> = self
            .environment
            .names(&self.variables)
            .filter(|name| !self.used_variables.contains(*name))
            .map(|name| Mistake {
                key: name.to_owned(),
                message: "no such setting".to_owned(),
            })
            .collect();
        self.mistakes.extend(unknown);
        if self.mistakes.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Mistakes {
                origin: self.origin,
                mistakes: self.mistakes,
            })
        }
    }

    fn with<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.take(key)?;
        let outcome = scalar(&value)
            .ok_or_else(|| "a simple value is wanted".to_owned())
            .and_then(|text| parse(&text));
        match outcome {
            Ok(value) => Some(value),
            Err(message) => {
                self.mistake(key, message);
                None
            }
        }
    }

    /// The variable's text if it is set, else the file's value.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.asked.insert(key.to_owned());
        let variable = self.variable(key);
        let in_file = self.table.remove(key);
        let in_environment = self.environment.get(&variable).map(str::to_owned);
        self.used_variables.insert(variable);
        in_environment.map(Value::String).or(in_file)
    }

    fn variable(&self, key: &str) -> String {
        format!("{}{}", self.variables, key.to_ascii_uppercase())
    }

    fn note_unknown_keys(&mut self) {
        let unknown: Vec<String> = self.table.keys().cloned().collect();
        let known = self
            .asked
            .iter()
            .map(|key| format!("`{key}`"))
            .collect::<Vec<_>>()
            .join(", ");
        for key in unknown {
            self.mistake(&key, format!("no such key; there are {known}"));
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Datetime(time) => Some(time.to_string()),
        Value::Array(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader<'e>(text: &str, environment: &'e Environment) -> Reader<'e> {
        Reader::from_text(text, "`test.toml`", environment, "DOORWARD_TEST").unwrap()
    }

    #[test]
    fn a_variable_wins_over_the_file_and_the_file_over_the_default() {
        let environment = [("DOORWARD_TEST__TOKENS__ACCESS", "5m")]
            .into_iter()
            .collect();
        let mut reader = reader("[tokens]\naccess = '10m'\nnames = ['a', 'b']", &environment);
        let (access, refresh, names) = reader.section("tokens", |tokens| {
            (
                tokens.duration("access", Duration::ZERO),
                tokens.duration("refresh", Duration::from_secs(7)),
                tokens.list::<String>("names"),
            )
        });
        assert_eq!(access, Duration::from_mins(5));
        assert_eq!(refresh, Duration::from_secs(7));
        assert_eq!(names, ["a", "b"]);
        assert!(reader.finish().is_ok());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let environment = [("DOORWARD_TEST__TYPO", "1"), ("DOORWARD_TEST_PORT", "k8s")]
            .into_iter()
            .collect();
        let mut reader = reader(
            "count = 'many'\ntypo = 1\n[tokens]\naccess = 10\nacess = '1m'\nlist = 5",
            &environment,
        );
        assert_eq!(reader.or("count", 1_u16), 1);
        assert_eq!(reader.required::<String>("name"), None);
        reader.section("tokens", |tokens| {
            tokens.duration("access", Duration::ZERO);
            tokens.list::<String>("list");
        });
        let ConfigError::Mistakes { mistakes, .. } = reader.finish().unwrap_err() else {
            panic!("mistakes are wanted");
        };
        let keys: Vec<_> = mistakes
            .iter()
            .map(|mistake| mistake.key.as_str())
            .collect();
        assert_eq!(
            keys,
            [
                "count",
                "name",
                "tokens.access",
                "tokens.list",
                "tokens.acess",
                "typo",
                "DOORWARD_TEST__TYPO"
            ]
        );
    }

    #[test]
    fn a_missing_file_and_one_that_is_no_toml_are_told_apart() {
        let environment = Environment::default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        let open = || Reader::open(Some(&path), &environment, "DOORWARD_TEST");
        assert!(matches!(open(), Err(ConfigError::Missing { .. })));
        std::fs::write(&path, "listen = \n").unwrap();
        let error = open().unwrap_err().to_string();
        assert!(
            error.contains("a.toml") && error.contains("line 1"),
            "{error}"
        );
    }

    #[test]
    fn a_secret_comes_from_a_file_beside_the_configuration() {
        let environment = Environment::default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        std::fs::write(&path, "key_file = 'key'\nother_file = 'none'").unwrap();
        std::fs::write(dir.path().join("key"), "s3cret\n").unwrap();
        let mut reader = Reader::open(Some(&path), &environment, "DOORWARD_TEST").unwrap();
        assert_eq!(reader.secret("key").unwrap().expose(), "s3cret");
        assert!(reader.secret("other").is_none());
        let error = reader.finish().unwrap_err().to_string();
        assert!(
            error.contains("other_file") && error.contains("none"),
            "{error}"
        );
    }
}
