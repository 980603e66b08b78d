//! Clients as they were read last: most requests are of a few of them, and they seldom change.
//!
//! What is remembered counts as long as nothing that makes up a client was written to
//! ([`Store::client_writes`]), which only an authority that has its database to itself can tell; on
//! PostgreSQL nothing is remembered. It is only ever used to say yes: whoever is to be refused is
//! looked up, so that a refusal takes the same work for every name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::{ClientId, ClientIdentifier};
use crate::store::apps::{self, App};
use crate::store::clients::{self, Client, StoredSecret};
use crate::store::{Store, StoreError};

/// The most clients that are remembered. A few KiB each.
const REMEMBERED: usize = 1024;

/// A client with all that it is judged by.
#[derive(Debug, Clone)]
pub(super) struct KnownClient {
    /// Who it is.
    pub(super) client: Client,
    /// What its registration says, if people log in through it.
    pub(super) app: Option<App>,
    /// What it proves itself by.
    pub(super) secrets: Vec<StoredSecret>,
}

/// Those that were read.
#[derive(Default)]
pub struct KnownClients(RwLock<HashMap<ClientIdentifier, Remembered>>);

#[derive(Clone)]
struct Remembered {
    /// [`Store::client_writes`] before it was read.
    writes: u64,
    client: Arc<KnownClient>,
}

impl fmt::Debug for KnownClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownClients").finish_non_exhaustive()
    }
}

impl KnownClients {
    /// The client of this name, if it is remembered and nothing has changed since.
    pub(super) fn get(
        &self,
        store: &Store,
        identifier: &ClientIdentifier,
    ) -> Option<Arc<KnownClient>> {
        let writes = store.client_writes()?;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(identifier)
            .filter(|remembered| remembered.writes == writes)
            .map(|remembered| Arc::clone(&remembered.client))
    }

    /// Looks a client up, and remembers it.
    ///
    /// # Errors
    ///
    /// The store fails.
    pub(super) async fn look_up(
        &self,
        store: &Store,
        identifier: ClientIdentifier,
    ) -> Result<Option<Arc<KnownClient>>, StoreError> {
        // Before it is read: what is committed meanwhile makes it old.
        let writes = store.client_writes();
        let name = identifier.clone();
        let found = store
            .look::<_, StoreError>(move |tx| {
                let client = clients::find_by_identifier(tx, &name)?;
                let id = client
                    .as_ref()
                    .map_or(ClientId::from_u128(0), |client| client.id);
                // Asked for nobody's, too: an unknown name takes the same time.
                let secrets = clients::secrets(tx, id)?;
                let app = apps::find(tx, id)?;
                Ok(client.map(|client| KnownClient {
                    client,
                    app,
                    secrets,
                }))
            })
            .await?
            .map(Arc::new);
        if let (Some(client), Some(writes)) = (&found, writes) {
            self.remember(identifier, writes, client);
        }
        Ok(found)
    }

    fn remember(&self, identifier: ClientIdentifier, writes: u64, client: &Arc<KnownClient>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, remembered| remembered.writes == writes);
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        known.insert(
            identifier,
            Remembered {
                writes,
                client: Arc::clone(client),
            },
        );
    }
}
