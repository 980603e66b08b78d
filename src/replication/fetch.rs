//! Taking a snapshot: download, check everything, put it in place beside the old copy.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::BASE64URL_NOPAD;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::client::ClientError;
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

/// Installs the snapshot that a response carries and makes it the current copy. Call it where
/// blocking is allowed: it writes and reads the whole file.
pub async fn install(
    response: Response<Incoming>,
    key: &FeedPublicKey,
    copies: &Copies,
    silence: Duration,
) -> Result<Replica, FetchError> {
    let manifest = manifest_of(&response, key)?;
    let path = copies.download_path();
    let result = async {
        download(response, &manifest, &path, silence).await?;
        check(&path, &manifest, key)
    }
    .await;
    if let Err(error) = result {
        copies::remove(&path);
        return Err(error);
    }
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
    response: Response<Incoming>,
    manifest: &SnapshotManifest,
    path: &std::path::Path,
    silence: Duration,
) -> Result<(), FetchError> {
    copies::remove(path);
    let file = File::create_new(path).map_err(FetchError::disk)?;
    let bounded = Bounded {
        file,
        hash: Context::new(&SHA256),
        left: manifest.content_bytes,
    };
    let mut decoder = zstd::stream::write::Decoder::new(bounded).map_err(FetchError::disk)?;
    let mut body = response.into_body();
    let mut compressed_left = manifest.compressed_bytes;
    loop {
        let frame = match tokio::time::timeout(silence, body.frame()).await {
            Err(_) => return Err(FetchError::Transfer("it stalled".to_owned())),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(FetchError::Transfer(error.to_string())),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        compressed_left = compressed_left
            .checked_sub(chunk.len() as u64)
            .ok_or_else(|| FetchError::Content("it is longer than signed".to_owned()))?;
        decoder.write_all(&chunk).map_err(unpacking)?;
    }
    if compressed_left > 0 {
        return Err(FetchError::Transfer("it ended early".to_owned()));
    }
    decoder.flush().map_err(unpacking)?;
    let Bounded { file, hash, left } = decoder.into_inner();
    if left > 0 || hash.finish().as_ref() != manifest.content_sha256 {
        return Err(FetchError::Content("the hash differs".to_owned()));
    }
    file.sync_all().map_err(FetchError::disk)
}

fn unpacking(error: io::Error) -> FetchError {
    match error.kind() {
        io::ErrorKind::StorageFull => FetchError::Full,
        io::ErrorKind::InvalidData | io::ErrorKind::Other => FetchError::Content(error.to_string()),
        _ => FetchError::Disk(error),
    }
}

/// The file's own word: its meta row, the engine's check, every row.
fn check(
    path: &std::path::Path,
    manifest: &SnapshotManifest,
    key: &FeedPublicKey,
) -> Result<(), FetchError> {
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
