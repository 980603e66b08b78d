//! A file of providers: the part `providers` of the authority's configuration.
//!
//! Secrets do not stand in it: each names the file or the variable that has it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::declared::{fit, read, standard_input, token};
use super::super::error::CliError;
use crate::domain::Secret;
use crate::domain::user::Provider;
use crate::protocol::providers::ProviderDocument;
use crate::runtime::config::Environment;
use crate::runtime::files::read_text;

const SECRET_LIMIT: u64 = 64 * 1024;
const FILE: &str = "client_secret_file";
const VARIABLE: &str = "client_secret_env";

/// A provider of the file.
#[derive(Debug)]
pub(super) struct Declared {
    /// Its name.
    pub(super) provider: Provider,
    document: ProviderDocument,
}

impl Declared {
    /// What is sent: the document with its secret, if it has one.
    pub(super) fn body(&self) -> Result<Value, CliError> {
        let mut body = serde_json::to_value(&self.document)
            .map_err(|error| CliError::usage(format!("the provider is no JSON: {error}")))?;
        if let (Value::Object(fields), Some(Some(secret))) =
            (&mut body, &self.document.client_secret)
        {
            fields.insert("client_secret".to_owned(), secret.expose().as_str().into());
        }
        Ok(body)
    }
}

/// Other parts of the authority's configuration are left alone, so that its own file can be given.
#[derive(Debug, Deserialize)]
struct ProvidersFile {
    providers: BTreeMap<String, Map<String, Value>>,
}

/// Reads and checks a file of providers, and their secrets.
///
/// # Errors
///
/// [`CliError`] of kind usage with every mistake.
pub(super) fn load(file: &Path) -> Result<Vec<Declared>, CliError> {
    let found: ProvidersFile = read(file)?;
    let mut secrets = Secrets {
        directory: file.parent().unwrap_or(Path::new("")),
        environment: Environment::of_process(),
        input_is_free: file != Path::new("-"),
    };
    let mut mistakes = Vec::new();
    let mut declared = Vec::new();
    for (name, fields) in found.providers {
        match one(&name, fields, &mut secrets) {
            Ok(one) => declared.push(one),
            Err(found) => mistakes.extend(
                found
                    .into_iter()
                    .map(|mistake| format!("/providers/{}{mistake}", token(&name))),
            ),
        }
    }
    if mistakes.is_empty() {
        Ok(declared)
    } else {
        let what = format!("{}: the providers are not right", file.display());
        Err(CliError::usage(what).details(mistakes))
    }
}

fn one(
    name: &str,
    mut fields: Map<String, Value>,
    secrets: &mut Secrets<'_>,
) -> Result<Declared, Vec<String>> {
    let provider: Provider = name.parse().map_err(|error| vec![format!(": {error}")])?;
    let secret = secrets.take(&mut fields).map_err(|error| vec![error])?;
    let mut document: ProviderDocument = fit(Value::Object(fields))
        .map_err(|(pointer, error)| vec![format!("{pointer}: {error}")])?;
    document.client_secret = secret.map(Some);
    match document.check(&provider) {
        Ok(_) => Ok(Declared { provider, document }),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect()),
    }
}

/// Where secrets come from.
struct Secrets<'a> {
    directory: &'a Path,
    environment: Environment,
    /// Standard input holds one thing.
    input_is_free: bool,
}

impl Secrets<'_> {
    /// Takes the keys out that say where the secret is, and reads it.
    fn take(&mut self, fields: &mut Map<String, Value>) -> Result<Option<Secret<String>>, String> {
        if fields.contains_key("client_secret") {
            return Err(format!(
                "/client_secret: a secret does not stand in this file: name its file with `{FILE}` \
                 or its variable with `{VARIABLE}`"
            ));
        }
        match (text(fields, FILE)?, text(fields, VARIABLE)?) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(format!("/{FILE}: `{VARIABLE}` is there too: one is wanted")),
            (Some(file), None) => self.of_file(&file).map(Some),
            (None, Some(variable)) => match self.environment.get(&variable) {
                Some(secret) if !secret.is_empty() => Ok(Some(Secret::new(secret.to_owned()))),
                _ => Err(format!("/{VARIABLE}: the variable `{variable}` is not set")),
            },
        }
    }

    fn of_file(&mut self, file: &str) -> Result<Secret<String>, String> {
        let text = if file == "-" {
            if !std::mem::replace(&mut self.input_is_free, false) {
                return Err(format!(
                    "/{FILE}: standard input is read for something else"
                ));
            }
            standard_input()
                .map_err(|error| format!("/{FILE}: {error}"))?
                .into()
        } else {
            read_text(&self.directory.join(file), SECRET_LIMIT)
                .map_err(|error| format!("/{FILE}: {error}: {}", error.source))?
        };
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(format!("/{FILE}: `{file}` is empty"));
        }
        Ok(Secret::new(secret.to_owned()))
    }
}

fn text(fields: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match fields.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("/{key}: a text is wanted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(name: &str, text: &str) -> Result<Vec<Declared>, CliError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("corp.secret"), "hush\n").unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        load(&path)
    }

    #[test]
    fn json_yaml_and_toml_say_the_same_beside_other_configuration() {
        let json = load_text(
            "a.json",
            r#"{"providers": {"corp": {"kind": "oidc", "issuer": "https://idp.example",
                "client_id": "us", "client_secret_file": "corp.secret"}}}"#,
        );
        let yaml = load_text(
            "a.yaml",
            "providers:\n  corp: {kind: oidc, issuer: \"https://idp.example\", client_id: us, \
             client_secret_file: corp.secret}\n",
        );
        let toml = load_text(
            "a.toml",
            "issuer = 'https://us.example'\n[providers.corp]\nkind = 'oidc'\n\
             issuer = 'https://idp.example'\nclient_id = 'us'\nclient_secret_file = 'corp.secret'\n",
        );
        let bodies: Vec<Value> = [json, yaml, toml]
            .into_iter()
            .map(|read| read.unwrap()[0].body().unwrap())
            .collect();
        assert_eq!(bodies[0], bodies[1]);
        assert_eq!(bodies[0], bodies[2]);
        assert_eq!(bodies[0]["client_secret"], "hush");
    }

    #[test]
    fn every_mistake_of_a_file_is_listed_with_its_provider() {
        let error = load_text(
            "a.yaml",
            "providers:\n  a: {kind: oidc, client_id: us}\n  b: {kind: saml, client_id: us}\n  \
             c: {kind: github, client_id: us, client_secret: x}\n  \
             d: {kind: github, client_id: us, client_secret_env: DOORWARD_NOT_SET}\n  \
             e: {kind: oidc, client_id: us, issuer: \"https://e.example\", colour: red}\n  \
             F: {}\n  g: {kind: github, client_id: us, client_secret_file: none}\n",
        )
        .unwrap_err();
        let starts = [
            "/providers/F: ",
            "/providers/a/issuer: ",
            "/providers/b/kind: ",
            "/providers/c/client_secret: ",
            "/providers/d/client_secret_env: ",
            "/providers/e/colour: ",
            "/providers/g/client_secret_file: ",
        ];
        let mistakes = error.mistakes();
        assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
        for (mistake, start) in mistakes.iter().zip(starts) {
            assert!(mistake.starts_with(start), "{mistake}");
        }
    }

    #[test]
    fn a_secret_that_is_not_named_stays_as_it_is() {
        let text = "providers:\n  hub: {kind: github, client_id: us}\n";
        let declared = load_text("a.yaml", text).unwrap();
        assert!(declared[0].body().unwrap().get("client_secret").is_none());
    }
}
