//! The token between two pages of a search.

use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

use super::search::Target;
use crate::domain::{Epoch, Revision};

/// What tokens begin with.
const PREFIX: &str = "s1.";

/// Bytes before the key.
const FIXED: usize = 1 + 16 + 8 + 16 + 4;

/// The longest key: an action's name.
const KEY_MAX: usize = 256;

/// Where a search goes on. Opaque to callers and not a secret: whoever changes one learns nothing
/// that the same search would not tell from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Which search it is of.
    pub target: Target,
    /// The history that the first page was of.
    pub epoch: Epoch,
    /// Where the facts stood at the first page.
    pub revision: Revision,
    /// What was asked, hashed: a token goes on with its own search only.
    pub query: [u8; 16],
    /// The page's size.
    pub limit: u32,
    /// After which id or name to go on.
    pub after: Vec<u8>,
}

/// A token that no search gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this token is not one that a search gave")]
pub struct InvalidCursor;

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = Vec::with_capacity(FIXED + self.after.len());
        bytes.push(self.target.number());
        bytes.extend_from_slice(self.epoch.as_uuid().as_bytes());
        bytes.extend_from_slice(&self.revision.get().to_be_bytes());
        bytes.extend_from_slice(&self.query);
        bytes.extend_from_slice(&self.limit.to_be_bytes());
        bytes.extend_from_slice(&self.after);
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidCursor)?;
        if encoded.len() > (FIXED + KEY_MAX) * 2 {
            return Err(InvalidCursor);
        }
        let bytes = BASE64URL_NOPAD
            .decode(encoded.as_bytes())
            .map_err(|_| InvalidCursor)?;
        let (target, rest) = bytes.split_first().ok_or(InvalidCursor)?;
        let (epoch, rest) = rest.split_first_chunk::<16>().ok_or(InvalidCursor)?;
        let (revision, rest) = rest.split_first_chunk::<8>().ok_or(InvalidCursor)?;
        let (query, rest) = rest.split_first_chunk::<16>().ok_or(InvalidCursor)?;
        let (limit, after) = rest.split_first_chunk::<4>().ok_or(InvalidCursor)?;
        Ok(Self {
            target: Target::of_number(*target).ok_or(InvalidCursor)?,
            epoch: Epoch::from_uuid(Uuid::from_bytes(*epoch)),
            revision: Revision::new(u64::from_be_bytes(*revision)),
            query: *query,
            limit: u32::from_be_bytes(*limit),
            after: after.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_is_read_as_what_was_written(
            number in 0_u8..4,
            (epoch, revision) in any::<(u128, u64)>(),
            query in any::<[u8; 16]>(),
            limit in any::<u32>(),
            after in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let Some(target) = Target::of_number(number) else {
                return Ok(());
            };
            let cursor = Cursor {
                target,
                epoch: Epoch::from_uuid(Uuid::from_u128(epoch)),
                revision: Revision::new(revision),
                query,
                limit,
                after,
            };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = text.parse::<Cursor>();
            let _ = format!("{PREFIX}{text}").parse::<Cursor>();
        }
    }

    #[test]
    fn a_token_cut_short_or_of_another_search_is_refused() {
        for text in ["", "s1.", "s1.AAAA", "x", "s2.AAAA"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
