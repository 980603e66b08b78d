//! The change feed on the wire: frames of row changes, signed messages, signed snapshots.
//!
//! The format is written down in `schema/feed.md`. Decoders take hostile bytes: they neither panic
//! nor allocate by a length they have not seen the bytes of. Signing and verifying is done in
//! `crypto` and `replication`; here are only the bytes that signatures cover.

mod frame;
mod message;
mod snapshot;

pub use frame::{Cell, Frame, Op, SealedFrame, row_hash};
pub use message::{Claim, Goodbye, MAX_MESSAGE_BYTES, Message, MessageDecoder, SignedHead};
pub use snapshot::{Ack, AckError, SNAPSHOT_HEADER, SnapshotManifest};

/// The number of the replicated tables' shape. It grows only when an old reader could no longer
/// make sense of a copy; new columns and tables alone do not change it.
pub const FEED_SCHEMA: u32 = 1;

/// How many revisions a new epoch leaves out, so that none that was lost is given out again: its
/// first one is this much after the last of the epoch before it.
pub const EPOCH_JUMP: u64 = 1_000_000;

/// Why bytes are not a frame, a message or a manifest. The sender's fault, or the wire's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The bytes are not CBOR of the wanted shape.
    #[error("the bytes are not a feed {what}")]
    Malformed {
        /// What was wanted.
        what: &'static str,
    },
    /// A message longer than [`MAX_MESSAGE_BYTES`].
    #[error("a feed message of {len} bytes is over the limit")]
    TooLong {
        /// The length it claims.
        len: u64,
    },
    /// A message or payload of a version this program cannot read.
    #[error("feed format {version} is not supported")]
    Version {
        /// The version it claims.
        version: u64,
    },
}

/// Maps a decoder's error to [`FeedError::Malformed`].
fn malformed(what: &'static str) -> impl Fn(minicbor::decode::Error) -> FeedError {
    move |_| FeedError::Malformed { what }
}

/// A definite array's length.
fn array(decoder: &mut minicbor::Decoder<'_>, what: &'static str) -> Result<u64, FeedError> {
    decoder
        .array()
        .map_err(malformed(what))?
        .ok_or(FeedError::Malformed { what })
}

/// Exactly `N` bytes.
fn fixed<const N: usize>(
    decoder: &mut minicbor::Decoder<'_>,
    what: &'static str,
) -> Result<[u8; N], FeedError> {
    decoder
        .bytes()
        .map_err(malformed(what))?
        .try_into()
        .map_err(|_| FeedError::Malformed { what })
}

/// Skips what a newer writer added at the end of an array.
fn skip_rest(
    decoder: &mut minicbor::Decoder<'_>,
    read: u64,
    len: u64,
    what: &'static str,
) -> Result<(), FeedError> {
    for _ in read..len {
        decoder.skip().map_err(malformed(what))?;
    }
    Ok(())
}

/// Refuses bytes after the value.
fn end(decoder: &minicbor::Decoder<'_>, what: &'static str) -> Result<(), FeedError> {
    if decoder.position() == decoder.input().len() {
        Ok(())
    } else {
        Err(FeedError::Malformed { what })
    }
}

/// How many items of at least `item_bytes` the rest of the input can hold: the most that a claimed
/// length may reserve.
fn reserve(decoder: &minicbor::Decoder<'_>, claimed: u64, item_bytes: usize) -> usize {
    let rest = decoder.input().len().saturating_sub(decoder.position());
    usize::try_from(claimed).map_or(0, |claimed| claimed.min(rest / item_bytes.max(1)))
}

/// Encoding into memory cannot fail; a failure would be a bug of the encoder.
#[expect(clippy::expect_used, reason = "Vec<u8> as a writer never fails")]
fn encode(
    body: impl FnOnce(
        &mut minicbor::Encoder<Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<std::convert::Infallible>>,
) -> Vec<u8> {
    let mut encoder = minicbor::Encoder::new(Vec::new());
    body(&mut encoder).expect("writing to memory never fails");
    encoder.into_writer()
}
