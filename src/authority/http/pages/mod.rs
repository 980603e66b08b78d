//! The pages that people see: values with everything a page shows, each with one `render`.
//!
//! Handlers build a page, render it in the visitor's language and answer [`respond`]. There is no
//! script on any page; every action is a form with a hidden token ([`form`]), and every page has a
//! policy that lets the browser load our stylesheet, the images the page names, and nothing else.

pub mod account;
pub mod consent;
pub mod demo;
pub mod device;
pub mod error;
pub mod form;
pub mod form_post;
mod frame;
pub mod html;
pub mod invitation;
pub mod locale;
mod moment;
pub mod routes;
pub mod sign_in;
pub mod signed_out;
mod sources;
mod user_agent;
mod words;

pub use account::AccountPage;
pub use consent::ConsentPage;
pub use demo::DemoPage;
pub use device::DevicePage;
pub use error::{ErrorKind, ErrorPage};
pub use form_post::FormPostPage;
pub use html::{Html, respond};
pub use invitation::InvitationPage;
pub use locale::Locale;
pub use sign_in::SignInPage;
pub use signed_out::{LogoutConfirmPage, SignedOutPage};
