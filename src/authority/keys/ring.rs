//! The ring that seals: the key file, the canary that tells whether it is the right one, and the
//! secret that values are derived by.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::crypto::seal::{KeyRing, Place, SealError};
use crate::runtime::Entropy;
use crate::runtime::files::{FileError, create_private, read_text};
use crate::store::{Tx, installation};

use super::KeysError;

const KEY_FILE_LIMIT: u64 = 64 * 1024;
const CANARY: &str = "seal_canary";
const DERIVATION: &str = "derivation_secret";
const CANARY_TEXT: &[u8] = b"doorward";

/// Reads the key file.
///
/// # Errors
///
/// [`KeysError::Exposed`] when it is not private; [`KeysError::File`] when it is not there.
pub fn read_ring(path: &Path) -> Result<KeyRing, KeysError> {
    let text = read_text(path, KEY_FILE_LIMIT)?;
    let mode = std::fs::metadata(path)
        .map_err(FileError::new("read", path))?
        .permissions()
        .mode()
        & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Exposed {
            path: path.display().to_string(),
            mode,
        });
    }
    Ok(KeyRing::from_text(&text)?)
}

/// Makes a key file with a new key.
pub fn create_ring(path: &Path, entropy: &dyn Entropy) -> Result<KeyRing, KeysError> {
    let ring = KeyRing::new(&entropy.token_bits());
    create_private(path, ring.to_text().as_bytes())?;
    Ok(ring)
}

const fn canary_place() -> Place<'static> {
    Place {
        table: "installation",
        row: CANARY,
        column: "value",
    }
}

/// Seals the canary by which a start tells whether it has the right key file.
pub fn plant_canary(tx: &mut dyn Tx, ring: &KeyRing) -> Result<(), KeysError> {
    let sealed = ring.seal(CANARY_TEXT, canary_place())?;
    Ok(installation::set(tx, CANARY, &sealed)?)
}

/// Opens the canary.
///
/// # Errors
///
/// [`KeysError::Foreign`] when it does not open; [`KeysError::NotInitialized`] without one.
pub fn check_canary(tx: &mut dyn Tx, ring: &KeyRing) -> Result<(), KeysError> {
    let sealed = installation::find(tx, CANARY)?.ok_or(KeysError::NotInitialized)?;
    ring.open(&sealed, canary_place())
        .map(|_| ())
        .map_err(KeysError::Foreign)
}

const fn derivation_place() -> Place<'static> {
    Place {
        table: "installation",
        row: DERIVATION,
        column: "value",
    }
}

/// Makes the secret that values are derived by, if there is none yet.
pub fn ensure_derivation_secret(
    tx: &mut dyn Tx,
    ring: &KeyRing,
    entropy: &dyn Entropy,
) -> Result<(), KeysError> {
    if installation::find(tx, DERIVATION)?.is_none() {
        let sealed = ring.seal(entropy.token_bits().as_slice(), derivation_place())?;
        installation::set(tx, DERIVATION, &sealed)?;
    }
    Ok(())
}

pub(super) fn derivation_secret(
    tx: &mut dyn Tx,
    ring: &KeyRing,
) -> Result<Zeroizing<[u8; 32]>, KeysError> {
    let sealed = installation::find(tx, DERIVATION)?.ok_or(KeysError::NotInitialized)?;
    let opened = ring.open(&sealed, derivation_place())?;
    <[u8; 32]>::try_from(opened.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| KeysError::Seal(SealError::Damaged))
}

/// Seals canary and derivation secret again under the newest key, and tells how many of the two
/// changed.
pub(super) fn reseal(tx: &mut dyn Tx, ring: &KeyRing) -> Result<usize, KeysError> {
    let mut changed = 0;
    for (name, place) in [(CANARY, canary_place()), (DERIVATION, derivation_place())] {
        if let Some(sealed) = installation::find(tx, name)?
            && let Some(sealed) = ring.reseal(&sealed, place).map_err(KeysError::Foreign)?
        {
            installation::set(tx, name, &sealed)?;
            changed += 1;
        }
    }
    Ok(changed)
}
