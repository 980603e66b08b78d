//! Back-channel logout: apps hear of a session's end, in the end.

use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use doorward::authority::oauth::backchannel::deliver_due;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::authorize::id_token;
use super::world::{Answered, CALLBACK, World, app, encode, parameters};
use crate::support::app::TestApp;

/// A client's logout endpoint: it answers what it is told to and remembers what came.
pub struct Listener {
    port: u16,
    status: Arc<Mutex<&'static str>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (status, heard) = (
            Arc::new(Mutex::new("200 OK")),
            Arc::new(Mutex::new(Vec::new())),
        );
        let this = Self {
            port,
            status: Arc::clone(&status),
            heard: Arc::clone(&heard),
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a server of the test, not of the program"
        )]
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let (status, heard) = (Arc::clone(&status), Arc::clone(&heard));
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let mut chunk = [0; 4096];
                    loop {
                        let read = socket.read(&mut chunk).await.unwrap_or(0);
                        bytes.extend_from_slice(&chunk[..read]);
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                            let length = head
                                .lines()
                                .filter_map(|line| line.split_once(": "))
                                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                                .map_or(0, |(_, value)| value.parse().unwrap());
                            body.len() >= length
                        });
                        if whole || read == 0 {
                            let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                            heard.lock().unwrap().push(body.to_owned());
                            let status = *status.lock().unwrap();
                            let answer = format!(
                                "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                            );
                            let _ = socket.write_all(answer.as_bytes()).await;
                            return;
                        }
                    }
                });
            }
        });
        this
    }

    pub fn answer(&self, status: &'static str) {
        *self.status.lock().unwrap() = status;
    }

    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

pub async fn start(listener: &Listener) -> World {
    let app_ = TestApp::start_with(None, |config, _| {
        config.outbound.allow_hosts = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let world = World::of(app_).await;
    let mut told = app("told");
    told.spec.redirect_uris = vec![CALLBACK.to_owned()];
    told.spec.backchannel_logout_uri =
        Some(format!("http://127.0.0.1:{}/logout?x=1", listener.port));
    world.register(told).await;
    world
}

/// Logs in to both apps, and out again by `board`.
async fn log_in_and_out(world: &World) -> (String, String) {
    let ada = world.log_in("ada").await;
    world.code(&ada, &[("client_id", "told")]).await;
    world.code(&ada, &[]).await;
    let hint = id_token(world, &ada, "board");
    let path = format!("/oauth2/logout?{}", encode(&[("id_token_hint", &hint)]));
    world.visit(Some(&ada), &path).await.location();
    (ada.user.to_string(), ada.session.to_string())
}

pub fn token(form: &str) -> (Value, Value) {
    let form = parameters(form);
    assert_eq!(form.len(), 1, "{form:?}");
    let parts: Vec<Value> = form["logout_token"]
        .split('.')
        .take(2)
        .map(|part| {
            serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
        })
        .collect();
    (parts[0].clone(), parts[1].clone())
}

#[tokio::test]
async fn an_app_that_wants_to_hears_of_a_logout_by_a_logout_token() {
    let listener = Listener::start().await;
    let world = start(&listener).await;
    let (user, session) = log_in_and_out(&world).await;
    assert_eq!(world.count("logout_outbox").await, 1);
    assert_eq!(deliver_due(&world.app.authority).await.unwrap(), 1);
    let heard = listener.heard();
    assert_eq!(heard.len(), 1);
    let (header, claims) = token(&heard[0]);
    assert_eq!(header["typ"], "logout+jwt");
    assert_eq!(header["alg"], "RS256");
    assert_eq!(claims["iss"], world.issuer());
    assert_eq!(claims["aud"], "told");
    assert_eq!(
        (claims["sub"].as_str(), claims["sid"].as_str()),
        (Some(&*user), Some(&*session))
    );
    assert_eq!(
        claims["events"],
        json!({ "http://schemas.openid.net/event/backchannel-logout": {} })
    );
    assert!(claims["jti"].is_string() && claims.get("nonce").is_none());
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        120
    );
    assert_eq!(world.count("logout_outbox").await, 0);
    assert_eq!(deliver_due(&world.app.authority).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_was_down_hears_later_and_less_and_less_often() {
    let listener = Listener::start().await;
    let world = start(&listener).await;
    listener.answer("503 Service Unavailable");
    log_in_and_out(&world).await;
    let deliver = async || deliver_due(&world.app.authority).await.unwrap();
    assert_eq!(deliver().await, 0);
    assert_eq!(deliver().await, 0);
    assert_eq!(listener.heard().len(), 1, "not due again at once");
    world.advance(6);
    deliver().await;
    world.advance(6);
    deliver().await;
    assert_eq!(listener.heard().len(), 2, "the second wait is longer");
    listener.answer("200 OK");
    world.advance(6);
    assert_eq!(deliver().await, 1);
    assert_eq!(world.count("logout_outbox").await, 0);
    let heard = listener.heard();
    let jti = |form: &String| token(form).1["jti"].clone();
    assert_ne!(
        jti(&heard[0]),
        jti(&heard[2]),
        "each attempt has a token of its own"
    );
}

#[tokio::test]
async fn an_app_that_left_or_never_wanted_to_hear_is_not_told() {
    let listener = Listener::start().await;
    let world = start(&listener).await;
    log_in_and_out(&world).await;
    world
        .app
        .authority
        .store
        .write::<_, doorward::store::StoreError>(|tx| {
            tx.exec(
                "UPDATE client_details SET backchannel_logout_uri = NULL",
                &[],
            )
        })
        .await
        .unwrap();
    deliver_due(&world.app.authority).await.unwrap();
    assert!(listener.heard().is_empty());
    assert_eq!(world.count("logout_outbox").await, 0);
    log_in_and_out(&world).await;
    assert_eq!(world.count("logout_outbox").await, 0);
}

#[tokio::test]
async fn a_client_on_a_private_address_is_not_asked_unless_the_configuration_says_so() {
    let listener = Listener::start().await;
    let world = World::start().await;
    let mut told = app("told");
    told.spec.redirect_uris = vec![CALLBACK.to_owned()];
    told.spec.backchannel_logout_uri = Some(format!("http://127.0.0.1:{}/logout", listener.port));
    world.register(told).await;
    log_in_and_out(&world).await;
    assert_eq!(deliver_due(&world.app.authority).await.unwrap(), 0);
    assert!(listener.heard().is_empty());
    assert_eq!(world.count("logout_outbox").await, 1);
}
