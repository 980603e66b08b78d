//! Who asks, and what they may ask for: by the transport, by a credential of their own, or by the
//! user that the operating system says is at the other end of the Unix socket.

use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;

use crate::crypto::digest::sha256;
use crate::domain::{Secret, ServiceName};
use crate::runtime::config::Reader;

/// How a request arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::sidecar) enum Transport {
    /// A Unix socket: who may open it may ask everything, unless the listener says otherwise.
    Unix,
    /// TCP on loopback: anybody on this machine, whatever user they are.
    Loopback,
    /// TCP that other hosts reach.
    Remote,
}

/// What may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Ask {
    /// Decisions.
    Check,
    /// Who, what and where.
    Search,
    /// Where, with conditions.
    Plan,
    /// Why.
    Explain,
    /// How the sidecar is.
    Status,
    /// The same, in numbers.
    Metrics,
}

impl Ask {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Check,
        Self::Search,
        Self::Plan,
        Self::Explain,
        Self::Status,
        Self::Metrics,
    ];

    /// The word of the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Search => "search",
            Self::Plan => "plan",
            Self::Explain => "explain",
            Self::Status => "status",
            Self::Metrics => "metrics",
        }
    }
}

/// A word that is none of [`Ask::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be asked for: `check`, `search`, `plan`, `explain`, `status` and `metrics` can"
)]
pub struct UnknownAsk(String);

impl FromStr for Ask {
    type Err = UnknownAsk;

    fn from_str(text: &str) -> Result<Self, UnknownAsk> {
        Self::ALL
            .into_iter()
            .find(|ask| ask.word() == text)
            .ok_or_else(|| UnknownAsk(text.chars().take(60).collect()))
    }
}

/// A caller of the configuration.
#[derive(Debug, Clone)]
pub struct CallerConfig {
    /// The name it is given there.
    pub name: String,
    /// Its bearer credential.
    pub credential: Option<Secret<String>>,
    /// Its user on this machine, over the Unix socket.
    pub uid: Option<u32>,
    /// What it may ask for.
    pub may: Vec<Ask>,
    /// Of which services it may ask; none is all.
    pub services: Vec<ServiceName>,
}

/// Reads `[callers.<name>]`.
pub(in crate::sidecar) fn read(reader: &mut Reader<'_>) -> Vec<CallerConfig> {
    let callers: Vec<CallerConfig> = reader.section("callers", |callers| {
        let names = callers.names();
        names
            .into_iter()
            .map(|name| callers.section(&name.clone(), |caller| read_one(name, caller)))
            .collect()
    });
    for (place, caller) in callers.iter().enumerate() {
        let others = callers.iter().take(place);
        if others
            .clone()
            .any(|other| caller.uid.is_some() && other.uid == caller.uid)
        {
            let message = "another caller has this `uid`".to_owned();
            reader.mistake(&format!("callers.{}.uid", caller.name), message);
        }
        let same = |other: &CallerConfig| match (&other.credential, &caller.credential) {
            (Some(one), Some(other)) => one.expose() == other.expose(),
            _ => false,
        };
        if others.clone().any(same) {
            let message = "another caller has this credential".to_owned();
            reader.mistake(&format!("callers.{}.credential_file", caller.name), message);
        }
    }
    callers
}

fn read_one(name: String, reader: &mut Reader<'_>) -> CallerConfig {
    let caller = CallerConfig {
        name,
        credential: reader.secret("credential"),
        uid: reader.optional("uid"),
        may: reader.list("may"),
        services: reader.list("services"),
    };
    if caller.credential.is_none() && caller.uid.is_none() {
        let message = "set this or `uid`, or nobody is this caller".to_owned();
        reader.mistake("credential_file", message);
    }
    if caller.may.is_empty() {
        reader.mistake("may", "say what it may ask for".to_owned());
    }
    caller
}

/// What somebody may ask, and about what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sidecar) struct Rights {
    /// A bit for each [`Ask`].
    asks: u8,
    /// Resource types of these services only; `None` is all.
    pub(in crate::sidecar) services: Option<Box<[ServiceName]>>,
}

impl Rights {
    fn of(asks: impl IntoIterator<Item = Ask>) -> Self {
        Self {
            asks: asks.into_iter().fold(0, |asks, ask| asks | 1 << ask as u8),
            services: None,
        }
    }

    pub(in crate::sidecar) const fn may(&self, ask: Ask) -> bool {
        self.asks & (1 << ask as u8) != 0
    }
}

/// What somebody may ask of whom nothing is known but the transport. `configured` is what the
/// listener says of it.
///
/// # Errors
///
/// It says more than the transport bears, in words.
pub(in crate::sidecar) fn anonymous(
    transport: Transport,
    configured: Option<&[Ask]>,
) -> Result<Rights, String> {
    let most: &[Ask] = match transport {
        Transport::Unix => &Ask::ALL,
        Transport::Loopback => &[Ask::Check],
        Transport::Remote => &[],
    };
    let wanted = configured.unwrap_or(most);
    match wanted.iter().find(|ask| !most.contains(ask)) {
        Some(ask) => Err(format!(
            "`anonymous`: `{}` over TCP needs a credential: name callers under `[callers]`",
            ask.word()
        )),
        None => Ok(Rights::of(wanted.iter().copied())),
    }
}

/// Who was let in.
#[derive(Debug, Clone, Copy)]
pub(in crate::sidecar) struct Admitted<'a> {
    /// Their name, if they are known.
    pub(in crate::sidecar) name: Option<&'a str>,
    pub(in crate::sidecar) rights: &'a Rights,
}

/// Somebody with a credential or a user of their own.
struct Caller {
    name: String,
    /// SHA-256 of the credential.
    credential: Option<[u8; 32]>,
    uid: Option<u32>,
    rights: Rights,
}

/// Everybody who is known.
pub(in crate::sidecar) struct Callers(Vec<Caller>);

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|caller| &caller.name))
            .finish()
    }
}

impl Callers {
    /// The callers of the configuration, and the holder of `credential_file`, who may ask
    /// everything.
    pub(in crate::sidecar) fn new(
        operator: Option<&Secret<String>>,
        configured: &[CallerConfig],
    ) -> Self {
        let digest = |credential: &Secret<String>| sha256(credential.expose().as_bytes());
        let operator = operator.map(|credential| Caller {
            name: "credential_file".to_owned(),
            credential: Some(digest(credential)),
            uid: None,
            rights: Rights::of(Ask::ALL),
        });
        let others = configured.iter().map(|caller| Caller {
            name: caller.name.clone(),
            credential: caller.credential.as_ref().map(digest),
            uid: caller.uid,
            rights: Rights {
                services: (!caller.services.is_empty()).then(|| caller.services.clone().into()),
                ..Rights::of(caller.may.iter().copied())
            },
        });
        Self(operator.into_iter().chain(others).collect())
    }

    /// Whether anybody can show a credential.
    pub(in crate::sidecar) fn have_credentials(&self) -> bool {
        self.0.iter().any(|caller| caller.credential.is_some())
    }

    /// Who presents this `Authorization`, or is this user. A credential goes before the user; one
    /// that nobody has says nothing, as apps send tokens of their users along.
    pub(in crate::sidecar) fn find(
        &self,
        authorization: Option<&[u8]>,
        uid: Option<u32>,
    ) -> Option<(&str, &Rights)> {
        let presented = authorization.and_then(|value| value.strip_prefix(b"Bearer "));
        let mut found = None;
        if let Some(presented) = presented.filter(|_| self.have_credentials()) {
            let presented = sha256(presented);
            // Each is compared, so that the time tells nothing of which it was.
            for caller in &self.0 {
                let same = caller
                    .credential
                    .is_some_and(|own| own.ct_eq(&presented).into());
                if same {
                    found = Some(caller);
                }
            }
        }
        let of_user = || {
            let uid = uid?;
            self.0.iter().find(|caller| caller.uid == Some(uid))
        };
        let caller = found.or_else(of_user)?;
        Some((&caller.name, &caller.rights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str, credential: Option<&str>, uid: Option<u32>) -> CallerConfig {
        CallerConfig {
            name: name.to_owned(),
            credential: credential.map(|text| Secret::new(text.to_owned())),
            uid,
            may: vec![Ask::Check, Ask::Search],
            services: vec!["billing".parse().unwrap()],
        }
    }

    #[test]
    fn a_caller_is_known_by_its_credential_before_its_user() {
        let operator = Secret::new("root".to_owned());
        let configured = [
            caller("a", Some("secret-a"), None),
            caller("b", None, Some(1001)),
        ];
        let callers = Callers::new(Some(&operator), &configured);
        let name = |authorization: Option<&[u8]>, uid| {
            callers.find(authorization, uid).map(|(name, _)| name)
        };
        assert_eq!(name(Some(b"Bearer secret-a"), Some(1001)), Some("a"));
        assert_eq!(name(Some(b"Bearer root"), None), Some("credential_file"));
        assert_eq!(name(Some(b"Bearer other"), Some(1001)), Some("b"));
        assert_eq!(name(None, Some(1001)), Some("b"));
        for nobody in [&b"Bearer other"[..], b"Bearer ", b"secret-a", b""] {
            assert_eq!(name(Some(nobody), Some(0)), None);
        }
        let (_, rights) = callers.find(None, Some(1001)).unwrap();
        assert!(rights.may(Ask::Search) && !rights.may(Ask::Explain));
        assert_eq!(format!("{callers:?}"), r#"["credential_file", "a", "b"]"#);
    }

    #[test]
    fn without_a_credential_loopback_may_check_and_other_hosts_may_nothing() {
        for ask in Ask::ALL {
            assert!(anonymous(Transport::Unix, None).unwrap().may(ask));
            let loopback = anonymous(Transport::Loopback, None).unwrap();
            assert_eq!(loopback.may(ask), ask == Ask::Check);
            assert!(!anonymous(Transport::Remote, None).unwrap().may(ask));
            let more = anonymous(Transport::Loopback, Some(&[ask]));
            assert_eq!(more.is_ok(), ask == Ask::Check);
            assert!(anonymous(Transport::Remote, Some(&[ask])).is_err());
            assert_eq!(ask.word().parse(), Ok(ask));
        }
        let none = anonymous(Transport::Unix, Some(&[])).unwrap();
        assert!(!none.may(Ask::Check));
    }
}
