//! Another sealing key: everything that is sealed is sealed again under the newest.

use std::sync::Arc;

use serde_json::json;

use crate::crypto::seal::KeyRing;
use crate::domain::Timestamp;
use crate::runtime::Entropy;
use crate::runtime::files::replace_private;
use crate::store::{Tx, audit};

use super::super::app::Authority;
use super::super::login::{provider, tokens};
use super::{KeysError, read_ring, stored};

/// Takes over the key file, puts a new key in front of it if `new_key` says so, and seals every
/// sealed value of the database again under the newest key. Tells how many values changed.
///
/// The file is written before the database: a crash in between leaves values under a key that the
/// file still holds.
pub async fn reseal_all(
    authority: &Authority,
    actor: String,
    new_key: bool,
) -> Result<usize, KeysError> {
    let file = authority.config.key_file.clone();
    let (keys, entropy) = (Arc::clone(&authority.keys), Arc::clone(&authority.entropy));
    let entry = authority.audit(
        actor,
        "key.resealed",
        "installation".to_owned(),
        json!({ "new_key": new_key }),
    );
    authority
        .store
        .read::<_, KeysError>(move |_| {
            let mut ring = read_ring(&file)?;
            if new_key {
                ring = renewed(&ring, &*entropy);
                replace_private(&file, ring.to_text().as_bytes())?;
            }
            keys.sealer().ring().replace(&ring);
            Ok(())
        })
        .await?;
    let (keys, now) = (Arc::clone(&authority.keys), authority.clock.now());
    let written = authority
        .store
        .write::<_, KeysError>(move |tx| {
            let changed = everything(tx, keys.sealer().ring(), now)?;
            audit::record(tx, &entry)?;
            Ok(changed)
        })
        .await?;
    Ok(written.value)
}

fn renewed(ring: &KeyRing, entropy: &dyn Entropy) -> KeyRing {
    ring.with_new(&entropy.token_bits())
}

/// Every sealed value there is: signing keys, canary, derivation secret, our secrets at identity
/// providers, and the providers' tokens that are kept.
fn everything(tx: &mut dyn Tx, ring: &KeyRing, now: Timestamp) -> Result<usize, KeysError> {
    let upstream = |error: &dyn std::fmt::Display| KeysError::Upstream(error.to_string());
    let own = stored::reseal(tx, ring)?;
    let secrets = provider::reseal(tx, ring).map_err(|error| upstream(&error))?;
    let tokens = tokens::reseal(tx, ring, now).map_err(|error| upstream(&error))?;
    Ok(own + secrets + tokens)
}
