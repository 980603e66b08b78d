//! What people see of their own account, and do with it: sessions, accounts at providers, apps.
//!
//! Whoever acts here holds a session; each write looks again whether it is still there, so that a
//! session that was ended a moment ago ends nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::organization::Organization;
use crate::domain::user::User;
use crate::domain::{
    AccountId, ClientId, OrganizationId, RoleKey, Scope, Scopes, SessionId, Timestamp, UserId,
};
use crate::store::accounts::{self, Account};
use crate::store::audit;
use crate::store::organizations::Shown;
use crate::store::providers::{self, StoredProvider};
use crate::store::scopes::{self, Meaning};
use crate::store::sessions::{self, Session};
use crate::store::{
    Lock, StoreError, Tx, apps, clients, consents, grants, members, organizations, roles, users,
};

use super::app::{Authority, mint_uuid};
use super::login::groups;
use super::revocation;

/// The most organizations that the page lists.
const ORGANIZATIONS_MAX: i64 = 100;
/// The most apps that it lists at once.
pub const APPS_MAX: usize = 50;

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Whoever asks is not signed in any more.
    #[error("the session has ended")]
    SessionOver,
    /// There is no such session, account or app of this user.
    #[error("there is nothing of that name")]
    NotFound,
    /// Without it, nobody could ever sign in to the account again.
    #[error("the last account at a provider cannot be removed")]
    LastProvider,
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Everything that the account page shows.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Who.
    pub user: User,
    /// The accounts at providers that open this one.
    pub accounts: Vec<Account>,
    /// Those of them whose groups give roles.
    pub giving_roles: BTreeSet<AccountId>,
    /// The providers that are there, enabled or not.
    pub providers: Vec<StoredProvider>,
    /// Where the user is signed in.
    pub sessions: Vec<Session>,
    /// The apps that act for the user: one page of them, the latest used first.
    pub apps: Vec<ConnectedApp>,
    /// Whether there are more after that page.
    pub more_apps: bool,
    /// The organizations that the user belongs to.
    pub organizations: Vec<Membership>,
}

/// An app that a user agreed to, or that holds a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectedApp {
    /// Its row.
    pub client: ClientId,
    /// Its name.
    pub name: String,
    /// Its logo.
    pub logo_uri: Option<String>,
    /// What it may do, with what that means in the words of services.
    pub scopes: Vec<(Scope, Meaning)>,
    /// Since when.
    pub since: Timestamp,
    /// When a token was last issued to it, if it holds a grant.
    pub last_used_at: Option<Timestamp>,
}

/// An organization, and what the user is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The organization.
    pub organization: Organization,
    /// The roles held.
    pub roles: Vec<RoleKey>,
}

/// What the account page shows, with this page of apps, counted from zero; `None` when there is no
/// such user.
pub fn overview(
    tx: &mut dyn Tx,
    user: UserId,
    apps_page: usize,
    now: Timestamp,
) -> Result<Option<Overview>, StoreError> {
    let Some(user) = users::find(tx, user)? else {
        return Ok(None);
    };
    let accounts = accounts::of_user(tx, user.id)?;
    let mut giving_roles = BTreeSet::new();
    for account in &accounts {
        if !accounts::roles(tx, account.id)?.is_empty() {
            giving_roles.insert(account.id);
        }
    }
    let (apps, more_apps) = connected(tx, user.id, apps_page, now)?;
    Ok(Some(Overview {
        accounts,
        giving_roles,
        providers: providers::list(tx)?,
        sessions: sessions::of_user(tx, user.id, now)?,
        apps,
        more_apps,
        organizations: memberships(tx, user.id)?,
        user,
    }))
}

#[derive(Default)]
struct Held {
    scopes: Vec<Scope>,
    since: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

impl Held {
    fn add(&mut self, scope: &Scopes, since: Timestamp) {
        self.scopes.extend(scope.iter().cloned());
        self.since = Some(self.since.map_or(since, |known| known.min(since)));
    }
}

/// A page of the apps that have consents or live grants, and whether there are more.
fn connected(
    tx: &mut dyn Tx,
    user: UserId,
    page: usize,
    now: Timestamp,
) -> Result<(Vec<ConnectedApp>, bool), StoreError> {
    let mut held: BTreeMap<ClientId, Held> = BTreeMap::new();
    for consent in consents::of_user(tx, user)? {
        let entry = held.entry(consent.client_id).or_default();
        entry.add(&consent.scope, consent.granted_at);
    }
    for grant in grants::of_user(tx, user, now)? {
        let entry = held.entry(grant.client_id).or_default();
        entry.add(&grant.scope, grant.created_at);
        entry.last_used_at = entry.last_used_at.max(Some(grant.last_used_at));
    }
    let mut held: Vec<(ClientId, Held)> = held.into_iter().collect();
    held.sort_by_key(|(_, held)| std::cmp::Reverse((held.last_used_at, held.since)));
    let first = page.saturating_mul(APPS_MAX);
    let more = held.len() > first.saturating_add(APPS_MAX);
    let mut found = Vec::new();
    for (client, held) in held.into_iter().skip(first).take(APPS_MAX) {
        let (name, logo_uri) = match apps::find(tx, client)? {
            Some(app) => (app.spec.name, app.spec.logo_uri),
            None => match clients::find(tx, client)? {
                Some(client) => (client.name, None),
                None => continue,
            },
        };
        let scope: Scopes = held.scopes.into_iter().collect();
        found.push(ConnectedApp {
            client,
            name,
            logo_uri,
            scopes: explained(tx, &scope)?,
            since: held.since.unwrap_or(now),
            last_used_at: held.last_used_at,
        });
    }
    Ok((found, more))
}

/// Scopes, with what they mean in the words of services.
pub fn explained(tx: &mut dyn Tx, scope: &Scopes) -> Result<Vec<(Scope, Meaning)>, StoreError> {
    scope
        .iter()
        .map(|scope| Ok((scope.clone(), scopes::meaning(tx, scope)?)))
        .collect()
}

fn memberships(tx: &mut dyn Tx, user: UserId) -> Result<Vec<Membership>, StoreError> {
    let first = OrganizationId::from_u128(0);
    let found = organizations::page(tx, Shown::MemberOf(user), first, ORGANIZATIONS_MAX)?;
    let mut memberships = Vec::with_capacity(found.len());
    for organization in found {
        let held = members::find(tx, organization.id, user)?;
        let mut keys = Vec::new();
        for id in held
            .iter()
            .flat_map(|member| std::iter::once(&member.role_id).chain(&member.further_role_ids))
        {
            keys.extend(roles::find_by_id(tx, *id)?.map(|role| role.key));
        }
        memberships.push(Membership {
            organization,
            roles: keys,
        });
    }
    Ok(memberships)
}

/// Whose session acts, looked at in the transaction that acts.
fn acting(tx: &mut dyn Tx, session: SessionId, now: Timestamp) -> Result<UserId, AccountError> {
    sessions::find(tx, session)?
        .filter(|session| now < session.expires_at && now < session.idle_expires_at)
        .map(|session| session.user_id)
        .ok_or(AccountError::SessionOver)
}

/// One write of a user to what is theirs, with its audit row.
struct Deed {
    event: &'static str,
    target: String,
    details: Value,
}

impl Deed {
    async fn write<T: Send + 'static>(
        self,
        authority: &Authority,
        by: &Session,
        mut act: impl FnMut(&mut dyn Tx, &mut Acting<'_>) -> Result<T, AccountError> + Send + 'static,
    ) -> Result<T, AccountError> {
        let actor = format!("user:{}", by.user_id);
        let entry = authority.audit(actor, self.event, self.target, self.details);
        let entropy = Arc::clone(&authority.entropy);
        let config = Arc::clone(&authority.config);
        let (session, now) = (by.id, authority.clock.now());
        let written = authority.store.write::<_, AccountError>(move |tx| {
            let user = acting(tx, session, now)?;
            let mut acting = Acting {
                user,
                session,
                now,
                lifetimes: &config.lifetimes,
                ids: &mut || mint_uuid(now, &*entropy),
                more: json!({}),
            };
            let done = act(tx, &mut acting)?;
            let mut entry = entry.clone();
            if let (Value::Object(details), Value::Object(more)) = (&mut entry.details, acting.more)
            {
                details.extend(more);
            }
            audit::record(tx, &entry)?;
            Ok(done)
        });
        Ok(written.await?.value)
    }
}

/// Who acts, and with what.
struct Acting<'a> {
    user: UserId,
    session: SessionId,
    now: Timestamp,
    lifetimes: &'a super::config::Lifetimes,
    ids: &'a mut dyn FnMut() -> uuid::Uuid,
    /// What the audit row tells too.
    more: Value,
}

impl Acting<'_> {
    fn end(&mut self, tx: &mut dyn Tx, session: SessionId) -> Result<(), StoreError> {
        revocation::end_session(tx, session, self.now, self.lifetimes, self.ids).map(drop)
    }
}

/// Ends one session of the user's, which may be the one that acts.
///
/// # Errors
///
/// [`AccountError::NotFound`] when it is not theirs or has ended.
pub async fn end_session(
    authority: &Authority,
    by: &Session,
    ended: SessionId,
) -> Result<(), AccountError> {
    let deed = Deed {
        event: "session.ended",
        target: format!("session:{ended}"),
        details: json!({ "reason": "user" }),
    };
    deed.write(authority, by, move |tx, acting| {
        let found = sessions::find(tx, ended)?;
        if found.is_none_or(|found| found.user_id != acting.user) {
            return Err(AccountError::NotFound);
        }
        Ok(acting.end(tx, ended)?)
    })
    .await
}

/// Ends every session of the user's but the one that acts, and tells how many.
pub async fn end_other_sessions(
    authority: &Authority,
    by: &Session,
) -> Result<usize, AccountError> {
    let deed = Deed {
        event: "session.others_ended",
        target: format!("user:{}", by.user_id),
        details: json!({}),
    };
    deed.write(authority, by, |tx, acting| {
        let mut ended = Vec::new();
        for session in sessions::of_user(tx, acting.user, acting.now)? {
            if session.id != acting.session {
                acting.end(tx, session.id)?;
                ended.push(session.id);
            }
        }
        acting.more = json!({ "sessions": ended });
        Ok(ended.len())
    })
    .await
}

/// Ends all sessions, takes every app's access, and refuses every token of the user's.
pub async fn sign_out_everywhere(authority: &Authority, by: &Session) -> Result<(), AccountError> {
    let deed = Deed {
        event: "user.signed_out_everywhere",
        target: format!("user:{}", by.user_id),
        details: json!({}),
    };
    deed.write(authority, by, |tx, acting| {
        let (user, now, lifetimes) = (acting.user, acting.now, acting.lifetimes);
        let ended = revocation::sign_out_everywhere(tx, user, now, lifetimes, acting.ids)?;
        acting.more = json!({ "sessions": ended });
        Ok(())
    })
    .await
}

/// Takes an app's access: what was agreed to is forgotten, and its grants are revoked.
///
/// # Errors
///
/// [`AccountError::NotFound`] when it has none.
pub async fn revoke_app(
    authority: &Authority,
    by: &Session,
    client: ClientId,
) -> Result<(), AccountError> {
    let deed = Deed {
        event: "app.revoked",
        target: format!("user:{}", by.user_id),
        details: json!({ "client": client }),
    };
    deed.write(authority, by, move |tx, acting| {
        let mut found = consents::forget(tx, acting.user, client)?;
        let mut revoked = Vec::new();
        for grant in grants::of_user(tx, acting.user, acting.now)? {
            if grant.client_id == client {
                let (now, lifetimes) = (acting.now, acting.lifetimes);
                revocation::revoke_grant(tx, grant.id, now, lifetimes, "user")?;
                revoked.push(grant.id);
                found = true;
            }
        }
        acting.more = json!({ "grants": revoked });
        found.then_some(()).ok_or(AccountError::NotFound)
    })
    .await
}

/// Unlinks an account at a provider. The roles that its groups gave go with it, and sessions that it
/// opened end, but for the one that acts.
///
/// # Errors
///
/// [`AccountError::LastProvider`] when no other account at a provider that is there opens this one.
pub async fn unlink(
    authority: &Authority,
    by: &Session,
    account: AccountId,
) -> Result<(), AccountError> {
    let deed = Deed {
        event: "account.unlinked",
        target: format!("user:{}", by.user_id),
        details: json!({ "account": account }),
    };
    deed.write(authority, by, move |tx, acting| {
        // Two that are removed at once must not both find the other.
        tx.lock(Lock::User(acting.user))?;
        let linked = accounts::of_user(tx, acting.user)?;
        let removed = linked
            .iter()
            .find(|linked| linked.id == account)
            .ok_or(AccountError::NotFound)?;
        let usable: Vec<String> = providers::list(tx)?
            .into_iter()
            .filter(|provider| provider.enabled)
            .map(|provider| provider.provider)
            .collect();
        let another = linked
            .iter()
            .any(|other| other.id != account && usable.contains(&other.provider));
        if !another {
            return Err(AccountError::LastProvider);
        }
        groups::release(tx, (acting.user, account), acting.now, acting.ids)?;
        let (provider, subject) = (removed.provider.as_str(), removed.subject.as_str());
        for session in sessions::by_upstream(tx, provider, Some(subject), None)? {
            if session.user_id == acting.user && session.id != acting.session {
                acting.end(tx, session.id)?;
            }
        }
        acting.more = json!({ "provider": provider });
        accounts::delete(tx, account)?;
        Ok(())
    })
    .await
}
