//! `[providers.<name>]` of the configuration.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::authority::app::mint_uuid;
use crate::authority::config::Config;
use crate::authority::login::{ConfiguredProvider, DemoProvider, ProviderError, demo};
use crate::crypto::seal::KeyRing;
use crate::domain::Timestamp;
use crate::domain::provider::{ProviderKind, ProviderSource};
use crate::domain::user::Provider as ProviderName;
use crate::protocol::providers::{Places, ProviderAction, ProviderDocument};
use crate::runtime::Entropy;
use crate::runtime::config::Reader;
use crate::store::{Lock, Store, Tx, providers};

use super::change::{Wanted, WantedSecret, Writing, change_in, retire, write};

/// Who the audit log names when the configuration speaks.
const SYSTEM: &str = "system";

/// Reads every provider; a wrong one is noted and left out.
pub fn read_providers(reader: &mut Reader<'_>) -> Vec<ConfiguredProvider> {
    reader
        .names()
        .iter()
        .filter_map(|name| {
            let provider: Option<ProviderName> = name.parse().ok();
            if provider.is_none() {
                let wanted = "1 to 30 lower-case letters, digits and `-` are wanted as its name";
                reader.mistake(name, wanted.to_owned());
            }
            reader.section(name, |section| read_provider(&provider?, section))
        })
        .collect()
}

fn read_provider(name: &ProviderName, reader: &mut Reader<'_>) -> Option<ConfiguredProvider> {
    let kind: Option<ProviderKind> = reader.required("kind");
    let secret = reader.secret("client_secret");
    let document = ProviderDocument {
        kind: kind.unwrap_or(ProviderKind::Oidc),
        issuer: reader.optional("issuer"),
        name: reader.optional("name"),
        client_id: reader.optional("client_id").unwrap_or_default(),
        client_auth: reader.optional("client_auth"),
        scopes: reader.list("scopes"),
        domains: reader.list("domains"),
        trusted_domains: reader.list("trusted_domains"),
        groups_claim: reader.optional("groups_claim"),
        groups: read_groups(reader),
        keep_tokens: reader.or("keep_tokens", false),
        userinfo: reader.or("userinfo", false),
        client_secret: Some(secret),
    };
    kind?;
    match document.check(name) {
        Ok(spec) => Some(ConfiguredProvider {
            spec,
            secret: document.client_secret.flatten(),
        }),
        Err(mistakes) => {
            for mistake in mistakes {
                let key = match mistake.pointer.as_str() {
                    "/client_secret" => "client_secret_file".to_owned(),
                    pointer => pointer.trim_start_matches('/').replace('/', "."),
                };
                reader.mistake(&key, mistake.detail);
            }
            None
        }
    }
}

/// `group = "organization service/role"`, or a list of such texts.
fn read_groups(reader: &mut Reader<'_>) -> BTreeMap<String, Places> {
    let mut groups = BTreeMap::new();
    for (group, value) in reader.map("groups") {
        match value.try_into::<Places>() {
            Ok(places) => {
                groups.insert(group, places);
            }
            Err(error) => {
                reader.mistake(&format!("groups.{group}"), error.message().to_owned());
            }
        }
    }
    groups
}

/// Brings the configuration's providers into the store, and starts the demo's if it shall run.
///
/// Blocks; belongs to start-up.
///
/// # Errors
///
/// [`ProviderError`]
pub fn prepare(
    store: &Store,
    ring: &KeyRing,
    config: &Config,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Option<DemoProvider>, ProviderError> {
    let configured = declared(config);
    store.write_blocking(|tx| {
        let mut mint = || mint_uuid(now, entropy);
        sync_configured(tx, ring, &configured, now, &mut mint)
    })?;
    if config.demo_provider {
        DemoProvider::new().map(Some)
    } else {
        Ok(None)
    }
}

/// What the configuration declares, with the demo where it runs.
pub(super) fn declared(config: &Config) -> Vec<ConfiguredProvider> {
    let demo = config
        .demo_provider
        .then(|| demo::configured(&config.issuer));
    config
        .providers
        .iter()
        .cloned()
        .chain(demo.and_then(Result::ok))
        .collect()
}

/// Brings the configuration's providers into the store, and retires those that it no longer names.
/// `ids` are for audit rows, one a provider and one more for each that may go.
///
/// # Errors
///
/// [`ProviderError::Issuer`], [`ProviderError::Kind`], [`ProviderError::IssuerTaken`]: nothing was
/// changed.
fn sync_configured(
    tx: &mut dyn Tx,
    ring: &KeyRing,
    configured: &[ConfiguredProvider],
    now: Timestamp,
    ids: &mut dyn FnMut() -> Uuid,
) -> Result<(), ProviderError> {
    tx.lock(Lock::Providers)?;
    for provider in configured {
        let wanted = Wanted {
            spec: provider.spec.clone(),
            secret: WantedSecret::Be(provider.secret.clone()),
            source: ProviderSource::Config,
        };
        let change = change_in(tx, ring, &wanted, None, now)?;
        write(tx, &change, &writing(now, ids()))?;
        if change.plan.action != ProviderAction::None {
            let fields: Vec<_> = change.plan.changes.iter().map(|one| &one.field).collect();
            let provider = change.after.provider.as_str();
            tracing::info!(provider, ?fields, "a provider of the configuration changed");
        }
    }
    for row in providers::list(tx)? {
        let named = configured
            .iter()
            .any(|wanted| wanted.spec.provider.as_str() == row.provider);
        if row.source == ProviderSource::Config && row.enabled && !named {
            tracing::warn!(
                provider = row.provider,
                "the configuration does not name this provider any more: nobody logs in through it"
            );
            retire(tx, row, &writing(now, ids()))?;
        }
    }
    Ok(())
}

const fn writing(now: Timestamp, audit_id: Uuid) -> Writing<'static> {
    Writing {
        actor: SYSTEM,
        now,
        audit_id,
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::config::Environment;

    use super::*;

    fn read(text: &str) -> Result<Vec<ConfiguredProvider>, String> {
        let environment = Environment::default();
        let mut reader = Reader::from_text(text, "test", &environment, "DOORWARD_TEST").unwrap();
        let providers = reader.section("providers", read_providers);
        reader
            .finish()
            .map(|()| providers)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_needs_little_and_takes_groups_by_name() {
        let providers = read(
            "[providers.corp]\nkind = 'oidc'\nissuer = 'https://idp.example/'\nclient_id = 'us'\n\
             keep_tokens = true\n[providers.corp.groups]\nadmins = ['acme auth/admin', \
             'globex auth/admin']\nclerks = 'acme billing/clerk'",
        )
        .unwrap();
        let corp = &providers[0];
        assert_eq!(
            (corp.spec.name.as_str(), corp.spec.settings.groups.len()),
            ("corp", 3)
        );
        assert_eq!(
            corp.spec.settings.groups[2].role.to_string(),
            "billing/clerk"
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_key() {
        let error = read(
            "[providers.Bad]\nkind = 'oidc'\nissuer = 'idp'\nclient_id = 'us'\nsecret = 'x'\n\
             [providers.demo]\nkind = 'demo'\nissuer = 'https://x'\nclient_id = 'us'\n\
             [providers.gh]\nkind = 'github'\nclient_id = 'us'\ngroups = {a = 'b'}\n\
             [providers.g]\nkind = 'google'\nissuer = 'https://x'\n[providers.n]\nkind = 'saml'",
        )
        .unwrap_err();
        for key in [
            "providers.Bad: ",
            "providers.Bad.issuer: ",
            "providers.Bad.secret: ",
            "providers.demo.kind: ",
            "providers.gh.client_secret_file: ",
            "providers.gh.groups.a: ",
            "providers.g.issuer: ",
            "providers.g.client_id: ",
            "providers.n.kind: ",
        ] {
            assert!(error.contains(key), "{key} is missing in {error}");
        }
    }
}
