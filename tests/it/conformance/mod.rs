//! The OpenID Foundation's conformance modules and the requirements of RFC 9700, ported as black-box
//! tests. `docs/conformance.md` has the names, side by side; [`documented`] keeps it honest.

mod backchannel;
mod basic;
mod basic_requests;
mod config;
mod documented;
mod logout;
mod relying_party;
mod rfc9700;
