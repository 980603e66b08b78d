//! Decision watch: a question is asked once, and its answer comes again whenever it changes.
//!
//! A watch sleeps until the copy moves on, the link to the authority changes, or it is time for a
//! sign of life; then it asks anew and says something only if the answer is another one. It is the
//! same decision by the same rules as a check's, so a watch and somebody who polls see the same.

mod config;
mod places;
mod question;
mod stream;

pub use config::WatchConfig;
pub(in crate::sidecar) use config::read;
pub(in crate::sidecar) use places::{Place, Places};
pub(in crate::sidecar) use question::Question;
pub(in crate::sidecar) use stream::{Cut, Watch, decision, run};
