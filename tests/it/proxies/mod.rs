//! Real proxies with the configurations of `examples/proxies`, in front of an app that tells what it
//! got, beside a sidecar.
//!
//! `test.sh` installs them; where they are not, a test says that it was skipped, or fails if
//! `DOORWARD_REQUIRE_<X>` says that they must be.

mod app;
mod cases;
mod gate;
mod proxy;
