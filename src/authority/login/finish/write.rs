//! From what the provider said to what is written of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::authority::app::Authority;
use crate::authority::login::identity::Identity;
use crate::authority::login::provider::Provider;
use crate::authority::login::request::LoginPurpose;
use crate::authority::login::tokens;
use crate::crypto::digest::token_digest;
use crate::crypto::seal::SealError;
use crate::domain::provider::{ProviderKind, is_of_domain};
use crate::domain::{AccountId, PlainToken, SessionId, UserId};
use crate::store::sessions::Session;
use crate::store::{StoreError, accounts, audit};

use super::arrival::{AUDITS, Arrival, Outcome};

/// How new the proof of a user must be who links another account.
pub const LINK_PROOF: Duration = Duration::from_mins(10);

/// What a login led to.
#[derive(Debug)]
pub(in crate::authority::login) enum Arrived {
    /// A session, by this cookie's value.
    Session(PlainToken),
    /// Another account of the user of a session that goes on.
    Linked,
}

/// Why nobody is logged in though the provider vouched for somebody.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The user may not act.
    #[error("the account is suspended")]
    Suspended,
    /// The provider may not vouch for accounts of this domain.
    #[error("the account is of a domain that may not log in")]
    Domain,
    /// The account is another user's.
    #[error("the account is linked to another user")]
    LinkedElsewhere,
    /// The session that asked for the link is over, or its proof too old.
    #[error("the session that asked is over")]
    SessionOver,
    /// The provider was disabled meanwhile.
    #[error("the provider is no longer enabled")]
    Disabled,
    /// A token cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the browser stands.
#[derive(Debug, Clone)]
pub(in crate::authority::login) struct Visitor {
    /// The session that it has already.
    pub(in crate::authority::login) current: Option<Session>,
    /// What it says it is.
    pub(in crate::authority::login) user_agent: Option<String>,
    /// From where it comes.
    pub(in crate::authority::login) network: Option<String>,
}

/// Writes a login.
///
/// # Errors
///
/// [`FinishError`]; nothing was written but, for who may not log in, an audit row.
pub(in crate::authority::login) async fn finish(
    authority: &Authority,
    provider: Provider,
    identity: Identity,
    purpose: LoginPurpose,
    visitor: Visitor,
) -> Result<Arrived, FinishError> {
    let again = (provider.clone(), identity.clone(), visitor.clone());
    match finish_once(authority, provider, identity, purpose, visitor).await {
        // Two tabs, one new account: the other one was a moment faster, and now it is known.
        Err(FinishError::Store(StoreError::Unique { .. })) => {
            let (provider, identity, visitor) = again;
            finish_once(authority, provider, identity, purpose, visitor).await
        }
        finished => finished,
    }
}

async fn finish_once(
    authority: &Authority,
    provider: Provider,
    identity: Identity,
    purpose: LoginPurpose,
    visitor: Visitor,
) -> Result<Arrived, FinishError> {
    let now = authority.clock.now();
    let entropy = &authority.entropy;
    let token = PlainToken::from_random("", entropy.token_bits());
    let mut arrival = Arrival {
        now,
        purpose,
        user_id: UserId::mint(now, entropy.id_bits()),
        account_id: AccountId::mint(now, entropy.id_bits()),
        session_id: SessionId::mint(now, entropy.id_bits()),
        digest: token_digest(&token),
        current: visitor.current,
        user_agent: visitor.user_agent,
        network: visitor.network,
        lifetimes: authority.config.lifetimes,
        sealed: None,
        audit_ids: (0..AUDITS).map(|_| authority.mint_uuid()).collect(),
        provider,
        identity,
    };
    if let Some(refusal) = refusal(&arrival.provider, &arrival.identity) {
        let entry = arrival.entry(0, "login.refused", None, json!({ "reason": "domain" }))?;
        authority
            .store
            .write::<_, StoreError>(move |tx| audit::record(tx, &entry))
            .await?;
        return Err(refusal);
    }
    let known = {
        let (slug, subject) = (
            arrival.provider.slug.clone(),
            arrival.identity.subject.clone(),
        );
        authority
            .store
            .read::<_, StoreError>(move |tx| accounts::find(tx, &slug, &subject))
            .await?
    };
    if let Some(account) = &known {
        arrival.account_id = account.id;
    }
    if arrival.provider.settings.keep_tokens {
        let ring = authority.keys.sealer().ring();
        let sealed = tokens::seal(ring, arrival.account_id, &arrival.identity.tokens)?;
        arrival.sealed = Some(sealed);
    }
    let (ids, clock) = (Arc::clone(entropy), now);
    let written = authority
        .store
        .write(move |tx| {
            let mut mint = || crate::authority::app::mint_uuid(clock, &*ids);
            arrival.write(tx, &mut mint)
        })
        .await?;
    match written.value {
        Outcome::Session => Ok(Arrived::Session(token)),
        Outcome::Linked => Ok(Arrived::Linked),
        Outcome::Refused(error) => Err(error),
    }
}

/// Whether the provider may vouch for this account at all.
fn refusal(provider: &Provider, identity: &Identity) -> Option<FinishError> {
    let domains = &provider.settings.domains;
    if domains.is_empty() {
        return None;
    }
    let fits = match provider.kind {
        // The address may be of any domain that the organization has; `hd` is the organization.
        ProviderKind::Google => identity.hosted_domain.as_ref().is_some_and(|hosted| {
            domains
                .iter()
                .any(|domain| domain.eq_ignore_ascii_case(hosted))
        }),
        _ => identity
            .verified_email()
            .is_some_and(|email| is_of_domain(email.as_str(), domains)),
    };
    (!fits).then_some(FinishError::Domain)
}
