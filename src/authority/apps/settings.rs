//! `[registration]` of the configuration: how clients may make themselves known.

use std::time::Duration;

use crate::domain::registration::HostPattern;
use crate::domain::{Scope, Scopes};
use crate::runtime::config::Reader;

const DAY: Duration = Duration::from_hours(24);

/// Whether clients may make themselves known, and how. Nothing of it is on unless it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationConfig {
    /// Whoever has an initial access token may register clients (RFC 7591).
    pub dynamic: bool,
    /// A client id may be the URL of a document that describes the client.
    pub metadata_documents: bool,
    /// Whose documents are taken: everybody's if there is none. A host that `outbound.allow_hosts` has
    /// counts only if it is named here as well, letter by letter.
    pub document_hosts: Vec<HostPattern>,
    /// The most that such a client may ask its users for.
    pub document_scope: Scopes,
    /// How long its row stays when nobody logs in through it.
    pub document_lifetime: Duration,
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        Self {
            dynamic: false,
            metadata_documents: false,
            document_hosts: Vec::new(),
            document_scope: ["openid", "profile", "email"]
                .iter()
                .filter_map(|scope| scope.parse().ok())
                .collect(),
            document_lifetime: 90 * DAY,
        }
    }
}

impl RegistrationConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let lifetime = reader.duration("document_lifetime", default.document_lifetime);
        if lifetime < DAY || lifetime > 3650 * DAY {
            let wanted = "at least 1d and at most 3650d is wanted";
            reader.mistake("document_lifetime", wanted.to_owned());
        }
        let scope = match reader.optional::<String>("document_scope") {
            None => default.document_scope,
            Some(text) => read_scope(reader, &text),
        };
        Self {
            dynamic: reader.or("dynamic", false),
            metadata_documents: reader.or("metadata_documents", false),
            document_hosts: reader.list("document_hosts"),
            document_scope: scope,
            document_lifetime: lifetime,
        }
    }
}

fn read_scope(reader: &mut Reader<'_>, text: &str) -> Scopes {
    const KEY: &str = "document_scope";
    let scopes = Scopes::parse(text).unwrap_or_default();
    let own = |scope: &Scope| {
        let scope = scope.as_str();
        scope.starts_with("doorward:") && scope != "doorward:organizations"
    };
    if scopes.is_empty() || scopes.iter().any(own) {
        let wanted = "scopes of services and of OpenID Connect are wanted, separated by spaces";
        reader.mistake(KEY, wanted.to_owned());
    }
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::config::Environment;

    fn read(text: &str) -> Result<RegistrationConfig, String> {
        let environment = Environment::default();
        let mut reader =
            Reader::from_text(text, "x.toml", &environment, "X").map_err(|e| e.to_string())?;
        let config = reader.section("registration", RegistrationConfig::read);
        reader.finish().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn nothing_is_on_unless_it_is_said() {
        let config = read("").unwrap();
        assert!(!config.dynamic && !config.metadata_documents);
        let on = read(
            "[registration]\ndynamic = true\nmetadata_documents = true\n\
             document_hosts = ['*.app.example']\ndocument_scope = 'openid billing:read'",
        )
        .unwrap();
        assert!(on.dynamic && on.metadata_documents && on.document_hosts.len() == 1);
        assert_eq!(on.document_scope.to_string(), "billing:read openid");
    }

    #[test]
    fn what_strangers_may_never_have_is_refused() {
        for (line, key) in [
            ("document_scope = 'doorward:admin'", "document_scope"),
            ("document_scope = 'openid doorward:full'", "document_scope"),
            ("document_scope = ''", "document_scope"),
            ("document_lifetime = '1h'", "document_lifetime"),
            ("document_hosts = ['https://a']", "document_hosts"),
        ] {
            let error = read(&format!("[registration]\n{line}")).unwrap_err();
            assert!(error.contains(key), "{line}: {error}");
        }
    }
}
