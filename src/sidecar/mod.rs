//! The daemon beside every service: a copy of the authorization tables, and answers from it.

pub mod app;
pub mod arguments;
pub mod cache;
pub mod callers;
pub mod config;
pub mod counts;
pub mod daemon;
pub mod decide;
pub mod decision_log;
pub mod enrolment;
pub mod follow;
pub mod forward_auth;
pub mod gate;
pub mod http;
pub mod recent;
pub mod refusal;
pub mod reload;
pub mod routes;
pub mod search;
pub mod tokens;
pub mod validate;
pub mod view;
pub mod watch;
pub mod why;
