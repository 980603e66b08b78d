//! Snapshots: the authority's copy as one compressed, signed file that many sidecars download.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use super::signing::HeadSigner;
use super::supplier::SupplyError;
use crate::domain::Timestamp;
use crate::protocol::feed::{FEED_SCHEMA, SnapshotManifest};
use crate::store::replica::Replica;

/// Fast, and within a third of the smallest size.
const ZSTD_LEVEL: i32 = 3;

/// A snapshot that lies ready. The file is removed when the last user lets go of it.
#[derive(Debug)]
pub struct Snapshot {
    /// What it is, signed.
    pub manifest: SnapshotManifest,
    /// The compressed file.
    pub path: PathBuf,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a snapshot was not removed");
        }
    }
}

/// Makes a snapshot of a copy. Blocks for as long as it takes to read and write the file; nobody
/// else may write the copy meanwhile.
pub fn build(
    replica: &Replica,
    folder: &Path,
    signer: &HeadSigner,
) -> Result<Arc<Snapshot>, SupplyError> {
    let meta = replica.meta();
    let image = folder.join("snapshot.db.tmp");
    Replica::remove(&image)?;
    Replica::vacuum_into(replica.path(), &image)?;
    let position = meta.position;
    let mut manifest = SnapshotManifest {
        feed: position.feed,
        epoch: position.epoch,
        revision: position.revision,
        chain: position.chain,
        state: meta.state,
        schema: FEED_SCHEMA,
        content_bytes: 0,
        compressed_bytes: 0,
        content_sha256: [0; 32],
        time: Timestamp::EPOCH,
        signature: [0; 64],
    };
    signer.sign_snapshot(&mut manifest);
    // The time is unique, so the name is.
    let path = folder.join(format!(
        "snapshot-{}-{}-{}.db.zst",
        position.epoch,
        position.revision,
        manifest.time.unix_micros()
    ));
    let packed = pack(&image, &path, &mut manifest).map_err(|source| SupplyError::Io {
        what: "write a snapshot",
        source,
    });
    Replica::remove(&image)?;
    packed?;
    signer.sign_snapshot(&mut manifest);
    Ok(Arc::new(Snapshot { manifest, path }))
}

/// Removes snapshots that an earlier process left.
pub fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("snapshot") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn pack(image: &Path, target: &Path, manifest: &mut SnapshotManifest) -> io::Result<()> {
    let mut input = File::open(image)?;
    let output = Counting {
        file: File::create(target)?,
        written: 0,
    };
    let mut encoder = zstd::stream::write::Encoder::new(output, ZSTD_LEVEL)?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let len = input.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..len).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        hash.update(bytes);
        encoder.write_all(bytes)?;
        manifest.content_bytes = manifest.content_bytes.saturating_add(len as u64);
    }
    let output = encoder.finish()?;
    manifest.compressed_bytes = output.written;
    manifest
        .content_sha256
        .copy_from_slice(hash.finish().as_ref());
    Ok(())
}

struct Counting {
    file: File,
    written: u64,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write(bytes)?;
        self.written = self.written.saturating_add(len as u64);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
