//! Rules about the source itself: what may import what, what may stand where, what may be linked.

mod cli_reference;
mod dependencies;
mod documents;
mod layers;
mod places;
mod source;
