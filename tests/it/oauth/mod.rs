//! The provider for client apps: each endpoint over loopback HTTP, with a manual clock.

/// Instantiates behaviours, functions over a [`TestApp`](crate::support::app::TestApp), as tests of
/// each engine.
macro_rules! on_both_engines {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::support::app::TestApp::start().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(store) = $crate::support::postgres::database() {
                    super::$name($crate::support::app::TestApp::start_on(Some(store)).await).await;
                }
            })*
        }
    };
}

pub mod authorize;
pub mod backchannel;
pub mod client_auth;
mod consent;
mod device;
mod discovery;
mod documents;
pub mod dpop;
mod exchange;
mod introspection;
mod logout;
mod par;
mod races;
mod refresh;
mod registration;
pub mod sidecars;
pub mod tokens;
mod userinfo;
pub mod world;
