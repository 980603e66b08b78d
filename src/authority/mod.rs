//! The daemon that owns the truth: services' manifests, organizations, members, credentials, feed.

pub mod access;
pub mod account;
pub mod app;
pub mod apps;
pub mod arguments;
pub mod attempts;
pub mod audit_chain;
pub mod brand;
pub mod change;
pub mod config;
pub mod control;
pub mod credentials;
pub mod daemon;
pub mod http;
pub mod init;
pub mod invitations;
pub mod jobs;
pub mod keys;
pub mod login;
pub mod manifests;
pub mod oauth;
pub mod organizations;
pub mod outbound;
pub mod revocation;
pub mod sealer;
pub mod users;
