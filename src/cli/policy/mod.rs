//! `doorward policy`: what policies say, what a change of them changes, and what holds of them.

mod cases;
mod command;
mod diff;
mod export;
mod platform_cases;
#[cfg(feature = "prove")]
mod prove;
#[cfg(feature = "prove")]
mod solver;
mod source;
mod test;
mod yaml;

pub(super) use command::{PolicyArgs, run};
