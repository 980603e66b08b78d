//! From where people come: what is kept of it, and whom it is believed.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward::authority::login::LoginRequest;
use doorward::authority::proxies::Proxies;
use doorward::store::StoreConfig;
use doorward::store::sessions::Session;
use serde_json::json;
use tracing::Level;

use super::upstream::Upstream;
use super::world::{HOME, NOW, World};

on_both_engines! {
    a_stranger_names_no_address_of_its_own,
}

/// Behind a proxy on this machine that writes this header.
async fn behind(store: Option<StoreConfig>, header: &str) -> World {
    let proxies = Proxies::new(&["127.0.0.0/8"], header).unwrap();
    World::start_configured(store, |_| {}, |config| config.proxies = proxies).await
}

fn network(session: &Session) -> Option<&str> {
    session.address.as_deref()
}

async fn the_network_of_a_visitor_is_kept_and_follows_them(world: World) {
    let mut browser = world.browser();
    // Whatever the browser sends itself stands before what the proxy adds.
    let from = |address: &str| Some(("x-forwarded-for", format!("10.0.0.1, {address}")));
    browser.forwarded = from("203.0.113.77");
    let session = world.log_in(&mut browser, "corp").await;
    assert_eq!(network(&session), Some("203.0.113.0/24"));

    // A use is noted once a minute.
    browser.forwarded = from("[2001:db8:7:8::9]:4711");
    browser.get("/account").await.expect(200);
    let noted = world.session(&browser).await.unwrap();
    assert_eq!(network(&noted), Some("203.0.113.0/24"));
    world.advance(Duration::from_mins(2));
    let page = browser.get("/account").await.expect(200);
    let html = page.body.as_str().unwrap();
    let noted = world.session(&browser).await.unwrap();
    assert_eq!(network(&noted), Some("2001:db8:7::/48"));
    assert!(
        html.contains("203.0.113.0/24") || html.contains("2001:db8:7::/48"),
        "{html}"
    );

    // Somebody who proves again who they are keeps the session, and it moves with them.
    browser.forwarded = from("198.51.100.9");
    world.corp.person(json!({"auth_time": NOW + 120}));
    let request = LoginRequest {
        force: true,
        ..LoginRequest::to(HOME)
    };
    let arrived = world.arrive_by(&mut browser, "corp", &request).await;
    arrived.expect(303);
    let again = world.session(&browser).await.unwrap();
    assert_eq!(again.id, session.id);
    assert_eq!(network(&again), Some("198.51.100.0/24"));

    let export = format!("/v1/users/{}/export", session.user_id);
    let export = world
        .app
        .post(&export)
        .by(world.app.operator())
        .send()
        .await;
    let export = export.expect(200).body;
    assert_eq!(
        export["sessions"][0]["address"], "198.51.100.0/24",
        "{export:#}"
    );
    // The audit log outlives its people, so it holds no addresses.
    let log = export["audit"].to_string();
    assert!(
        log.contains("session.renewed") && !log.contains("198.51"),
        "{log}"
    );
}

async fn a_stranger_names_no_address_of_its_own(world: World) {
    for header in ["x-forwarded-for", "forwarded"] {
        let mut browser = world.browser();
        browser.forwarded = Some((header, "for=203.0.113.77, 203.0.113.77".to_owned()));
        let session = world.log_in(&mut browser, "corp").await;
        assert_eq!(network(&session), Some("127.0.0.0/24"), "{header}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_the_network_of_a_visitor_is_kept_and_follows_them() {
    let world = behind(None, "x-forwarded-for").await;
    the_network_of_a_visitor_is_kept_and_follows_them(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_the_network_of_a_visitor_is_kept_and_follows_them() {
    if let Some(store) = crate::support::postgres::database() {
        let world = behind(Some(store), "x-forwarded-for").await;
        the_network_of_a_visitor_is_kept_and_follows_them(world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_only_its_own_header_counts() {
    let world = behind(None, "forwarded").await;
    for (header, value, expected) in [
        ("x-forwarded-for", "203.0.113.77", "127.0.0.0/24"),
        (
            "forwarded",
            "for=\"[2001:db8:7:8::9]:1\";proto=https",
            "2001:db8:7::/48",
        ),
        // What cannot be read is nobody's address.
        ("forwarded", "for=\"198.51.100.1", "127.0.0.0/24"),
    ] {
        let mut browser = world.browser();
        browser.forwarded = Some((header, value.to_owned()));
        let session = world.log_in(&mut browser, "corp").await;
        assert_eq!(network(&session), Some(expected), "{value}");
    }
}

/// What is logged, in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, whose subscriber sees all of it.
#[tokio::test]
async fn the_log_names_the_network_of_what_is_refused_and_no_address() {
    let world = behind(None, "x-forwarded-for").await;
    // Of two subscribers: while there is one only, a thread of another test that meets a line first
    // would decide, without any, that nobody wants it.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let logged = async |level: Level| {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || to.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let from = "x-forwarded-for";
        let call = world.app.post("/oauth2/token").header(from, "203.0.113.77");
        let form = "grant_type=client_credentials&client_id=operator&client_secret=dwc_wrong";
        let kind = "application/x-www-form-urlencoded";
        call.bytes(kind, form).await.expect(401);
        let call = world.app.get("/v1/users").by("x.y.z");
        let call = call.header(from, "[2001:db8:7:8::9]:4711");
        call.send().await.expect(401);
        let mut browser = world.browser();
        browser.forwarded = Some((from, "198.51.100.9".to_owned()));
        let path = world.begin(&LoginRequest::to(HOME));
        let url = browser.press_through(&path, "corp").await;
        browser.get(&Upstream::refuse(&url, "server_error")).await;
        drop(guard);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        for address in ["203.0.113.77", "2001:db8:7:8", "198.51.100.9", "dwc_wrong"] {
            assert!(!text.contains(address), "{address}: {text}");
        }
        text
    };
    let told = |text: &str, what: &str, network: &str| {
        let from = format!("from=\"{network}\"");
        text.lines()
            .any(|line| line.contains(what) && line.contains(&from))
    };
    let refused_login = "a provider refused a login";
    let text = logged(Level::DEBUG).await;
    for (what, network) in [
        ("a client's proof is refused", "203.0.113.0/24"),
        ("a bearer is refused", "2001:db8:7::/48"),
        ("status=401", "203.0.113.0/24"),
        ("status=401", "2001:db8:7::/48"),
        (refused_login, "198.51.100.0/24"),
    ] {
        assert!(told(&text, what, network), "{what} {network}: {text}");
    }
    let text = logged(Level::INFO).await;
    assert!(told(&text, refused_login, "198.51.100.0/24"), "{text}");
}
