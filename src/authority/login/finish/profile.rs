//! What the provider tells now of an account and its user.

use serde_json::json;

use crate::domain::{AccountId, UserId};
use crate::store::accounts::{self, AccountDetails, SealedTokens};
use crate::store::{StoreError, Tx, users};

use super::arrival::Arrival;
use super::write::FinishError;

impl Arrival {
    /// What the provider tells now of the account, and its tokens.
    pub(super) fn note_login(&self, tx: &mut dyn Tx, account: AccountId) -> Result<(), StoreError> {
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
    pub(super) fn refresh(
        &self,
        tx: &mut dyn Tx,
        id: UserId,
        account: AccountId,
    ) -> Result<(), FinishError> {
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
}
