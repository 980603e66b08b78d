//! The route table: which rule decides a request that a proxy asks about.
//!
//! The rule is chosen in three steps, and each step leaves one answer or none; no step is taken back:
//!
//! 1. **Host.** Routes of the exact name, or else of `*.suffix`, or else of `*`. Only the routes of
//!    the most specific host that any route names are looked at further.
//! 2. **Path.** Segment by segment from the left, a literal goes before a capture, and a capture
//!    before `{rest...}`.
//! 3. **Method.** Of the routes with just that path, the one that lists the method.
//!
//! What finds no route is denied, also where a less specific route would fit: a rule for `GET
//! /admin` keeps `POST /admin` from falling to a catch-all. Two routes that the steps cannot tell
//! apart are refused when the file is read.

mod document;
mod method;
mod origin;
mod path;
mod route;
mod table;

pub use document::{Mistake, RoutesError, load, parse};
pub use method::Methods;
pub use origin::Origin;
pub use path::{PathTemplate, Place};
pub use route::{Access, OrganizationSource, Route, Wanted};
pub use table::{Found, RouteTable, Unmatched};
