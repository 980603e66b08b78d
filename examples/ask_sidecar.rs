//! Asks a sidecar for a decision, over TCP or its Unix socket, with nothing but hyper.
//!
//! ```sh
//! cargo run -- dev --data ./demo                      # in one terminal
//! cargo run --example ask_sidecar -- 127.0.0.1:7181 USER acme billing:invoice:send
//! cargo run --example ask_sidecar -- ./demo/sidecar.sock USER acme billing:invoice:send
//! ```
#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "an example talks to the person who runs it, and indexing JSON never panics"
)]

use anyhow::{Context, bail};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpStream, UnixStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, user, organization, permission] = arguments.as_slice() else {
        bail!("usage: ask_sidecar ADDRESS USER ORGANIZATION service:resource:action");
    };
    let question = question(user, organization, permission)?;
    let answer = if address.contains('/') {
        let stream = UnixStream::connect(address).await.context("the socket")?;
        ask(TokioIo::new(stream), &question).await?
    } else {
        let stream = TcpStream::connect(address).await.context("the port")?;
        ask(TokioIo::new(stream), &question).await?
    };
    // Unsure means deny: anything but a plain `true` is no.
    let allowed = answer["decision"] == Value::Bool(true);
    println!("{}", if allowed { "allow" } else { "deny" });
    println!(
        "revision {}, {} ms old",
        answer["context"]["revision"], answer["context"]["staleness_ms"]
    );
    Ok(())
}

fn question(user: &str, organization: &str, permission: &str) -> anyhow::Result<Value> {
    let (resource, action) = permission
        .rsplit_once(':')
        .context("a permission is service:resource:action")?;
    Ok(json!({
        "subject": {"type": "user", "id": user},
        "action": {"name": action},
        "resource": {"type": resource, "id": "*"},
        "context": {"organization": organization},
    }))
}

/// One question on one connection. A service keeps the connection and asks many.
async fn ask<S>(stream: S, question: &Value) -> anyhow::Result<Value>
where
    S: Read + Write + Unpin,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let request = Request::post("/access/v1/evaluation")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(question.to_string())))?;
    let talk = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice(&body)?)
    };
    tokio::select! {
        answer = talk => answer,
        ended = connection => {
            ended?;
            bail!("the sidecar closed the connection without an answer")
        }
    }
}
