//! Pages: what browsers get, and what their forms do.

mod account;
mod browser;
mod forms;
mod headers;
mod names;
