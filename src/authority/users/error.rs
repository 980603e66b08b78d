//! Why something is not done to a user.

use crate::authority::access::Denied;
use crate::domain::OrganizationId;
use crate::store::StoreError;

/// Why a user was not made or changed. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsersError {
    /// The actor may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Another user has the address.
    #[error("another user has this e-mail address")]
    EmailTaken,
    /// Another user has the account.
    #[error("another user has this account")]
    AccountTaken,
    /// The actor would put itself out.
    #[error("operators suspend and erase others, not themselves")]
    Yourself,
    /// The user was erased: nothing can be done to it any more.
    #[error("the user was erased")]
    Erased,
    /// Erasing the user would leave an organization without an owner.
    #[error("the user is the last owner of organization `{0}`: make another member an owner first")]
    LastOwner(OrganizationId),
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
}

impl From<StoreError> for UsersError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
