//! A scripted provider over loopback HTTP: it says what a test wants, also what no provider should.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use doorward::crypto::digest::sha256;
use doorward::crypto::sign::{JwtAlgorithm, JwtSigner};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::browser::query;

/// What it answers, changed by tests at will.
pub struct Script {
    pub signer: Arc<JwtSigner>,
    /// What the key set holds.
    pub published: Vec<Value>,
    /// Over the discovery document.
    pub metadata: Value,
    /// Over the ID token's claims; `null` takes one away.
    pub claims: Value,
    /// What userinfo says; nothing: 404.
    pub userinfo: Option<Value>,
    /// Over the token endpoint's answer.
    pub token: Value,
    /// By path: an answer instead of the usual one.
    pub instead: BTreeMap<&'static str, Instead>,
    /// By path: how often it was asked.
    pub asked: BTreeMap<String, usize>,
    /// The forms that the token endpoint got, with their `Authorization`.
    pub forms: Vec<(BTreeMap<String, String>, Option<String>)>,
    /// GitHub's `/user` and `/user/emails`.
    pub github: (Value, Value),
    codes: BTreeMap<String, BTreeMap<String, String>>,
    now: i64,
}

/// An unusual answer.
#[derive(Clone)]
pub enum Instead {
    Status(u16),
    Json(u16, Value),
    /// Never.
    Silence,
    /// Many bytes.
    Huge,
    /// Somewhere else.
    Redirect(String),
}

/// The provider.
pub struct Upstream {
    pub issuer: String,
    pub address: SocketAddr,
    pub script: Arc<Mutex<Script>>,
}

/// Its name for us.
pub const CLIENT_ID: &str = "doorward-test";
pub const CLIENT_SECRET: &str = "s3cr&t +/";

impl Upstream {
    /// Starts it. `now` is what its clock says, in seconds.
    pub async fn start(now: i64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let signer = JwtSigner::generate(JwtAlgorithm::Es256).unwrap();
        let script = Arc::new(Mutex::new(Script {
            published: vec![serde_json::to_value(signer.jwk()).unwrap()],
            signer: Arc::new(signer),
            metadata: json!({}),
            claims: json!({}),
            userinfo: None,
            token: json!({}),
            instead: BTreeMap::new(),
            asked: BTreeMap::new(),
            forms: Vec::new(),
            github: (json!({}), json!([])),
            codes: BTreeMap::new(),
            now,
        }));
        let issuer = format!("http://{address}");
        let state = (issuer.clone(), Arc::clone(&script));
        let app = Router::new().fallback(answer).with_state(state);
        spawn(async move { axum_serve(listener, app).await });
        Self {
            issuer,
            address,
            script,
        }
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.script.lock().unwrap())
    }

    /// Who logs in next, and what is said of them.
    pub fn person(&self, claims: Value) {
        self.with(|script| script.claims = claims);
    }

    pub fn set_time(&self, now: i64) {
        self.with(|script| script.now = now);
    }

    /// The user agrees at the authorization endpoint: where the browser is sent.
    pub fn agree(&self, url: &str) -> String {
        let request = query(url);
        let code = BASE64URL_NOPAD.encode(&sha256(url.as_bytes()));
        let back = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &request["state"])
            .finish();
        let location = format!("{}?{back}", request["redirect_uri"]);
        self.with(|script| script.codes.insert(code, request));
        location
    }

    /// The provider answers with an error.
    pub fn refuse(url: &str, error: &str) -> String {
        let request = query(url);
        format!(
            "{}?error={error}&state={}",
            request["redirect_uri"], request["state"]
        )
    }

    /// A logout token of it.
    pub fn logout_token(&self, claims: &Value) -> String {
        let mut whole = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "iat": self.with(|script| script.now),
            "jti": "j1", "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        merge(&mut whole, claims);
        self.with(|script| script.signer.sign("logout+jwt", &whole).unwrap())
    }

    pub fn asked(&self, path: &str) -> usize {
        self.with(|script| script.asked.get(path).copied().unwrap_or_default())
    }

    /// Another key signs from now on. Whether it is published is for the test to say.
    pub fn rotate(&self, publish: bool) {
        let signer = JwtSigner::generate(JwtAlgorithm::Rs256).unwrap();
        self.with(|script| {
            if publish {
                script.published = vec![serde_json::to_value(signer.jwk()).unwrap()];
            }
            script.signer = Arc::new(signer);
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "ends with the test's own runtime"
)]
fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

async fn axum_serve(listener: tokio::net::TcpListener, app: Router) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let service = hyper_util::service::TowerToHyperService::new(app.clone());
        spawn(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                .await;
        });
    }
}

type Shared = (String, Arc<Mutex<Script>>);

async fn answer(State((issuer, script)): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let body = axum::body::to_bytes(request.into_body(), 64 * 1024)
        .await
        .unwrap();
    let instead = {
        let mut script = script.lock().unwrap();
        *script.asked.entry(path.clone()).or_default() += 1;
        script.instead.get(path.as_str()).cloned()
    };
    match instead {
        None => usual(&issuer, &mut script.lock().unwrap(), &path, &headers, &body),
        Some(Instead::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Instead::Json(status, body)) => {
            (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response()
        }
        Some(Instead::Silence) => {
            tokio::time::sleep(Duration::from_mins(10)).await;
            StatusCode::OK.into_response()
        }
        Some(Instead::Huge) => vec![b' '; 1024 * 1024].into_response(),
        Some(Instead::Redirect(to)) => {
            (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
        }
    }
}

fn usual(
    issuer: &str,
    script: &mut Script,
    path: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    match path {
        "/.well-known/openid-configuration" => {
            let mut document = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "userinfo_endpoint": format!("{issuer}/userinfo"),
                "jwks_uri": format!("{issuer}/jwks"),
                "code_challenge_methods_supported": ["S256"],
            });
            merge(&mut document, &script.metadata);
            axum::Json(document).into_response()
        }
        "/jwks" => axum::Json(json!({ "keys": script.published })).into_response(),
        "/token" | "/login/oauth/access_token" => token(issuer, script, headers, body),
        "/userinfo" => match &script.userinfo {
            Some(info) => axum::Json(info.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        "/api/v3/user" => axum::Json(script.github.0.clone()).into_response(),
        "/api/v3/user/emails" => axum::Json(script.github.1.clone()).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn token(issuer: &str, script: &mut Script, headers: &HeaderMap, body: &Bytes) -> Response {
    let form: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    let authorization = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap().to_owned());
    script.forms.push((form.clone(), authorization));
    let mut answer = json!({
        "access_token": format!("upstream-access-{}", script.forms.len()),
        "token_type": "Bearer", "expires_in": 300,
    });
    if form.get("grant_type").map(String::as_str) != Some("refresh_token") {
        let Some(request) = form.get("code").and_then(|code| script.codes.remove(code)) else {
            return refused();
        };
        let challenge = BASE64URL_NOPAD.encode(&sha256(form["code_verifier"].as_bytes()));
        if request["code_challenge"] != challenge || request["redirect_uri"] != form["redirect_uri"]
        {
            return refused();
        }
        if let Some(nonce) = request.get("nonce") {
            let mut claims = json!({
                "iss": issuer, "sub": "u1", "aud": CLIENT_ID, "iat": script.now,
                "exp": script.now + 300, "nonce": nonce, "name": "Ada Abara",
                "email": "ada@example.com", "email_verified": true,
            });
            merge(&mut claims, &script.claims);
            answer["id_token"] = json!(script.signer.sign("JWT", &claims).unwrap());
        }
    }
    merge(&mut answer, &script.token);
    axum::Json(answer).into_response()
}

fn refused() -> Response {
    let body = json!({ "error": "invalid_grant" });
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

/// Lays `changes` over `value`; `null` takes a member away.
pub fn merge(value: &mut Value, changes: &Value) {
    for (name, change) in changes.as_object().unwrap() {
        if change.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            value[name] = change.clone();
        }
    }
}
