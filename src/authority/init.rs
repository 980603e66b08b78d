//! The first start: key file, database, keys, the built-in service, the operators' organization
//! and the first operator's credentials.

use std::sync::Arc;

use serde_json::json;

use crate::crypto::digest::token_digest;
use crate::crypto::seal::KeyRing;
use crate::domain::organization::Organization;
use crate::domain::{
    ClientId, ClientIdentifier, ClientKind, OrganizationId, PlainToken, Scopes, Slug, Timestamp,
};
use crate::runtime::files::{FileError, create_private_dir};
use crate::runtime::{Clock, Entropy, Exit};
use crate::store::audit::AuditEntry;
use crate::store::clients::{Client, ClientState};
use crate::store::keys::StoredKey;
use crate::store::{Store, StoreError, Tx, audit, clients, installation, organizations};

use super::access::auth_manifest;
use super::app::store_exit;
use super::config::Config;
use super::credentials::clients::SECRET_PREFIX;
use super::keys::{self, KeysError};
use super::manifests::{self, SyncError};

/// The public name of the first operator's client.
pub const FIRST_OPERATOR: &str = "operator";
/// The public client through which tokens are minted on the host.
pub const LOCAL_CLIENT: &str = "doorward-cli";

const INITIALIZED: &str = "initialized_at";

/// Why there is no installation.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The directory cannot be made.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key file or the keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The built-in manifest. Only a broken build has a reason.
    #[error("the built-in manifest of `auth` is not applied: {0}")]
    Manifest(String),
}

impl InitError {
    /// The exit code that goes with it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::File(_) => Exit::Io,
            Self::Keys(error) => error.exit(),
            Self::Store(error) => store_exit(error),
            Self::Manifest(_) => Exit::Failed,
        }
    }
}

/// What the first start left.
#[derive(Debug)]
pub enum Initialized {
    /// An installation was made; the first operator's secret is shown this once.
    Made {
        /// The operator's public name.
        client_id: ClientIdentifier,
        /// The secret.
        secret: PlainToken,
    },
    /// There is one already; nothing was changed.
    Already,
}

/// Makes an installation as configured, all of it or nothing: only a key file that nothing was
/// sealed with may be left behind by a start that was cut off, and the next one uses it.
///
/// Blocks; belongs to start-up.
pub fn initialize(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Initialized, InitError> {
    create_private_dir(&config.data)?;
    let store = Store::open(&config.store, Arc::clone(clock), Arc::clone(entropy))?;
    if store.read_blocking(is_initialized)? {
        return Ok(Initialized::Already);
    }
    let ring = match keys::read_ring(&config.key_file) {
        Ok(ring) => ring,
        Err(KeysError::File(error)) if error.is_not_found() => {
            keys::create_ring(&config.key_file, &**entropy)?
        }
        Err(error) => return Err(error.into()),
    };
    let first = First::prepare(&ring, config, &**clock, &**entropy)?;
    let made = store
        .write_blocking(|tx| first.write(tx, &ring, &**entropy))?
        .value;
    Ok(if made {
        Initialized::Made {
            client_id: first.operator.identifier,
            secret: first.secret,
        }
    } else {
        Initialized::Already
    })
}

/// Applies the built-in manifest of `auth`, if this program brings another than the one that is
/// live. Older programs beside a newer one leave it alone.
pub fn apply_built_in(
    tx: &mut dyn Tx,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<(), InitError> {
    let manifest = auth_manifest().map_err(|error| InitError::Manifest(error.to_string()))?;
    let sync = manifests::Sync {
        manifest,
        bound_to: None,
        allow_rollback: false,
        applied_by: "system".to_owned(),
    };
    match manifests::apply_in(tx, &sync, now, entropy) {
        Ok(_) => Ok(()),
        Err(SyncError::Store(error)) => Err(error.into()),
        Err(SyncError::Conflicts(conflicts))
            if conflicts
                .iter()
                .all(|conflict| matches!(conflict, manifests::Conflict::NewerLive { .. })) =>
        {
            Ok(())
        }
        Err(error) => Err(InitError::Manifest(error.to_string())),
    }
}

/// Whether `init` made an installation here.
pub(super) fn is_initialized(tx: &mut dyn Tx) -> Result<bool, StoreError> {
    Ok(installation::find(tx, INITIALIZED)?.is_some())
}

/// Everything that the first write needs, minted before it.
struct First {
    now: Timestamp,
    issuer: String,
    keys: Vec<StoredKey>,
    system: Organization,
    operator: Client,
    secret: PlainToken,
    local: Client,
    entry: AuditEntry,
}

impl First {
    fn prepare(
        ring: &KeyRing,
        config: &Config,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Self, InitError> {
        let now = clock.now();
        let broken = || InitError::Manifest("a built-in name is refused".to_owned());
        let client = |identifier: &str, name: &str, kind, scopes| {
            Ok::<_, InitError>(Client {
                id: ClientId::mint(now, entropy.id_bits()),
                identifier: identifier.parse().map_err(|_| broken())?,
                name: name.to_owned(),
                kind,
                scopes: Scopes::parse(scopes).map_err(|_| broken())?,
                state: ClientState::Active,
                token_epoch: 0,
                created_at: now,
            })
        };
        Ok(Self {
            now,
            issuer: config.issuer.to_string(),
            keys: keys::generate(ring, now)?,
            system: Organization {
                id: OrganizationId::mint(now, entropy.id_bits()),
                name: "System".parse().map_err(|_| broken())?,
                slug: Slug::system(),
                created_at: now,
                updated_at: now,
            },
            operator: client(
                FIRST_OPERATOR,
                "The first operator",
                ClientKind::Operator,
                "doorward:admin",
            )?,
            secret: PlainToken::from_random(SECRET_PREFIX, entropy.token_bits()),
            local: client(
                LOCAL_CLIENT,
                "The command line on the host",
                ClientKind::App,
                "doorward:organizations",
            )?,
            entry: AuditEntry {
                id: super::app::mint_uuid(now, entropy),
                at: now,
                actor: "system".to_owned(),
                event: "installation.initialized",
                organization: None,
                target: Some(format!("client:{FIRST_OPERATOR}")),
                details: json!({}),
            },
        })
    }

    /// Whether this write made the installation: of two that start at once, one does.
    fn write(
        &self,
        tx: &mut dyn Tx,
        ring: &KeyRing,
        entropy: &dyn Entropy,
    ) -> Result<bool, InitError> {
        if is_initialized(tx)? {
            return Ok(false);
        }
        let now = self.now.to_string();
        installation::set(tx, INITIALIZED, now.as_bytes())?;
        installation::set(tx, "issuer", self.issuer.as_bytes())?;
        keys::plant_canary(tx, ring)?;
        for key in &self.keys {
            crate::store::keys::insert(tx, key)?;
        }
        apply_built_in(tx, self.now, entropy)?;
        organizations::insert(tx, &self.system)?;
        clients::insert(tx, &self.operator, Some(token_digest(&self.secret)))?;
        clients::insert(tx, &self.local, None)?;
        audit::record(tx, &self.entry)?;
        Ok(true)
    }
}
