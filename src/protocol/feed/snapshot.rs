//! What goes with a snapshot, and what a follower reports back.

use serde::{Deserialize, Serialize};

use super::{FeedError, array, encode, end, fixed, malformed, skip_rest};
use crate::domain::{Chain, Epoch, FeedName, Position, Revision, Timestamp};

/// The response header that carries the manifest: base64url of [`SnapshotManifest::encode`].
pub const SNAPSHOT_HEADER: &str = "doorward-snapshot";

const WHAT: &str = "snapshot manifest";

/// What a snapshot is, signed: whoever carries the file cannot change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotManifest {
    /// The feed.
    pub feed: FeedName,
    /// The epoch of the position.
    pub epoch: Epoch,
    /// The revision it contains, whole.
    pub revision: Revision,
    /// The chain at that revision.
    pub chain: Chain,
    /// The sum of all row hashes.
    pub state: [u64; 4],
    /// The schema number of its tables.
    pub schema: u32,
    /// The size of the database file.
    pub content_bytes: u64,
    /// The size on the wire (zstd).
    pub compressed_bytes: u64,
    /// SHA-256 of the database file.
    pub content_sha256: [u8; 32],
    /// When it was signed.
    pub time: Timestamp,
    /// Ed25519 over [`Self::signing_bytes`].
    pub signature: [u8; 64],
}

impl SnapshotManifest {
    /// The position it contains.
    pub const fn position(&self) -> Position {
        Position {
            feed: self.feed,
            epoch: self.epoch,
            revision: self.revision,
            chain: self.chain,
        }
    }

    /// The bytes that are signed: a prefix of its own, then fields of fixed length.
    pub fn signing_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(224);
        bytes.extend_from_slice(b"doorward/feed/snapshot/v1\0");
        bytes.extend_from_slice(self.feed.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(self.epoch.as_uuid().as_bytes());
        bytes.extend_from_slice(&self.revision.get().to_be_bytes());
        bytes.extend_from_slice(self.chain.as_bytes());
        for word in self.state {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&self.schema.to_be_bytes());
        bytes.extend_from_slice(&self.content_bytes.to_be_bytes());
        bytes.extend_from_slice(&self.compressed_bytes.to_be_bytes());
        bytes.extend_from_slice(&self.content_sha256);
        bytes.extend_from_slice(&self.time.unix_micros().to_be_bytes());
        bytes
    }

    /// The manifest's bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(|encoder| {
            encoder
                .array(11)?
                .str(self.feed.as_str())?
                .bytes(self.epoch.as_uuid().as_bytes())?
                .u64(self.revision.get())?
                .bytes(self.chain.as_bytes())?
                .array(4)?;
            for word in self.state {
                encoder.u64(word)?;
            }
            encoder
                .u32(self.schema)?
                .u64(self.content_bytes)?
                .u64(self.compressed_bytes)?
                .bytes(&self.content_sha256)?
                .i64(self.time.unix_micros())?
                .bytes(&self.signature)?;
            Ok(())
        })
    }

    /// Reads a manifest. The signature is the caller's to verify.
    ///
    /// # Errors
    ///
    /// [`FeedError`] when the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, FeedError> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let decoder = &mut decoder;
        let len = array(decoder, WHAT)?;
        let feed = match decoder.str().map_err(malformed(WHAT))? {
            "authz" => FeedName::Authz,
            _ => return Err(FeedError::Malformed { what: WHAT }),
        };
        let epoch = Epoch::from_uuid(uuid::Uuid::from_bytes(fixed(decoder, WHAT)?));
        let revision = Revision::new(decoder.u64().map_err(malformed(WHAT))?);
        let chain = Chain::from_bytes(fixed(decoder, WHAT)?);
        if array(decoder, WHAT)? != 4 {
            return Err(FeedError::Malformed { what: WHAT });
        }
        let mut state = [0; 4];
        for word in &mut state {
            *word = decoder.u64().map_err(malformed(WHAT))?;
        }
        let manifest = Self {
            feed,
            epoch,
            revision,
            chain,
            state,
            schema: decoder.u32().map_err(malformed(WHAT))?,
            content_bytes: decoder.u64().map_err(malformed(WHAT))?,
            compressed_bytes: decoder.u64().map_err(malformed(WHAT))?,
            content_sha256: fixed(decoder, WHAT)?,
            time: Timestamp::from_unix_micros(decoder.i64().map_err(malformed(WHAT))?),
            signature: fixed(decoder, WHAT)?,
        };
        skip_rest(decoder, 11, len, WHAT)?;
        end(decoder, WHAT)?;
        Ok(manifest)
    }
}

/// `POST /v1/feeds/{feed}/acks`: where a follower stands, and what went wrong if something did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The epoch applied.
    pub epoch: uuid::Uuid,
    /// The revision applied.
    pub revision: u64,
    /// The chain there, in hex.
    pub chain: String,
    /// A NACK: the follower could not go on from here and will take a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<AckError>,
}

/// Why a follower could not apply what follows its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AckError {
    /// One of `poison_frame`, `disk_full`, `schema`, `corrupt`.
    pub kind: String,
    /// For people. At most 500 characters are kept.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest() -> SnapshotManifest {
        SnapshotManifest {
            feed: FeedName::Authz,
            epoch: Epoch::from_uuid(uuid::Uuid::from_u128(5)),
            revision: Revision::new(9),
            chain: Chain::ZERO,
            state: [1, u64::MAX, 3, 4],
            schema: 1,
            content_bytes: 4096,
            compressed_bytes: 99,
            content_sha256: [3; 32],
            time: Timestamp::from_unix_micros(17),
            signature: [9; 64],
        }
    }

    #[test]
    fn a_manifest_survives_its_header() {
        let manifest = manifest();
        assert_eq!(SnapshotManifest::decode(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn every_field_is_under_the_signature() {
        let base = manifest().signing_bytes();
        let edits: [fn(&mut SnapshotManifest); 9] = [
            |m| m.epoch = Epoch::from_uuid(uuid::Uuid::from_u128(6)),
            |m| m.revision = Revision::new(10),
            |m| m.chain = Chain::from_bytes([1; 32]),
            |m| m.state[3] += 1,
            |m| m.schema += 1,
            |m| m.content_bytes += 1,
            |m| m.compressed_bytes += 1,
            |m| m.content_sha256[0] += 1,
            |m| m.time = Timestamp::from_unix_micros(18),
        ];
        for edit in edits {
            let mut changed = manifest();
            edit(&mut changed);
            assert_ne!(changed.signing_bytes(), base);
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = SnapshotManifest::decode(&bytes);
        }
    }
}
