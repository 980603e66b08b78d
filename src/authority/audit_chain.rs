//! The audit log's hash chain: what was written cannot be changed, taken out or slipped in unseen.
//!
//! Audit rows are written inside the transactions they tell of, and chained afterwards by one
//! instance at a time, so that logins do not queue behind one lock. A link's hash is keyed by the
//! installation's derivation secret: whoever can write the database but does not have the key file
//! cannot make a chain that fits. Rows that are not chained yet, about a minute's worth, are not
//! protected, and neither is the end of the chain unless somebody keeps its head elsewhere:
//! `doorward-authority audit verify` prints it, and takes one to compare.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::crypto::digest::constant_time_eq;
use crate::domain::Timestamp;
use crate::store::audit_chain::{self, AuditRow, Link};
use crate::store::{StoreError, leases};

use super::app::Authority;
use super::sealer::Sealer;

const LEASE: &str = "audit_chain";
const LEASE_TIME: Duration = Duration::from_mins(2);
/// Rows of one transaction.
const BATCH: u32 = 500;
/// A row may commit this long after its id was minted: requests end by then, clocks differ by less.
const LATE: Duration = Duration::from_mins(15);
/// How many findings of a kind are told one by one.
const TOLD: usize = 20;

/// The end of the chain, or of a part of it. Text form: `<place>:<hash in hex>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last link's place; 0 before the first.
    pub sequence: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Head {
    const START: Self = Self {
        sequence: 0,
        hash: [0; 32],
    };
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, HEXLOWER.encode(&self.hash))
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (sequence, hash) = text.split_once(':')?;
            Some(Self {
                sequence: sequence.parse().ok().filter(|sequence| *sequence >= 0)?,
                hash: HEXLOWER.decode(hash.as_bytes()).ok()?.try_into().ok()?,
            })
        };
        parse().ok_or_else(|| {
            "a head as `audit verify` prints it is wanted: `<number>:<64 hex digits>`".to_owned()
        })
    }
}

/// The hash of the link that follows `before` and is about `row`.
fn link_hash(sealer: &Sealer, before: &Head, row: &AuditRow) -> [u8; 32] {
    let sequence = (before.sequence + 1).to_be_bytes();
    let at = row.at.to_be_bytes();
    // Absent and empty differ.
    let organization = row.organization.map(Uuid::into_bytes);
    let organization: &[u8] = organization.as_ref().map_or(&[], |id| id.as_slice());
    let target = row
        .target
        .as_deref()
        .map_or(String::new(), |target| format!("={target}"));
    *sealer.derive(
        "audit_chain",
        &[
            &sequence,
            &before.hash,
            row.id.as_bytes(),
            &at,
            row.actor.as_bytes(),
            row.event.as_bytes(),
            organization,
            target.as_bytes(),
            row.details.as_bytes(),
        ],
    )
}

/// From which id on rows may still have to be chained, when the last link is about `last`.
fn horizon(last: Uuid) -> Uuid {
    let millis = u64::try_from(last.as_u128() >> 80).unwrap_or(u64::MAX);
    let late = u64::try_from(LATE.as_millis()).unwrap_or(u64::MAX);
    Uuid::from_u128(u128::from(millis.saturating_sub(late)) << 80)
}

/// Chains what is not chained yet, if there is something and the lease can be had. Tells how many
/// rows were.
///
/// # Errors
///
/// [`StoreError`]; what was chained before it stays chained.
pub async fn chain(authority: &Authority, holder: &str) -> Result<u64, StoreError> {
    let mut all = 0;
    loop {
        let waiting = authority
            .store
            .read::<_, StoreError>(|tx| {
                let after =
                    audit_chain::head(tx)?.map_or(Uuid::nil(), |(_, last, _)| horizon(last));
                Ok(!audit_chain::unchained(tx, after, 1)?.is_empty())
            })
            .await?;
        if !waiting {
            return Ok(all);
        }
        let chained = chain_batch(authority, holder).await?;
        all += chained;
        if chained < u64::from(BATCH) {
            return Ok(all);
        }
    }
}

async fn chain_batch(authority: &Authority, holder: &str) -> Result<u64, StoreError> {
    let (holder, keys) = (holder.to_owned(), Arc::clone(&authority.keys));
    let now = authority.clock.now();
    let written = authority
        .store
        .write::<_, StoreError>(move |tx| {
            // The lease's row is locked until the end: nobody else appends meanwhile.
            if !leases::take(tx, LEASE, &holder, (now, now.plus(LEASE_TIME)))? {
                return Ok(0);
            }
            let (mut head, after) = match audit_chain::head(tx)? {
                None => (Head::START, Uuid::nil()),
                Some((sequence, last, hash)) => (Head { sequence, hash }, horizon(last)),
            };
            let rows = audit_chain::unchained(tx, after, BATCH)?;
            for row in &rows {
                let hash = link_hash(keys.sealer(), &head, row);
                head = Head {
                    sequence: head.sequence + 1,
                    hash,
                };
                audit_chain::append(tx, head.sequence, row.id, hash)?;
            }
            Ok(rows.len() as u64)
        })
        .await?;
    metrics::counter!("doorward_audit_chained_total").increment(written.value);
    Ok(written.value)
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How many links were checked.
    pub links: u64,
    /// The end of the chain, as text.
    pub head: String,
    /// Rows that are not what was chained: `changed`, `removed` or `inserted`, with the audit row's
    /// id, or a broken link. The first of each kind.
    pub findings: Vec<String>,
    /// How many findings there are in all.
    pub found: u64,
    /// How many rows are not chained yet, and young enough to be so.
    pub waiting: u64,
}

impl Verdict {
    /// Whether everything is as it was chained.
    pub const fn intact(&self) -> bool {
        self.found == 0
    }

    fn find(&mut self, what: &str, kind: &str) {
        self.found += 1;
        let same = self.findings.iter().filter(|text| text.starts_with(kind));
        if same.count() < TOLD {
            self.findings.push(format!("{kind}: {what}"));
        }
    }
}

/// Walks the whole chain. `kept` is a head that was printed before and kept elsewhere: the chain
/// must still pass through it.
///
/// # Errors
///
/// [`StoreError`]: the chain cannot be read.
pub async fn verify(authority: &Authority, kept: Option<Head>) -> Result<Verdict, StoreError> {
    let mut verdict = Verdict {
        links: 0,
        head: Head::START.to_string(),
        findings: Vec::new(),
        found: 0,
        waiting: 0,
    };
    let mut head = Head::START;
    let mut met = kept.is_none_or(|kept| kept.sequence == 0);
    loop {
        let after = head.sequence;
        let links = authority
            .store
            .read::<_, StoreError>(move |tx| audit_chain::links(tx, after, BATCH))
            .await?;
        if links.is_empty() {
            break;
        }
        for link in &links {
            check(authority.keys.sealer(), &mut verdict, head, link);
            head = Head {
                sequence: link.sequence,
                hash: link.hash,
            };
            met |= kept.is_some_and(|kept| kept == head);
        }
    }
    verdict.head = head.to_string();
    if let Some(kept) = kept.filter(|_| !met) {
        verdict.find(&format!("the chain no longer passes through {kept}"), "cut");
    }
    unchained(authority, &mut verdict).await?;
    Ok(verdict)
}

fn check(sealer: &Sealer, verdict: &mut Verdict, before: Head, link: &Link) {
    verdict.links += 1;
    for missing in before.sequence + 1..link.sequence.min(before.sequence + 1 + 1_000) {
        verdict.find(&format!("link {missing} is not there"), "removed");
    }
    let Some(row) = &link.row else {
        let what = format!("audit row {} of link {}", link.audit_id, link.sequence);
        verdict.find(&what, "removed");
        return;
    };
    let before = Head {
        sequence: link.sequence - 1,
        ..before
    };
    if !constant_time_eq(&link_hash(sealer, &before, row), &link.hash) {
        let what = format!("audit row {} or link {} before it", row.id, link.sequence);
        verdict.find(&what, "changed");
    }
}

/// Rows that no link is about: young ones wait for the job, others were slipped in.
async fn unchained(authority: &Authority, verdict: &mut Verdict) -> Result<(), StoreError> {
    let horizon = horizon_of(authority.clock.now());
    let mut after = Uuid::nil();
    loop {
        let rows = authority
            .store
            .read::<_, StoreError>(move |tx| audit_chain::unchained(tx, after, BATCH))
            .await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.id;
        for row in &rows {
            if row.id < horizon {
                verdict.find(
                    &format!("audit row {} was never chained", row.id),
                    "inserted",
                );
            } else {
                verdict.waiting += 1;
            }
        }
    }
}

fn horizon_of(now: Timestamp) -> Uuid {
    horizon(Uuid::from_u128(u128::from(now.unix_millis()) << 80))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_its_text_form() {
        let head = Head {
            sequence: 7,
            hash: [9; 32],
        };
        assert_eq!(head.to_string().parse(), Ok(head));
        for bad in [
            "",
            "7",
            "7:",
            "-1:00",
            "7:zz",
            &format!("x:{}", "0".repeat(64)),
        ] {
            assert!(bad.parse::<Head>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_horizon_lies_a_quarter_of_an_hour_before_an_id() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let early = horizon_of(now.plus(LATE));
        assert_eq!(early, Uuid::from_u128(u128::from(now.unix_millis()) << 80));
        assert_eq!(horizon(Uuid::nil()), Uuid::nil());
    }
}
