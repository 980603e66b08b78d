//! Who does something to credentials: over the API by the rules, or on the host itself.

use crate::authority::access::{Access, Denied};
use crate::store::Tx;

use super::Actor;

/// Who makes, changes or ends credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doer {
    /// Somebody on the API: each permission is checked inside the write.
    Actor(Actor),
    /// Whoever may read the key file on the host: there is nothing left to protect from them. The
    /// name of the operating system's user, for the audit log.
    Host(String),
}

impl Doer {
    /// Whether it may, by the store as the transaction sees it.
    ///
    /// # Errors
    ///
    /// [`Denied`] as [`Access::check_installation`].
    pub fn require(
        &self,
        access: &Access,
        tx: &mut dyn Tx,
        permission: &str,
    ) -> Result<(), Denied> {
        match self {
            Self::Actor(actor) => access.check_installation(tx, actor, permission).map(|_| ()),
            Self::Host(_) => Ok(()),
        }
    }

    /// How the audit log names it.
    pub fn audit_name(&self) -> String {
        match self {
            Self::Actor(actor) => actor.audit_name(),
            Self::Host(user) => format!("local:{user}"),
        }
    }
}
