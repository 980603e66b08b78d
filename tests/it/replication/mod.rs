//! The feed end to end: a real store, real HTTP on loopback, copies compared row by row.

mod follow;
mod hostile;
mod kill;
mod large;
mod lines;
mod snapshots;
mod support;
