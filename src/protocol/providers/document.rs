//! A provider as somebody declares it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::Secret;
use crate::domain::provider::{
    GroupRole, ProviderKind, ProviderSettings, ProviderSpec, UpstreamAuth,
};
use crate::domain::text::misleads;
use crate::domain::user::Provider;
use crate::protocol::problem::Mistake;

/// The longest list.
const MAX_ITEMS: usize = 100;
/// The longest text that is no name.
const MAX_LEN: usize = 500;
/// The longest secret, in bytes.
const MAX_SECRET_LEN: usize = 4096;

/// A provider's declaration, as a document or a part of one. Only what differs from the defaults
/// needs to be there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProviderDocument {
    /// How to speak with it: `oidc`, `google` or `github`.
    pub kind: ProviderKind,
    /// Who it says it is, to the letter; Google and GitHub have their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Our name there.
    pub client_id: String,
    /// How we authenticate at its token endpoint: `client_secret_basic` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<UpstreamAuth>,
    /// What to ask for instead of the kind's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Who may log in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Domains whose verified addresses it may speak for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_domains: Vec<String>,
    /// The claim that lists groups: `groups` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// What each group gives.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Places>,
    /// Keep its tokens, sealed.
    #[serde(default)]
    pub keep_tokens: bool,
    /// Ask its userinfo endpoint even when the ID token says enough.
    #[serde(default)]
    pub userinfo: bool,
    /// Our secret there: absent leaves it as it is, `null` takes it away. It is read and never
    /// written.
    #[serde(default, skip_serializing, deserialize_with = "present")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>"))]
    pub client_secret: Option<Option<Secret<String>>>,
}

/// `organization service/role`, or a list of such texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(
    untagged,
    expecting = "`organization service/role` is wanted, or a list of such texts"
)]
pub enum Places {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Places {
    fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

#[expect(clippy::option_option, reason = "absent and `null` are two things")]
fn present<'de, D>(deserializer: D) -> Result<Option<Option<Secret<String>>>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(Some(text.map(Secret::new)))
}

/// Notes mistakes while a document is read.
struct Checker(Vec<Mistake>);

impl Checker {
    fn note(&mut self, pointer: impl fmt::Display, detail: impl Into<String>) {
        self.0.push(Mistake::new(pointer, detail));
    }

    fn list(&mut self, field: &str, items: &[String], wanted: &str, fits: fn(&str) -> bool) {
        if items.len() > MAX_ITEMS {
            let most = format!("at most {MAX_ITEMS} are taken");
            self.note(format!("/{field}"), most);
        }
        for (place, item) in items.iter().enumerate() {
            if item.len() > MAX_LEN || !fits(item) {
                self.note(format!("/{field}/{place}"), wanted);
            }
        }
    }
}

/// RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

/// A name of a host, in the letters that addresses have.
fn is_domain(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|label| !label.is_empty())
        && !text
            .chars()
            .any(|c| c.is_whitespace() || misleads(c) || "@/:*,".contains(c))
}

impl ProviderDocument {
    /// Checks the document and fills in what it leaves out. Whether a secret that is left as it is
    /// is there is for the caller to see to.
    ///
    /// # Errors
    ///
    /// Every mistake, with a pointer into the document.
    pub fn check(&self, provider: &Provider) -> Result<ProviderSpec, Vec<Mistake>> {
        let mut checker = Checker(Vec::new());
        if self.kind == ProviderKind::Demo {
            let why = "the demo provider lets anybody be anybody: it runs in `doorward dev` only";
            checker.note("/kind", why);
        }
        let issuer = self.checked_issuer(&mut checker);
        let name = self.name.clone().unwrap_or_else(|| match self.kind {
            ProviderKind::Google => "Google".to_owned(),
            ProviderKind::Github => "GitHub".to_owned(),
            ProviderKind::Oidc | ProviderKind::Demo => provider.as_str().to_owned(),
        });
        if !(1..=100).contains(&name.chars().count()) || name.chars().any(misleads) {
            let wanted = "1 to 100 characters are wanted, none of them a control character";
            checker.note("/name", wanted);
        }
        let id = &self.client_id;
        if id.is_empty() || id.len() > MAX_LEN || id.chars().any(misleads) {
            checker.note("/client_id", "it must be set, to our name at the provider");
        }
        match &self.client_secret {
            Some(None) if self.kind.wants_secret() => {
                let why = "it must be set: this kind of provider wants a secret";
                checker.note("/client_secret", why);
            }
            Some(Some(secret)) if !(1..=MAX_SECRET_LEN).contains(&secret.expose().len()) => {
                checker.note("/client_secret", "1 to 4,096 bytes are wanted");
            }
            _ => {}
        }
        let settings = self.settings(&mut checker);
        if !checker.0.is_empty() {
            return Err(checker.0);
        }
        Ok(ProviderSpec {
            provider: provider.clone(),
            kind: self.kind,
            issuer,
            name,
            client_id: self.client_id.clone(),
            settings,
        })
    }

    /// The form only: whether it may be asked at all is for `[outbound]` to say, and is said at the
    /// first login. OpenID Connect compares issuers to the letter, so a slash at the end may belong.
    fn checked_issuer(&self, checker: &mut Checker) -> String {
        let own = self.kind.default_issuer();
        let Some(issuer) = self.issuer.as_deref().or(own) else {
            checker.note("/issuer", "it must be set");
            return String::new();
        };
        let host = issuer
            .strip_prefix("https://")
            .or_else(|| issuer.strip_prefix("http://"));
        let fits = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
            && issuer.len() <= MAX_LEN
            && issuer.bytes().all(|byte| byte.is_ascii_graphic())
            && !issuer.contains(['?', '#', '@', '\\'])
            && !(self.kind == ProviderKind::Github && issuer.ends_with('/'));
        if !fits {
            let wanted = "`https://idp.example.com` is wanted, without query and fragment";
            checker.note("/issuer", wanted);
        }
        if self.kind == ProviderKind::Google && Some(issuer) != own {
            checker.note("/issuer", "Google has its own; use kind `oidc`");
        }
        issuer.to_owned()
    }

    fn settings(&self, checker: &mut Checker) -> ProviderSettings {
        let scope = "a scope is wanted, without spaces";
        checker.list("scopes", &self.scopes, scope, is_scope);
        let domain = "a domain is wanted, such as `example.com`";
        checker.list("domains", &self.domains, domain, is_domain);
        checker.list("trusted_domains", &self.trusted_domains, domain, is_domain);
        let claim = self.groups_claim.as_deref();
        if claim.is_some_and(|claim| claim.is_empty() || claim.len() > MAX_LEN) {
            checker.note("/groups_claim", "the name of a claim is wanted");
        }
        if self.kind == ProviderKind::Github && !self.groups.is_empty() {
            checker.note("/groups", "GitHub tells no groups");
        }
        ProviderSettings {
            scopes: self.scopes.clone(),
            domains: self.domains.clone(),
            trusted_domains: self.trusted_domains.clone(),
            groups_claim: self.groups_claim.clone(),
            groups: self.rules(checker),
            keep_tokens: self.keep_tokens,
            auth: self.client_auth.unwrap_or_default(),
            userinfo: self.userinfo,
        }
    }

    fn rules(&self, checker: &mut Checker) -> Vec<GroupRole> {
        let mut rules = Vec::new();
        for (group, places) in &self.groups {
            for place in places.texts() {
                let rule = place.split_once(' ').and_then(|(organization, role)| {
                    Some(GroupRole {
                        group: group.clone(),
                        organization: organization.parse().ok()?,
                        role: role.trim().parse().ok()?,
                    })
                });
                match rule {
                    Some(rule) => rules.push(rule),
                    None => checker.note(
                        format!("/groups/{}", group.replace('~', "~0").replace('/', "~1")),
                        "`organization service/role` is wanted, or a list of such texts",
                    ),
                }
            }
        }
        if rules.len() > MAX_ITEMS * 10 {
            checker.note("/groups", "at most 1,000 roles are given");
        }
        rules
    }
}

/// The whole declaration, nothing left to defaults.
impl From<&ProviderSpec> for ProviderDocument {
    fn from(spec: &ProviderSpec) -> Self {
        let settings = &spec.settings;
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for rule in &settings.groups {
            let place = format!("{} {}", rule.organization, rule.role);
            groups.entry(rule.group.clone()).or_default().push(place);
        }
        Self {
            kind: spec.kind,
            issuer: Some(spec.issuer.clone()),
            name: Some(spec.name.clone()),
            client_id: spec.client_id.clone(),
            client_auth: Some(settings.auth),
            scopes: settings.scopes.clone(),
            domains: settings.domains.clone(),
            trusted_domains: settings.trusted_domains.clone(),
            groups_claim: settings.groups_claim.clone(),
            groups: groups
                .into_iter()
                .map(|(group, places)| (group, Places::Several(places)))
                .collect(),
            keep_tokens: settings.keep_tokens,
            userinfo: settings.userinfo,
            client_secret: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(document: Value) -> Result<ProviderSpec, Vec<Mistake>> {
        let document: ProviderDocument = serde_json::from_value(document).unwrap();
        document.check(&"corp".parse().unwrap())
    }

    #[test]
    fn a_declaration_round_trips_through_its_document() {
        let spec = check(json!({
            "kind": "oidc", "issuer": "https://idp.example/", "client_id": "us", "userinfo": true,
            "scopes": ["openid", "groups"], "domains": ["corp.example"], "keep_tokens": true,
            "trusted_domains": ["corp.example"], "client_auth": "client_secret_post",
            "groups_claim": "https://idp.example/groups", "name": "Corp",
            "groups": {"a/b": "acme auth/admin", "c": ["acme auth/member", "globex auth/admin"]},
        }))
        .unwrap();
        let document = serde_json::to_value(ProviderDocument::from(&spec)).unwrap();
        assert_eq!(check(document).unwrap(), spec);
        assert_eq!(spec.settings.groups.len(), 3);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let mistakes = check(json!({
            "kind": "google", "issuer": "https://idp.example", "client_id": "", "name": "\u{202e}",
            "client_secret": null,
            "scopes": ["openid", "two words"], "domains": ["@corp.example"],
            "trusted_domains": ["*.corp.example"], "groups": {"a/b": ["acme"]},
        }))
        .unwrap_err();
        let pointers: Vec<&str> = mistakes.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/issuer",
                "/name",
                "/client_id",
                "/client_secret",
                "/scopes/1",
                "/domains/0",
                "/trusted_domains/0",
                "/groups/a~1b",
            ]
        );
        let demo = json!({"kind": "demo", "issuer": "https://idp.example", "client_id": "us"});
        assert_eq!(check(demo).unwrap_err()[0].pointer, "/kind");
    }

    #[test]
    fn a_secret_is_kept_set_or_taken_away_and_never_printed() {
        let read = |secret: &str| {
            let text = format!(r#"{{"kind": "oidc", "client_id": "us"{secret}}}"#);
            serde_json::from_str::<ProviderDocument>(&text).unwrap()
        };
        assert!(read("").client_secret.is_none());
        assert!(matches!(
            read(r#", "client_secret": null"#).client_secret,
            Some(None)
        ));
        let set = read(r#", "client_secret": "hush""#);
        assert_eq!(
            set.client_secret
                .as_ref()
                .unwrap()
                .as_ref()
                .unwrap()
                .expose(),
            "hush"
        );
        assert!(!format!("{set:?}").contains("hush"));
        assert!(!serde_json::to_string(&set).unwrap().contains("hush"));
    }
}
