//! Logging in through providers: scripted ones in this process, and real ones.

/// Instantiates behaviours, functions over a [`World`](world::World), as tests of each engine.
macro_rules! on_both_engines {
    ($($name:ident,)*) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::login::world::World::start(None).await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(store) = $crate::support::postgres::database() {
                    super::$name($crate::login::world::World::start(Some(store)).await).await;
                }
            })*
        }
    };
}

mod addresses;
mod backchannel;
pub mod browser;
mod demo;
mod flow;
mod github;
mod groups;
mod id_tokens;
mod profiles;
mod provider_tokens;
mod providers;
mod real;
pub mod upstream;
pub mod world;
