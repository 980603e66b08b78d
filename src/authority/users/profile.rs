//! Users' profiles: made by operators before the first login, read by them and by their owners.

use serde_json::json;
use uuid::Uuid;

use crate::authority::access::{Access, Denied, no_user};
use crate::authority::change::{Change, Event};
use crate::authority::credentials::Actor;
use crate::authority::organizations::listing::cut;
use crate::domain::user::{EmailAddress, User, UserState};
use crate::domain::{UserId, user};
use crate::protocol::organizations::{Account, Page, UserView};
use crate::store::{StoreError, Tx, persons, users};

use super::UsersError;

/// A user to be made, with the ids minted for it.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The user's id.
    pub id: UserId,
    /// The id of the account's row.
    pub account_id: Uuid,
    /// The name people see.
    pub display_name: user::DisplayName,
    /// An address that the caller vouches for.
    pub email: Option<EmailAddress>,
    /// The account by which an identity provider will know the user.
    pub account: Option<Account>,
}

/// Makes a user, active.
pub fn create(tx: &mut dyn Tx, change: &Change, new: &NewUser) -> Result<User, UsersError> {
    change
        .access
        .check_installation(tx, &change.actor, "auth:user:create")?;
    let email = new
        .email
        .clone()
        .unwrap_or_else(|| EmailAddress::placeholder(new.id));
    if users::email_taken(tx, email.as_str())? {
        return Err(UsersError::EmailTaken);
    }
    let user = User {
        id: new.id,
        email: email.to_string(),
        display_name: new.display_name.to_string(),
        avatar_url: None,
        state: UserState::Active,
        token_epoch: 0,
        created_at: change.now,
        updated_at: change.now,
    };
    users::insert(tx, &user).map_err(|error| taken(error, UsersError::EmailTaken))?;
    if let Some(account) = &new.account {
        let named = (
            account.provider.as_str(),
            account.provider_account_id.as_str(),
        );
        if users::find_by_account(tx, named.0, named.1)?.is_some() {
            return Err(UsersError::AccountTaken);
        }
        users::link_account(tx, new.account_id, new.id, named, change.now)
            .map_err(|error| taken(error, UsersError::AccountTaken))?;
    }
    change.record(
        tx,
        Event {
            name: "user.created",
            organization: None,
            target: Some(format!("user:{}", new.id)),
            details: json!({}),
        },
    )?;
    Ok(user)
}

/// A user, if the actor may see the profile.
pub fn find(tx: &mut dyn Tx, access: &Access, actor: &Actor, id: UserId) -> Result<User, Denied> {
    access.check_account(tx, actor, id)?;
    users::find(tx, id)?.ok_or_else(|| no_user(id))
}

/// A page of users, for operators: all of them, the one of an id, or those whose address or name
/// begins with `search`.
pub fn page(
    tx: &mut dyn Tx,
    access: &Access,
    actor: &Actor,
    search: Option<&str>,
    (after, limit): (UserId, u16),
) -> Result<Page<UserView>, Denied> {
    access.check_installation(tx, actor, "auth:user:read")?;
    let wanted = i64::from(limit) + 1;
    let mut found = match search {
        None => users::page(tx, after, wanted)?,
        Some(text) => {
            let ids = match text.parse::<UserId>() {
                Ok(id) => vec![id],
                Err(_) => persons::search(tx, text, (after, wanted))?,
            };
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(users::find(tx, id)?.filter(|user| user.id > after));
            }
            found
        }
    };
    let next = cut(&mut found, limit, |user| user.id.to_string());
    Ok(Page {
        items: found.into_iter().map(UserView::from).collect(),
        next,
    })
}

/// Two requests may find the same address free: the constraint settles it.
fn taken(error: StoreError, by: UsersError) -> UsersError {
    match error {
        StoreError::Unique { .. } => by,
        other => UsersError::Store(other),
    }
}
