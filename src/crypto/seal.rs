//! Sealing of what must not lie open: private keys and provider tokens in the database, sessions in
//! cookies.
//!
//! AES-256-GCM under a key of a key ring that lives in a file, beside the database and never in it.
//! What is sealed is bound to its place (table, row, column), so that a value copied to another
//! row opens nowhere. The newest key seals; every key of the ring opens, so a new key can be put
//! in front, values sealed again, and the old key removed.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::digest::sha256;

const FORMAT: u8 = 1;
const ID_LEN: usize = 8;
const NONCE_LEN: usize = 12;

/// Why something cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key file is not one.
    #[error("the key file is damaged: {0}")]
    KeyFile(String),
    /// Sealed under a key that the ring does not hold.
    #[error("sealed under key `{0}`, which the key file does not hold")]
    UnknownKey(String),
    /// Changed, cut, or sealed for another place.
    #[error("the sealed value is damaged or was sealed for another place")]
    Damaged,
    /// The library refused.
    #[error("the cryptographic library failed")]
    Failed,
}

/// Where a sealed value lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The row's key, as text.
    pub row: &'a str,
    /// The column.
    pub column: &'a str,
}

impl Place<'_> {
    /// Lengths first, so that no two places have the same bytes.
    fn bytes(self) -> Vec<u8> {
        let mut bytes = b"doorward/seal/v1".to_vec();
        for part in [self.table, self.row, self.column] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// The sealing keys, newest first; never empty. Whoever shares a ring sees a newer key file at once
/// when it is taken over ([`KeyRing::replace`]).
pub struct KeyRing {
    keys: RwLock<Arc<[Key]>>,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Key {
    /// The first bytes of the key's SHA-256: says which key, tells nothing of it.
    id: [u8; ID_LEN],
    bytes: [u8; 32],
}

impl Key {
    fn new(bytes: [u8; 32]) -> Self {
        let mut id = [0; ID_LEN];
        for (to, from) in id.iter_mut().zip(sha256(&bytes)) {
            *to = from;
        }
        Self { id, bytes }
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, SealError> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.bytes).map_err(|_| SealError::Failed)
    }
}

/// The key file's text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    key: Vec<KeyEntry>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    id: String,
    secret: String,
}

impl KeyRing {
    /// A ring with one key made of `random`.
    pub fn new(random: &[u8; 32]) -> Self {
        Self::of(vec![Key::new(*random)])
    }

    fn of(keys: Vec<Key>) -> Self {
        Self {
            keys: RwLock::new(keys.into()),
        }
    }

    fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same ring with a key made of `random` in front: it seals from now on.
    #[must_use]
    pub fn with_new(&self, random: &[u8; 32]) -> Self {
        let mut keys = vec![Key::new(*random)];
        keys.extend(self.keys().iter().map(|key| Key::new(key.bytes)));
        Self::of(keys)
    }

    /// Puts a key made of `random` in front: it seals from now on.
    pub fn add(&self, random: &[u8; 32]) {
        self.replace(&self.with_new(random));
    }

    /// The same ring with a key made of `random` at its end: it opens, and does not seal yet. For
    /// several processes with copies of a file: all must open with a key before one seals with it.
    #[must_use]
    pub fn with_staged(&self, random: &[u8; 32]) -> Self {
        let mut keys: Vec<Key> = self.keys().iter().map(|key| Key::new(key.bytes)).collect();
        keys.push(Key::new(*random));
        Self::of(keys)
    }

    /// The same ring with its last key in front: it seals from now on.
    #[must_use]
    pub fn promoted(&self) -> Self {
        let mut keys: Vec<Key> = self.keys().iter().map(|key| Key::new(key.bytes)).collect();
        keys.rotate_right(1);
        Self::of(keys)
    }

    /// The key that seals, alone: what is sealed under another one opens no more.
    #[must_use]
    pub fn first_only(&self) -> Self {
        Self::of(
            self.keys()
                .iter()
                .take(1)
                .map(|key| Key::new(key.bytes))
                .collect(),
        )
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys().len()
    }

    /// Whether there is none, which is never so.
    pub fn is_empty(&self) -> bool {
        self.keys().is_empty()
    }

    /// Which keys these are: for whoever remembers what was opened, so that it is forgotten with the
    /// key.
    pub fn fingerprint(&self) -> [u8; 32] {
        let ids: Vec<u8> = self.keys().iter().flat_map(|key| key.id).collect();
        sha256(&ids)
    }

    /// Takes over the keys of another ring: the key file was changed.
    pub fn replace(&self, other: &Self) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = other.keys();
    }

    /// Whether both hold the same keys in the same order.
    pub fn same_as(&self, other: &Self) -> bool {
        let (mine, others) = (self.keys(), other.keys());
        mine.iter()
            .map(|key| key.id)
            .eq(others.iter().map(|key| key.id))
    }

    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// [`SealError::KeyFile`] tells what is wrong with it, and nothing of what is in it.
    pub fn from_text(text: &str) -> Result<Self, SealError> {
        // The parser's own message would quote the line.
        let file: KeyFile = toml::from_str(text)
            .map_err(|_| SealError::KeyFile("it is not TOML with [[key]] tables".to_owned()))?;
        let mut keys = Vec::with_capacity(file.key.len());
        for (index, entry) in file.key.iter().enumerate() {
            let damaged = |what: &str| SealError::KeyFile(format!("key {}: {what}", index + 1));
            let bytes = BASE64URL_NOPAD
                .decode(entry.secret.as_bytes())
                .map(Zeroizing::new)
                .map_err(|_| damaged("its secret is not base64url"))?;
            let bytes = <[u8; 32]>::try_from(bytes.as_slice())
                .map_err(|_| damaged("its secret is not 32 bytes"))?;
            let key = Key::new(bytes);
            if BASE64URL_NOPAD.encode(&key.id) != entry.id {
                return Err(damaged("its id is not that of its secret"));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(SealError::KeyFile("it holds no key".to_owned()));
        }
        Ok(Self::of(keys))
    }

    /// Writes a key file. Whoever holds this text can open everything.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.to_text_under(
            "# Doorward sealing keys, newest first. Keep this file secret, and keep a copy apart from\n\
             # the database: without it, signing keys and provider tokens cannot be read.\n",
        )
    }

    /// The same under another heading, of lines that begin with `#`.
    pub fn to_text_under(&self, heading: &str) -> Zeroizing<String> {
        let mut text = heading.to_owned();
        for key in &*self.keys() {
            text.push_str("\n[[key]]\nid = \"");
            BASE64URL_NOPAD.encode_append(&key.id, &mut text);
            text.push_str("\"\nsecret = \"");
            BASE64URL_NOPAD.encode_append(&key.bytes, &mut text);
            text.push_str("\"\n");
        }
        Zeroizing::new(text)
    }

    /// The name of the key that seals.
    pub fn newest_id(&self) -> String {
        self.keys()
            .first()
            .map_or_else(String::new, |key| BASE64URL_NOPAD.encode(&key.id))
    }

    /// Seals `plaintext` for `place` under the newest key.
    ///
    /// # Errors
    ///
    /// [`SealError::Failed`] if the library refuses.
    pub fn seal(&self, plaintext: &[u8], place: Place<'_>) -> Result<Vec<u8>, SealError> {
        let keys = self.keys();
        let key = keys.first().ok_or(SealError::Failed)?;
        let mut body = plaintext.to_vec();
        // The library draws the nonce: one that callers bring could come twice.
        let nonce = key
            .cipher()?
            .seal_in_place_append_tag(Aad::from(place.bytes()), &mut body)
            .map_err(|_| SealError::Failed)?;
        let mut sealed = Vec::with_capacity(1 + ID_LEN + NONCE_LEN + body.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what was sealed for `place` under any key of the ring.
    ///
    /// # Errors
    ///
    /// [`SealError::UnknownKey`] when the key file lacks the key; [`SealError::Damaged`] when the
    /// value was changed or belongs elsewhere.
    pub fn open(&self, sealed: &[u8], place: Place<'_>) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (id, rest) = split(sealed).ok_or(SealError::Damaged)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let keys = self.keys();
        let key = keys
            .iter()
            .find(|key| key.id == id)
            .ok_or_else(|| SealError::UnknownKey(BASE64URL_NOPAD.encode(id)))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = key
            .cipher()?
            .open_in_place(nonce, Aad::from(place.bytes()), &mut body)
            .map_err(|_| SealError::Damaged)?
            .len();
        body.truncate(length);
        Ok(body)
    }

    /// Seals again under the newest key; `None` when it already is.
    ///
    /// # Errors
    ///
    /// As [`Self::open`] and [`Self::seal`].
    pub fn reseal(&self, sealed: &[u8], place: Place<'_>) -> Result<Option<Vec<u8>>, SealError> {
        let (id, _) = split(sealed).ok_or(SealError::Damaged)?;
        if self.keys().first().is_some_and(|key| key.id == id) {
            return Ok(None);
        }
        self.seal(&self.open(sealed, place)?, place).map(Some)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys().len())
    }
}

/// The key's id and what follows it.
fn split(sealed: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = sealed.strip_prefix(&[FORMAT])?;
    rest.split_at_checked(ID_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        table: "signing_keys",
        row: "kid",
        column: "sealed_private",
    };

    #[test]
    fn what_was_sealed_opens_in_its_place_and_nowhere_else() {
        let ring = KeyRing::new(&[1; 32]);
        let sealed = ring.seal(b"private", PLACE).unwrap();
        assert_eq!(ring.open(&sealed, PLACE).unwrap().as_slice(), b"private");
        for place in [
            Place {
                table: "other",
                ..PLACE
            },
            Place {
                row: "other",
                ..PLACE
            },
            Place {
                column: "other",
                ..PLACE
            },
            // The same letters, cut elsewhere.
            Place {
                table: "signing_keysk",
                row: "id",
                ..PLACE
            },
        ] {
            assert_eq!(ring.open(&sealed, place), Err(SealError::Damaged));
        }
    }

    #[test]
    fn a_changed_or_cut_value_does_not_open() {
        let ring = KeyRing::new(&[1; 32]);
        let sealed = ring.seal(b"private", PLACE).unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(ring.open(&changed, PLACE).is_err(), "byte {index}");
            assert!(
                ring.open(&sealed[..index], PLACE).is_err(),
                "cut at {index}"
            );
        }
    }

    #[test]
    fn two_seals_of_one_value_differ() {
        let ring = KeyRing::new(&[1; 32]);
        assert_ne!(
            ring.seal(b"private", PLACE).unwrap(),
            ring.seal(b"private", PLACE).unwrap()
        );
    }

    #[test]
    fn a_new_key_seals_and_the_old_one_opens_until_it_is_removed() {
        let ring = KeyRing::new(&[1; 32]);
        let old = ring.seal(b"private", PLACE).unwrap();
        ring.add(&[2; 32]);
        let new = ring.reseal(&old, PLACE).unwrap().unwrap();
        assert_eq!(ring.reseal(&new, PLACE), Ok(None));
        let without_old = KeyRing::new(&[2; 32]);
        assert_eq!(
            without_old.open(&new, PLACE).unwrap().as_slice(),
            b"private"
        );
        assert!(matches!(
            without_old.open(&old, PLACE),
            Err(SealError::UnknownKey(_))
        ));
    }

    #[test]
    fn a_staged_key_opens_before_it_seals_and_the_former_opens_until_it_is_dropped() {
        let ring = KeyRing::new(&[1; 32]);
        let old = ring.seal(b"private", PLACE).unwrap();
        let staged = ring.with_staged(&[2; 32]);
        assert_eq!(staged.newest_id(), ring.newest_id());
        assert_ne!(staged.fingerprint(), ring.fingerprint());
        let promoted = staged.promoted();
        assert_ne!(promoted.newest_id(), ring.newest_id());
        assert_ne!(promoted.fingerprint(), staged.fingerprint());
        let new = promoted.seal(b"private", PLACE).unwrap();
        assert!(staged.open(&new, PLACE).is_ok() && promoted.open(&old, PLACE).is_ok());
        let alone = promoted.first_only();
        assert_eq!((alone.len(), promoted.len()), (1, 2));
        assert!(alone.open(&new, PLACE).is_ok() && alone.open(&old, PLACE).is_err());
    }

    #[test]
    fn a_key_file_round_trips_and_a_broken_one_says_what_is_wrong_without_quoting_it() {
        let ring = KeyRing::new(&[1; 32]);
        ring.add(&[2; 32]);
        let text = ring.to_text();
        let read = KeyRing::from_text(&text).unwrap();
        assert_eq!(read.newest_id(), ring.newest_id());
        let sealed = ring.seal(b"private", PLACE).unwrap();
        assert!(read.open(&sealed, PLACE).is_ok());

        let secret = BASE64URL_NOPAD.encode(&[2; 32]);
        for broken in [
            String::new(),
            "key = []".to_owned(),
            text.replace("secret", "sekret"),
            text.replace(&secret, "AAAA"),
            text.replace(&secret, &BASE64URL_NOPAD.encode(&[3; 32])),
        ] {
            let error = KeyRing::from_text(&broken).unwrap_err();
            assert!(matches!(error, SealError::KeyFile(_)));
            assert!(!error.to_string().contains(&secret), "{error}");
        }
        assert!(!format!("{ring:?}").contains(&secret));
    }
}
