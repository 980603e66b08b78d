//! One decision, as the thread that made it notes it.

use super::packed::{Pack, Unpack};
use crate::domain::DecisionId;
use crate::protocol::forward_auth::Dialect;

/// The longest text of a record, in bytes; the rest is cut off.
const TEXT_MAX: usize = 512;

/// The longest context that is recorded, in bytes; a longer one is left out.
const CONTEXT_MAX: usize = 4096;

/// What a record takes when packed, seldom more.
const USUAL_BYTES: usize = 384;

/// Where it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Door {
    /// AuthZEN, alone or in a batch.
    #[default]
    Authzen,
    /// `GET /v1/check`.
    Check,
    /// `POST /v1/explain`.
    Explain,
    /// A question that is watched.
    Watch,
    /// nginx.
    Nginx,
    /// Traefik.
    Traefik,
    /// Caddy.
    Caddy,
    /// `HAProxy`.
    Haproxy,
    /// Envoy.
    Envoy,
    /// Another proxy.
    Plain,
    /// Envoy, over gRPC.
    EnvoyGrpc,
}

impl Door {
    /// All, in the order of their numbers.
    const ALL: [Self; 11] = [
        Self::Authzen,
        Self::Check,
        Self::Explain,
        Self::Watch,
        Self::Nginx,
        Self::Traefik,
        Self::Caddy,
        Self::Haproxy,
        Self::Envoy,
        Self::Plain,
        Self::EnvoyGrpc,
    ];

    /// The word of the log.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Authzen => "authzen",
            Self::Check => "check",
            Self::Explain => "explain",
            Self::Watch => "watch",
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Plain => "plain",
            Self::EnvoyGrpc => "envoy-grpc",
        }
    }
}

impl From<Dialect> for Door {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Nginx => Self::Nginx,
            Dialect::Traefik => Self::Traefik,
            Dialect::Caddy => Self::Caddy,
            Dialect::Haproxy => Self::Haproxy,
            Dialect::Envoy => Self::Envoy,
            Dialect::EnvoyGrpc => Self::EnvoyGrpc,
            Dialect::Plain => Self::Plain,
        }
    }
}

/// Who asks, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asker<'a> {
    /// Where.
    pub door: Door,
    /// Whether over a Unix socket.
    pub unix: bool,
    /// The caller's name in the configuration.
    pub caller: Option<&'a str>,
    /// The user at the other end of the Unix socket.
    pub uid: Option<u32>,
    /// `X-Request-ID`, as sent.
    pub request_id: Option<&'a str>,
}

/// What a token says of itself, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sidecar) struct AskedToken<'a> {
    /// The client it was issued to.
    pub client: &'a str,
    /// The login session it came from.
    pub session: Option<[u8; 16]>,
    /// The grant it came from.
    pub grant: Option<[u8; 16]>,
    /// Its own id: not the token.
    pub id: &'a str,
}

/// The record. What is not known is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::sidecar) struct Record<'a> {
    /// The decision id: maker and count.
    pub id: (u64, u64),
    /// When, in microseconds since 1970.
    pub at: i64,
    /// Who asks, and where.
    pub asker: Asker<'a>,
    /// The answer.
    pub allow: bool,
    /// Why, in a word.
    pub reason: &'a str,
    /// What the asker is not told of it.
    pub detail: Option<&'a str>,
    /// The last change that the answer knows of.
    pub revision: Option<u64>,
    /// How stale the facts may have been.
    pub staleness_ms: Option<u64>,
    /// The user asked about, if it is one.
    pub user: Option<[u8; 16]>,
    /// The subject as sent, where it is no user.
    pub subject_type: Option<&'a str>,
    /// Its id.
    pub subject_id: Option<&'a str>,
    /// The action's name.
    pub action: Option<&'a str>,
    /// `service:resource`.
    pub resource_type: Option<&'a str>,
    /// The resource's id.
    pub resource_id: Option<&'a str>,
    /// Where.
    pub organization: Option<[u8; 16]>,
    /// The place of the set of roles held among the engine's.
    pub roles: Option<u32>,
    /// The token presented.
    pub token: Option<AskedToken<'a>>,
    /// The route of a proxy's request.
    pub route: Option<&'a str>,
    /// Its method.
    pub method: Option<&'a str>,
    /// Its host.
    pub host: Option<&'a str>,
    /// The request's context, where it is to be recorded: JSON as sent.
    pub context: Option<&'a str>,
}

impl Record<'_> {
    /// The decision id.
    pub(super) const fn decision_id(&self) -> DecisionId {
        DecisionId::new(self.id.0, self.id.1)
    }

    /// Appends it to `out`, its texts cut to what a line bears.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut pack = Pack::new(out, USUAL_BYTES);
        let flags = [self.allow, self.asker.unix, self.token.is_some()];
        pack.byte(
            flags
                .iter()
                .rev()
                .fold(0, |bits, flag| bits << 1 | u8::from(*flag)),
        );
        pack.byte(self.asker.door as u8);
        pack.number(self.id.0);
        pack.number(self.id.1);
        pack.number(self.at.cast_unsigned());
        pack.maybe(self.asker.uid.map(u64::from), Pack::number);
        pack.maybe(self.revision, Pack::number);
        pack.maybe(self.staleness_ms, Pack::number);
        pack.maybe(self.roles.map(u64::from), Pack::number);
        pack.maybe(self.user, Pack::id);
        pack.maybe(self.organization, Pack::id);
        pack.text(Some(self.reason));
        for text in [self.asker.caller, self.detail, self.route] {
            pack.text(text);
        }
        for text in [
            self.asker.request_id,
            self.subject_type,
            self.subject_id,
            self.action,
            self.resource_type,
            self.resource_id,
            self.method,
            self.host,
        ] {
            pack.text(text.map(cut));
        }
        pack.text(self.context.filter(|text| text.len() <= CONTEXT_MAX));
        if let Some(token) = &self.token {
            pack.text(Some(cut(token.client)));
            pack.text(Some(cut(token.id)));
            pack.maybe(token.session, Pack::id);
            pack.maybe(token.grant, Pack::id);
        }
    }
}

impl<'a> Record<'a> {
    /// The next record; `None` where the bytes are none of ours.
    pub(super) fn decode(from: &mut Unpack<'a>) -> Option<Self> {
        let flags = from.byte()?;
        let flag = |place: u8| flags >> place & 1 == 1;
        let door = from.byte()?;
        let small = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        // In the order of `encode`, as fields of a literal are evaluated in the order they stand in.
        let mut record = Self {
            allow: flag(0),
            id: (from.number()?, from.number()?),
            at: from.number()?.cast_signed(),
            asker: Asker {
                door: *Door::ALL.get(usize::from(door))?,
                unix: flag(1),
                uid: small(from.maybe(Unpack::number)?),
                ..Asker::default()
            },
            revision: from.maybe(Unpack::number)?,
            staleness_ms: from.maybe(Unpack::number)?,
            roles: small(from.maybe(Unpack::number)?),
            user: from.maybe(Unpack::id)?,
            organization: from.maybe(Unpack::id)?,
            reason: from.text()??,
            ..Self::default()
        };
        for text in [
            &mut record.asker.caller,
            &mut record.detail,
            &mut record.route,
            &mut record.asker.request_id,
            &mut record.subject_type,
            &mut record.subject_id,
            &mut record.action,
            &mut record.resource_type,
            &mut record.resource_id,
            &mut record.method,
            &mut record.host,
            &mut record.context,
        ] {
            *text = from.text()?;
        }
        if flag(2) {
            record.token = Some(AskedToken {
                client: from.text()??,
                id: from.text()??,
                session: from.maybe(Unpack::id)?,
                grant: from.maybe(Unpack::id)?,
            });
        }
        Some(record)
    }
}

/// At most [`TEXT_MAX`] bytes of a text, whole characters.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_noted_is_read_back_and_long_texts_are_cut() {
        let long = "é".repeat(1000);
        let context = format!("{{\"a\":\"{}\"}}", "x".repeat(CONTEXT_MAX));
        let record = Record {
            id: (7, 8),
            at: -5,
            reason: "roles",
            allow: true,
            user: Some([9; 16]),
            resource_id: Some(&long),
            token: Some(AskedToken {
                client: "board",
                session: None,
                grant: Some([1; 16]),
                id: "t1",
            }),
            context: Some(&context),
            ..Record::default()
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        record.encode(&mut bytes);
        let mut from = Unpack(&bytes);
        for _ in 0..2 {
            let read = Record::decode(&mut from).unwrap();
            let cut = Some(cut(&long));
            assert_eq!(cut.map(str::len), Some(TEXT_MAX));
            assert_eq!(
                read,
                Record {
                    resource_id: cut,
                    context: None,
                    ..record
                }
            );
        }
        assert!(from.0.is_empty());
        assert_eq!(Record::decode(&mut from), None);
    }

    #[test]
    fn every_field_is_read_back_and_no_cut_record_is() {
        for (number, door) in Door::ALL.into_iter().enumerate() {
            assert_eq!(door as usize, number, "{door:?}");
        }
        let record = Record {
            id: (u64::MAX, 1),
            at: i64::MAX,
            asker: Asker {
                door: Door::EnvoyGrpc,
                unix: true,
                caller: Some("caller"),
                uid: Some(u32::MAX),
                request_id: Some(""),
            },
            allow: false,
            reason: "reason",
            detail: Some("detail"),
            revision: Some(u64::MAX),
            staleness_ms: Some(0),
            user: Some([1; 16]),
            subject_type: Some("subject_type"),
            subject_id: Some("subject_id"),
            action: Some("action"),
            resource_type: Some("resource_type"),
            resource_id: Some("resource_id"),
            organization: Some([2; 16]),
            roles: Some(3),
            token: Some(AskedToken {
                client: "client",
                session: Some([4; 16]),
                grant: Some([5; 16]),
                id: "id",
            }),
            route: Some("route"),
            method: Some("method"),
            host: Some("host"),
            context: Some("{}"),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        assert_eq!(Record::decode(&mut Unpack(&bytes)), Some(record));
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(&mut Unpack(&bytes[..length])), None);
        }
        let bare = Record::default();
        let mut bytes = Vec::new();
        bare.encode(&mut bytes);
        assert_eq!(Record::decode(&mut Unpack(&bytes)), Some(bare));
    }
}
