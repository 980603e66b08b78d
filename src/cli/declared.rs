//! Files of declarations: JSON, YAML or TOML, by the name's ending.

use std::io::Read as _;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path as Steps, Segment};

use super::error::CliError;

/// Reads a file; `-` is standard input, as JSON.
///
/// # Errors
///
/// [`CliError`] of kind usage, with a JSON pointer to what does not fit.
pub(super) fn read<T: DeserializeOwned>(file: &Path) -> Result<T, CliError> {
    let text = text(file)?;
    let parsed: Result<Value, String> = match file.extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => serde_norway::from_str(&text).map_err(|error| error.to_string()),
        Some("toml") => toml::from_str(&text).map_err(|error| error.to_string()),
        _ => serde_json::from_str(&text).map_err(|error| error.to_string()),
    };
    let value =
        parsed.map_err(|error| CliError::usage(format!("{}: {}", file.display(), error.trim())))?;
    fit(value).map_err(|(pointer, error)| {
        let colon = if pointer.is_empty() { "" } else { ": " };
        CliError::usage(format!("{}: {pointer}{colon}{error}", file.display()))
    })
}

/// Reads a value into a type; the error comes with a JSON pointer.
pub(super) fn fit<T: DeserializeOwned>(value: Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| (pointer(error.path()), error.inner().to_string()))
}

fn pointer(steps: &Steps) -> String {
    steps
        .iter()
        .map(|step| match step {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", token(key)),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// A name as a part of a JSON pointer (RFC 6901 §3).
pub(super) fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn text(file: &Path) -> Result<String, CliError> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file).map_err(|error| {
            CliError::usage(format!("{} cannot be read: {error}", file.display()))
        });
    }
    standard_input()
}

/// All of standard input.
pub(super) fn standard_input() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| CliError::usage(format!("standard input cannot be read: {error}")))?;
    Ok(text)
}
