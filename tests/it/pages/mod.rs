//! Pages: what browsers get, and what their forms do.

mod account;
mod browser;
mod device;
mod forms;
mod headers;
mod invitation;
mod names;
