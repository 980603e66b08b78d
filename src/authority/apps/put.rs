//! Planning and carrying out a change of one registration.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde_json::json;
use uuid::Uuid;

use crate::authority::access::Denied;
use crate::authority::app::{Authority, mint_uuid};
use crate::authority::credentials::Doer;
use crate::authority::credentials::clients::{PERMISSION, SECRET_PREFIX};
use crate::crypto::digest::{sha256, token_digest};
use crate::domain::app::{AppSpec, ClientSource};
use crate::domain::{ClientId, ClientIdentifier, PlainToken, Timestamp, TokenDigest};
use crate::protocol::clients::{AppAction, AppPlan, changes};
use crate::runtime::Entropy;
use crate::store::apps::{self, App};
use crate::store::audit::{self, AuditEntry};
use crate::store::clients::{self, ClientState, Rotation};
use crate::store::{Lock, StoreError, Tx, Written};

use super::configured::ConfiguredApp;

/// Why a registration is not shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum AppsError {
    /// The actor may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The public name is that of a client that is no app.
    #[error("client id `{0}` is taken")]
    Taken(ClientIdentifier),
    /// There is no such app.
    #[error("there is no app `{0}`")]
    Unknown(ClientIdentifier),
    /// It is retired, for ever.
    #[error("client `{0}` is retired")]
    Retired(ClientIdentifier),
    /// Only its own source may change it.
    #[error("client `{client}` comes from `{origin}` and is changed there")]
    Source {
        /// Which client.
        client: ClientIdentifier,
        /// Where it comes from.
        origin: ClientSource,
    },
    /// Something changed since the plan was shown.
    #[error("the plan is another one now")]
    PlanChanged {
        /// The plan that would be carried out.
        now: String,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A registration to be.
#[derive(Debug, Clone)]
pub struct Put {
    /// What it says.
    pub spec: AppSpec,
    /// Who says it.
    pub source: ClientSource,
    /// Carry out exactly this plan, or nothing.
    pub bound_to: Option<String>,
}

/// What was done.
#[derive(Debug, Clone)]
pub struct PutDone {
    /// The changes that were made.
    pub plan: AppPlan,
    /// The secret that was made, to be shown this once.
    pub secret: Option<PlainToken>,
}

/// What a change may need, made before its transaction, which may run twice.
#[derive(Debug, Clone)]
pub(super) struct Minted {
    pub(super) id: ClientId,
    audit_id: Uuid,
    secret_id: Uuid,
    pub(super) secret: PlainToken,
    now: Timestamp,
}

impl Minted {
    pub(super) fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self {
            id: ClientId::mint(now, entropy.id_bits()),
            audit_id: mint_uuid(now, entropy),
            secret_id: mint_uuid(now, entropy),
            secret: PlainToken::from_random(SECRET_PREFIX, entropy.token_bits()),
            now,
        }
    }
}

/// The app of this name as it is, if the source may change it.
fn existing(
    tx: &mut dyn Tx,
    identifier: &ClientIdentifier,
    source: ClientSource,
) -> Result<Option<App>, AppsError> {
    let Some(app) = apps::find_by_identifier(tx, identifier)? else {
        return match clients::find_by_identifier(tx, identifier)? {
            Some(_) => Err(AppsError::Taken(identifier.clone())),
            None => Ok(None),
        };
    };
    if app.state == ClientState::Retired {
        return Err(AppsError::Retired(identifier.clone()));
    }
    if app.source != source {
        return Err(AppsError::Source {
            client: identifier.clone(),
            origin: app.source,
        });
    }
    Ok(Some(app))
}

/// The plan, and the app that it would change.
fn plan_in(
    tx: &mut dyn Tx,
    spec: &AppSpec,
    source: ClientSource,
) -> Result<(AppPlan, Option<App>), AppsError> {
    let app = existing(tx, &spec.identifier, source)?;
    let changes = changes(app.as_ref().map(|app| &app.spec), spec);
    let action = match &app {
        None => AppAction::Create,
        Some(_) if changes.is_empty() => AppAction::None,
        Some(_) => AppAction::Update,
    };
    let has_secret = match &app {
        Some(app) => !clients::secrets(tx, app.id)?.is_empty(),
        None => false,
    };
    let new_secret = spec.auth_method.has_secret()
        && !has_secret
        && action != AppAction::None
        && source != ClientSource::Config;
    let bound = json!([
        spec.identifier.as_str(),
        source,
        action,
        changes,
        new_secret
    ]);
    let plan = AppPlan {
        client_id: spec.identifier.clone(),
        action,
        changes,
        new_secret,
        plan_hash: HEXLOWER.encode(&sha256(bound.to_string().as_bytes())),
    };
    Ok((plan, app))
}

/// Makes the rows say what the registration says. What is so already touches no row.
pub(super) fn put_in(
    tx: &mut dyn Tx,
    put: &Put,
    minted: &Minted,
    actor: &str,
) -> Result<AppPlan, AppsError> {
    if let Some(client) = clients::find_by_identifier(tx, &put.spec.identifier)? {
        // Before what the plan is made of is read.
        tx.lock(Lock::Client(client.id))?;
    }
    let (plan, app) = plan_in(tx, &put.spec, put.source)?;
    // A retry of one that went through must not fail for its plan having been carried out.
    if plan.action == AppAction::None {
        return Ok(plan);
    }
    if put
        .bound_to
        .as_ref()
        .is_some_and(|bound| *bound != plan.plan_hash)
    {
        return Err(AppsError::PlanChanged {
            now: plan.plan_hash,
        });
    }
    let digest = plan.new_secret.then(|| token_digest(&minted.secret));
    let event = match app {
        None => {
            let app = App::new(minted.id, put.spec.clone(), put.source, minted.now);
            apps::insert(tx, &app, digest, minted.now).map_err(|error| match error {
                // Two requests may find the same name free: the constraint settles it.
                StoreError::Unique { .. } => AppsError::Taken(put.spec.identifier.clone()),
                other => other.into(),
            })?;
            "client.created"
        }
        Some(app) => {
            change(tx, &app, put, minted, digest)?;
            "client.updated"
        }
    };
    audit::record(tx, &entry(put, &plan, minted, (actor, event)))?;
    Ok(plan)
}

fn change(
    tx: &mut dyn Tx,
    app: &App,
    put: &Put,
    minted: &Minted,
    secret: Option<TokenDigest>,
) -> Result<(), StoreError> {
    apps::update(tx, &app.with(put.spec.clone()), minted.now)?;
    if let Some(secret) = secret {
        let rotation = Rotation {
            id: minted.secret_id,
            secret,
            previous_until: None,
            now: minted.now,
        };
        clients::rotate_secret(tx, app.id, &rotation)
    } else if put.spec.auth_method.has_secret() {
        Ok(())
    } else {
        clients::clear_secrets(tx, app.id, minted.now)
    }
}

fn entry(
    put: &Put,
    plan: &AppPlan,
    minted: &Minted,
    (actor, event): (&str, &'static str),
) -> AuditEntry {
    let fields: Vec<&str> = plan.changes.iter().map(|one| one.field.as_str()).collect();
    AuditEntry {
        id: minted.audit_id,
        at: minted.now,
        actor: actor.to_owned(),
        event,
        organization: None,
        target: Some(format!("client:{}", put.spec.identifier)),
        details: json!({
            "source": put.source,
            "fields": fields,
            "scopes": put.spec.scopes.to_string(),
            "first_party": put.spec.first_party,
            "new_secret": plan.new_secret,
        }),
    }
}

/// What putting this registration would change; writes nothing.
pub async fn plan(authority: &Authority, doer: &Doer, spec: AppSpec) -> Result<AppPlan, AppsError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            Ok(plan_in(tx, &spec, ClientSource::Api)?.0)
        })
        .await
}

/// Puts a registration.
pub async fn put(
    authority: &Authority,
    doer: &Doer,
    put: Put,
) -> Result<Written<PutDone>, AppsError> {
    let minted = Minted::new(authority.clock.now(), &*authority.entropy);
    let secret = minted.secret.clone();
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    let written = authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            put_in(tx, &put, &minted, &doer.audit_name())
        })
        .await?;
    Ok(Written {
        value: PutDone {
            secret: written.value.new_secret.then_some(secret),
            plan: written.value,
        },
        position: written.position,
        changed: written.changed,
    })
}

/// One app as it is registered.
pub async fn show(
    authority: &Authority,
    doer: &Doer,
    identifier: ClientIdentifier,
) -> Result<App, AppsError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            apps::find_by_identifier(tx, &identifier)?
                .ok_or_else(|| AppsError::Unknown(identifier.clone()))
        })
        .await
}

/// Where apps come from, and how they differ from what the configuration says of them.
pub async fn standings(
    authority: &Authority,
    doer: &Doer,
    clients: Vec<ClientId>,
) -> Result<BTreeMap<ClientId, (ClientSource, Option<String>)>, AppsError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    let config = Arc::clone(&authority.config);
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            let mut standings = BTreeMap::new();
            for id in &clients {
                if let Some(app) = apps::find(tx, *id)? {
                    standings.insert(*id, (app.source, drift(&app, &config.clients)));
                }
            }
            Ok(standings)
        })
        .await
}

/// How an app of the configuration differs from what that says now.
pub fn drift(app: &App, declared: &[ConfiguredApp]) -> Option<String> {
    if app.source != ClientSource::Config || app.state != ClientState::Active {
        return None;
    }
    let Some(declared) = declared
        .iter()
        .find(|one| one.spec.identifier == app.spec.identifier)
    else {
        return Some("the configuration does not name it any more".to_owned());
    };
    let fields: Vec<String> = changes(Some(&app.spec), &declared.spec)
        .into_iter()
        .map(|one| one.field)
        .collect();
    (!fields.is_empty()).then(|| format!("the configuration says otherwise: {}", fields.join(", ")))
}
