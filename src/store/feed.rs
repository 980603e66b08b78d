//! Rows of the change feed: its head, its outbox of sealed frames, its epochs.
//!
//! Revisions have no gap inside an epoch: the counter row is the last lock of a transaction, and a
//! transaction that fails takes its number back.

use tokio::sync::watch;

use crate::domain::{Chain, Epoch, FeedName, Position, Revision, Timestamp};
use crate::protocol::feed::{Cell, Frame, SealedFrame};

pub use crate::protocol::feed::EPOCH_JUMP;

use super::driver::Payload;
use super::{Dialect, Row, StoreError, Tx, capture, replicated, seal};

/// The most replicated rows a write may touch and still travel as rows.
pub const FRAME_ROWS_MAX: usize = 50_000;

/// Rows that [`scan`] holds at once.
const SCAN_PAGE: usize = 4096;

const FEED: FeedName = FeedName::Authz;

/// Where the feed ends, and where what can be replayed begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedHead {
    /// The newest revision.
    pub position: Position,
    /// The oldest position that can be resumed from: frames after it are all there.
    pub floor: Revision,
}

/// The feed's head as this transaction sees it.
pub fn head(tx: &mut dyn Tx) -> Result<FeedHead, StoreError> {
    let rows = tx.rows(
        "SELECT epoch, revision, chain, floor FROM feed_state WHERE feed = ?1",
        &[FEED.as_str().into()],
    )?;
    from_row(rows.first().ok_or_else(no_feed)?)
}

/// The feed's head, unless something waits to be sealed: on SQLite, where nobody else writes
/// meanwhile.
pub(super) fn head_if_nothing_waits(tx: &mut dyn Tx) -> Result<Option<FeedHead>, StoreError> {
    let rows = tx.rows(
        "SELECT epoch, revision, chain, floor, EXISTS (SELECT 1 FROM feed_pending) \
         FROM feed_state WHERE feed = ?1",
        &[FEED.as_str().into()],
    )?;
    let row = rows.first().ok_or_else(no_feed)?;
    Ok(if row.bool(4)? {
        None
    } else {
        Some(from_row(row)?)
    })
}

fn from_row(row: &Row) -> Result<FeedHead, StoreError> {
    Ok(FeedHead {
        position: Position {
            feed: FEED,
            epoch: Epoch::from_uuid(row.uuid(0)?),
            revision: revision(row, 1)?,
            chain: chain(row, 2)?,
        },
        floor: revision(row, 3)?,
    })
}

/// Frames after `after`, oldest first: at most `max_frames`, and no more once `max_bytes` of payload
/// are reached (at least one, when there is one). Ask [`head`] first: below its floor there is a gap.
pub fn frames_after(
    tx: &mut dyn Tx,
    after: Revision,
    max_frames: usize,
    max_bytes: usize,
) -> Result<Vec<SealedFrame>, StoreError> {
    // Few at a time: a frame may be megabytes, and the bound is known only after reading.
    const STEP: usize = 64;
    let mut frames: Vec<SealedFrame> = Vec::new();
    let mut bytes = 0;
    let mut after = after;
    while frames.len() < max_frames {
        let step = STEP.min(max_frames - frames.len());
        let rows = tx.rows(
            "SELECT revision, chain, payload FROM feed_outbox
             WHERE feed = ?1 AND revision > ?2 ORDER BY revision LIMIT ?3",
            &[
                FEED.as_str().into(),
                number(after)?.into(),
                i64::try_from(step).unwrap_or(i64::MAX).into(),
            ],
        )?;
        for row in &rows {
            let frame = SealedFrame {
                revision: revision(row, 0)?,
                chain: chain(row, 1)?,
                payload: row.bytes(2)?.to_vec(),
            };
            bytes += frame.payload.len();
            if bytes > max_bytes && !frames.is_empty() {
                return Ok(frames);
            }
            after = frame.revision;
            frames.push(frame);
        }
        if rows.len() < step {
            break;
        }
    }
    Ok(frames)
}

/// The chain at a revision: what a follower must show to resume from there. `None` when the outbox
/// does not have that revision, or no longer.
pub fn frame_at(tx: &mut dyn Tx, at: Revision) -> Result<Option<Chain>, StoreError> {
    if at == Revision::ZERO {
        return Ok((head(tx)?.floor == Revision::ZERO).then_some(Chain::ZERO));
    }
    let Ok(at) = number(at) else { return Ok(None) };
    let rows = tx.rows(
        "SELECT chain FROM feed_outbox WHERE feed = ?1 AND revision = ?2",
        &[FEED.as_str().into(), at.into()],
    )?;
    rows.first().map(|row| chain(row, 0)).transpose()
}

/// Raises the floor to `floor`, and removes the frames before it; the one at the floor stays, because
/// its chain proves a resume from there. A floor past the head becomes the head; one below the
/// current floor changes nothing. Gives the number of frames removed.
pub fn compact(tx: &mut dyn Tx, floor: Revision) -> Result<u64, StoreError> {
    let now = head(tx)?;
    let floor = floor.min(now.position.revision).max(now.floor);
    let gone = tx.exec(
        "DELETE FROM feed_outbox WHERE feed = ?1 AND revision < ?2",
        &[FEED.as_str().into(), number(floor)?.into()],
    )?;
    // Last: on PostgreSQL this row is what all writers wait for.
    tx.exec(
        "UPDATE feed_state SET floor = ?2 WHERE feed = ?1 AND floor < ?2",
        &[FEED.as_str().into(), number(floor)?.into()],
    )?;
    Ok(gone)
}

/// The epochs so far with the number of each one's first change, oldest first.
pub fn epochs(tx: &mut dyn Tx) -> Result<Vec<(Epoch, Revision)>, StoreError> {
    tx.rows(
        "SELECT epoch, first_revision FROM feed_epoch WHERE feed = ?1 ORDER BY first_revision",
        &[FEED.as_str().into()],
    )?
    .iter()
    .map(|row| Ok((Epoch::from_uuid(row.uuid(0)?), revision(row, 1)?)))
    .collect()
}

/// Begins a new epoch, after a restored backup or by an operator's word. Its first change is an
/// empty frame [`EPOCH_JUMP`] revisions further on; the chain runs on across it.
pub fn open_epoch(tx: &mut dyn Tx, epoch: Epoch) -> Result<Position, StoreError> {
    let old = lock_head(tx)?;
    let first = Revision::new(old.position.revision.get().saturating_add(EPOCH_JUMP));
    let payload = Frame::default().encode();
    let position = Position {
        feed: FEED,
        epoch,
        revision: first,
        chain: old.position.chain.extend(first, &payload),
    };
    put_frame(tx, &position, payload)?;
    tx.exec(
        "UPDATE feed_state SET epoch = ?2, revision = ?3, chain = ?4 WHERE feed = ?1",
        &[
            FEED.as_str().into(),
            epoch.as_uuid().into(),
            number(first)?.into(),
            position.chain.as_bytes().as_slice().into(),
        ],
    )?;
    note_epoch(tx, epoch, first)?;
    Ok(position)
}

/// Makes every follower take a snapshot: a frame that says so instead of what changed.
pub fn reset(tx: &mut dyn Tx) -> Result<Position, StoreError> {
    lock_head(tx)?;
    let payload = Payload {
        bytes: Frame::reset_marker().encode(),
        reset: true,
    };
    append(tx, &payload)
}

/// Reads the rows of a replicated table as followers have them, in the order of its key, and never
/// more of them at once than a page.
///
/// Run it in one [`Store::read`](super::Store::read) with [`head`]: together they are the feed's
/// state at that position.
pub fn scan(
    tx: &mut dyn Tx,
    table: &replicated::Table,
    visit: &mut dyn FnMut(Vec<Cell>),
) -> Result<(), StoreError> {
    scan_by(tx, table, SCAN_PAGE, visit)
}

fn scan_by(
    tx: &mut dyn Tx,
    table: &replicated::Table,
    page: usize,
    visit: &mut dyn FnMut(Vec<Cell>),
) -> Result<(), StoreError> {
    let mut rows = tx.rows(&capture::first_rows(table, page), &[])?;
    let next = capture::next_rows(table, page);
    loop {
        for row in &rows {
            visit(seal::cells(table, row, 0)?);
        }
        let last = rows.pop().filter(|_| rows.len() + 1 == page);
        let Some(last) = last else {
            return Ok(());
        };
        let mut key = last.into_columns();
        key.truncate(table.key_len);
        rows = tx.rows(&next, &key)?;
    }
}

/// The latest time a head was signed for.
pub fn signed_time(tx: &mut dyn Tx) -> Result<Timestamp, StoreError> {
    let rows = tx.rows(
        "SELECT signed_time FROM feed_state WHERE feed = ?1",
        &[FEED.as_str().into()],
    )?;
    rows.first().ok_or_else(no_feed)?.time(0)
}

/// Reserves signing times up to `until`: a signer that starts later begins after it, even when the
/// clock went back. Gives the reserved end, which is never before an earlier one.
pub fn reserve_signed_time(tx: &mut dyn Tx, until: Timestamp) -> Result<Timestamp, StoreError> {
    tx.exec(
        "UPDATE feed_state SET signed_time = ?2 WHERE feed = ?1 AND signed_time < ?2",
        &[FEED.as_str().into(), until.into()],
    )?;
    signed_time(tx)
}

/// Makes the feed's row when there is none.
pub(super) fn begin(tx: &mut dyn Tx, epoch: Epoch) -> Result<(), StoreError> {
    let made = tx.exec(
        "INSERT INTO feed_state (feed, epoch, revision, chain, floor, signed_time)
         VALUES (?1, ?2, 0, ?3, 0, ?4) ON CONFLICT (feed) DO NOTHING",
        &[
            FEED.as_str().into(),
            epoch.as_uuid().into(),
            Chain::ZERO.as_bytes().as_slice().into(),
            Timestamp::EPOCH.into(),
        ],
    )?;
    if made == 1 {
        note_epoch(tx, epoch, Revision::new(1))?;
    }
    Ok(())
}

/// An epoch from fresh random bytes.
pub fn epoch_from(random: [u8; 16]) -> Epoch {
    Epoch::from_uuid(uuid::Builder::from_random_bytes(random).into_uuid())
}

/// Gives a frame the next revision. For the engine where one more round trip costs nothing.
pub(super) fn append(tx: &mut dyn Tx, payload: &Payload) -> Result<Position, StoreError> {
    let old = head(tx)?;
    let revision = old.position.revision.next();
    let position = Position {
        revision,
        chain: old.position.chain.extend(revision, &payload.bytes),
        ..old.position
    };
    tx.exec(
        "UPDATE feed_state SET revision = ?2, chain = ?3, floor = ?4 WHERE feed = ?1",
        &[
            FEED.as_str().into(),
            number(revision)?.into(),
            position.chain.as_bytes().as_slice().into(),
            number(if payload.reset { revision } else { old.floor })?.into(),
        ],
    )?;
    put_frame(tx, &position, payload.bytes.clone())?;
    Ok(position)
}

/// Makes all other sealing transactions wait for this one's end.
pub(super) fn lock_counter(tx: &mut dyn Tx, dialect: Dialect) -> Result<(), StoreError> {
    if dialect == Dialect::Postgres {
        tx.rows(
            "SELECT revision FROM feed_state WHERE feed = ?1 FOR UPDATE",
            &[FEED.as_str().into()],
        )?;
    }
    Ok(())
}

/// Tells subscribers of a new head, never of an older one.
pub(super) fn announce(head: &watch::Sender<Position>, position: Position) {
    head.send_if_modified(|current| {
        let newer = position.revision > current.revision;
        if newer {
            *current = position;
        }
        newer
    });
}

/// The head, with its row locked on either engine: an update that changes nothing is portable.
fn lock_head(tx: &mut dyn Tx) -> Result<FeedHead, StoreError> {
    tx.exec(
        "UPDATE feed_state SET floor = floor WHERE feed = ?1",
        &[FEED.as_str().into()],
    )?;
    head(tx)
}

fn put_frame(tx: &mut dyn Tx, position: &Position, payload: Vec<u8>) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO feed_outbox (feed, revision, chain, payload) VALUES (?1, ?2, ?3, ?4)",
        &[
            FEED.as_str().into(),
            number(position.revision)?.into(),
            position.chain.as_bytes().as_slice().into(),
            payload.into(),
        ],
    )?;
    Ok(())
}

fn note_epoch(tx: &mut dyn Tx, epoch: Epoch, first: Revision) -> Result<(), StoreError> {
    tx.exec(
        "INSERT INTO feed_epoch (feed, epoch, first_revision) VALUES (?1, ?2, ?3)",
        &[
            FEED.as_str().into(),
            epoch.as_uuid().into(),
            number(first)?.into(),
        ],
    )?;
    Ok(())
}

fn number(revision: Revision) -> Result<i64, StoreError> {
    i64::try_from(revision.get())
        .map_err(|_| StoreError::Other("a revision is out of range".to_owned()))
}

fn revision(row: &Row, index: usize) -> Result<Revision, StoreError> {
    u64::try_from(row.int(index)?)
        .map(Revision::new)
        .map_err(|_| StoreError::Inconsistent {
            column: index,
            wanted: "a revision",
        })
}

fn chain(row: &Row, index: usize) -> Result<Chain, StoreError> {
    <[u8; 32]>::try_from(row.bytes(index)?)
        .map(Chain::from_bytes)
        .map_err(|_| StoreError::Inconsistent {
            column: index,
            wanted: "a chain",
        })
}

fn no_feed() -> StoreError {
    StoreError::Schema("the database has no change feed".to_owned())
}
