//! `[providers.<name>]` of the configuration.

use crate::authority::app::mint_uuid;
use crate::authority::config::Config;
use crate::authority::outbound::OutboundConfig;
use crate::crypto::seal::KeyRing;
use crate::domain::Timestamp;
use crate::domain::provider::{GroupRole, ProviderKind, ProviderSettings, UpstreamAuth};
use crate::domain::user::Provider as ProviderName;
use crate::runtime::Entropy;
use crate::runtime::config::Reader;
use crate::store::Store;

use super::demo::{self, DemoProvider};
use super::provider::{ConfiguredProvider, ProviderError, sync_configured};

/// Reads every provider; a wrong one is noted and left out.
pub fn read_providers(reader: &mut Reader<'_>) -> Vec<ConfiguredProvider> {
    reader
        .names()
        .iter()
        .filter_map(|name| {
            if name.parse::<ProviderName>().is_err() {
                let wanted = "1 to 30 lower-case letters, digits and `-` are wanted as its name";
                reader.mistake(name, wanted.to_owned());
            }
            reader.section(name, |provider| read_provider(name, provider))
        })
        .collect()
}

fn read_provider(name: &str, reader: &mut Reader<'_>) -> Option<ConfiguredProvider> {
    let kind: Option<ProviderKind> = reader.required("kind");
    let issuer: Option<String> = reader.optional("issuer");
    let shown: Option<String> = reader.optional("name");
    let client_id: Option<String> = reader.required("client_id");
    let secret = reader.secret("client_secret");
    let settings = read_settings(reader);
    let kind = kind?;
    let issuer = issuer.or_else(|| kind.default_issuer().map(str::to_owned));
    if kind == ProviderKind::Demo {
        let why = "the demo provider lets anybody be anybody: it runs in `doorward dev` only";
        reader.mistake("kind", why.to_owned());
    }
    match &issuer {
        None => reader.mistake("issuer", "it must be set".to_owned()),
        Some(issuer) => check_issuer(reader, kind, issuer),
    }
    let speaks_oidc = kind != ProviderKind::Github;
    if !speaks_oidc && !settings.groups.is_empty() {
        let why = "GitHub tells no groups".to_owned();
        reader.mistake("groups", why);
    }
    if secret.is_none() && matches!(kind, ProviderKind::Github | ProviderKind::Google) {
        let why = "it must be set: this kind of provider wants a secret".to_owned();
        reader.mistake("client_secret_file", why);
    }
    let shown = shown.unwrap_or_else(|| match kind {
        ProviderKind::Google => "Google".to_owned(),
        ProviderKind::Github => "GitHub".to_owned(),
        ProviderKind::Oidc | ProviderKind::Demo => name.to_owned(),
    });
    if shown.is_empty() || shown.chars().count() > 100 {
        reader.mistake("name", "1 to 100 characters are wanted".to_owned());
    }
    Some(ConfiguredProvider {
        provider: name.to_owned(),
        kind,
        issuer: issuer?,
        name: shown,
        client_id: client_id?,
        secret,
        settings,
    })
}

/// The form only: whether it may be asked at all is for `[outbound]` to say, and is said at the
/// first login. OpenID Connect compares issuers to the letter, so a slash at the end may belong.
fn check_issuer(reader: &mut Reader<'_>, kind: ProviderKind, issuer: &str) {
    let host = issuer
        .strip_prefix("https://")
        .or_else(|| issuer.strip_prefix("http://"));
    let fits = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
        && issuer.bytes().all(|byte| byte.is_ascii_graphic())
        && !issuer.contains(['?', '#', '@', '\\'])
        && !(kind == ProviderKind::Github && issuer.ends_with('/'));
    if !fits {
        let wanted = "`https://idp.example.com` is wanted, without query and fragment";
        reader.mistake("issuer", wanted.to_owned());
    }
    if kind == ProviderKind::Google && Some(issuer) != kind.default_issuer() {
        reader.mistake("issuer", "Google has its own; use kind `oidc`".to_owned());
    }
}

fn read_settings(reader: &mut Reader<'_>) -> ProviderSettings {
    ProviderSettings {
        scopes: reader.list("scopes"),
        domains: reader.list("domains"),
        trusted_domains: reader.list("trusted_domains"),
        groups_claim: reader.optional("groups_claim"),
        groups: read_groups(reader),
        keep_tokens: reader.or("keep_tokens", false),
        auth: reader.or("client_auth", UpstreamAuth::default()),
        userinfo: reader.or("userinfo", false),
    }
}

/// `group = "organization service/role"`, or a list of such texts.
fn read_groups(reader: &mut Reader<'_>) -> Vec<GroupRole> {
    let mut rules = Vec::new();
    for (group, value) in reader.map("groups") {
        let places = match value {
            toml::Value::Array(places) => places,
            one => vec![one],
        };
        for place in places {
            let rule = place.as_str().and_then(|text| {
                let (organization, role) = text.split_once(' ')?;
                Some(GroupRole {
                    group: group.clone(),
                    organization: organization.parse().ok()?,
                    role: role.trim().parse().ok()?,
                })
            });
            match rule {
                Some(rule) => rules.push(rule),
                None => reader.mistake(
                    &format!("groups.{group}"),
                    "`organization service/role` is wanted, or a list of such texts".to_owned(),
                ),
            }
        }
    }
    rules
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
    let mut providers = config.providers.clone();
    if config.demo_provider {
        providers.push(demo::configured(&config.issuer));
    }
    store.write_blocking(|tx| {
        let mut mint = || mint_uuid(now, entropy);
        sync_configured(tx, ring, &providers, now, &mut mint)
    })?;
    if config.demo_provider {
        DemoProvider::new().map(Some)
    } else {
        Ok(None)
    }
}

/// What is configured of outbound requests; where the demo runs, the authority may ask itself.
pub fn outbound_config(config: &Config) -> OutboundConfig {
    let mut outbound = config.outbound.clone();
    let own = config.issuer.as_str().split("://").nth(1);
    if let Some(host) = own.filter(|_| config.demo_provider)
        && let Ok(host) = host.split('/').next().unwrap_or_default().parse()
    {
        outbound.allow_hosts.push(host);
    }
    outbound
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
            (corp.name.as_str(), corp.settings.groups.len()),
            ("corp", 3)
        );
        assert_eq!(corp.settings.groups[2].role.to_string(), "billing/clerk");
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
