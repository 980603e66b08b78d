//! OpenID AuthZEN Authorization API 1.0: evaluation, evaluations and the metadata document.
//!
//! Requests are borrowed from the body: a check whose texts hold no escapes allocates nothing here.
//! Unknown members are ignored and `null` counts as absent; a member of the wrong type, or one that
//! stands twice, refuses the request and is named in the message.

mod answer;
mod batch;
mod metadata;
mod request;

pub use answer::{Answer, ItemError, Reason};
pub use batch::{Batch, MAX_EVALUATIONS, Semantic, resolve};
pub use metadata::{metadata, metadata_path};
pub use request::{
    Action, Entity, Evaluation, Named, Request, RequestError, Verb, object, organization_in,
    parse_evaluation,
};
