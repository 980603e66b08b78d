//! `[clients.<client_id>]` of the configuration.
//!
//! ```toml
//! [clients.board]
//! name = "Board"
//! redirect_uris = ["https://board.example/callback"]
//! scope = "openid profile email offline_access billing:read"
//! first_party = true
//! client_secret_file = "/etc/doorward/board.secret"
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use super::put::{AppsError, Minted, Put, put_in};
use crate::authority::app::mint_uuid;
use crate::crypto::digest::token_digest;
use crate::domain::app::{AppSpec, ClientSource, GrantType};
use crate::domain::{ClientIdentifier, PlainToken, Secret, Timestamp};
use crate::protocol::clients::{AppAction, AppDocument, AppPlan};
use crate::runtime::Entropy;
use crate::runtime::config::Reader;
use crate::store::clients::{self, ClientState, Rotation};
use crate::store::{Store, StoreError, Tx, apps};

/// Secrets are kept by their SHA-256: what people think up would be found out.
const MIN_SECRET_LEN: usize = 32;

/// An app of the configuration.
#[derive(Debug, Clone)]
pub struct ConfiguredApp {
    /// Its registration.
    pub spec: AppSpec,
    /// Its secret, from a file; none leaves secrets to `doorward client rotate-secret`.
    pub secret: Option<Secret<String>>,
}

/// Reads every client; a wrong one is noted and left out.
pub fn read_clients(reader: &mut Reader<'_>) -> Vec<ConfiguredApp> {
    reader
        .names()
        .iter()
        .filter_map(|name| {
            let identifier = match name.parse::<ClientIdentifier>() {
                Ok(identifier) => Some(identifier),
                Err(error) => {
                    reader.mistake(name, error.to_string());
                    None
                }
            };
            reader.section(name, |client| read_client(&identifier?, client))
        })
        .collect()
}

fn read_client(identifier: &ClientIdentifier, reader: &mut Reader<'_>) -> Option<ConfiguredApp> {
    let grant_types: Vec<GrantType> = reader.list("grant_types");
    let document = AppDocument {
        name: reader.optional("name"),
        application_type: reader.optional("application_type"),
        auth_method: reader.optional("auth_method"),
        grant_types: (!grant_types.is_empty()).then_some(grant_types),
        scope: reader.optional("scope"),
        redirect_uris: reader.list("redirect_uris"),
        post_logout_redirect_uris: reader.list("post_logout_redirect_uris"),
        backchannel_logout_uri: reader.optional("backchannel_logout_uri"),
        resources: reader.list("resources"),
        jwks: reader.optional("jwks"),
        first_party: reader.or("first_party", false),
        require_par: reader.or("require_par", false),
        dpop_bound: reader.or("dpop_bound", false),
        refresh_binding: reader.optional("refresh_binding"),
        id_token_alg: reader.optional("id_token_alg"),
        logo_uri: reader.optional("logo_uri"),
        client_uri: reader.optional("client_uri"),
        policy_uri: reader.optional("policy_uri"),
        tos_uri: reader.optional("tos_uri"),
    };
    let secret = reader.secret("client_secret");
    let spec = match document.check(identifier) {
        Ok(spec) => spec,
        Err(mistakes) => {
            for mistake in mistakes {
                let key = mistake.pointer.trim_start_matches('/').replace('/', ".");
                reader.mistake(&key, mistake.detail);
            }
            return None;
        }
    };
    if let Some(secret) = &secret {
        if !spec.auth_method.has_secret() {
            let why = format!("an app of `auth_method` `{}` has none", spec.auth_method);
            reader.mistake("client_secret_file", why);
        }
        if secret.expose().len() < MIN_SECRET_LEN {
            let wanted = format!("at least {MIN_SECRET_LEN} random characters are wanted");
            reader.mistake("client_secret_file", wanted);
        }
    }
    Some(ConfiguredApp { spec, secret })
}

/// Makes the rows of the configuration's apps say what the configuration says. One that it names no
/// more stays as it is, and is told of: taking a line out of a file must not end people's sessions.
///
/// Blocks; belongs to start-up.
///
/// # Errors
///
/// [`AppsError::Taken`] and [`AppsError::Source`]: the name is somebody else's.
pub fn sync_configured(
    store: &Store,
    configured: &[ConfiguredApp],
    (now, entropy): (Timestamp, &dyn Entropy),
    previous_secret: Duration,
) -> Result<(), AppsError> {
    for app in configured {
        let minted = Minted::new(now, entropy);
        let rotation = app.secret.as_ref().map(|secret| Rotation {
            id: mint_uuid(now, entropy),
            secret: token_digest(&PlainToken::presented(secret.expose().clone())),
            previous_until: Some(now.plus(previous_secret)),
            now,
        });
        let put = Put {
            spec: app.spec.clone(),
            source: ClientSource::Config,
            bound_to: None,
        };
        let done = store.write_blocking(|tx| {
            let plan = put_in(tx, &put, &minted, "system")?;
            if let Some(rotation) = &rotation {
                set_secret(tx, &put.spec.identifier, rotation)?;
            }
            Ok::<_, AppsError>(plan)
        });
        match done {
            Ok(done) => tell(&done.value),
            Err(AppsError::Retired(client)) => {
                tracing::warn!(%client, "the configuration names a client that is retired");
            }
            Err(error) => return Err(error),
        }
    }
    tell_of_drift(store, configured)
}

fn tell(plan: &AppPlan) {
    if plan.action != AppAction::None {
        let fields: Vec<&str> = plan.changes.iter().map(|one| one.field.as_str()).collect();
        tracing::info!(client = %plan.client_id, ?fields, "a client of the configuration changed");
    }
}

fn tell_of_drift(store: &Store, configured: &[ConfiguredApp]) -> Result<(), AppsError> {
    let named: BTreeSet<&ClientIdentifier> =
        configured.iter().map(|app| &app.spec.identifier).collect();
    let rows =
        store.read_blocking::<_, StoreError>(|tx| apps::of_source(tx, ClientSource::Config))?;
    for left in rows {
        if left.state == ClientState::Active && !named.contains(&left.spec.identifier) {
            tracing::warn!(
                client = %left.spec.identifier,
                "this client came from the configuration, which does not name it any more: put it \
                 back, or retire it with `doorward client retire`"
            );
        }
    }
    Ok(())
}

/// Makes the secret of the file the newest one, unless it is that already.
fn set_secret(
    tx: &mut dyn Tx,
    identifier: &ClientIdentifier,
    rotation: &Rotation,
) -> Result<(), StoreError> {
    let Some(client) = clients::find_by_identifier(tx, identifier)? else {
        return Ok(());
    };
    let newest = clients::secrets(tx, client.id)?
        .iter()
        .any(|secret| secret.digest == rotation.secret && secret.expires_at.is_none());
    if newest {
        return Ok(());
    }
    clients::rotate_secret(tx, client.id, rotation)
}
