//! The sealing keys of a gate: a file that all replicas have, changed in steps, so that at no moment
//! one seals what another cannot open.

use std::path::Path;

use super::gates::KEYS_MAX;
use crate::crypto::seal::{KeyRing, SealError};
use crate::runtime::Entropy;
use crate::runtime::files::{FileError, create_private, read_text, replace_private};

const HEADING: &str = "# Sealing keys of a Doorward gate: the first one seals, all open. Keep this file secret, and the\n\
     # same at every replica. Without it people sign in again; nothing else is lost.\n";

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyChange {
    /// Make a file with one key; one that exists is left alone
    New,
    /// Add a key that opens and does not seal yet
    Stage,
    /// Seal with the last key from now on
    Promote,
    /// Keep only the key that seals
    Retire,
}

/// Why keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no file of keys.
    #[error(transparent)]
    Keys(#[from] SealError),
}

/// Carries out a step, and tells what is to be done next.
///
/// # Errors
///
/// [`KeysError`]; the file is as it was.
pub fn change_keys(
    file: &Path,
    change: KeyChange,
    entropy: &dyn Entropy,
) -> Result<String, KeysError> {
    let name = file.display();
    if change == KeyChange::New {
        let ring = KeyRing::new(&entropy.token_bits());
        create_private(file, ring.to_text_under(HEADING).as_bytes())?;
        return Ok(format!(
            "`{name}` has key {}. Give every replica the same file.\n",
            ring.newest_id()
        ));
    }
    let old = KeyRing::from_text(&read_text(file, KEYS_MAX)?)?;
    let (ring, next) = match change {
        KeyChange::Stage => (
            old.with_staged(&entropy.token_bits()),
            "Give every replica this file and restart it; then `promote`.",
        ),
        KeyChange::Promote => (
            old.promoted(),
            "Give every replica this file and restart it; after the gates' longest `lifetime`, \
             `retire`.",
        ),
        KeyChange::New | KeyChange::Retire => (
            old.first_only(),
            "Give every replica this file and restart it: what other keys sealed opens no more.",
        ),
    };
    replace_private(file, ring.to_text_under(HEADING).as_bytes())?;
    let (count, seals) = (ring.len(), ring.newest_id());
    let noun = if count == 1 { "key" } else { "keys" };
    Ok(format!(
        "`{name}` has {count} {noun}; {seals} seals. {next}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::SeededEntropy;

    #[test]
    fn keys_are_changed_in_steps_and_a_file_is_never_overwritten_by_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gate.keys");
        let entropy = SeededEntropy::new(1);
        let change = |step| change_keys(&file, step, &entropy);
        let ring = || KeyRing::from_text(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert!(change(KeyChange::Stage).is_err());
        change(KeyChange::New).unwrap();
        let first = ring().newest_id();
        assert!(change(KeyChange::New).is_err());
        change(KeyChange::Stage).unwrap();
        assert_eq!((ring().newest_id(), ring().len()), (first.clone(), 2));
        change(KeyChange::Promote).unwrap();
        assert_ne!(ring().newest_id(), first);
        let told = change(KeyChange::Retire).unwrap();
        assert_eq!(ring().len(), 1);
        assert!(told.contains(&ring().newest_id()));
    }
}
