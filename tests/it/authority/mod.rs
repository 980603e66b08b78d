//! The authority over loopback HTTP.

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
pub(crate) use on_both_engines;

mod access;
mod apps;
mod attacks;
mod attempts;
mod audit_chain;
mod credentials;
mod http;
mod instances;
mod invitations;
mod keys;
mod load;
mod manifest_http;
mod manifests;
mod members;
mod organizations;
mod providers;
mod users;
