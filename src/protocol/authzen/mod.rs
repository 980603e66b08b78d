//! OpenID AuthZEN Authorization API 1.0: evaluation, evaluations, search and the metadata document.
//!
//! Requests are borrowed from the body: a check whose texts hold no escapes allocates nothing here.
//! Unknown members are ignored and `null` counts as absent; a member of the wrong type, or one that
//! stands twice, refuses the request and is named in the message.

mod answer;
mod batch;
mod cursor;
mod metadata;
mod request;
mod search;

pub use answer::{Answer, ItemError, Reason};
pub use batch::{Batch, MAX_EVALUATIONS, Semantic, resolve};
pub use cursor::{Cursor, InvalidCursor};
pub use metadata::{metadata, metadata_path};
pub use request::{
    Action, Entity, Evaluation, Named, Request, RequestError, Verb, object, organization_in,
    parse_evaluation,
};
pub use search::{
    DEFAULT_PAGE, FoundAction, FoundEntity, FoundProperties, MAX_PAGE, PageAnswer, Search,
    SearchAnswer, SearchContext, Target,
};
