//! Who it is here: somebody known, somebody new, or somebody who links an account.

use serde_json::json;
use uuid::Uuid;

use crate::authority::login::groups;
use crate::domain::provider::{ProviderKind, is_of_domain};
use crate::domain::user::{EmailAddress, User, UserState};
use crate::domain::{AccountId, SessionId, UserId};
use crate::store::accounts::{self, Account};
use crate::store::{StoreError, Tx, providers, sessions, users};

use super::arrival::{Arrival, LINK_LIMIT, Outcome};
use super::write::FinishError;

impl Arrival {
    pub(super) fn sign_in(
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

    pub(super) fn link(
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
}
