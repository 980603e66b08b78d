//! Policies of one's own: tested by cases, compared, proved.

mod command;
mod facts;
mod platform;
mod prove;
mod random;
mod solver;
