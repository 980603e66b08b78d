//! The supplier over HTTP: requests in words, answers as responses. Who may ask is decided before.

use std::sync::Arc;

use bytes::Bytes;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::stream::{FeedBody, Guard};
use super::supplier::{DownloadError, Refusal, Supplier, SupplyError};
use crate::domain::{Chain, Epoch, FeedName, Position, Revision};
use crate::protocol::feed::{Ack, FEED_SCHEMA, SNAPSHOT_HEADER, SnapshotManifest};
use crate::protocol::problem::Problem;

/// The type of a stream of changes.
pub const FEED_TYPE: &str = "application/vnd.doorward.feed";
/// Where a snapshot is.
const SNAPSHOT_PATH: &str = "/v1/feeds/authz/snapshot";
/// When a download that found no room may try again, in seconds.
const RETRY_AFTER: &str = "5";

/// `GET /v1/feeds/{feed}/changes?epoch&revision&chain&schema`: an endless stream from a position
/// that continues here, or why there is none.
pub async fn changes(
    supplier: &Arc<Supplier>,
    client_id: &str,
    query: &str,
    guard: Guard,
) -> Response<FeedBody> {
    let Some((position, schema)) = parse_position(query) else {
        return problem(&Problem::malformed(
            "`epoch`, `revision`, `chain` and `schema` say where to resume",
        ));
    };
    match supplier.resume(&position, schema).await {
        Ok(Ok(())) => stream(supplier.stream(client_id, position, guard)),
        Ok(Err(refusal)) => refused(refusal),
        Err(error) => unavailable(&error),
    }
}

/// `GET /v1/feeds/{feed}/snapshot?at_least`: the whole copy, compressed, with its signed manifest in
/// a header. `Range: bytes=N-` with the entity tag in `If-Range` gives the rest of a transfer that
/// broke; when it is another snapshot by now, all of that.
pub async fn snapshot(
    supplier: &Arc<Supplier>,
    query: &str,
    headers: &HeaderMap,
) -> Response<FeedBody> {
    let at_least = match parameter(query, "at_least").as_deref().map(str::parse) {
        None => Revision::ZERO,
        Some(Ok(number)) => Revision::new(number),
        Some(Err(_)) => return problem(&Problem::malformed("`at_least` is a revision")),
    };
    match supplier.snapshot(at_least).await {
        Ok(download) => {
            let manifest = download.snapshot.manifest.clone();
            let etag = entity_tag(&manifest);
            let from = match resumes_at(headers, &etag) {
                Some(from) if from >= manifest.compressed_bytes => {
                    return problem(&Problem::new(
                        416,
                        "range",
                        "there is nothing from there on",
                    ));
                }
                from => from,
            };
            let rest = manifest.compressed_bytes - from.unwrap_or(0);
            let mut response = stream(supplier.download(download, from.unwrap_or(0)));
            if let Some(from) = from {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let (last, all) = (manifest.compressed_bytes - 1, manifest.compressed_bytes);
                let range = format!("bytes {from}-{last}/{all}");
                if let Ok(range) = HeaderValue::from_str(&range) {
                    response.headers_mut().insert(header::CONTENT_RANGE, range);
                }
            }
            let headers = response.headers_mut();
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            if let Ok(etag) = HeaderValue::from_str(&etag) {
                headers.insert(header::ETAG, etag);
            }
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/zstd"),
            );
            headers.insert(header::CONTENT_LENGTH, rest.into());
            let encoded = BASE64URL_NOPAD.encode(&manifest.encode());
            if let Ok(value) = HeaderValue::from_str(&encoded) {
                headers.insert(HeaderName::from_static(SNAPSHOT_HEADER), value);
            }
            response
        }
        Err(DownloadError::Busy) => {
            let busy = Problem::new(429, "busy", "too many downloads at a time");
            let mut response = problem(&busy);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            response
        }
        Err(DownloadError::Supply(error)) => unavailable(&error),
    }
}

/// The same for the same bytes: what is in the file, and how long it is when packed.
fn entity_tag(manifest: &SnapshotManifest) -> String {
    let content = HEXLOWER.encode(&manifest.content_sha256);
    format!("\"{content}-{}\"", manifest.compressed_bytes)
}

/// From where on the rest is asked for. Other ranges, and those of another file, are as none.
fn resumes_at(headers: &HeaderMap, etag: &str) -> Option<u64> {
    if headers.get(header::IF_RANGE)?.as_bytes() != etag.as_bytes() {
        return None;
    }
    let range = headers.get(header::RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

/// `POST /v1/feeds/{feed}/acks`: where the follower stands.
pub fn acknowledge(supplier: &Supplier, client_id: &str, body: &[u8]) -> Response<FeedBody> {
    match serde_json::from_slice::<Ack>(body) {
        Ok(ack) => {
            supplier.acknowledge(client_id, ack);
            let mut response = Response::new(FeedBody::full(Bytes::new()));
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(error) => problem(&Problem::malformed(error.to_string())),
    }
}

fn stream(body: FeedBody) -> Response<FeedBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FEED_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned());
    let value = values.next();
    value.filter(|_| values.next().is_none())
}

fn parse_position(query: &str) -> Option<(Position, u32)> {
    let position = Position {
        feed: FeedName::Authz,
        epoch: Epoch::from_uuid(uuid::Uuid::try_parse(&parameter(query, "epoch")?).ok()?),
        revision: Revision::new(parameter(query, "revision")?.parse().ok()?),
        chain: Chain::from_hex(&parameter(query, "chain")?)?,
    };
    Some((position, parameter(query, "schema")?.parse().ok()?))
}

fn refused(refusal: Refusal) -> Response<FeedBody> {
    match refusal {
        Refusal::BelowFloor => problem(
            &Problem::new(410, "feed-below-floor", "these changes are no longer kept")
                .because("take a snapshot and go on from it")
                .with("snapshot", SNAPSHOT_PATH),
        ),
        Refusal::Diverged => problem(
            &Problem::new(
                409,
                "feed-diverged",
                "this position is not part of the feed",
            )
            .because("take a snapshot and go on from it")
            .with("snapshot", SNAPSHOT_PATH),
        ),
        Refusal::Schema => problem(
            &Problem::new(426, "feed-schema", "this feed schema is not spoken here")
                .with("supported", vec![FEED_SCHEMA]),
        ),
    }
}

fn unavailable(error: &SupplyError) -> Response<FeedBody> {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the feed cannot be supplied"
    );
    problem(&Problem::unavailable("the feed cannot be supplied now"))
}

fn problem(problem: &Problem) -> Response<FeedBody> {
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(FeedBody::full(body.into()));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}
