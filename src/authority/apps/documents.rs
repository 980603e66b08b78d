//! Clients whose id is the URL of a document that describes them.
//!
//! Anybody may name any URL, so asking writes nothing, is bounded in time, size and number, and never
//! leads to a private address that is not named twice in the configuration. A row is made in the
//! transaction of the first grant, under an id that follows from the URL.

use std::time::Duration;

use data_encoding::HEXLOWER;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

pub use super::remembered::{Asker, Documents};
use crate::authority::app::Authority;
use crate::authority::outbound::{Answer, OutboundError};
use crate::crypto::digest::sha256;
use crate::domain::app::{AppSpec, ClientSource};
use crate::domain::{ClientId, ClientIdentifier, Timestamp, UserId};
use crate::protocol::clients::fetched::{self, FetchedError};
use crate::protocol::clients::uri::{self, UriError};
use crate::store::apps::{self, App};
use crate::store::audit::{self, AuditEntry};
use crate::store::{Lock, StoreError, Tx};

/// The most that a document may be: the draft recommends 5 KB.
const MOST_BYTES: usize = 16 * 1024;
/// How long a document may take to arrive.
const FETCH_TIME: Duration = Duration::from_secs(5);
/// How long a document counts, whatever its headers say: one login asks several times.
const SHORTEST: Duration = Duration::from_mins(1);
/// How long it counts at most.
const LONGEST: Duration = Duration::from_hours(24);
/// How long it counts when its headers say nothing.
const USUAL: Duration = Duration::from_mins(5);
/// How long a URL that gave no document is left alone. No answer is kept: it is a pause.
const PAUSE: Duration = Duration::from_secs(10);

/// Why the document at a `client_id` is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The switch is off.
    #[error("`client_id` is a URL, and apps are not known by URLs here")]
    Off,
    /// Not a URL that a document may be at.
    #[error("`client_id` is not the URL of a client's document: {0}")]
    Url(#[from] UriError),
    /// The configuration takes no documents of this host.
    #[error("documents of the host of `client_id` are not taken here")]
    Host,
    /// No document came back. Why is for the log alone: a stranger is not told what the network looks
    /// like from here.
    #[error(
        "the document at `client_id` cannot be fetched: its host must answer in time, with status 200 \
         and without a redirect"
    )]
    Unreached,
    /// Nothing usable came back.
    #[error("the document at `client_id` cannot be fetched: {0}")]
    Fetch(&'static str),
    /// It does not describe a client.
    #[error("the document at `client_id` cannot be used: {0}")]
    Document(#[from] FetchedError),
    /// Too many are being fetched.
    #[error("too many documents are being fetched: try again")]
    Busy,
}

impl DocumentError {
    /// Whether the document says nothing against its client: it cannot be had now.
    pub(in crate::authority) const fn is_for_now(&self) -> bool {
        matches!(self, Self::Unreached | Self::Fetch(_) | Self::Busy)
    }
}

/// What the document at a client's id says, fetched if it is not known or counts no more. Who asks while
/// it is being fetched waits for that. Strangers have a share of what is fetched at once.
///
/// # Errors
///
/// [`DocumentError`].
pub async fn resolve(
    authority: &Authority,
    identifier: &ClientIdentifier,
    asker: Asker,
) -> Result<AppSpec, DocumentError> {
    let url = identifier.as_str();
    uri::document(url)?;
    taken(authority, identifier)?;
    let recall = || {
        authority
            .documents
            .recall(url, authority.clock.since_boot())
    };
    if let Some(found) = recall() {
        return found;
    }
    let flight = authority.documents.flight(url);
    let _turn = flight.turn.lock().await;
    if let Some(found) = recall() {
        return found;
    }
    let host = host(identifier).unwrap_or_default();
    let Some(_permit) = authority.documents.permit(host, asker) else {
        return Err(DocumentError::Busy);
    };
    let fetched = fetch(authority, identifier).await;
    let now = authority.clock.since_boot();
    let (found, lifetime) = match fetched {
        Ok((spec, lifetime)) => (Ok(spec), lifetime),
        Err(error) => {
            tracing::debug!(client = %identifier, %error, "a client's document is not used");
            (Err(error), PAUSE)
        }
    };
    let times = (now, now.saturating_add(lifetime));
    authority
        .documents
        .remember(url, host, found.clone(), times);
    let outcome = if found.is_ok() { "used" } else { "refused" };
    metrics::counter!("doorward_authority_client_documents_total", "outcome" => outcome)
        .increment(1);
    found
}

/// Whether the configuration takes documents from there.
fn taken(authority: &Authority, identifier: &ClientIdentifier) -> Result<(), DocumentError> {
    let config = &authority.config.registration;
    if !config.metadata_documents {
        return Err(DocumentError::Off);
    }
    let host = host(identifier).unwrap_or_default();
    let named = config.document_hosts.iter().any(|one| one.matches(host));
    if !config.document_hosts.is_empty() && !named {
        return Err(DocumentError::Host);
    }
    let exactly = config.document_hosts.iter().any(|one| one.is(host));
    match authority.outbound.may_be_private(identifier.as_str()) {
        // That a provider is on a private host lets nobody else have that host asked.
        Ok(true) if !exactly => Err(DocumentError::Host),
        Ok(_) => Ok(()),
        Err(error) => Err(failed(identifier, &error)),
    }
}

async fn fetch(
    authority: &Authority,
    identifier: &ClientIdentifier,
) -> Result<(AppSpec, Duration), DocumentError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let asked = authority.outbound.get(identifier.as_str(), headers);
    let answer = tokio::time::timeout(FETCH_TIME, asked)
        .await
        .unwrap_or(Err(OutboundError::Timeout))
        .and_then(|answer| match answer.status {
            StatusCode::OK => Ok(answer),
            other => Err(OutboundError::Status(other)),
        })
        .map_err(|error| failed(identifier, &error))?;
    if !is_json(&answer) {
        return Err(DocumentError::Fetch("the answer is not `application/json`"));
    }
    if answer.body.len() > MOST_BYTES {
        return Err(DocumentError::Fetch("the answer has more than 16 KiB"));
    }
    let most = &authority.config.registration.document_scope;
    let spec = fetched::read(identifier, &answer.body, most)?;
    Ok((spec, lifetime(&answer)))
}

/// What a stranger is told of a failed request; the log has all of it.
fn failed(identifier: &ClientIdentifier, error: &OutboundError) -> DocumentError {
    tracing::debug!(client = %identifier, %error, "a client's document cannot be fetched");
    match error {
        OutboundError::TooLarge => DocumentError::Fetch("the answer has more than 16 KiB"),
        OutboundError::Url(_) => DocumentError::Fetch("`https` is wanted"),
        _ => DocumentError::Unreached,
    }
}

fn is_json(answer: &Answer) -> bool {
    let kind = answer.headers.get(CONTENT_TYPE);
    let media = kind
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|media| media.trim().to_ascii_lowercase());
    media.is_some_and(|media| {
        media == "application/json"
            || (media.starts_with("application/") && media.ends_with("+json"))
    })
}

/// How long an answer says that it counts (RFC 9111 §5.2.2), within bounds.
fn lifetime(answer: &Answer) -> Duration {
    let values = answer.headers.get_all(CACHE_CONTROL).iter();
    let directives: Vec<String> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    let never = |directive: &String| directive == "no-store" || directive == "no-cache";
    if directives.iter().any(never) {
        return SHORTEST;
    }
    directives
        .iter()
        .find_map(|directive| directive.strip_prefix("max-age="))
        .and_then(|seconds| seconds.trim_matches('"').parse().ok())
        .map_or(USUAL, Duration::from_secs)
        .clamp(SHORTEST, LONGEST)
}

/// The host of a client's URL; `None` for a client whose id is no URL.
pub fn host(identifier: &ClientIdentifier) -> Option<&str> {
    let (_, rest) = identifier.as_str().split_once("://")?;
    let authority = rest.split('/').next()?;
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(host),
        _ => Some(authority),
    }
}

/// Whether an app counts: one that is known by a document does so only while documents are taken from
/// there.
pub(in crate::authority) fn counts(authority: &Authority, app: &App) -> bool {
    app.source != ClientSource::Metadata || taken(authority, &app.spec.identifier).is_ok()
}

/// The id of such a client's row: it follows from the URL, so that the row need not be there before
/// somebody has agreed.
fn id_of(identifier: &ClientIdentifier) -> ClientId {
    let digest = sha256(format!("client document {identifier}").as_bytes());
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(digest) {
        *byte = from;
    }
    ClientId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The app that a document describes, on its row if it has one.
pub(in crate::authority) fn app(authority: &Authority, row: Option<App>, spec: AppSpec) -> App {
    if let Some(row) = row {
        return row.with(spec);
    }
    let now = authority.clock.now();
    let id = id_of(&spec.identifier);
    let lifetime = authority.config.registration.document_lifetime;
    App {
        expires_at: Some(now.plus(lifetime)),
        ..App::new(id, spec, ClientSource::Metadata, now)
    }
}

/// An app whose row is to say what its document says. Made before the transaction.
#[derive(Debug)]
pub(in crate::authority) struct Kept {
    app: App,
    entry: AuditEntry,
    now: Timestamp,
    lifetime: Duration,
}

impl Kept {
    /// `None` for an app that is not known by a document.
    pub(in crate::authority) fn new(authority: &Authority, app: &App) -> Option<Self> {
        (app.source == ClientSource::Metadata).then(|| Self {
            app: app.clone(),
            entry: authority.audit(
                "system".to_owned(),
                "client.created",
                format!("client:{}", app.spec.identifier),
                json!({
                    "source": app.source,
                    "scopes": app.spec.scopes.to_string(),
                    // Strangers' text: what can be long is told by its digest, for the row stays.
                    "redirect_uris": app.spec.redirect_uris.len(),
                    "redirect_uris_sha256":
                        HEXLOWER.encode(&sha256(app.spec.redirect_uris.join("\n").as_bytes())),
                }),
            ),
            now: authority.clock.now(),
            lifetime: authority.config.registration.document_lifetime,
        })
    }
}

/// How many apps that are known by their documents a user may have agreed to when a yes of theirs makes
/// another row: who has a host and an account could make as many as there are URLs.
pub const AGREED_MOST: i64 = 100;

/// Makes the row say what the document says, and puts off its end. Belongs into the transaction of a
/// grant. `false`, with nothing done, where the row would be one too many of this user's.
///
/// # Errors
///
/// [`StoreError::Unique`] when somebody else makes it at the same time: it is there then.
pub(in crate::authority) fn keep(
    tx: &mut dyn Tx,
    kept: &Kept,
    user: UserId,
) -> Result<bool, StoreError> {
    let end = kept.now.plus(kept.lifetime);
    let Some(_) = apps::find(tx, kept.app.id)? else {
        tx.lock(Lock::User(user))?;
        if apps::agreed_to(tx, user, ClientSource::Metadata)? >= AGREED_MOST {
            return Ok(false);
        }
        let app = App {
            expires_at: Some(end),
            ..kept.app.clone()
        };
        apps::insert(tx, &app, None, kept.now)?;
        audit::record(tx, &kept.entry)?;
        return Ok(true);
    };
    tx.lock(Lock::Client(kept.app.id))?;
    let Some(row) = apps::find(tx, kept.app.id)? else {
        return Err(StoreError::ForeignKey);
    };
    if row.spec != kept.app.spec {
        apps::update(tx, &row.with(kept.app.spec.clone()), kept.now)?;
        let entry = AuditEntry {
            event: "client.updated",
            ..kept.entry.clone()
        };
        audit::record(tx, &entry)?;
    }
    if row
        .expires_at
        .is_none_or(|at| at < kept.now.plus(kept.lifetime / 2))
    {
        apps::set_expiry(tx, row.id, end)?;
    }
    Ok(true)
}
