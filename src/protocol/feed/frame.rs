//! One change: the rows that a transaction of the authority left behind.

use sha2::{Digest, Sha256};

use super::{FeedError, array, encode, end, malformed, reserve, skip_rest};
use crate::domain::{Chain, Revision};

/// The version of the payload's shape.
const FRAME_VERSION: u64 = 1;
/// More cells than any row of ours has.
const MAX_CELLS: u64 = 64;
const WHAT: &str = "frame";
const PUT: u8 = 0;
const DELETE: u8 = 1;

/// A value of a row. Ids are 16 bytes, times are integer microseconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// No value.
    Null,
    /// An integer or a time.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes; also ids.
    Bytes(Vec<u8>),
}

/// What happened to one row. After-images: applying one twice is harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// The row now is this: all columns in the table's order, key first.
    Put {
        /// The table's number.
        table: u16,
        /// The row.
        cells: Vec<Cell>,
    },
    /// The row is gone.
    Delete {
        /// The table's number.
        table: u16,
        /// Its key columns.
        key: Vec<Cell>,
    },
}

/// Everything that one transaction changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Too much changed to travel as rows: whoever is before this frame takes a snapshot.
    pub reset: bool,
    /// The changes, one per touched row. Empty in a reset marker.
    pub ops: Vec<Op>,
}

/// A frame as the outbox keeps it: numbered and chained. `payload` is [`Frame::encode`]d and is
/// carried along unread, so that the chain verifies whatever a newer writer put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedFrame {
    /// Its number.
    pub revision: Revision,
    /// The chain up to and including it.
    pub chain: Chain,
    /// The encoded frame.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The marker for a change that is too large to travel.
    pub const fn reset_marker() -> Self {
        Self {
            reset: true,
            ops: Vec::new(),
        }
    }

    /// The payload bytes. The same frame always gives the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(|encoder| {
            encoder.array(3)?.u64(FRAME_VERSION)?.bool(self.reset)?;
            encoder.array(self.ops.len() as u64)?;
            for op in &self.ops {
                let (kind, table, cells) = match op {
                    Op::Put { table, cells } => (PUT, table, cells),
                    Op::Delete { table, key } => (DELETE, table, key),
                };
                encoder.array(3)?.u8(kind)?.u16(*table)?;
                encoder.array(cells.len() as u64)?;
                for cell in cells {
                    match cell {
                        Cell::Null => encoder.null()?,
                        Cell::Int(value) => encoder.i64(*value)?,
                        Cell::Text(text) => encoder.str(text)?,
                        Cell::Bytes(bytes) => encoder.bytes(bytes)?,
                    };
                }
            }
            Ok(())
        })
    }

    /// Reads a payload. Tables and columns this program does not know survive; the applier skips
    /// them.
    ///
    /// # Errors
    ///
    /// [`FeedError`] when the bytes are no frame, or one of a version that cannot be read.
    pub fn decode(bytes: &[u8]) -> Result<Self, FeedError> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let len = array(&mut decoder, WHAT)?;
        let version = decoder.u64().map_err(malformed(WHAT))?;
        if version != FRAME_VERSION {
            return Err(FeedError::Version { version });
        }
        if len < 3 {
            return Err(FeedError::Malformed { what: WHAT });
        }
        let reset = decoder.bool().map_err(malformed(WHAT))?;
        let count = array(&mut decoder, WHAT)?;
        let mut ops = Vec::with_capacity(reserve(&decoder, count, 5));
        for _ in 0..count {
            ops.push(decode_op(&mut decoder)?);
        }
        skip_rest(&mut decoder, 3, len, WHAT)?;
        end(&decoder, WHAT)?;
        Ok(Self { reset, ops })
    }
}

fn decode_op(decoder: &mut minicbor::Decoder<'_>) -> Result<Op, FeedError> {
    let len = array(decoder, WHAT)?;
    if len < 3 {
        return Err(FeedError::Malformed { what: WHAT });
    }
    let kind = decoder.u8().map_err(malformed(WHAT))?;
    let table = decoder.u16().map_err(malformed(WHAT))?;
    let count = array(decoder, WHAT)?;
    if count > MAX_CELLS {
        return Err(FeedError::Malformed { what: WHAT });
    }
    let mut cells = Vec::with_capacity(reserve(decoder, count, 1));
    for _ in 0..count {
        cells.push(decode_cell(decoder)?);
    }
    skip_rest(decoder, 3, len, WHAT)?;
    match kind {
        PUT => Ok(Op::Put { table, cells }),
        DELETE => Ok(Op::Delete { table, key: cells }),
        _ => Err(FeedError::Malformed { what: WHAT }),
    }
}

fn decode_cell(decoder: &mut minicbor::Decoder<'_>) -> Result<Cell, FeedError> {
    use minicbor::data::Type;
    match decoder.datatype().map_err(malformed(WHAT))? {
        Type::Null => decoder.null().map(|()| Cell::Null),
        Type::Bytes => decoder.bytes().map(|bytes| Cell::Bytes(bytes.to_vec())),
        Type::String => decoder.str().map(|text| Cell::Text(text.to_owned())),
        _ => decoder.i64().map(Cell::Int),
    }
    .map_err(malformed(WHAT))
}

/// The hash of a row, as four words. The *state* of a copy is the wrapping sum over all its rows,
/// word by word: equal states mean equal rows, whatever order they came in. It finds bit rot and
/// bugs; against forgers there are signatures.
pub fn row_hash(table: u16, cells: &[Cell]) -> [u64; 4] {
    let mut hash = Sha256::new();
    hash.update(table.to_be_bytes());
    for cell in cells {
        let (tag, bytes): (u8, &[u8]) = match cell {
            Cell::Null => (0, &[]),
            Cell::Int(value) => {
                hash.update([1]);
                hash.update(value.to_be_bytes());
                continue;
            }
            Cell::Text(text) => (2, text.as_bytes()),
            Cell::Bytes(bytes) => (3, bytes),
        };
        hash.update([tag]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(digest.as_chunks::<8>().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell() -> impl Strategy<Value = Cell> {
        prop_oneof![
            Just(Cell::Null),
            any::<i64>().prop_map(Cell::Int),
            ".{0,20}".prop_map(Cell::Text),
            prop::collection::vec(any::<u8>(), 0..24).prop_map(Cell::Bytes),
        ]
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let op = (
            any::<bool>(),
            any::<u16>(),
            prop::collection::vec(cell(), 0..6),
        )
            .prop_map(|(put, table, cells)| {
                if put {
                    Op::Put { table, cells }
                } else {
                    Op::Delete { table, key: cells }
                }
            });
        (any::<bool>(), prop::collection::vec(op, 0..12))
            .prop_map(|(reset, ops)| Frame { reset, ops })
    }

    proptest! {
        #[test]
        fn a_frame_survives_the_wire(frame in frame()) {
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }

        #[test]
        fn hostile_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Frame::decode(&bytes);
        }

        #[test]
        fn a_damaged_frame_is_refused_or_is_another_frame(
            frame in frame(), at in any::<prop::sample::Index>(), bit in 0_u32..8,
        ) {
            let mut bytes = frame.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert_ne!(Frame::decode(&bytes), Ok(frame));
        }
    }

    #[test]
    fn a_length_without_its_bytes_reserves_nothing() {
        // An array of 2^60 ops, and a byte string of 2^60 bytes.
        let ops = [0x83, 1, 0xF4, 0x9B, 0x10, 0, 0, 0, 0, 0, 0, 0];
        assert!(Frame::decode(&ops).is_err());
        let cell = [
            0x83, 1, 0xF4, 0x81, 0x83, 0, 5, 0x81, 0x5B, 0x10, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert!(Frame::decode(&cell).is_err());
    }

    #[test]
    fn what_a_newer_writer_appends_is_skipped_and_a_newer_version_is_refused() {
        let appended = [0x84, 1, 0xF5, 0x80, 0x63, b'n', b'e', b'w'];
        assert_eq!(Frame::decode(&appended), Ok(Frame::reset_marker()));
        let newer = [0x83, 2, 0xF5, 0x80];
        assert_eq!(
            Frame::decode(&newer),
            Err(FeedError::Version { version: 2 })
        );
    }

    #[test]
    fn cells_that_look_alike_hash_apart() {
        let rows = [
            vec![Cell::Text("ab".into()), Cell::Text("c".into())],
            vec![Cell::Text("a".into()), Cell::Text("bc".into())],
            vec![Cell::Bytes(b"ab".into()), Cell::Bytes(b"c".into())],
            vec![Cell::Null],
            vec![Cell::Int(0)],
            vec![],
        ];
        let mut hashes: Vec<_> = rows.iter().map(|cells| row_hash(1, cells)).collect();
        hashes.push(row_hash(2, &[]));
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[index + 1..].contains(hash), "{index}");
        }
    }
}
