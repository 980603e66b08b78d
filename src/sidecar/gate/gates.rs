//! The gates of a sidecar, and what they seal.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::config::{GateConfig, base_url_mistake};
use super::cookie::{COOKIE_MAX, SESSION};
use super::origin::Origin;
use crate::crypto::digest::sha256;
use crate::crypto::seal::{KeyRing, Place, SealError};
use crate::domain::{ClientIdentifier, Secret, Timestamp};
use crate::protocol::cookies::{self, Cookie};
use crate::protocol::forward_auth::{CanonicalPath, canonical_host};
use crate::protocol::gate::GatePath;
use crate::protocol::jose::AccessTokenClaims;
use crate::replication::client::{ClientError, FormClient};
use crate::runtime::Entropy;
use crate::runtime::files::{FileError, read_text};
use crate::sidecar::decide::Worker;
use crate::sidecar::refusal::Refusal;
use crate::sidecar::tokens::{Rules, Verified, verify_opened};
use crate::sidecar::view::State;

/// The largest file of sealing keys.
pub(super) const KEYS_MAX: u64 = 64 * 1024;
/// How many codes of one gate are redeemed at once: who is beyond that is told to try again.
const EXCHANGES: usize = 64;

/// Why a gate cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The sealing keys cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// They are none.
    #[error("gate `{gate}`: `{file}`: {source}")]
    Keys {
        /// Which gate.
        gate: String,
        /// Which file.
        file: String,
        /// What is wrong.
        source: SealError,
    },
    /// The authority cannot be asked.
    #[error("gate `{gate}`: {source}")]
    Client {
        /// Which gate.
        gate: String,
        /// Why.
        source: ClientError,
    },
    /// The issuer is no URL that codes may be sent to.
    #[error("gate `{gate}`: `tokens.issuer`: {message}")]
    Issuer {
        /// Which gate.
        gate: String,
        /// What is wrong.
        message: String,
    },
}

/// By how much the clocks of two sidecars with the same keys may differ.
const CLOCKS: Duration = Duration::from_mins(1);

/// A gate: one app at the authority, and the hosts that people log in for through it.
#[derive(Debug)]
pub(in crate::sidecar) struct Gate {
    pub(super) name: String,
    pub(super) client_id: ClientIdentifier,
    pub(super) client_secret: Option<Secret<String>>,
    pub(super) scope: String,
    pub(super) resource: Option<String>,
    pub(super) path: GatePath,
    pub(super) lifetime: Duration,
    pub(super) issuer: String,
    pub(super) authority: FormClient,
    pub(super) exchanges: Semaphore,
    pub(super) entropy: Arc<dyn Entropy>,
    ring: KeyRing,
    /// Keys and settings: a cookie that was opened under others is opened again.
    opened_under: [u8; 32],
}

/// One host that a gate guards. What is sealed for it opens for no other.
#[derive(Debug)]
pub(in crate::sidecar) struct Site {
    gate: Arc<Gate>,
    origin: Origin,
}

/// What a request says by the cookie of a gate.
pub(in crate::sidecar) fn session_cookie(headers: &HeaderMap) -> Cookie<'_> {
    cookies::find(headers, SESSION)
}

/// What a value is sealed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Session,
    Attempt,
    Hint,
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::Session => "gate session",
            Self::Attempt => "gate attempt",
            Self::Hint => "gate hint",
        }
    }
}

/// All gates, by the hosts that they guard.
#[derive(Debug, Default)]
pub(in crate::sidecar) struct Gates {
    sites: HashMap<Box<str>, Site>,
    /// Every reserved path, once.
    paths: Vec<Box<str>>,
}

impl Gates {
    /// Opens what is configured: reads sealing keys and certificates.
    pub(in crate::sidecar) fn open(
        configs: &[GateConfig],
        rules: Option<&Rules>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self, GateError> {
        let mut gates = Self::default();
        let Some(rules) = rules else {
            // Refused before, by the configuration: without, no cookie could be verified.
            return Ok(gates);
        };
        for config in configs {
            let gate = Arc::new(Gate::open(config, rules, Arc::clone(entropy))?);
            let path = config.path.as_str();
            if !gates.paths.iter().any(|known| &**known == path) {
                gates.paths.push(path.into());
            }
            for origin in &config.hosts {
                let site = Site {
                    gate: Arc::clone(&gate),
                    origin: origin.clone(),
                };
                gates.sites.insert(origin.host().into(), site);
            }
        }
        Ok(gates)
    }

    /// The site of a host, which is told without port and in lower case.
    pub(in crate::sidecar) fn site(&self, host: &str) -> Option<&Site> {
        // Most sidecars have none.
        if self.sites.is_empty() {
            return None;
        }
        self.sites.get(host)
    }

    /// The site whose reserved path a request to the sidecar itself is for, and what stands behind
    /// that path. The host is the one of `Host`, which must stand once.
    pub(in crate::sidecar) fn visited<'r>(
        &self,
        headers: &HeaderMap,
        path: &'r str,
    ) -> Option<(&Site, &'r str)> {
        if !self
            .paths
            .iter()
            .any(|reserved| path.starts_with(&**reserved))
        {
            return None;
        }
        let mut hosts = headers.get_all(http::header::HOST).iter();
        let host = hosts.next()?.to_str().ok()?;
        if hosts.next().is_some() {
            return None;
        }
        let site = self.site(&canonical_host(host).ok()?)?;
        let rest = path.strip_prefix(site.gate.path.as_str())?;
        Some((site, rest))
    }
}

impl Gate {
    fn open(
        config: &GateConfig,
        rules: &Rules,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, GateError> {
        let text = read_text(&config.keys_file, KEYS_MAX)?;
        let ring = KeyRing::from_text(&text).map_err(|source| GateError::Keys {
            gate: config.name.clone(),
            file: config.keys_file.display().to_string(),
            source,
        })?;
        if let Some(message) = base_url_mistake(&rules.issuer) {
            let gate = config.name.clone();
            return Err(GateError::Issuer { gate, message });
        }
        let base = config.authority.as_deref().unwrap_or(&rules.issuer);
        let authority = FormClient::new(base, config.ca_file.as_deref()).map_err(|source| {
            let gate = config.name.clone();
            GateError::Client { gate, source }
        })?;
        Ok(Self {
            name: config.name.clone(),
            client_id: config.client_id.clone(),
            client_secret: config.client_secret.clone(),
            scope: config.scope.to_string(),
            resource: config.resource.clone(),
            path: config.path.clone(),
            lifetime: config.lifetime,
            issuer: rules.issuer.trim_end_matches('/').to_owned(),
            authority,
            exchanges: Semaphore::new(EXCHANGES),
            entropy,
            opened_under: opened_under(&ring, config),
            ring,
        })
    }
}

impl Gate {
    /// Whether a sign-in of today could give a cookie that says this: settings may have been made
    /// narrower since.
    fn still_gives(&self, claims: &AccessTokenClaims, now: Timestamp) -> bool {
        let asked_for = |scope: &str| self.scope.split(' ').any(|asked| asked == scope);
        claims.client_id == self.client_id
            && claims.scope.split_whitespace().all(asked_for)
            && claims.exp <= now.plus(self.lifetime + CLOCKS).unix_seconds()
    }
}

fn opened_under(ring: &KeyRing, config: &GateConfig) -> [u8; 32] {
    let mut text = ring.fingerprint().to_vec();
    text.extend_from_slice(&config.lifetime.as_secs().to_be_bytes());
    for part in [config.client_id.as_str(), &config.scope.to_string()] {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    sha256(&text)
}

impl Site {
    pub(in crate::sidecar) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether a path is reserved: the app behind must never be asked about it.
    pub(in crate::sidecar) fn reserves(&self, path: &CanonicalPath<'_>) -> bool {
        self.gate.path.covers(path)
    }

    /// An address of the gate.
    pub(super) fn url(&self, rest: &str) -> String {
        format!("{}{}{rest}", self.origin, self.gate.path)
    }

    /// Where a sign-in begins that leads to `target`, a path and query of this host.
    pub(in crate::sidecar) fn login_url(&self, target: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", target)
            .finish();
        self.url(&format!("login?{query}"))
    }

    /// Verifies the cookie's value as the token that it stands for is: by the same rules, now, by
    /// the copy as it stands.
    ///
    /// # Errors
    ///
    /// Why it is refused. [`Refusal::Malformed`] is one that this gate did not seal for this host, or
    /// sealed under a key that is no longer there or settings that no longer give it.
    pub(in crate::sidecar) fn verify(
        &self,
        state: &State,
        worker: &mut Worker,
        rules: &Rules,
        value: &str,
    ) -> Result<Arc<Verified>, Refusal> {
        if value.len() > COOKIE_MAX {
            return Err(Refusal::Malformed);
        }
        verify_opened(state, worker, rules, self.remembered_as(value), || {
            let claims: AccessTokenClaims = self
                .open(Purpose::Session, value)
                .ok_or(Refusal::Malformed)?;
            if !self.gate.still_gives(&claims, state.clock().now()) {
                return Err(Refusal::Malformed);
            }
            Verified::new(claims)
        })
    }

    /// Under what an opened cookie is remembered. Its first byte is in no token, so that a cookie
    /// that comes as a token is none; and it says gate, settings, host and keys, since others of these
    /// must open it themselves.
    fn remembered_as(&self, value: &str) -> [u8; 32] {
        let mut text = Vec::with_capacity(128 + value.len());
        text.push(0);
        text.extend_from_slice(&self.gate.opened_under);
        for part in [&self.gate.name, self.origin.as_str(), value] {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part.as_bytes());
        }
        sha256(&text)
    }

    /// Seals a value for this host and purpose, as text that a cookie can hold.
    pub(super) fn seal<T: Serialize>(
        &self,
        purpose: Purpose,
        value: &T,
    ) -> Result<String, SealError> {
        let json = Zeroizing::new(serde_json::to_vec(value).map_err(|_| SealError::Failed)?);
        let sealed = self.gate.ring.seal(&json, self.place(purpose))?;
        Ok(BASE64URL_NOPAD.encode(&sealed))
    }

    /// The inverse of [`Self::seal`]; `None` for whatever was not sealed for just this.
    pub(super) fn open<T: DeserializeOwned>(&self, purpose: Purpose, text: &str) -> Option<T> {
        if text.len() > COOKIE_MAX {
            return None;
        }
        let sealed = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let json = self.gate.ring.open(&sealed, self.place(purpose)).ok()?;
        serde_json::from_slice(&json).ok()
    }

    fn place(&self, purpose: Purpose) -> Place<'_> {
        Place {
            table: purpose.word(),
            row: &self.gate.name,
            column: self.origin.as_str(),
        }
    }
}
