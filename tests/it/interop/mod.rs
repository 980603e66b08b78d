//! Programs that others wrote, against a running authority: client libraries, Apache, and npm's
//! `oidc-provider` as the identity provider upstream.
//!
//! `test.sh` installs them and sets `DOORWARD_REQUIRE_<X>`; without them, and without the variable,
//! a test says that it was skipped. docs/interop.md has the table of what passes.

mod clients;
mod programs;
mod secrets;
mod speed;
mod world;
