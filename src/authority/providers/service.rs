//! Planning and carrying out a change of one provider, over the API.

use std::sync::Arc;

use crate::authority::access::Denied;
use crate::authority::app::Authority;
use crate::authority::credentials::Doer;
use crate::authority::keys::Keys;
use crate::authority::login::{ConfiguredProvider, ProviderError};
use crate::crypto::seal::KeyRing;
use crate::domain::Secret;
use crate::domain::provider::{ProviderSource, ProviderSpec};
use crate::domain::user::Provider as ProviderName;
use crate::protocol::providers::{ProviderAction, ProviderPlan, changes};
use crate::store::providers::{self, StoredProvider};
use crate::store::{Lock, StoreError, Tx, Written};

use super::change::{self, Change, Wanted, WantedSecret, Writing, change_in, same_secret, state};
use super::configured::declared;

/// What guards providers on the API.
const PERMISSION: &str = "auth:provider:manage";

/// Why a provider is not shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProvidersError {
    /// The actor may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no such provider.
    #[error("there is no provider `{}`", .0.as_str())]
    Unknown(ProviderName),
    /// Only its own source may change it.
    #[error("provider `{}` comes from the configuration and is changed there", .0.as_str())]
    Configured(ProviderName),
    /// It lets nobody in without our secret, and there is none.
    #[error("it must be set: this kind of provider wants a secret")]
    SecretWanted,
    /// Something changed since the plan was shown.
    #[error("the plan is another one now")]
    PlanChanged {
        /// The plan that would be carried out.
        now: String,
    },
    /// Its name or issuer stands for something else, or its secret cannot be sealed or opened.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// A declaration to be carried out.
#[derive(Debug, Clone)]
pub struct Put {
    /// What it says.
    pub spec: ProviderSpec,
    /// Our secret there: `None` leaves it as it is, `Some(None)` takes it away.
    pub secret: Option<Option<Secret<String>>>,
    /// Carry out exactly this plan, or nothing.
    pub bound_to: Option<String>,
}

impl Put {
    fn wanted(&self) -> Wanted {
        Wanted {
            spec: self.spec.clone(),
            secret: match &self.secret {
                None => WantedSecret::Keep,
                Some(secret) => WantedSecret::Be(secret.clone()),
            },
            source: ProviderSource::Api,
        }
    }
}

/// A provider with what is said of it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its row.
    pub row: StoredProvider,
    /// What it declares.
    pub spec: ProviderSpec,
    /// How it differs from what its source says now.
    pub drift: Option<String>,
    /// How many accounts are known by it, where that was counted.
    pub accounts: Option<i64>,
}

/// What a write needs that no row says.
struct Context {
    keys: Arc<Keys>,
    declared: Vec<ConfiguredProvider>,
}

impl Context {
    fn of(authority: &Authority) -> Self {
        Self {
            keys: Arc::clone(&authority.keys),
            declared: declared(&authority.config),
        }
    }

    fn ring(&self) -> &KeyRing {
        self.keys.sealer().ring()
    }

    fn declares(&self, name: &str) -> Option<&ConfiguredProvider> {
        self.declared
            .iter()
            .find(|one| one.spec.provider.as_str() == name)
    }

    /// Whether the configuration has the provider: this authority's, or another one's.
    fn owns(&self, row: &StoredProvider) -> bool {
        row.source == ProviderSource::Config
            && (row.enabled || self.declares(&row.provider).is_some())
    }

    fn change(
        &self,
        tx: &mut dyn Tx,
        wanted: &Wanted,
        now: crate::domain::Timestamp,
    ) -> Result<Change, ProvidersError> {
        let found = providers::find(tx, wanted.spec.provider.as_str())?;
        let owner = found
            .filter(|row| self.owns(row))
            .map(|_| ProviderSource::Config);
        let change = change_in(tx, self.ring(), wanted, owner, now)?;
        if change.after.sealed_secret.is_none() && wanted.spec.kind.wants_secret() {
            return Err(ProvidersError::SecretWanted);
        }
        Ok(change)
    }

    fn shown(&self, row: StoredProvider) -> Result<Shown, ProvidersError> {
        let spec = row.spec()?;
        Ok(Shown {
            drift: self.drift(&row, &spec),
            spec,
            row,
            accounts: None,
        })
    }

    fn drift(&self, row: &StoredProvider, spec: &ProviderSpec) -> Option<String> {
        let declared = self.declares(&row.provider);
        match (row.source, declared) {
            (ProviderSource::Config, None) => row
                .enabled
                .then(|| "the configuration does not name it".to_owned()),
            (ProviderSource::Api, None) => None,
            (ProviderSource::Api, Some(_)) => Some(
                "the configuration names it too, and takes it over at the next start".to_owned(),
            ),
            (ProviderSource::Config, Some(declared)) => {
                let before = (spec, row.source, state(row.enabled));
                let after = (&declared.spec, ProviderSource::Config, state(true));
                let mut fields: Vec<String> = changes(Some(before), after)
                    .into_iter()
                    .map(|one| one.field)
                    .collect();
                match same_secret(self.ring(), Some(row), declared.secret.as_ref()) {
                    Ok(true) => {}
                    Ok(false) => fields.push("client_secret".to_owned()),
                    // It must not hide the other providers from whoever has to mend this one.
                    Err(error) => {
                        tracing::error!(%error, "a provider's secret is not compared");
                        fields.push("client_secret (what is kept cannot be opened)".to_owned());
                    }
                }
                (!fields.is_empty())
                    .then(|| format!("the configuration says otherwise: {}", fields.join(", ")))
            }
        }
    }
}

/// Every provider, by name.
pub async fn list(authority: &Authority, doer: &Doer) -> Result<Vec<Shown>, ProvidersError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    let context = Context::of(authority);
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            providers::list(tx)?
                .into_iter()
                .map(|row| context.shown(row))
                .collect()
        })
        .await
}

/// One provider, with how many accounts are known by it.
///
/// # Errors
///
/// [`ProvidersError::Unknown`] when there is none.
pub async fn show(
    authority: &Authority,
    doer: &Doer,
    name: ProviderName,
) -> Result<Shown, ProvidersError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    let context = Context::of(authority);
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            let row = providers::find(tx, name.as_str())?
                .ok_or_else(|| ProvidersError::Unknown(name.clone()))?;
            Ok(Shown {
                accounts: Some(providers::accounts(tx, name.as_str())?),
                ..context.shown(row)?
            })
        })
        .await
}

/// What a declaration would change; writes nothing. A provider of the configuration is compared
/// too: the plan names its owner, and is how far the two have drifted apart.
pub async fn plan(
    authority: &Authority,
    doer: &Doer,
    put: Put,
) -> Result<ProviderPlan, ProvidersError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    let (context, now) = (Context::of(authority), authority.clock.now());
    authority
        .store
        .read(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            Ok(context.change(tx, &put.wanted(), now)?.plan)
        })
        .await
}

/// Carries out a declaration. What is so already touches no row.
///
/// # Errors
///
/// [`ProvidersError`]; nothing was changed.
pub async fn put(
    authority: &Authority,
    doer: &Doer,
    put: Put,
) -> Result<Written<ProviderPlan>, ProvidersError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    let (context, now) = (Context::of(authority), authority.clock.now());
    let (actor, audit_id) = (doer.audit_name(), authority.mint_uuid());
    authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            // Before what the plan is made of is read.
            tx.lock(Lock::Providers)?;
            let change = context.change(tx, &put.wanted(), now)?;
            // A retry of one that went through must not fail for its plan having been carried out.
            if change.plan.action == ProviderAction::None {
                return Ok(change.plan);
            }
            if change.plan.owner.is_some() {
                return Err(ProvidersError::Configured(put.spec.provider.clone()));
            }
            let bound = put.bound_to.as_ref();
            if bound.is_some_and(|bound| *bound != change.plan.plan_hash) {
                return Err(ProvidersError::PlanChanged {
                    now: change.plan.plan_hash,
                });
            }
            let writing = Writing {
                actor: &actor,
                now,
                audit_id,
            };
            change::write(tx, &change, &writing)?;
            Ok(change.plan)
        })
        .await
}

/// Retires a provider: nobody logs in through it until it is declared again. Accounts that are
/// known by it stay, and so do sessions that it opened, until they end. Again changes nothing.
///
/// # Errors
///
/// [`ProvidersError::Unknown`], [`ProvidersError::Configured`].
pub async fn retire(
    authority: &Authority,
    doer: &Doer,
    name: ProviderName,
) -> Result<Written<Shown>, ProvidersError> {
    let (access, doer) = (Arc::clone(&authority.access), doer.clone());
    let (context, now) = (Context::of(authority), authority.clock.now());
    let (actor, audit_id) = (doer.audit_name(), authority.mint_uuid());
    authority
        .store
        .write(move |tx| {
            doer.require(&access, tx, PERMISSION)?;
            tx.lock(Lock::Providers)?;
            let mut row = providers::find(tx, name.as_str())?
                .ok_or_else(|| ProvidersError::Unknown(name.clone()))?;
            if context.owns(&row) {
                return Err(ProvidersError::Configured(name.clone()));
            }
            if row.enabled {
                let writing = Writing {
                    actor: &actor,
                    now,
                    audit_id,
                };
                row = change::retire(tx, row, &writing)?;
            }
            context.shown(row)
        })
        .await
}
