//! A service that syncs its manifest when it starts.
//!
//! An older instance that starts after a newer one is told 409 `newer-manifest-live`: that is fine, it goes
//! on. Anything else that is refused should stop the start, before the service takes requests.
//!
//! ```sh
//! cargo run -- dev --data ./demo                      # in one terminal
//! export NOTES_AUTHORITY=http://127.0.0.1:7180 NOTES_CLIENT=operator
//! export NOTES_CLIENT_SECRET=$(cat ./demo/operator.secret)
//! cargo run --example sync_manifest
//! ```
#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example talks to the person who runs it, reads its environment, and indexes JSON, which never panics"
)]

use anyhow::{Context, bail};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// Ships with the code that checks these permissions, and is counted up with it.
const VERSION: i64 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let authority = std::env::var("NOTES_AUTHORITY").context("NOTES_AUTHORITY")?;
    let client = std::env::var("NOTES_CLIENT").context("NOTES_CLIENT")?;
    let secret = std::env::var("NOTES_CLIENT_SECRET").context("NOTES_CLIENT_SECRET")?;
    let http = Client::builder(TokioExecutor::new()).build_http();

    let token = token(&http, &authority, &client, &secret).await?;
    let (status, answer) = sync(&http, &authority, &token).await?;
    match (status, answer["code"].as_str()) {
        (StatusCode::OK, _) if answer["unchanged"] == true => println!("the manifest is live"),
        (StatusCode::OK, _) => println!("the manifest was applied: {}", answer["freshness"]),
        (StatusCode::CONFLICT, Some("newer-manifest-live")) => {
            println!("a newer manifest is live: a newer instance of this service runs");
        }
        _ => bail!("the manifest is refused: {status} {answer:#}"),
    }
    println!("notes takes requests now");
    Ok(())
}

fn manifest() -> Value {
    json!({
        "service": "notes",
        "version": VERSION,
        "permissions": {"note": {
            "read": "See notes",
            "write": "Write notes",
            "delete": "Delete notes",
        }},
        "roles": {
            "reader": {"description": "Reads notes", "permissions": ["note:read"]},
            "writer": {"description": "Writes notes", "permissions": ["note:*"]},
        },
    })
}

async fn token(
    http: &Client<HttpConnector, Full<Bytes>>,
    authority: &str,
    client: &str,
    secret: &str,
) -> anyhow::Result<String> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", client)
        .append_pair("client_secret", secret)
        .finish();
    let request = Request::post(format!("{authority}/oauth2/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form))?;
    let (status, answer) = exchange(http, request).await?;
    match answer["access_token"].as_str() {
        Some(token) if status.is_success() => Ok(token.to_owned()),
        _ => bail!("no token: {status} {}", answer["error"]),
    }
}

async fn sync(
    http: &Client<HttpConnector, Full<Bytes>>,
    authority: &str,
    token: &str,
) -> anyhow::Result<(StatusCode, Value)> {
    let request = Request::builder()
        .method(Method::PUT)
        .uri(format!("{authority}/v1/services/notes/manifest"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::from(manifest().to_string()))?;
    exchange(http, request).await
}

async fn exchange(
    http: &Client<HttpConnector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Value)> {
    let response = http.request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
