//! Taking a snapshot: download, check everything, put it in place beside the old copy.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::BASE64URL_NOPAD;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::client::{AuthorityClient, ClientError, Rest};
use super::copies::{self, Copies};
use super::signing::is_snapshot_signed;
use crate::crypto::sign::FeedPublicKey;
use crate::domain::{Chain, Epoch, FeedName, Position, Revision};
use crate::protocol::feed::{FEED_SCHEMA, SNAPSHOT_HEADER, SnapshotManifest};
use crate::store::replica::{Replica, ReplicaError};

/// Why a snapshot was not installed. The old copy goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The authority gave none.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The manifest is missing, unreadable or not signed by the pinned key.
    #[error("the snapshot is not vouched for: {0}")]
    Manifest(&'static str),
    /// Its schema is not ours.
    #[error("the snapshot has schema {0}, this program reads {FEED_SCHEMA}")]
    Schema(u32),
    /// What came is not what the manifest says.
    #[error("the snapshot is not what its manifest says: {0}")]
    Content(String),
    /// The transfer broke or stalled.
    #[error("the snapshot's transfer broke: {0}")]
    Transfer(String),
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// A file could not be written.
    #[error("the snapshot cannot be written")]
    Disk(#[source] io::Error),
}

impl FetchError {
    fn disk(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull {
            Self::Full
        } else {
            Self::Disk(error)
        }
    }
}

/// Downloads a snapshot that has at least this revision and makes it the current copy. A transfer
/// that breaks is resumed for as long as each connection brings more of it. Call it where blocking
/// is allowed: it writes and reads the whole file.
pub async fn install(
    client: &AuthorityClient,
    at_least: Revision,
    key: &FeedPublicKey,
    copies: &Copies,
    silence: Duration,
) -> Result<Replica, FetchError> {
    let path = copies.download_path();
    let result = async {
        let manifest = download(client, at_least, key, &path, silence).await?;
        check(&path, &manifest, key)?;
        Ok(manifest)
    }
    .await;
    let manifest = match result {
        Ok(manifest) => manifest,
        Err(error) => {
            copies::remove(&path);
            return Err(error);
        }
    };
    let position = manifest.position();
    let target = copies.name_for(&position);
    std::fs::rename(&path, &target).map_err(FetchError::disk)?;
    copies.set_current(&target).map_err(FetchError::disk)?;
    Replica::open(&target)
        .map_err(from_replica)?
        .ok_or_else(|| FetchError::Content("the file vanished".to_owned()))
}

fn manifest_of(
    response: &Response<Incoming>,
    key: &FeedPublicKey,
) -> Result<SnapshotManifest, FetchError> {
    let header = response
        .headers()
        .get(SNAPSHOT_HEADER)
        .ok_or(FetchError::Manifest("there is no manifest"))?;
    let bytes = BASE64URL_NOPAD
        .decode(header.as_bytes())
        .map_err(|_| FetchError::Manifest("the header is not base64url"))?;
    let manifest = SnapshotManifest::decode(&bytes)
        .map_err(|_| FetchError::Manifest("the manifest cannot be read"))?;
    if !is_snapshot_signed(key, &manifest) {
        return Err(FetchError::Manifest("another key signed it"));
    }
    if manifest.schema != FEED_SCHEMA {
        return Err(FetchError::Schema(manifest.schema));
    }
    Ok(manifest)
}

/// A file that is hashed as it is written and refuses to grow beyond what was signed.
struct Bounded {
    file: File,
    hash: Context,
    left: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len() as u64;
        self.left = self.left.checked_sub(len).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "more bytes than were signed")
        })?;
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

async fn download(
    client: &AuthorityClient,
    at_least: Revision,
    key: &FeedPublicKey,
    path: &Path,
    silence: Duration,
) -> Result<SnapshotManifest, FetchError> {
    let mut response = client.snapshot(FeedName::Authz, at_least, None).await?;
    let mut transfer = Transfer::begin(&response, key, path)?;
    loop {
        let before = transfer.received;
        let broke = match transfer.take(response, silence).await {
            Ok(()) => return transfer.finish(),
            Err(FetchError::Transfer(broke)) => broke,
            Err(error) => return Err(error),
        };
        let rest = transfer.rest().filter(|_| transfer.received > before);
        let Some(rest) = rest else {
            return Err(FetchError::Transfer(broke));
        };
        metrics::counter!("doorward_snapshots_resumed_total").increment(1);
        tracing::info!(broke, from = rest.from, "a snapshot's transfer is resumed");
        response = client
            .snapshot(FeedName::Authz, at_least, Some(&rest))
            .await?;
        if response.status() != StatusCode::PARTIAL_CONTENT
            || manifest_of(&response, key)?.content_sha256 != transfer.manifest.content_sha256
        {
            // Another one by now: from its beginning.
            if response.status() == StatusCode::PARTIAL_CONTENT {
                return Err(FetchError::Content("the rest is of another one".to_owned()));
            }
            transfer = Transfer::begin(&response, key, path)?;
        }
    }
}

/// A snapshot on its way.
struct Transfer {
    manifest: SnapshotManifest,
    etag: Option<HeaderValue>,
    decoder: zstd::stream::write::Decoder<'static, Bounded>,
    /// Compressed bytes so far.
    received: u64,
}

impl Transfer {
    fn begin(
        response: &Response<Incoming>,
        key: &FeedPublicKey,
        path: &Path,
    ) -> Result<Self, FetchError> {
        let manifest = manifest_of(response, key)?;
        copies::remove(path);
        let bounded = Bounded {
            file: File::create_new(path).map_err(FetchError::disk)?,
            hash: Context::new(&SHA256),
            left: manifest.content_bytes,
        };
        Ok(Self {
            manifest,
            etag: response.headers().get(header::ETAG).cloned(),
            decoder: zstd::stream::write::Decoder::new(bounded).map_err(FetchError::disk)?,
            received: 0,
        })
    }

    /// What to ask for when the transfer broke.
    fn rest(&self) -> Option<Rest> {
        Some(Rest {
            from: self.received,
            etag: self.etag.clone()?,
        })
    }

    /// Takes in what one response brings. [`FetchError::Transfer`]: there is more to come.
    async fn take(
        &mut self,
        response: Response<Incoming>,
        silence: Duration,
    ) -> Result<(), FetchError> {
        let mut body = response.into_body();
        loop {
            let frame = match tokio::time::timeout(silence, body.frame()).await {
                Err(_) => return Err(FetchError::Transfer("it stalled".to_owned())),
                Ok(None) if self.received == self.manifest.compressed_bytes => return Ok(()),
                Ok(None) => return Err(FetchError::Transfer("it ended early".to_owned())),
                Ok(Some(Err(error))) => return Err(FetchError::Transfer(error.to_string())),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            self.received = self.received.saturating_add(chunk.len() as u64);
            if self.received > self.manifest.compressed_bytes {
                return Err(FetchError::Content("it is longer than signed".to_owned()));
            }
            self.decoder.write_all(&chunk).map_err(unpacking)?;
        }
    }

    fn finish(mut self) -> Result<SnapshotManifest, FetchError> {
        self.decoder.flush().map_err(unpacking)?;
        let Bounded { file, hash, left } = self.decoder.into_inner();
        if left > 0 || hash.finish().as_ref() != self.manifest.content_sha256 {
            return Err(FetchError::Content("the hash differs".to_owned()));
        }
        file.sync_all().map_err(FetchError::disk)?;
        Ok(self.manifest)
    }
}

fn unpacking(error: io::Error) -> FetchError {
    match error.kind() {
        io::ErrorKind::StorageFull => FetchError::Full,
        io::ErrorKind::InvalidData | io::ErrorKind::Other => FetchError::Content(error.to_string()),
        _ => FetchError::Disk(error),
    }
}

/// The file's own word: its meta row, the engine's check, every row.
fn check(path: &Path, manifest: &SnapshotManifest, key: &FeedPublicKey) -> Result<(), FetchError> {
    let replica = copies::open_checked(path, key)
        .map_err(from_replica)?
        .ok_or_else(|| FetchError::Content("the file vanished".to_owned()))?;
    let meta = replica.meta();
    if meta.position != manifest.position() || meta.state != manifest.state {
        return Err(FetchError::Content(
            "its position or state is another".to_owned(),
        ));
    }
    Ok(())
}

fn from_replica(error: ReplicaError) -> FetchError {
    match error {
        ReplicaError::Full => FetchError::Full,
        error => FetchError::Content(error.to_string()),
    }
}

/// The position of a follower that has nothing: it is below every floor.
pub(super) const fn nowhere() -> Position {
    Position {
        feed: FeedName::Authz,
        epoch: Epoch::from_uuid(uuid::Uuid::nil()),
        revision: Revision::ZERO,
        chain: Chain::ZERO,
    }
}
