//! The feed's routes over HTTP: who may ask, for how long, and what is refused before the first byte.

use doorward::protocol::feed::{Goodbye, Message, MessageDecoder};
use serde_json::{Value, json};

use super::process::until;
use super::wire::Reply;
use super::world::{Authority, Sidecar};
use crate::support::directory;

/// The credentials that enrolment left.
fn credentials(sidecar: &Sidecar) -> (String, String) {
    let text = std::fs::read_to_string(sidecar.data.join("enrolment.json")).unwrap();
    let enrolment: Value = serde_json::from_str(&text).unwrap();
    let text = |name: &str| enrolment[name].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

fn token(authority: &Authority, sidecar: &Sidecar) -> String {
    let (client, secret) = credentials(sidecar);
    let answer = authority.ask_token(&client, &secret, "doorward:feed");
    answer.expect(200)["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The resume path for the beginning of the history.
fn beginning(authority: &Authority) -> String {
    let token = authority.token();
    let made = authority.call(&token, "POST", "/v1/users", &json!({"display_name": "A"}));
    let freshness = made.expect(201)["freshness"].as_str().unwrap().to_owned();
    let epoch = freshness.split('.').nth(2).unwrap().to_owned();
    let chain = "0".repeat(64);
    format!("/v1/feeds/authz/changes?epoch={epoch}&revision=0&chain={chain}&schema=1")
}

fn messages(reply: &Reply) -> Vec<Message> {
    let mut decoder = MessageDecoder::new();
    decoder.push(&reply.body);
    let mut messages = Vec::new();
    while let Some(message) = decoder.message().unwrap() {
        messages.push(message);
    }
    messages
}

fn last_word(reply: &Reply) -> Goodbye {
    match messages(reply).pop() {
        Some(Message::Goodbye { reason, .. }) => reason,
        other => panic!("no goodbye at the end: {other:?}"),
    }
}

#[test]
fn a_stream_carries_the_history_and_ends_with_its_token() {
    let directory = directory();
    let more = "[lifetimes]\naccess = '3s'";
    let mut authority = Authority::start(&directory.path().join("authority"), more);
    let sidecar = Sidecar::enrolled(&authority, &directory.path().join("sidecar"));
    authority.furnish();
    let path = beginning(&authority);
    let token = token(&authority, &sidecar);
    // Read until the authority ends it.
    let reply = authority.call(&token, "GET", &path, &Value::Null);
    reply.expect_status(200);
    assert!(reply.head.contains("application/vnd.doorward.feed"));
    let frames: usize = messages(&reply)
        .iter()
        .map(|message| match message {
            Message::Batch { frames, .. } => frames.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(u64::try_from(frames).unwrap(), authority.revision());
    assert_eq!(last_word(&reply), Goodbye::Expired);
    authority.stop();
}

#[test]
fn short_tokens_are_renewed_and_the_copy_stays_fresh() {
    let directory = directory();
    let more = "[lifetimes]\naccess = '1s'";
    let mut authority = Authority::start(&directory.path().join("authority"), more);
    let user = authority.furnish();
    let mut sidecar = Sidecar::start(&authority, &directory.path().join("sidecar"));
    sidecar.until(&user, "billing:invoice:read", true);
    sidecar.process().line(0, "goodbye: Expired");
    let role = format!("/v1/organizations/acme/members/{user}/roles/billing/editor");
    authority
        .call(&authority.token(), "PUT", &role, &Value::Null)
        .expect(200);
    sidecar.until(&user, "billing:invoice:write", true);
    sidecar.stop();
    authority.stop();
}

#[test]
fn a_revoked_sidecars_stream_ends_before_the_next_change() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let sidecar = Sidecar::enrolled(&authority, &directory.path().join("sidecar"));
    authority.furnish();
    let path = beginning(&authority);
    let (feed, operator) = (token(&authority, &sidecar), authority.token());
    let before = authority.revision();
    let reply = std::thread::scope(|scope| {
        let shared = &authority;
        let stream = scope.spawn(|| shared.call(&feed, "GET", &path, &Value::Null));
        until("the stream", || {
            let path = "/v1/feeds/authz/followers";
            let all = shared
                .call(&operator, "GET", path, &Value::Null)
                .expect(200);
            (all[0]["streams"] == 1).then_some(())
        });
        let list = shared.call(&operator, "GET", "/v1/sidecars", &Value::Null);
        let id = list.expect(200)["items"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = format!("/v1/sidecars/{id}");
        shared
            .call(&operator, "DELETE", &path, &Value::Null)
            .expect(200);
        stream.join().unwrap()
    });
    assert_eq!(last_word(&reply), Goodbye::Revoked);
    let last = messages(&reply)
        .iter()
        .filter_map(|message| match message {
            Message::Batch { head, .. } => Some(head.revision.get()),
            _ => None,
        })
        .max();
    assert_eq!(last, Some(before));
    for path in [&path, "/v1/feeds/authz/snapshot"] {
        authority.call(&feed, "GET", path, &Value::Null).expect(401);
    }
    let (client, secret) = credentials(&sidecar);
    let refused = authority.ask_token(&client, &secret, "doorward:feed");
    refused.expect(401);
    assert_eq!(refused.code(), "invalid_client");
    authority.stop();
}

#[test]
fn what_cannot_be_followed_is_refused_before_the_first_byte() {
    let directory = directory();
    let mut authority = Authority::start(&directory.path().join("authority"), "");
    let sidecar = Sidecar::enrolled(&authority, &directory.path().join("sidecar"));
    let path = beginning(&authority);
    let feed = token(&authority, &sidecar);
    let (base, query) = path.split_once('?').unwrap();
    let other_epoch = "epoch=00000000-0000-7000-8000-000000000001";
    let epoch = query.split('&').next().unwrap();
    let zeros = "0".repeat(64);
    for (path, status, code) in [
        (base.to_owned(), 400, "malformed-request"),
        (
            format!("{base}?epoch=x&revision=y"),
            400,
            "malformed-request",
        ),
        (path.replace("schema=1", "schema=99"), 426, "feed-schema"),
        (
            path.replace("revision=0", "revision=999999"),
            409,
            "feed-diverged",
        ),
        (path.replace(epoch, other_epoch), 409, "feed-diverged"),
        (path.replace(&zeros, &"1".repeat(64)), 409, "feed-diverged"),
        (path.replace("/authz/", "/other/"), 404, "not-found"),
        (
            "/v1/feeds/authz/snapshot?at_least=x".to_owned(),
            400,
            "malformed-request",
        ),
    ] {
        let reply = authority.call(&feed, "GET", &path, &Value::Null);
        assert_eq!((reply.status, &*reply.code()), (status, code), "{path}");
    }
    let ack = "/v1/feeds/authz/acks";
    for body in [json!({}), json!([1]), json!({"epoch": 5})] {
        let reply = authority.call(&feed, "POST", ack, &body);
        assert_eq!(reply.status, 400, "{body}");
    }
    // A service's client may not follow, and nobody may without a token.
    let token = authority.token();
    let made = authority.call(
        &token,
        "POST",
        "/v1/clients",
        &json!({"client_id": "billing", "kind": "service", "service": "billing"}),
    );
    let secret = made.expect(201)["client_secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let service = authority.ask_token("billing", &secret, "doorward:manifest");
    let service = service.expect(200)["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    for (method, path) in [
        ("GET", path.as_str()),
        ("GET", "/v1/feeds/authz/snapshot"),
        ("POST", ack),
    ] {
        authority
            .call(&service, method, path, &Value::Null)
            .expect(403);
        authority.raw(method, path, "", b"").expect(401);
    }
    authority.stop();
}
