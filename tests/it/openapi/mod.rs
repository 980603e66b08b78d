//! The OpenAPI documents: golden, the same set of operations as the routers, and what a fuzzer that
//! reads them finds.

mod authority;
mod document;
mod fuzzer;
mod sidecar;
