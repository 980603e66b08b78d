//! The end of a login: who it is here, what changed of them, and the session. One transaction.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::authority::app::Authority;
use crate::authority::config::Lifetimes;
use crate::authority::revocation;
use crate::crypto::digest::token_digest;
use crate::crypto::seal::SealError;
use crate::domain::provider::{ProviderKind, is_of_domain};
use crate::domain::user::{EmailAddress, User, UserState};
use crate::domain::{AccountId, PlainToken, SessionId, Timestamp, TokenDigest, UserId};
use crate::store::accounts::{self, Account, AccountDetails, SealedTokens};
use crate::store::audit::{self, AuditEntry};
use crate::store::providers;
use crate::store::sessions::{self, NewSession, Session};
use crate::store::{StoreError, Tx, users};

use super::groups;
use super::identity::Identity;
use super::provider::Provider;
use super::request::LoginPurpose;
use super::tokens;
use super::transaction::ATTEMPT;

/// How new the proof of a user must be who links another account.
pub const LINK_PROOF: Duration = Duration::from_mins(10);

/// What a login led to.
#[derive(Debug)]
pub(super) enum Arrived {
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

/// A login about to be written: everything is minted, because the transaction may run twice.
pub(super) struct Arrival {
    pub(super) provider: Provider,
    pub(super) identity: Identity,
    pub(super) now: Timestamp,
    purpose: LoginPurpose,
    user_id: UserId,
    account_id: AccountId,
    session_id: SessionId,
    digest: TokenDigest,
    /// The session that the browser has already.
    current: Option<Session>,
    user_agent: Option<String>,
    network: Option<String>,
    lifetimes: Lifetimes,
    /// By the row that they will be in.
    sealed: Option<SealedTokens>,
    audit_ids: Vec<Uuid>,
}

/// Where the browser stands.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// The session that it has already.
    pub(super) current: Option<Session>,
    /// What it says it is.
    pub(super) user_agent: Option<String>,
    /// From where it comes.
    pub(super) network: Option<String>,
}

/// Writes a login.
///
/// # Errors
///
/// [`FinishError`]; nothing was written but, for who may not log in, an audit row.
pub(super) async fn finish(
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

/// How the transaction ended. Refusals that leave an audit row are no errors of it.
enum Outcome {
    Session,
    Linked,
    Refused(FinishError),
}

impl Arrival {
    fn write(
        &self,
        tx: &mut dyn Tx,
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Result<Outcome, FinishError> {
        let live = providers::find(tx, &self.provider.slug)?;
        if !live.is_some_and(|row| row.enabled && row.issuer == self.provider.issuer) {
            return Err(FinishError::Disabled);
        }
        let known = accounts::find(tx, &self.provider.slug, &self.identity.subject)?;
        match self.purpose {
            LoginPurpose::SignIn => self.sign_in(tx, known, mint),
            LoginPurpose::Link { user, session } => self.link(tx, known, (user, session), mint),
        }
    }

    fn sign_in(
        &self,
        tx: &mut dyn Tx,
        known: Option<Account>,
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Result<Outcome, FinishError> {
        let (user_id, account_id) = match known {
            Some(account) => {
                let state = users::find_state(tx, account.user_id)?.map(|(state, _)| state);
                if state != Some(UserState::Active) {
                    let details = json!({ "reason": "suspended" });
                    self.record(tx, 0, "login.refused", Some(account.user_id), details)?;
                    return Ok(Outcome::Refused(FinishError::Suspended));
                }
                (account.user_id, account.id)
            }
            None => match self.arrive(tx)? {
                Ok(arrived) => arrived,
                Err(refused) => return Ok(Outcome::Refused(refused)),
            },
        };
        self.refresh(tx, user_id, account_id)?;
        groups::apply(tx, self, user_id, account_id, mint)?;
        self.begin_session(tx, user_id, mint)?;
        Ok(Outcome::Session)
    }

    /// The first login of an account: a new user, or one who has the address already, if the
    /// provider may speak for its domain.
    fn arrive(
        &self,
        tx: &mut dyn Tx,
    ) -> Result<Result<(UserId, AccountId), FinishError>, FinishError> {
        if let Some(user) = self.trusted_user(tx)? {
            if user.state != UserState::Active {
                let details = json!({ "reason": "suspended" });
                self.record(tx, 0, "login.refused", Some(user.id), details)?;
                return Ok(Err(FinishError::Suspended));
            }
            self.add_account(tx, user.id)?;
            let details = json!({ "provider": self.provider.slug, "by": "trusted_domain" });
            self.record(tx, 0, "account.linked", Some(user.id), details)?;
            return Ok(Ok((user.id, self.account_id)));
        }
        let wished = self.identity.verified_email().cloned();
        let free = match &wished {
            Some(email) => !users::email_taken(tx, email.as_str())?,
            None => false,
        };
        let email = wished
            .filter(|_| free)
            .unwrap_or_else(|| EmailAddress::placeholder(self.user_id));
        let name = self.identity.name_or_default();
        let user = User {
            id: self.user_id,
            email: email.to_string(),
            display_name: name.map_or_else(|| "?".to_owned(), |name| name.to_string()),
            avatar_url: self.identity.picture.clone(),
            state: UserState::Active,
            token_epoch: 0,
            created_at: self.now,
            updated_at: self.now,
        };
        users::insert(tx, &user)?;
        self.add_account(tx, user.id)?;
        let details = json!({ "provider": self.provider.slug });
        self.record(tx, 0, "user.created", Some(user.id), details)?;
        Ok(Ok((user.id, self.account_id)))
    }

    /// The user who has the verified address, if this provider may speak for its domain and whoever
    /// gave the user that address may too. Otherwise somebody could take an address first, at a
    /// provider that looks less closely, and wait for its owner. Who has an account at this provider
    /// already is somebody else: the provider gave the address to another person since.
    fn trusted_user(&self, tx: &mut dyn Tx) -> Result<Option<User>, StoreError> {
        let trusted = &self.provider.settings.trusted_domains;
        let Some(email) = self
            .identity
            .verified_email()
            .filter(|email| is_of_domain(email.as_str(), trusted))
        else {
            return Ok(None);
        };
        if !self.may_speak_for(email) {
            return Ok(None);
        }
        let Some(user) = users::find_by_email(tx, email.as_str())? else {
            return Ok(None);
        };
        let held = accounts::of_user(tx, user.id)?;
        if held.iter().any(|it| it.provider == self.provider.slug) {
            return Ok(None);
        }
        // Without an account an operator made the user, and vouched.
        let mut vouched = held.is_empty();
        for account in held {
            let same = account.email_verified && account.email.as_deref() == Some(email.as_str());
            vouched |= same
                && providers::find(tx, &account.provider)?.is_some_and(|row| {
                    row.enabled && is_of_domain(email.as_str(), &row.settings.trusted_domains)
                });
        }
        Ok(vouched.then_some(user))
    }

    /// Anybody can open a Google account with an address of another domain, once verified and never
    /// again; only for the domain's own organization is Google the one who gives the address.
    fn may_speak_for(&self, email: &EmailAddress) -> bool {
        self.provider.kind != ProviderKind::Google
            || self
                .identity
                .hosted_domain
                .as_ref()
                .is_some_and(|hosted| is_of_domain(email.as_str(), std::slice::from_ref(hosted)))
    }

    fn link(
        &self,
        tx: &mut dyn Tx,
        known: Option<Account>,
        (user, session): (UserId, SessionId),
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Result<Outcome, FinishError> {
        // The browser must still be in the session that asked, and its proof be new: the link is
        // as good as the account itself.
        let asked = self
            .current
            .as_ref()
            .filter(|current| current.id == session && current.user_id == user)
            .filter(|current| self.now.since(current.authenticated_at) < LINK_LIMIT);
        let live = sessions::find(tx, session)?.is_some_and(|row| row.expires_at > self.now);
        let state = users::find_state(tx, user)?.map(|(state, _)| state);
        if asked.is_none() || !live || state != Some(UserState::Active) {
            return Ok(Outcome::Refused(FinishError::SessionOver));
        }
        match known {
            Some(account) if account.user_id == user => self.note_login(tx, account.id)?,
            Some(_) => {
                let details = json!({ "reason": "linked_elsewhere" });
                self.record(tx, 0, "login.refused", Some(user), details)?;
                return Ok(Outcome::Refused(FinishError::LinkedElsewhere));
            }
            None => {
                self.add_account(tx, user)?;
                let details = json!({ "provider": self.provider.slug, "by": "user" });
                self.record(tx, 0, "account.linked", Some(user), details)?;
                self.note_login(tx, self.account_id)?;
                groups::apply(tx, self, user, self.account_id, mint)?;
            }
        }
        Ok(Outcome::Linked)
    }

    fn add_account(&self, tx: &mut dyn Tx, user: UserId) -> Result<(), StoreError> {
        accounts::insert(
            tx,
            &Account {
                id: self.account_id,
                user_id: user,
                provider: self.provider.slug.clone(),
                subject: self.identity.subject.clone(),
                email: self.identity.email.as_ref().map(ToString::to_string),
                email_verified: self.identity.email_verified,
                created_at: self.now,
                last_login_at: self.now,
            },
        )
    }

    /// What the provider tells now of the account, and its tokens.
    fn note_login(&self, tx: &mut dyn Tx, account: AccountId) -> Result<(), StoreError> {
        accounts::put_details(
            tx,
            account,
            &AccountDetails {
                email: self.identity.email.as_ref().map(ToString::to_string),
                email_verified: self.identity.email_verified,
                last_login_at: self.now,
            },
        )?;
        let held = accounts::tokens(tx, account)?;
        // Sealed for another row, if somebody linked the account meanwhile: of no use there.
        let mut kept = match &self.sealed {
            Some(sealed) if account == self.account_id => sealed.clone(),
            _ => SealedTokens::default(),
        };
        if kept.access.is_some() && kept.refresh.is_none() {
            // Many providers give a refresh token the first time only.
            kept.refresh.clone_from(&held.refresh);
        }
        if kept != held {
            accounts::put_tokens(tx, account, &kept, self.now)?;
        }
        Ok(())
    }

    /// Brings the user's profile up to what the provider says. `updated_at` moves only with it.
    fn refresh(&self, tx: &mut dyn Tx, id: UserId, account: AccountId) -> Result<(), FinishError> {
        self.note_login(tx, account)?;
        let user = users::find(tx, id)?.ok_or(StoreError::ForeignKey)?;
        let mut wanted = user.clone();
        if let Some(name) = &self.identity.name {
            wanted.display_name = name.to_string();
        }
        wanted.avatar_url.clone_from(&self.identity.picture);
        if let Some(email) = self.identity.verified_email()
            && email.as_str() != user.email
        {
            if users::email_taken(tx, email.as_str())? {
                let details = json!({ "provider": self.provider.slug });
                self.record(tx, 1, "user.email_collision", Some(id), details)?;
            } else {
                wanted.email = email.to_string();
            }
        }
        if wanted != user {
            wanted.updated_at = self.now;
            users::update_profile(tx, &wanted)?;
        }
        users::put_login(tx, id, self.identity.locale.as_deref(), self.now)?;
        Ok(())
    }

    /// When the person proved who they are. A provider that could say so and does not may have let
    /// in whoever sat at the browser, so its login counts as too old to link an account by; of one
    /// that never says, its own session is all there is.
    fn authenticated_at(&self) -> Timestamp {
        self.identity.authenticated_at.unwrap_or_else(|| {
            if self.provider.reauthenticates() {
                self.now.minus(LINK_LIMIT)
            } else {
                self.now
            }
        })
    }

    /// A session of the user's behind a new cookie. Somebody who proves again who they are goes on
    /// in the session that they have, begun anew under the new cookie: apps stay signed in. A
    /// session of somebody else's in this browser ends.
    fn begin_session(
        &self,
        tx: &mut dyn Tx,
        user: UserId,
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Result<(), FinishError> {
        let authenticated_at = self.authenticated_at();
        let mut session = Session {
            id: self.session_id,
            user_id: user,
            created_at: self.now,
            expires_at: self.now.plus(self.lifetimes.session),
            provider: self.provider.slug.clone(),
            upstream_subject: self.identity.subject.clone(),
            upstream_sid: self.identity.sid.clone(),
            authenticated_at,
            amr: self.identity.amr.clone(),
            acr: self.identity.acr.clone(),
            user_agent: self.user_agent.clone(),
            address: self.network.clone(),
            last_seen_at: self.now,
            idle_expires_at: self.now.plus(self.lifetimes.session_idle),
        };
        let held = match &self.current {
            Some(current) => sessions::find(tx, current.id)?,
            None => None,
        };
        let event = match held {
            Some(held) if held.user_id == user => {
                // It begins anew: whoever sent the user to log in sees by this that they did.
                session.id = held.id;
                let new = NewSession {
                    session,
                    digest: self.digest,
                };
                sessions::renew(tx, &new)?;
                return Ok(self.record_session(tx, "session.renewed", user, held.id)?);
            }
            Some(held) => {
                revocation::end_session(tx, held.id, self.now, &self.lifetimes, mint)?;
                self.record(
                    tx,
                    2,
                    "session.ended",
                    Some(held.user_id),
                    json!({ "session": held.id, "reason": "another_login" }),
                )?;
                "session.created"
            }
            None => "session.created",
        };
        let id = session.id;
        let new = NewSession {
            session,
            digest: self.digest,
        };
        sessions::insert(tx, &new)?;
        Ok(self.record_session(tx, event, user, id)?)
    }

    fn record_session(
        &self,
        tx: &mut dyn Tx,
        event: &'static str,
        user: UserId,
        session: SessionId,
    ) -> Result<(), StoreError> {
        let details = json!({ "session": session, "provider": self.provider.slug });
        self.record(tx, 3, event, Some(user), details)
    }

    fn entry(
        &self,
        index: usize,
        event: &'static str,
        user: Option<UserId>,
        details: Value,
    ) -> Result<AuditEntry, StoreError> {
        let id = self.audit_ids.get(index).copied().ok_or_else(too_many)?;
        Ok(AuditEntry {
            id,
            at: self.now,
            actor: user.map_or_else(|| self.provider_actor(), |user| format!("user:{user}")),
            event,
            organization: None,
            target: Some(user.map_or_else(|| self.provider_actor(), |user| format!("user:{user}"))),
            details,
        })
    }

    fn record(
        &self,
        tx: &mut dyn Tx,
        index: usize,
        event: &'static str,
        user: Option<UserId>,
        details: Value,
    ) -> Result<(), StoreError> {
        audit::record(tx, &self.entry(index, event, user, details)?)
    }

    /// How the audit log names the provider as an actor.
    pub(super) fn provider_actor(&self) -> String {
        format!("provider:{}", self.provider.slug)
    }
}

/// The account page asked in time if the way through the provider may take as long as it may.
const LINK_LIMIT: Duration = LINK_PROOF.saturating_add(ATTEMPT);

/// Audit rows that a login may write, roles apart; each has its place.
const AUDITS: usize = 4;

fn too_many() -> StoreError {
    StoreError::Other("more audit rows than were minted".to_owned())
}
