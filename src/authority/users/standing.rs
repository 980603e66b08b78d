//! What operators do to a user: suspend, restore, sign out, erase.

use std::sync::Arc;

use serde_json::json;

use crate::authority::access::{OWNER, no_user};
use crate::authority::app::mint_uuid;
use crate::authority::change::{Change, Event};
use crate::authority::config::Lifetimes;
use crate::authority::credentials::Actor;
use crate::authority::revocation;
use crate::domain::user::{EmailAddress, User, UserState};
use crate::domain::{OrganizationId, UserId};
use crate::runtime::Entropy;
use crate::store::{Lock, StoreError, Tx, members, persons, roles, users};

use super::UsersError;

/// What an erased user is called.
const ERASED: &str = "erased user";

/// A change of a user's standing about to be written.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Who asks, when, and the judge.
    pub change: Change,
    /// Whose.
    pub user: UserId,
    /// How long tokens live, that have to be refused from now on.
    pub lifetimes: Lifetimes,
    /// Chance, for ids of what clients are told.
    pub entropy: Arc<dyn Entropy>,
}

impl Standing {
    /// The user, whom the actor may do this to.
    fn load(&self, tx: &mut dyn Tx, permission: &str) -> Result<User, UsersError> {
        self.change
            .access
            .check_installation(tx, &self.change.actor, permission)?;
        Ok(users::find(tx, self.user)?.ok_or_else(|| no_user(self.user))?)
    }

    fn refuse_yourself(&self) -> Result<(), UsersError> {
        match &self.change.actor {
            Actor::User { user_id, .. } if *user_id == self.user => Err(UsersError::Yourself),
            _ => Ok(()),
        }
    }

    /// Ends sessions and grants, and raises the token epoch. Tells how many sessions there were.
    fn end_everything(&self, tx: &mut dyn Tx) -> Result<usize, StoreError> {
        let now = self.change.now;
        let mut ids = || mint_uuid(now, &*self.entropy);
        let ended = revocation::sign_out_everywhere(tx, self.user, now, &self.lifetimes, &mut ids)?;
        Ok(ended.len())
    }

    fn put_state(&self, tx: &mut dyn Tx, state: UserState) -> Result<User, UsersError> {
        let (_, epoch) = users::find_state(tx, self.user)?.ok_or_else(|| no_user(self.user))?;
        users::put_state(tx, self.user, state, epoch)?;
        Ok(users::find(tx, self.user)?.ok_or_else(|| no_user(self.user))?)
    }

    fn tell(
        &self,
        tx: &mut dyn Tx,
        name: &'static str,
        details: serde_json::Value,
    ) -> Result<(), StoreError> {
        self.change.record(
            tx,
            Event {
                name,
                organization: None,
                target: Some(format!("user:{}", self.user)),
                details,
            },
        )
    }
}

/// Suspends a user: every check is denied and every token refused until the user is restored. One
/// who is suspended stays as is.
pub fn suspend(tx: &mut dyn Tx, standing: &Standing) -> Result<User, UsersError> {
    let user = standing.load(tx, "auth:user:suspend")?;
    standing.refuse_yourself()?;
    match user.state {
        UserState::Deleted => Err(UsersError::Erased),
        UserState::Suspended => Ok(user),
        UserState::Active => {
            let sessions = standing.end_everything(tx)?;
            let user = standing.put_state(tx, UserState::Suspended)?;
            standing.tell(tx, "user.suspended", json!({ "sessions": sessions }))?;
            Ok(user)
        }
    }
}

/// Lets a suspended user act again. What was signed out stays so.
pub fn restore(tx: &mut dyn Tx, standing: &Standing) -> Result<User, UsersError> {
    let user = standing.load(tx, "auth:user:suspend")?;
    match user.state {
        UserState::Deleted => Err(UsersError::Erased),
        UserState::Active => Ok(user),
        UserState::Suspended => {
            let user = standing.put_state(tx, UserState::Active)?;
            standing.tell(tx, "user.restored", json!({}))?;
            Ok(user)
        }
    }
}

/// Signs a user out everywhere: sessions, grants and every token.
pub fn sign_out(tx: &mut dyn Tx, standing: &Standing) -> Result<User, UsersError> {
    let user = standing.load(tx, "auth:user:suspend")?;
    if user.state == UserState::Deleted {
        return Err(UsersError::Erased);
    }
    let sessions = standing.end_everything(tx)?;
    standing.tell(tx, "user.signed_out", json!({ "sessions": sessions }))?;
    Ok(users::find(tx, standing.user)?.ok_or_else(|| no_user(standing.user))?)
}

/// Erases a user: personal data is gone, for good; the id and the audit log stay.
///
/// # Errors
///
/// [`UsersError::LastOwner`] while an organization has no other owner who can act.
pub fn erase(tx: &mut dyn Tx, standing: &Standing) -> Result<User, UsersError> {
    let user = standing.load(tx, "auth:user:erase")?;
    standing.refuse_yourself()?;
    if user.state == UserState::Deleted {
        return Err(UsersError::Erased);
    }
    let organizations = leave_owners_behind(tx, standing.user)?;
    let sessions = standing.end_everything(tx)?;
    let placeholder = EmailAddress::placeholder(user.id);
    persons::erase(
        tx,
        (user.id, &user.email),
        (placeholder.as_str(), ERASED),
        standing.change.now,
    )?;
    let erased = standing.put_state(tx, UserState::Deleted)?;
    let details = json!({ "sessions": sessions, "organizations": organizations });
    standing.tell(tx, "user.erased", details)?;
    Ok(erased)
}

/// Whether every organization of the user keeps an owner; their ids.
fn leave_owners_behind(tx: &mut dyn Tx, user: UserId) -> Result<Vec<OrganizationId>, UsersError> {
    let held = persons::roles(tx, user)?;
    let mut all: Vec<_> = held.iter().map(|(id, ..)| *id).collect();
    // In one order everywhere, or two of these could wait for each other.
    all.sort_unstable();
    all.dedup();
    for organization in &all {
        tx.lock(Lock::Organization(*organization))?;
        let owns = held
            .iter()
            .any(|(id, role, _)| id == organization && role.to_string() == OWNER);
        if !owns {
            continue;
        }
        let key = OWNER
            .parse()
            .map_err(|_| StoreError::Other(format!("`{OWNER}` is not a role")))?;
        let owner = roles::find(tx, &key)?.ok_or(StoreError::ForeignKey)?;
        if members::other_active_holders(tx, *organization, owner.id, user)? == 0 {
            return Err(UsersError::LastOwner(*organization));
        }
    }
    Ok(all)
}
