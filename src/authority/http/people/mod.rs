//! Pages for people who come by themselves: their account, a device's code, an invitation.

mod account;
mod device;
mod invitation;
mod routes;
mod signed_out;
mod visitor;

pub(super) use routes::routes;
