//! The only place with SQL.
//!
//! One [`Store`] over two engines. Work is a closure over a [`Tx`]: it commits on `Ok`, rolls back
//! on `Err`, and may run again after a conflict, so ids and tokens are minted before it and mail is
//! sent after it. Every [`Store::write`] that touched a replicated table seals exactly one feed
//! frame in the same transaction; triggers note what changed, so no caller can forget to.
//!
//! One file per noun: functions over `&mut dyn Tx` that speak `domain` types. [`replicated`] says
//! which tables travel; [`replica`] is the sidecar's copy of them.

#[cfg(feature = "authority")]
pub mod accounts;
#[cfg(feature = "authority")]
pub mod apps;
#[cfg(feature = "authority")]
pub mod attempts;
#[cfg(feature = "authority")]
pub mod audit;
#[cfg(feature = "authority")]
pub mod audit_chain;
#[cfg(feature = "authority")]
pub mod authorization_codes;
#[cfg(feature = "authority")]
pub mod batch;
#[cfg(feature = "authority")]
pub mod bulk;
#[cfg(feature = "authority")]
pub mod capture;
#[cfg(feature = "authority")]
pub mod clients;
#[cfg(feature = "authority")]
pub mod consents;
#[cfg(feature = "authority")]
pub mod device_codes;
#[cfg(feature = "authority")]
pub mod driver;
pub mod error;
#[cfg(feature = "authority")]
pub mod feed;
#[cfg(feature = "authority")]
pub mod grants;
#[cfg(feature = "authority")]
mod group;
#[cfg(feature = "authority")]
pub mod installation;
#[cfg(feature = "authority")]
pub mod instances;
#[cfg(feature = "authority")]
pub mod invitations;
#[cfg(feature = "authority")]
pub mod keys;
#[cfg(feature = "authority")]
pub mod leases;
#[cfg(feature = "authority")]
pub mod logout_outbox;
#[cfg(feature = "authority")]
pub mod manifests;
#[cfg(feature = "authority")]
pub mod members;
#[cfg(feature = "authority")]
pub mod migrate;
#[cfg(feature = "authority")]
pub mod organizations;
#[cfg(feature = "authority")]
pub mod permissions;
#[cfg(feature = "authority")]
pub mod persons;
#[cfg(feature = "authority")]
pub mod providers;
#[cfg(feature = "authority")]
pub mod pushed_requests;
#[cfg(feature = "authority")]
pub mod refresh_tokens;
#[cfg(feature = "authority")]
pub mod registration_tokens;
pub mod replica;
pub mod replicated;
#[cfg(feature = "authority")]
pub mod revocations;
#[cfg(feature = "authority")]
pub mod roles;
#[cfg(feature = "authority")]
pub mod scopes;
#[cfg(feature = "authority")]
mod seal;
#[cfg(feature = "authority")]
pub mod sessions;
#[cfg(feature = "authority")]
pub mod sidecars;
#[cfg(feature = "authority")]
mod transact;
#[cfg(feature = "authority")]
pub mod transient;
#[cfg(feature = "authority")]
pub mod used_jtis;
#[cfg(feature = "authority")]
pub mod users;
pub mod value;

#[cfg(feature = "authority")]
pub use driver::Dialect;
pub use error::StoreError;
#[cfg(feature = "authority")]
pub use transact::{Store, StoreConfig, StoreLimits, Written};
pub use value::{Row, Val};

/// One transaction, on either engine. SQL is portable: `?1`-style parameters, no `now()`, no
/// `RETURNING` inside a CTE, no arrays in expressions, no `INSERT OR REPLACE`.
#[cfg(feature = "authority")]
pub trait Tx {
    /// Runs a statement and tells how many rows it touched.
    fn exec(&mut self, sql: &str, params: &[Val]) -> Result<u64, StoreError>;

    /// Runs a query (or a statement with `RETURNING`) and returns its rows.
    fn rows(&mut self, sql: &str, params: &[Val]) -> Result<Vec<Row>, StoreError>;

    /// Guards an invariant over several rows until the transaction ends: a row lock on PostgreSQL;
    /// on SQLite the single writer is the lock. Take it before reading what the invariant is about.
    fn lock(&mut self, entity: Lock) -> Result<(), StoreError>;
}

/// What [`Tx::lock`] can guard.
#[cfg(feature = "authority")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// An organization: "the last owner stays".
    Organization(crate::domain::OrganizationId),
    /// A service's manifest: one sync at a time.
    Service(crate::domain::ServiceName),
    /// A client: its secrets and state.
    Client(crate::domain::ClientId),
    /// Identity providers: one change at a time, so that no two get the same issuer.
    Providers,
    /// A grant: one live refresh token.
    Grant(crate::domain::GrantId),
    /// A user: "the last way to sign in stays".
    User(crate::domain::UserId),
    /// A login session, shared: it is not deleted before what is made for it can be seen.
    Session(crate::domain::SessionId),
}
