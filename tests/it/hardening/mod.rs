//! The real programs, treated badly: wrong input, wrong files, full disks, `kill -9`.

mod authority;
mod cleaner;
mod cli;
mod disk;
mod doctor;
mod documented;
mod feed;
mod input;
mod lost;
pub(crate) mod process;
mod sidecar;
mod soak;
mod systemd;
pub(crate) mod wire;
pub(crate) mod world;
