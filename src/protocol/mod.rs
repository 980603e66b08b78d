//! Bytes to types and back, for everything that leaves the process. Pure; every parser is fuzzable.

pub mod authzen;
pub mod clients;
pub mod cookies;
pub mod credentials;
pub mod ext_authz;
pub mod feed;
pub mod forward_auth;
pub mod forwarded;
pub mod gate;
pub mod host;
pub mod instances;
pub mod invitations;
pub mod jose;
pub mod local_path;
pub mod manifest;
pub mod oauth;
pub mod oidc;
pub mod organizations;
pub mod problem;
pub mod providers;
pub mod registration_tokens;
pub mod users;
