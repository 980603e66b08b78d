//! `[gate.<name>]` of the configuration.
//!
//! ```toml
//! [gate.board]
//! hosts = ["https://app.example"]         # the origins that it guards
//! client_id = "board-gate"                # the app at the authority that people log in through
//! client_secret_file = "/etc/doorward/gate.secret" # left out: a public client
//! scope = "openid docs:edit"              # what a sign-in may do here
//! resource = "https://app.example"        # whom the token is for; default: the authority itself
//! path = "/.doorward/"                    # the reserved path
//! lifetime = "1h"                         # of the cookie; 12 h at most
//! keys_file = "/etc/doorward/gate.keys"   # doorward-sidecar gate-keys new
//! authority = "https://auth.internal"     # where codes are redeemed; default: `tokens.issuer`
//! ca_file = "/etc/doorward/ca.pem"        # trusted there instead of the public roots
//! ```

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use super::origin::{Origin, is_local};
use crate::domain::{ClientIdentifier, GATE_SESSION_MAX, Scopes, Secret};
use crate::protocol::gate::GatePath;
use crate::runtime::config::Reader;

/// How long a cookie stands for its token where nothing is said.
const LIFETIME: Duration = Duration::from_hours(1);
/// Shorter ones would have people sent around all the time.
const LIFETIME_MIN: Duration = Duration::from_mins(1);

/// A gate's settings.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Its name, which cookies are bound to.
    pub name: String,
    /// The origins that it guards.
    pub hosts: Vec<Origin>,
    /// The app at the authority.
    pub client_id: ClientIdentifier,
    /// The app's secret; a public client has none.
    pub client_secret: Option<Secret<String>>,
    /// What is asked for; `openid` is among it.
    pub scope: Scopes,
    /// Whom the access token shall be for.
    pub resource: Option<String>,
    /// The reserved path.
    pub path: GatePath,
    /// How long a cookie stands for its token.
    pub lifetime: Duration,
    /// The sealing keys.
    pub keys_file: PathBuf,
    /// The authority's base URL as seen from here; the issuer if absent.
    pub authority: Option<String>,
    /// Certificates (PEM) to trust there instead of the public roots.
    pub ca_file: Option<PathBuf>,
}

/// Reads all gates. `has_tokens` says whether `[tokens]` is there.
pub(in crate::sidecar) fn read(reader: &mut Reader<'_>, has_tokens: bool) -> Vec<GateConfig> {
    let gates: Vec<GateConfig> = reader.section("gate", |gates| {
        let names = gates.names();
        names
            .into_iter()
            .filter_map(|name| gates.section(&name.clone(), |gate| read_one(name, gate)))
            .collect()
    });
    if !gates.is_empty() && !has_tokens {
        let message = "it needs `tokens.issuer` and `tokens.audiences`".to_owned();
        reader.mistake("gate", message);
    }
    let mut seen: Vec<&str> = Vec::new();
    for gate in &gates {
        for origin in &gate.hosts {
            if seen.contains(&origin.host()) {
                let message = format!(
                    "`{}` is guarded twice: cookies do not tell ports and schemes of a host apart",
                    origin.host()
                );
                reader.mistake(&format!("gate.{}.hosts", gate.name), message);
            }
            seen.push(origin.host());
        }
    }
    gates
}

fn read_one(name: String, reader: &mut Reader<'_>) -> Option<GateConfig> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if !name.bytes().all(plain) {
        let message = "letters, digits, `-` and `_` are wanted in a gate's name".to_owned();
        reader.mistake("hosts", message);
    }
    let hosts: Vec<Origin> = reader.list("hosts");
    if hosts.is_empty() {
        reader.mistake("hosts", "name at least one origin".to_owned());
    }
    let client_id = reader.required("client_id");
    let client_secret = reader.secret("client_secret");
    let scope = reader
        .optional::<String>("scope")
        .unwrap_or_else(|| "openid".to_owned());
    let scope = match Scopes::parse(&scope) {
        Ok(scope) if scope.contains("openid") => Some(scope),
        Ok(_) => {
            reader.mistake("scope", "`openid` must be among them".to_owned());
            None
        }
        Err(error) => {
            reader.mistake("scope", error.to_string());
            None
        }
    };
    let lifetime = reader.duration("lifetime", LIFETIME);
    if !(LIFETIME_MIN..=GATE_SESSION_MAX).contains(&lifetime) {
        let hours = GATE_SESSION_MAX.as_secs() / 3600;
        let message = format!(
            "between a minute and {hours} h: for so long the authority tells what was revoked"
        );
        reader.mistake("lifetime", message);
    }
    let keys_file = reader.path("keys_file");
    if keys_file.is_none() {
        let message = "it must be set; `doorward-sidecar gate-keys new FILE` makes one".to_owned();
        reader.mistake("keys_file", message);
    }
    let authority: Option<String> = reader.optional("authority");
    if let Some(mistake) = authority.as_deref().and_then(base_url_mistake) {
        reader.mistake("authority", mistake);
    }
    Some(GateConfig {
        name,
        hosts,
        client_id: client_id?,
        client_secret,
        scope: scope?,
        resource: reader.optional("resource"),
        path: reader.or("path", GatePath::default()),
        lifetime,
        keys_file: keys_file?,
        authority,
        ca_file: reader.path("ca_file"),
    })
}

/// Codes and secrets go there.
pub(super) fn base_url_mistake(url: &str) -> Option<String> {
    let uri: Option<Uri> = url.parse().ok();
    let right = uri.is_some_and(|uri| {
        let host = uri.host().unwrap_or_default();
        !host.is_empty()
            && uri.query().is_none()
            && (uri.scheme_str() == Some("https")
                || (uri.scheme_str() == Some("http") && is_local(host)))
    });
    (!right || url.contains(['#', '@'])).then(|| {
        format!("`{url}` is no base URL: `https` is wanted (`http` for this machine only)")
    })
}

#[cfg(test)]
mod tests {
    use crate::runtime::config::Environment;
    use crate::sidecar::config::Config;

    const WHOLE: &str = "[tokens]\nissuer = \"https://id.example\"\naudiences = \
                         [\"https://id.example\"]\n[gate.app]\nhosts = \
                         [\"https://app.example\"]\nclient_id = \"gate\"\nkeys_file = \"/k\"\n";

    fn mistake(text: &str) -> String {
        let read = Config::from_text(text, &Environment::default());
        read.map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_gate_has_defaults_for_what_is_not_said() {
        let config = Config::from_text(WHOLE, &Environment::default()).unwrap();
        let gate = &config.gates[0];
        assert_eq!(gate.path.as_str(), "/.doorward/");
        assert_eq!(gate.scope.to_string(), "openid");
        assert_eq!(gate.lifetime, super::LIFETIME);
        assert!(gate.client_secret.is_none() && gate.authority.is_none());
    }

    #[test]
    fn every_mistake_of_a_gate_is_named() {
        for (line, named) in [
            ("lifetime = \"13h\"", "gate.app.lifetime"),
            ("lifetime = \"30s\"", "gate.app.lifetime"),
            ("scope = \"docs:edit\"", "gate.app.scope"),
            ("path = \"/gate\"", "gate.app.path"),
            ("authority = \"http://id.internal\"", "gate.app.authority"),
            ("authority = \"id.internal\"", "gate.app.authority"),
            (
                "client_secret_file = \"/nowhere\"",
                "gate.app.client_secret_file",
            ),
            ("colour = 1", "gate.app.colour"),
        ] {
            let told = mistake(&format!("{WHOLE}{line}\n"));
            assert!(told.contains(named), "{line}: {told}");
        }
        for (part, other, named) in [
            (
                "https://app.example",
                "http://app.example",
                "gate.app.hosts",
            ),
            (
                "hosts = [\"https://app.example\"]",
                "hosts = []",
                "gate.app.hosts",
            ),
            ("client_id = \"gate\"\n", "", "gate.app.client_id"),
            ("keys_file = \"/k\"\n", "", "gate.app.keys_file"),
            ("[gate.app]", "[gate.\"a b\"]", "gate.a b"),
        ] {
            let told = mistake(&WHOLE.replace(part, other));
            assert!(told.contains(named), "{other}: {told}");
        }
        let twice = WHOLE.replace(
            "[\"https://app",
            "[\"https://app.example:8443\", \"https://app",
        );
        assert!(mistake(&twice).contains("guarded twice"));
        let (_, alone) = WHOLE.split_once("[gate.app]").unwrap();
        assert!(mistake(&format!("[gate.app]{alone}")).contains("tokens.issuer"));
    }
}
