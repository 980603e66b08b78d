//! From a record to a line: what is masked, what is named, and our own form of it.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Form;
use super::config::DecisionLogConfig;
use super::fields::Field;
use super::json::{Key, Object, key};
use super::ocsf;
use super::record::Record;
use crate::crypto::digest::KeyedHash;
use crate::domain::{DecisionId, Timestamp};

/// A text of a line.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    /// As it is.
    Plain(&'a str),
    /// An id.
    Id(Uuid),
    /// A keyed hash of what it was.
    Hashed([u8; 16]),
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(text) => serializer.serialize_str(text),
            Self::Id(id) => serializer.serialize_str(id.hyphenated().encode_lower(&mut [0; 36])),
            Self::Hashed(half) => Self::hashed(*half, |text| serializer.serialize_str(text)),
        }
    }
}

impl Text<'_> {
    /// Gives `to` the text of a keyed hash.
    pub(super) fn hashed<T>(half: [u8; 16], to: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; 34];
        let (mark, digits) = text.split_at_mut(2);
        mark.copy_from_slice(b"h:");
        data_encoding::HEXLOWER.encode_mut(&half, digits);
        to(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// What is done to fields.
#[derive(Debug)]
pub(super) struct Masks {
    drop: u16,
    hash: u16,
    key: Option<KeyedHash>,
}

impl Masks {
    pub(super) fn new(config: &DecisionLogConfig) -> Self {
        let bits = |fields: &[Field]| {
            fields
                .iter()
                .fold(0, |bits, field| bits | 1 << *field as u16)
        };
        let key = config.hash_key.as_ref();
        Self {
            drop: bits(&config.drop),
            hash: bits(&config.hash),
            key: key.map(|key| KeyedHash::new(key.expose().as_bytes())),
        }
    }

    const fn drops(&self, field: Field) -> bool {
        self.drop & (1 << field as u16) != 0
    }

    /// Neither dropped nor hashed.
    const fn shows(&self, field: Field) -> bool {
        (self.drop | self.hash) & (1 << field as u16) == 0
    }

    fn text<'a>(&self, field: Field, text: impl Into<Option<Text<'a>>>) -> Option<Text<'a>> {
        if self.drops(field) {
            return None;
        }
        let text = text.into()?;
        if self.hash & (1 << field as u16) == 0 {
            return Some(text);
        }
        // Without its key a field that was to be hidden is left out.
        let key = self.key.as_ref()?;
        Some(Text::Hashed(match text {
            Text::Plain(text) => key.half(text.as_bytes()),
            Text::Id(id) => key.half(id.hyphenated().encode_lower(&mut [0; 36]).as_bytes()),
            Text::Hashed(half) => half,
        }))
    }
}

/// Something with a type and an id.
#[derive(Debug)]
pub(super) struct Entity<'a> {
    pub(super) kind: Option<&'a str>,
    pub(super) id: Option<Text<'a>>,
}

impl<'a> Entity<'a> {
    fn of(kind: Option<&'a str>, id: Option<Text<'a>>) -> Option<Self> {
        (kind.is_some() || id.is_some()).then_some(Self { kind, id })
    }
}

/// A record, masked and named: our own form of a line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) id: DecisionId,
    pub(super) time: &'a str,
    pub(super) decision: &'static str,
    pub(super) reason: &'a str,
    pub(super) detail: Option<&'a str>,
    pub(super) door: &'static str,
    pub(super) transport: &'static str,
    pub(super) caller: Option<Text<'a>>,
    pub(super) uid: Option<u32>,
    pub(super) request_id: Option<Text<'a>>,
    pub(super) subject: Option<Entity<'a>>,
    pub(super) action: Option<&'a str>,
    pub(super) resource: Option<Entity<'a>>,
    pub(super) organization: Option<Text<'a>>,
    /// The roles that the member held.
    pub(super) roles: Option<&'a RawValue>,
    pub(super) client: Option<Text<'a>>,
    pub(super) session: Option<Text<'a>>,
    pub(super) grant: Option<Text<'a>>,
    pub(super) token_id: Option<Text<'a>>,
    pub(super) route: Option<&'a str>,
    pub(super) method: Option<&'a str>,
    pub(super) host: Option<Text<'a>>,
    pub(super) revision: Option<u64>,
    pub(super) staleness_ms: Option<u64>,
    pub(super) context: Option<Value>,
}

pub(super) fn id<S: Serializer>(id: &DecisionId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(std::str::from_utf8(&id.text()).unwrap_or_default())
}

impl<'a> Line<'a> {
    /// A record's line. `time` is its own as text, `roles` are those it names.
    pub(super) fn of(
        record: &Record<'a>,
        masks: &Masks,
        time: &'a str,
        roles: Option<&'a RawValue>,
    ) -> Self {
        let plain = |field, text: Option<&'a str>| masks.text(field, text.map(Text::Plain));
        let uuid = |field, bytes: Option<[u8; 16]>| {
            masks.text(field, bytes.map(|bytes| Text::Id(Uuid::from_bytes(bytes))))
        };
        let asker = &record.asker;
        let token = record.token.as_ref();
        let subject = match record.user {
            Some(_) => Entity::of(Some("user"), uuid(Field::Subject, record.user)),
            None => Entity::of(
                record.subject_type,
                plain(Field::Subject, record.subject_id),
            ),
        };
        Self {
            id: record.decision_id(),
            time,
            decision: if record.allow { "allow" } else { "deny" },
            reason: record.reason,
            detail: record.detail,
            door: asker.door.word(),
            transport: if asker.unix { "unix" } else { "tcp" },
            caller: plain(Field::Caller, asker.caller),
            uid: asker.uid.filter(|_| masks.shows(Field::Caller)),
            request_id: plain(Field::Request, asker.request_id),
            subject,
            action: record.action,
            resource: Entity::of(
                record.resource_type,
                plain(Field::Resource, record.resource_id),
            ),
            organization: uuid(Field::Organization, record.organization),
            roles,
            client: plain(Field::Client, token.map(|token| token.client)),
            session: uuid(Field::Session, token.and_then(|token| token.session)),
            grant: uuid(Field::Grant, token.and_then(|token| token.grant)),
            token_id: plain(Field::Token, token.map(|token| token.id)),
            route: record.route,
            method: record.method,
            host: plain(Field::Host, record.host),
            revision: record.revision,
            staleness_ms: record.staleness_ms,
            // Anew: as sent, it may stand on several lines.
            context: record
                .context
                .and_then(|text| serde_json::from_str(text).ok()),
        }
    }

    /// Appends the line in `form`, with its end.
    pub(super) fn write(&self, form: Form, at: Timestamp, out: &mut Vec<u8>) {
        let begun = out.len();
        match form {
            Form::Doorward => self.write_fields(Object::begin(out)),
            Form::Ocsf => {
                // A Vec takes every write, and every text is a JSON string.
                if serde_json::to_writer(&mut *out, &ocsf::Activity::of(self, at)).is_err() {
                    return out.truncate(begun);
                }
            }
        }
        out.push(b'\n');
    }

    fn write_fields(&self, mut line: Object<'_>) {
        line.word(
            key!("id"),
            std::str::from_utf8(&self.id.text()).unwrap_or_default(),
        );
        line.word(key!("time"), self.time);
        line.word(key!("decision"), self.decision);
        line.text(key!("reason"), Some(Text::Plain(self.reason)));
        line.text(key!("detail"), self.detail.map(Text::Plain));
        line.word(key!("door"), self.door);
        line.word(key!("transport"), self.transport);
        line.text(key!("caller"), self.caller);
        line.number(key!("uid"), self.uid.map(u64::from));
        line.text(key!("request_id"), self.request_id);
        entity(&mut line, key!("subject"), self.subject.as_ref());
        line.text(key!("action"), self.action.map(Text::Plain));
        entity(&mut line, key!("resource"), self.resource.as_ref());
        line.text(key!("organization"), self.organization);
        line.raw(key!("roles"), self.roles.map(RawValue::get));
        line.text(key!("client"), self.client);
        line.text(key!("session"), self.session);
        line.text(key!("grant"), self.grant);
        line.text(key!("token_id"), self.token_id);
        line.text(key!("route"), self.route.map(Text::Plain));
        line.text(key!("method"), self.method.map(Text::Plain));
        line.text(key!("host"), self.host);
        line.number(key!("revision"), self.revision);
        line.number(key!("staleness_ms"), self.staleness_ms);
        let context = self.context.as_ref().map(Value::to_string);
        line.raw(key!("context"), context.as_deref());
        line.end();
    }
}

fn entity(line: &mut Object<'_>, key: Key, entity: Option<&Entity<'_>>) {
    if let Some(entity) = entity {
        line.object(key, |inner| {
            inner.text(key!("type"), entity.kind.map(Text::Plain));
            inner.text(key!("id"), entity.id);
        });
    }
}

/// Times as text: the seconds change rarely.
#[derive(Debug, Default)]
pub(super) struct Times {
    second: Option<i64>,
    text: String,
    whole: usize,
}

impl Times {
    /// RFC 3339 in UTC, to the microsecond.
    pub(super) fn text(&mut self, at: Timestamp) -> &str {
        let second = at.unix_seconds();
        if self.second != Some(second) {
            self.text = Timestamp::from_unix_seconds(second).to_string();
            self.text.truncate(self.text.trim_end_matches('Z').len());
            self.whole = self.text.len();
            self.second = Some(second);
        }
        self.text.truncate(self.whole);
        let micros = at.unix_micros().rem_euclid(1_000_000).unsigned_abs();
        self.text.push('.');
        let mut unit = 100_000;
        while unit > 0 {
            let digit = u8::try_from(micros / unit % 10).unwrap_or(0);
            self.text.push(char::from(b'0' + digit));
            unit /= 10;
        }
        self.text.push('Z');
        &self.text
    }
}
