//! Making, rotating and retiring clients.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::authority::access::{Access, Denied};
use crate::authority::app::Authority;
use crate::crypto::digest::token_digest;
use crate::domain::text::misleads;
use crate::domain::{ClientId, ClientIdentifier, ClientKind, PlainToken, Scope, Scopes, Timestamp};
use crate::store::clients::{Client, ClientState, Rotation};
use crate::store::{Lock, StoreError, Tx, apps, audit, clients};

use super::Doer;

/// What secrets begin with, for secret scanners and people.
pub const SECRET_PREFIX: &str = "dwc_";
/// What guards clients on the API.
pub const PERMISSION: &str = "auth:client:manage";

/// Why a client is not made, changed or ended.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// The actor may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The public name is taken.
    #[error("client id `{0}` is taken")]
    Taken(ClientIdentifier),
    /// A public name that would pass for a user's id.
    #[error("`{0}` is not a client id: it looks like the id of a user")]
    LooksLikeUser(ClientIdentifier),
    /// A public name that would pass for a document's.
    #[error("`{0}` is a URL: the document there would be the client's registration")]
    Url(ClientIdentifier),
    /// The name for people is empty or too long.
    #[error("a name of 1 to 100 characters is wanted, none of them a control character")]
    Name,
    /// A scope that a client of this kind may not have.
    #[error("a client of this kind may not have scope `{0}`")]
    Scope(Scope),
    /// No such client.
    #[error("there is no client `{0}`")]
    Unknown(ClientIdentifier),
    /// The client is retired: it gets no new secret.
    #[error("client `{0}` is retired")]
    Retired(ClientIdentifier),
    /// The client has no secret: it is public, or a sidecar's, which is enrolled anew instead.
    #[error("client `{0}` has no secret to rotate")]
    NoSecret(ClientIdentifier),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A client to be made. What is in here obeys the rules.
#[derive(Debug, Clone)]
pub struct NewClient {
    identifier: ClientIdentifier,
    name: String,
    kind: ClientKind,
    scopes: Scopes,
}

impl NewClient {
    /// An operator's or a service's client. Without `scopes` it gets the ones of its kind.
    ///
    /// # Errors
    ///
    /// [`ClientsError::LooksLikeUser`], [`ClientsError::Url`], [`ClientsError::Name`], [`ClientsError::Scope`].
    pub fn new(
        identifier: ClientIdentifier,
        name: String,
        kind: ClientKind,
        scopes: Option<Scopes>,
    ) -> Result<Self, ClientsError> {
        // `sub` of a client's own token is this name: it must never read like a user's.
        if Uuid::try_parse(identifier.as_str()).is_ok() {
            return Err(ClientsError::LooksLikeUser(identifier));
        }
        if identifier.is_url() {
            return Err(ClientsError::Url(identifier));
        }
        if !is_name(&name) {
            return Err(ClientsError::Name);
        }
        let scopes = match scopes {
            Some(scopes) => scopes,
            None => default_scopes(&kind)
                .iter()
                .flat_map(|text| text.parse())
                .collect(),
        };
        if let Some(beyond) = scopes.iter().find(|scope| !may_hold(&kind, scope)) {
            return Err(ClientsError::Scope(beyond.clone()));
        }
        Ok(Self {
            identifier,
            name,
            kind,
            scopes,
        })
    }

    fn into_client(self, id: ClientId, now: Timestamp) -> Client {
        Client {
            id,
            identifier: self.identifier,
            name: self.name,
            kind: self.kind,
            scopes: self.scopes,
            state: ClientState::Active,
            token_epoch: 0,
            created_at: now,
        }
    }
}

/// A name for people: of a client, of a sidecar.
pub(super) fn is_name(text: &str) -> bool {
    (1..=100).contains(&text.chars().count()) && !text.chars().any(misleads)
}

const fn default_scopes(kind: &ClientKind) -> &'static [&'static str] {
    match kind {
        ClientKind::Operator => &["doorward:admin"],
        ClientKind::Service(_) => &["doorward:manifest"],
        ClientKind::Sidecar => &["doorward:feed"],
        ClientKind::App => &["doorward:organizations"],
    }
}

/// Scopes of services are theirs to name and to give; the platform's own are bound to kinds.
fn may_hold(kind: &ClientKind, scope: &Scope) -> bool {
    let platform = scope.as_str().starts_with("doorward:");
    match kind {
        ClientKind::Operator => true,
        ClientKind::Service(_) => {
            !platform
                || matches!(
                    scope.as_str(),
                    "doorward:manifest" | "doorward:provider-tokens"
                )
        }
        ClientKind::Sidecar => scope.as_str() == "doorward:feed",
        ClientKind::App => {
            !platform
                || matches!(
                    scope.as_str(),
                    "doorward:organizations" | "doorward:provider-tokens"
                )
        }
    }
}

/// A client with the secret that is shown this once.
#[derive(Debug, Clone)]
pub struct WithSecret {
    /// The client.
    pub client: Client,
    /// Its new secret.
    pub secret: PlainToken,
    /// Until when the secret before it still works.
    pub previous_until: Option<Timestamp>,
}

/// Makes a client.
pub async fn create(
    authority: &Authority,
    doer: &Doer,
    new: NewClient,
) -> Result<WithSecret, ClientsError> {
    let (client, secret) = prepare(authority, new);
    let entry = authority.audit(
        doer.audit_name(),
        "client.created",
        format!("client:{}", client.identifier),
        json!({ "scopes": client.scopes.to_string(), "service": service(&client) }),
    );
    let digest = token_digest(&secret);
    let (access, doer, row) = (Arc::clone(&authority.access), doer.clone(), client.clone());
    authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            if clients::find_by_identifier(tx, &row.identifier)?.is_some() {
                return Err(ClientsError::Taken(row.identifier.clone()));
            }
            clients::insert(tx, &row, Some(digest)).map_err(|error| match error {
                // Two requests may find the same name free: the constraint settles it.
                StoreError::Unique { .. } => ClientsError::Taken(row.identifier.clone()),
                other => other.into(),
            })?;
            Ok(audit::record(tx, &entry)?)
        })
        .await?;
    Ok(WithSecret {
        client,
        secret,
        previous_until: None,
    })
}

/// The row of a client to be made, and its first secret.
pub(in crate::authority) fn prepare(authority: &Authority, new: NewClient) -> (Client, PlainToken) {
    let now = authority.clock.now();
    let id = ClientId::mint(now, authority.entropy.id_bits());
    let secret = PlainToken::from_random(SECRET_PREFIX, authority.entropy.token_bits());
    (new.into_client(id, now), secret)
}

/// Gives a client a new secret. The one before it works for `overlap` more, so that the client can
/// be changed over without a gap; zero ends it at once.
pub async fn rotate(
    authority: &Authority,
    doer: &Doer,
    identifier: ClientIdentifier,
    overlap: Duration,
) -> Result<WithSecret, ClientsError> {
    let now = authority.clock.now();
    let secret = PlainToken::from_random(SECRET_PREFIX, authority.entropy.token_bits());
    let previous_until = (!overlap.is_zero()).then(|| now.plus(overlap));
    let rotation = Rotation {
        id: authority.mint_uuid(),
        secret: token_digest(&secret),
        previous_until,
        now,
    };
    let entry = authority.audit(
        doer.audit_name(),
        "client.secret_rotated",
        format!("client:{identifier}"),
        json!({ "previous_until": previous_until }),
    );
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    let client = authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            let client = load_locked(tx, &identifier)?;
            if client.state == ClientState::Retired {
                return Err(ClientsError::Retired(identifier.clone()));
            }
            let rotates = rotates(tx, &client)?;
            if !rotates {
                return Err(ClientsError::NoSecret(identifier.clone()));
            }
            clients::rotate_secret(tx, client.id, &rotation)?;
            audit::record(tx, &entry)?;
            Ok(client)
        })
        .await?
        .value;
    Ok(WithSecret {
        client,
        secret,
        previous_until,
    })
}

/// Whether a client has a secret that can be changed. An app of the configuration without a secret
/// file gets its first one so.
fn rotates(tx: &mut dyn Tx, client: &Client) -> Result<bool, StoreError> {
    Ok(match client.kind {
        ClientKind::Operator | ClientKind::Service(_) => {
            !clients::secrets(tx, client.id)?.is_empty()
        }
        ClientKind::App => {
            apps::find(tx, client.id)?.is_some_and(|app| app.spec.auth_method.has_secret())
        }
        ClientKind::Sidecar => false,
    })
}

/// Ends a client for ever: its secrets and every token it has. Its public name stays taken, also that
/// of one that is known by a document and ended by itself before. Again changes nothing.
pub async fn retire(
    authority: &Authority,
    doer: &Doer,
    identifier: ClientIdentifier,
) -> Result<crate::store::Written<Client>, ClientsError> {
    let now = authority.clock.now();
    let entry = authority.audit(
        doer.audit_name(),
        "client.retired",
        format!("client:{identifier}"),
        json!({}),
    );
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            let mut client = load_locked(tx, &identifier)?;
            let stays = apps::keep_for_ever(tx, client.id)?;
            let ends = client.state == ClientState::Active;
            if ends {
                clients::retire(tx, &client, now)?;
                client.state = ClientState::Retired;
                client.token_epoch = client.token_epoch.saturating_add(1);
            }
            if ends || stays {
                audit::record(tx, &entry)?;
            }
            Ok(client)
        })
        .await
}

/// Clients in order of id, from after `after` on.
pub async fn page(
    authority: &Authority,
    doer: &Doer,
    after: ClientId,
    limit: i64,
) -> Result<Vec<Client>, ClientsError> {
    let (access, doer): (Arc<Access>, _) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            Ok(clients::page(tx, after, limit)?)
        })
        .await
}

/// The client as it is once nobody else can change it.
fn load_locked(tx: &mut dyn Tx, identifier: &ClientIdentifier) -> Result<Client, ClientsError> {
    let unknown = || ClientsError::Unknown(identifier.clone());
    let found = clients::find_by_identifier(tx, identifier)?.ok_or_else(unknown)?;
    tx.lock(Lock::Client(found.id))?;
    clients::find(tx, found.id)?.ok_or_else(unknown)
}

fn service(client: &Client) -> Option<String> {
    match &client.kind {
        ClientKind::Service(service) => Some(service.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(
        identifier: &str,
        kind: ClientKind,
        scopes: Option<&str>,
    ) -> Result<NewClient, ClientsError> {
        let scopes = scopes.map(|scopes| Scopes::parse(scopes).unwrap());
        NewClient::new(
            identifier.parse().unwrap(),
            "A name".to_owned(),
            kind,
            scopes,
        )
    }

    #[test]
    fn a_kind_bounds_the_scopes() {
        let service = || ClientKind::Service("billing".parse().unwrap());
        let made = new("billing", service(), None).unwrap();
        assert_eq!(made.scopes.to_string(), "doorward:manifest");
        assert!(new("billing", service(), Some("billing:read doorward:manifest")).is_ok());
        for (kind, scope) in [
            (service(), "doorward:admin"),
            (service(), "doorward:feed"),
            (ClientKind::Sidecar, "doorward:manifest"),
            (ClientKind::App, "doorward:admin"),
        ] {
            assert!(matches!(
                new("billing", kind, Some(scope)),
                Err(ClientsError::Scope(_))
            ));
        }
    }

    #[test]
    fn a_client_cannot_be_named_like_a_user() {
        for name in [
            "0198c0de-0000-7000-8000-000000000001",
            "0198C0DE-0000-7000-8000-00000000000A",
            "0198c0de000070008000000000000001",
        ] {
            assert!(matches!(
                new(name, ClientKind::Operator, None),
                Err(ClientsError::LooksLikeUser(_))
            ));
        }
    }
}
