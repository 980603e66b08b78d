//! What travels on a stream: `u32 length | u8 kind | body`, length counting kind and body.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::{FeedError, SealedFrame, array, encode, end, fixed, malformed, reserve, skip_rest};
use crate::domain::{Chain, Epoch, FeedName, Position, Revision, Timestamp};

/// The longest message, kind and body: room for a frame of the most rows the authority seals.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

const BATCH: u8 = 1;
const HEARTBEAT: u8 = 2;
const EPOCH: u8 = 3;
const SCHEMA: u8 = 4;
const GOODBYE: u8 = 5;

/// What a signature over a position says. Each has its own prefix in the signed bytes, so that one
/// cannot stand for the other: the end of an old batch, signed a moment ago for a sidecar that is
/// catching up, is no word about where the feed's head is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// "At this time the feed's head was here": heartbeats.
    Head,
    /// "The history up to here is the feed's": batches.
    BatchEnd,
}

/// A position with the authority's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// The feed.
    pub feed: FeedName,
    /// The epoch.
    pub epoch: Epoch,
    /// The revision.
    pub revision: Revision,
    /// The chain at that revision.
    pub chain: Chain,
    /// When it was signed; strictly increasing per signer, so a repeated one is seen.
    pub time: Timestamp,
    /// Ed25519 over [`Self::signing_bytes`].
    pub signature: [u8; 64],
}

impl SignedHead {
    /// The position it is about.
    pub const fn position(&self) -> Position {
        Position {
            feed: self.feed,
            epoch: self.epoch,
            revision: self.revision,
            chain: self.chain,
        }
    }

    /// The bytes that are signed: a prefix of its own, then fields of fixed length.
    pub fn signing_bytes(&self, claim: Claim) -> Vec<u8> {
        let prefix = match claim {
            Claim::Head => "doorward/feed/head/v1",
            Claim::BatchEnd => "doorward/feed/batch/v1",
        };
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(prefix.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(self.feed.as_str().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(self.epoch.as_uuid().as_bytes());
        bytes.extend_from_slice(&self.revision.get().to_be_bytes());
        bytes.extend_from_slice(self.chain.as_bytes());
        bytes.extend_from_slice(&self.time.unix_micros().to_be_bytes());
        bytes
    }
}

/// Why a stream ends by the server's will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// The instance shuts down.
    Drain,
    /// The connection is old enough.
    Age,
    /// The credential expired.
    Expired,
    /// The sidecar was revoked.
    Revoked,
    /// The stream's position is no longer part of the history: connect again and be told.
    Moved,
    /// A reason this program does not know.
    Other,
}

impl Goodbye {
    const fn code(self) -> u8 {
        match self {
            Self::Other => 0,
            Self::Drain => 1,
            Self::Age => 2,
            Self::Expired => 3,
            Self::Revoked => 4,
            Self::Moved => 5,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Drain,
            2 => Self::Age,
            3 => Self::Expired,
            4 => Self::Revoked,
            5 => Self::Moved,
            _ => Self::Other,
        }
    }
}

/// One message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Frames in order, and a [`Claim::BatchEnd`] over the last one's position.
    Batch {
        /// At least one.
        frames: Vec<SealedFrame>,
        /// Where the last one ends.
        head: SignedHead,
    },
    /// A [`Claim::Head`]: where the feed's head is.
    Heartbeat(SignedHead),
    /// A new epoch: history up to here is confirmed, numbers go on at `first_revision`, the chain
    /// runs on. Believed once a signature of the new epoch follows.
    Epoch {
        /// The new epoch.
        epoch: Epoch,
        /// The number of its first change.
        first_revision: Revision,
    },
    /// The authority's schema number grew; what this reader knows still comes.
    Schema {
        /// The new number.
        schema: u32,
    },
    /// The server ends the stream.
    Goodbye {
        /// Why.
        reason: Goodbye,
        /// When to come back, at the earliest.
        retry_after: Duration,
    },
}

impl Message {
    /// The message with its length and kind in front.
    pub fn encode(&self) -> Bytes {
        let (kind, body) = match self {
            Self::Batch { frames, head } => (
                BATCH,
                encode(|encoder| {
                    encoder.array(2)?;
                    encode_head(encoder, head)?;
                    encoder.array(frames.len() as u64)?;
                    for frame in frames {
                        encoder
                            .array(3)?
                            .u64(frame.revision.get())?
                            .bytes(frame.chain.as_bytes())?
                            .bytes(&frame.payload)?;
                    }
                    Ok(())
                }),
            ),
            Self::Heartbeat(head) => (HEARTBEAT, encode(|encoder| encode_head(encoder, head))),
            Self::Epoch {
                epoch,
                first_revision,
            } => (
                EPOCH,
                encode(|encoder| {
                    encoder
                        .array(2)?
                        .bytes(epoch.as_uuid().as_bytes())?
                        .u64(first_revision.get())?;
                    Ok(())
                }),
            ),
            Self::Schema { schema } => (
                SCHEMA,
                encode(|encoder| {
                    encoder.array(1)?.u32(*schema)?;
                    Ok(())
                }),
            ),
            Self::Goodbye {
                reason,
                retry_after,
            } => (
                GOODBYE,
                encode(|encoder| {
                    let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
                    encoder.array(2)?.u8(reason.code())?.u64(millis)?;
                    Ok(())
                }),
            ),
        };
        let len = u32::try_from(body.len().saturating_add(1)).unwrap_or(u32::MAX);
        let mut bytes = BytesMut::with_capacity(body.len().saturating_add(5));
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(&[kind]);
        bytes.extend_from_slice(&body);
        bytes.freeze()
    }

    /// Reads a body of this kind. `Ok(None)`: a kind this program does not know, to be skipped.
    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, FeedError> {
        let mut decoder = minicbor::Decoder::new(body);
        let message = match kind {
            BATCH => decode_batch(&mut decoder)?,
            HEARTBEAT => Self::Heartbeat(decode_head(&mut decoder)?),
            EPOCH => {
                let len = array(&mut decoder, "epoch")?;
                let epoch = Epoch::from_uuid(uuid::Uuid::from_bytes(fixed(&mut decoder, "epoch")?));
                let first_revision = Revision::new(decoder.u64().map_err(malformed("epoch"))?);
                skip_rest(&mut decoder, 2, len, "epoch")?;
                Self::Epoch {
                    epoch,
                    first_revision,
                }
            }
            SCHEMA => {
                let len = array(&mut decoder, "schema")?;
                let schema = decoder.u32().map_err(malformed("schema"))?;
                skip_rest(&mut decoder, 1, len, "schema")?;
                Self::Schema { schema }
            }
            GOODBYE => {
                let len = array(&mut decoder, "goodbye")?;
                let reason = Goodbye::from_code(decoder.u8().map_err(malformed("goodbye"))?);
                let millis = decoder.u64().map_err(malformed("goodbye"))?;
                skip_rest(&mut decoder, 2, len, "goodbye")?;
                Self::Goodbye {
                    reason,
                    retry_after: Duration::from_millis(millis),
                }
            }
            _ => return Ok(None),
        };
        end(&decoder, "message")?;
        Ok(Some(message))
    }
}

type EncodeResult = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn encode_head(encoder: &mut minicbor::Encoder<Vec<u8>>, head: &SignedHead) -> EncodeResult {
    encoder
        .array(6)?
        .str(head.feed.as_str())?
        .bytes(head.epoch.as_uuid().as_bytes())?
        .u64(head.revision.get())?
        .bytes(head.chain.as_bytes())?
        .i64(head.time.unix_micros())?
        .bytes(&head.signature)?;
    Ok(())
}

fn decode_head(decoder: &mut minicbor::Decoder<'_>) -> Result<SignedHead, FeedError> {
    const WHAT: &str = "head";
    let len = array(decoder, WHAT)?;
    let feed = match decoder.str().map_err(malformed(WHAT))? {
        "authz" => FeedName::Authz,
        _ => return Err(FeedError::Malformed { what: WHAT }),
    };
    let head = SignedHead {
        feed,
        epoch: Epoch::from_uuid(uuid::Uuid::from_bytes(fixed(decoder, WHAT)?)),
        revision: Revision::new(decoder.u64().map_err(malformed(WHAT))?),
        chain: Chain::from_bytes(fixed(decoder, WHAT)?),
        time: Timestamp::from_unix_micros(decoder.i64().map_err(malformed(WHAT))?),
        signature: fixed(decoder, WHAT)?,
    };
    skip_rest(decoder, 6, len, WHAT)?;
    Ok(head)
}

fn decode_batch(decoder: &mut minicbor::Decoder<'_>) -> Result<Message, FeedError> {
    const WHAT: &str = "batch";
    let len = array(decoder, WHAT)?;
    let head = decode_head(decoder)?;
    let count = array(decoder, WHAT)?;
    let mut frames = Vec::with_capacity(reserve(decoder, count, 38));
    for _ in 0..count {
        let fields = array(decoder, WHAT)?;
        frames.push(SealedFrame {
            revision: Revision::new(decoder.u64().map_err(malformed(WHAT))?),
            chain: Chain::from_bytes(fixed(decoder, WHAT)?),
            payload: decoder.bytes().map_err(malformed(WHAT))?.to_vec(),
        });
        skip_rest(decoder, 3, fields, WHAT)?;
    }
    skip_rest(decoder, 2, len, WHAT)?;
    Ok(Message::Batch { frames, head })
}

/// Cuts a stream of bytes into messages. Holds at most one message's bytes beyond what it was
/// given, and grows with the bytes that come, not with the length that is claimed.
#[derive(Debug, Default)]
pub struct MessageDecoder {
    buffer: BytesMut,
}

impl MessageDecoder {
    /// An empty one, for the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether no message has begun.
    pub fn is_between_messages(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next whole message; `None` when more bytes are needed. Kinds this program does not know
    /// are skipped.
    ///
    /// # Errors
    ///
    /// [`FeedError`]: the stream cannot be read on; connect again.
    pub fn message(&mut self) -> Result<Option<Message>, FeedError> {
        loop {
            let Some(length) = self.buffer.first_chunk::<4>() else {
                return Ok(None);
            };
            let len = u32::from_be_bytes(*length) as usize;
            if len == 0 {
                return Err(FeedError::Malformed { what: "message" });
            }
            if len > MAX_MESSAGE_BYTES {
                return Err(FeedError::TooLong { len: len as u64 });
            }
            if self.buffer.len() < len.saturating_add(4) {
                return Ok(None);
            }
            self.buffer.advance(4);
            let body = self.buffer.split_to(len);
            let Some((kind, body)) = body.split_first() else {
                return Err(FeedError::Malformed { what: "message" });
            };
            if let Some(message) = Message::decode(*kind, body)? {
                return Ok(Some(message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn head(number: u64) -> SignedHead {
        SignedHead {
            feed: FeedName::Authz,
            epoch: Epoch::from_uuid(Uuid::from_u128(u128::from(number))),
            revision: Revision::new(number),
            chain: Chain::ZERO.extend(Revision::new(number), b""),
            time: Timestamp::from_unix_micros(-1),
            signature: [7; 64],
        }
    }

    fn message() -> impl Strategy<Value = Message> {
        let batch = (
            any::<u64>(),
            prop::collection::vec(
                (any::<u64>(), prop::collection::vec(any::<u8>(), 0..50)),
                0..5,
            ),
        )
            .prop_map(|(number, frames)| Message::Batch {
                head: head(number),
                frames: frames
                    .into_iter()
                    .map(|(revision, payload)| SealedFrame {
                        revision: Revision::new(revision),
                        chain: Chain::ZERO.extend(Revision::new(revision), &payload),
                        payload,
                    })
                    .collect(),
            });
        prop_oneof![
            batch,
            any::<u64>().prop_map(|number| Message::Heartbeat(head(number))),
            (any::<u128>(), any::<u64>()).prop_map(|(epoch, first)| Message::Epoch {
                epoch: Epoch::from_uuid(Uuid::from_u128(epoch)),
                first_revision: Revision::new(first),
            }),
            any::<u32>().prop_map(|schema| Message::Schema { schema }),
            (0_u8..6, any::<u32>()).prop_map(|(code, millis)| Message::Goodbye {
                reason: Goodbye::from_code(code),
                retry_after: Duration::from_millis(u64::from(millis)),
            }),
        ]
    }

    proptest! {
        #[test]
        fn messages_survive_a_wire_that_cuts_anywhere(
            messages in prop::collection::vec(message(), 0..6), chunk in 1_usize..40,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
            let mut decoder = MessageDecoder::new();
            let mut read = Vec::new();
            for chunk in bytes.chunks(chunk) {
                decoder.push(chunk);
                while let Some(message) = decoder.message().unwrap() {
                    read.push(message);
                }
            }
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn hostile_bytes_are_refused_without_a_panic(
            kind in 0_u8..8, body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = Message::decode(kind, &body);
            let mut decoder = MessageDecoder::new();
            decoder.push(&body);
            while let Ok(Some(_)) = decoder.message() {}
        }
    }

    #[test]
    fn a_kind_of_the_future_is_skipped_and_an_endless_one_refused() {
        let mut decoder = MessageDecoder::new();
        decoder.push(&[0, 0, 0, 3, 99, 1, 2]);
        let beat = Message::Heartbeat(head(1));
        decoder.push(&beat.encode());
        assert_eq!(decoder.message(), Ok(Some(beat)));
        decoder.push(&[0xFF, 0xFF, 0xFF, 0xFF, 1]);
        assert!(matches!(decoder.message(), Err(FeedError::TooLong { .. })));
    }

    #[test]
    fn the_end_of_a_batch_is_no_word_about_the_head() {
        let head = head(3);
        assert_ne!(
            head.signing_bytes(Claim::Head),
            head.signing_bytes(Claim::BatchEnd)
        );
    }
}
