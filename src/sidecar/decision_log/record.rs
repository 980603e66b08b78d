//! One decision, as the thread that made it notes it.

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use crate::domain::DecisionId;
use crate::protocol::forward_auth::Dialect;

/// The longest text of a record, in bytes; the rest is cut off.
const TEXT_MAX: usize = 512;

/// The longest context that is recorded, in bytes; a longer one is left out.
const CONTEXT_MAX: usize = 4096;

/// Where it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum Door {
    /// AuthZEN, alone or in a batch.
    #[default]
    #[n(0)]
    Authzen,
    /// `GET /v1/check`.
    #[n(1)]
    Check,
    /// `POST /v1/explain`.
    #[n(2)]
    Explain,
    /// A question that is watched.
    #[n(3)]
    Watch,
    /// nginx.
    #[n(4)]
    Nginx,
    /// Traefik.
    #[n(5)]
    Traefik,
    /// Caddy.
    #[n(6)]
    Caddy,
    /// `HAProxy`.
    #[n(7)]
    Haproxy,
    /// Envoy.
    #[n(8)]
    Envoy,
    /// Another proxy.
    #[n(9)]
    Plain,
    /// Envoy, over gRPC.
    #[n(10)]
    EnvoyGrpc,
}

impl Door {
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
#[derive(Debug, Clone, Copy, Default, Encode, Decode)]
pub struct Asker<'a> {
    /// Where.
    #[n(0)]
    pub door: Door,
    /// Whether over a Unix socket.
    #[n(1)]
    pub unix: bool,
    /// The caller's name in the configuration.
    #[b(2)]
    pub caller: Option<&'a str>,
    /// The user at the other end of the Unix socket.
    #[n(3)]
    pub uid: Option<u32>,
    /// `X-Request-ID`, as sent.
    #[b(4)]
    pub request_id: Option<&'a str>,
}

/// What a token says of itself, for the log.
#[derive(Debug, Clone, Copy, Encode, Decode)]
pub(in crate::sidecar) struct AskedToken<'a> {
    /// The client it was issued to.
    #[b(0)]
    pub client: &'a str,
    /// The login session it came from.
    #[n(1)]
    pub session: Option<ByteArray<16>>,
    /// The grant it came from.
    #[n(2)]
    pub grant: Option<ByteArray<16>>,
    /// Its own id: not the token.
    #[b(3)]
    pub id: &'a str,
}

/// The record. What is not known is absent.
#[derive(Debug, Clone, Copy, Default, Encode, Decode)]
pub(in crate::sidecar) struct Record<'a> {
    /// The decision id: maker and count.
    #[n(0)]
    pub id: (u64, u64),
    /// When, in microseconds since 1970.
    #[n(1)]
    pub at: i64,
    /// Who asks, and where.
    #[b(2)]
    pub asker: Asker<'a>,
    /// The answer.
    #[n(3)]
    pub allow: bool,
    /// Why, in a word.
    #[b(4)]
    pub reason: &'a str,
    /// What the asker is not told of it.
    #[b(20)]
    pub detail: Option<&'a str>,
    /// The last change that the answer knows of.
    #[n(5)]
    pub revision: Option<u64>,
    /// How stale the facts may have been.
    #[n(6)]
    pub staleness_ms: Option<u64>,
    /// The user asked about, if it is one.
    #[n(7)]
    pub user: Option<ByteArray<16>>,
    /// The subject as sent, where it is no user.
    #[b(8)]
    pub subject_type: Option<&'a str>,
    /// Its id.
    #[b(9)]
    pub subject_id: Option<&'a str>,
    /// The action's name.
    #[b(10)]
    pub action: Option<&'a str>,
    /// `service:resource`.
    #[b(11)]
    pub resource_type: Option<&'a str>,
    /// The resource's id.
    #[b(12)]
    pub resource_id: Option<&'a str>,
    /// Where.
    #[n(13)]
    pub organization: Option<ByteArray<16>>,
    /// The place of the set of roles held among the engine's.
    #[n(14)]
    pub roles: Option<u32>,
    /// The token presented.
    #[b(15)]
    pub token: Option<AskedToken<'a>>,
    /// The route of a proxy's request.
    #[b(16)]
    pub route: Option<&'a str>,
    /// Its method.
    #[b(17)]
    pub method: Option<&'a str>,
    /// Its host.
    #[b(18)]
    pub host: Option<&'a str>,
    /// The request's context, where it is to be recorded: JSON as sent.
    #[b(19)]
    pub context: Option<&'a str>,
}

impl Record<'_> {
    /// The decision id.
    pub(super) const fn decision_id(&self) -> DecisionId {
        DecisionId::new(self.id.0, self.id.1)
    }

    /// Appends it to `out`, its texts cut to what a line bears.
    pub(super) fn encode(mut self, out: &mut Vec<u8>) {
        for text in [
            &mut self.asker.request_id,
            &mut self.subject_type,
            &mut self.subject_id,
            &mut self.action,
            &mut self.resource_type,
            &mut self.resource_id,
            &mut self.method,
            &mut self.host,
        ] {
            *text = text.map(cut);
        }
        if let Some(token) = &mut self.token {
            token.client = cut(token.client);
            token.id = cut(token.id);
        }
        self.context = self.context.filter(|text| text.len() <= CONTEXT_MAX);
        // A Vec takes every write.
        let _ = minicbor::encode(self, out);
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
            user: Some([9; 16].into()),
            resource_id: Some(&long),
            token: Some(AskedToken {
                client: "board",
                session: None,
                grant: Some([1; 16].into()),
                id: "t1",
            }),
            context: Some(&context),
            ..Record::default()
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        record.encode(&mut bytes);
        let mut decoder = minicbor::Decoder::new(&bytes);
        for _ in 0..2 {
            let read: Record<'_> = decoder.decode().unwrap();
            assert_eq!((read.id, read.at, read.allow), ((7, 8), -5, true));
            assert_eq!(read.user, Some([9; 16].into()));
            assert_eq!(read.resource_id.map(str::len), Some(TEXT_MAX));
            assert_eq!(read.token.unwrap().grant, Some([1; 16].into()));
            assert_eq!((read.context, read.subject_id), (None, None));
        }
        assert_eq!(decoder.position(), bytes.len());
    }
}
