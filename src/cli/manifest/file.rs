//! A manifest from a file: JSON, YAML or TOML, by the name's ending.

use std::io::Read;
use std::path::Path;

use super::super::error::CliError;
use crate::domain::manifest::Manifest;
use crate::protocol::manifest::{ManifestError, from_deserializer, from_json};
use crate::protocol::problem::Problem;

/// Reads and checks a manifest; `-` is standard input, as JSON.
///
/// # Errors
///
/// [`CliError`] of kind usage with every mistake in the file.
pub(in crate::cli) fn load(path: &Path) -> Result<Manifest, CliError> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| CliError::usage(format!("standard input cannot be read: {error}")))?;
        text
    } else {
        std::fs::read_to_string(path).map_err(|error| {
            CliError::usage(format!("{} cannot be read: {error}", path.display()))
        })?
    };
    parse(Form::of(path), &text).map_err(|error| {
        let what = format!("{}: {error}", path.display());
        let problem = Problem::from(error);
        CliError::usage(what).details(problem.errors.iter().map(ToString::to_string))
    })
}

/// In which language a manifest is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Form {
    Json,
    Yaml,
    Toml,
}

impl Form {
    fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("yaml" | "yml") => Self::Yaml,
            Some("toml") => Self::Toml,
            _ => Self::Json,
        }
    }
}

/// Reads a manifest from text.
pub(in crate::cli) fn parse(form: Form, text: &str) -> Result<Manifest, ManifestError> {
    match form {
        Form::Json => from_json(text.as_bytes(), None),
        Form::Yaml => from_deserializer(serde_norway::Deserializer::from_str(text), None),
        Form::Toml => match toml::Deserializer::parse(text) {
            Ok(deserializer) => from_deserializer(deserializer, None),
            Err(error) => Err(ManifestError::Malformed(error.to_string())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_yaml_and_toml_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            load(&path).unwrap()
        };
        let json = write(
            "a.json",
            r#"{"service":"billing","version":2,"permissions":{"invoice":{"read":"See"}},
                "roles":{"clerk":{"permissions":["invoice:read"]}}}"#,
        );
        let yaml = write(
            "a.yaml",
            "service: billing\nversion: 2\npermissions:\n  invoice:\n    read: See\nroles:\n  clerk:\n    permissions: [\"invoice:read\"]\n",
        );
        let toml = write(
            "a.toml",
            "service = \"billing\"\nversion = 2\n[permissions.invoice]\nread = \"See\"\n[roles.clerk]\npermissions = [\"invoice:read\"]\n",
        );
        assert_eq!(json.canonical_json(), yaml.canonical_json());
        assert_eq!(json.canonical_json(), toml.canonical_json());
    }

    #[test]
    fn every_mistake_of_a_file_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.yaml");
        std::fs::write(
            &path,
            "service: billing\ncolour: red\nroles:\n  x:\n    permissions: [\"nope:read\"]\n",
        )
        .unwrap();
        let error = load(&path).unwrap_err();
        assert!(error.mistakes().len() >= 2, "{:?}", error.mistakes());
    }
}
