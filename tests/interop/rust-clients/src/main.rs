//! The crates `openidconnect` and `oauth2` against an authority: `rust-clients SETTINGS.json PERSON.py`.
//!
//! Prints one JSON line for each case. People are played by `lib/person.py`.

use std::error::Error;
use std::process::{Command, ExitCode};

use oauth2::basic::BasicClient;
use oauth2::{AuthType, StandardRevocableToken};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreDeviceAuthorizationResponse, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, DeviceAuthorizationUrl, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, Scope, TokenResponse, reqwest,
};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn Error>>;

struct World {
    settings: Value,
    person: String,
    http: reqwest::blocking::Client,
    metadata: CoreProviderMetadata,
    endpoints: Value,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl World {
    fn open(settings: &str, person: String) -> Result<Self, Box<dyn Error>> {
        let settings: Value = serde_json::from_str(&std::fs::read_to_string(settings)?)?;
        let http = reqwest::blocking::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let issuer = IssuerUrl::new(text(&settings["issuer"]))?;
        let metadata = CoreProviderMetadata::discover(&issuer, &http)?;
        let url = format!(
            "{}/.well-known/openid-configuration",
            text(&settings["issuer"])
        );
        let endpoints = serde_json::from_str(&http.get(url).send()?.text()?)?;
        Ok(Self {
            settings,
            person,
            http,
            metadata,
            endpoints,
        })
    }

    fn app(&self, name: &str) -> &Value {
        &self.settings["clients"][name]
    }

    /// Lets a person go to `url`; gives where they ended.
    fn visit(&self, url: &str, end: Option<&str>) -> Result<String, Box<dyn Error>> {
        let output = Command::new("python3")
            .arg(&self.person)
            .arg(text(&self.settings["person"]))
            .arg(self.settings["provider"].as_str().unwrap_or("npm"))
            .arg(url)
            .args(end)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// Code + PKCE with nonce and state, the ID token verified with its hash, userinfo, refresh.
fn log_in(world: &World, name: &str) -> Outcome {
    let app = world.app(name);
    let redirect = text(&app["redirect"]);
    let client = CoreClient::from_provider_metadata(
        world.metadata.clone(),
        ClientId::new(text(&app["id"])),
        app["secret"]
            .as_str()
            .map(|secret| ClientSecret::new(secret.to_owned())),
    )
    .set_auth_type(if app["method"] == "client_secret_post" {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    })
    .set_redirect_uri(RedirectUrl::new(redirect.clone())?);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scopes(["profile", "email", "offline_access"].map(|scope| Scope::new(scope.into())))
        .add_extra_param("prompt", "consent")
        .set_pkce_challenge(challenge)
        .url();
    let back = reqwest::Url::parse(&world.visit(url.as_str(), Some(&redirect))?)?;
    let parameter = |wanted: &str| {
        let found = back.query_pairs().find(|(name, _)| name == wanted);
        found
            .map(|(_, value)| value.into_owned())
            .ok_or_else(|| format!("no `{wanted}` in {back}"))
    };
    assert_eq!(&parameter("state")?, state.secret());
    assert_eq!(parameter("iss")?, text(&world.settings["issuer"]));
    let tokens = client
        .exchange_code(AuthorizationCode::new(parameter("code")?))?
        .set_pkce_verifier(verifier)
        .request(&world.http)?;

    let algorithms = [
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    ];
    let checker = client.id_token_verifier().set_allowed_algs(algorithms);
    let id_token = tokens.id_token().ok_or("no ID token")?;
    let claims = id_token.claims(&checker, &nonce)?;
    if let Some(wanted) = claims.access_token_hash() {
        let found = openidconnect::AccessTokenHash::from_token(
            tokens.access_token(),
            id_token.signing_alg()?,
            id_token.signing_key(&checker)?,
        )?;
        assert_eq!(&found, wanted);
    }
    let info: CoreUserInfoClaims = client
        .user_info(
            tokens.access_token().clone(),
            Some(claims.subject().clone()),
        )?
        .request(&world.http)?;
    assert_eq!(info.subject(), claims.subject());
    assert!(info.name().is_some() && info.email().is_some());

    let old = tokens.refresh_token().ok_or("no refresh token")?;
    let next = client.exchange_refresh_token(old)?.request(&world.http)?;
    assert_ne!(next.access_token().secret(), tokens.access_token().secret());
    if name == "basic" {
        let live = next.refresh_token().ok_or("no further refresh token")?;
        revoke(world, app, live)?;
        assert!(
            client
                .exchange_refresh_token(live)?
                .request(&world.http)
                .is_err()
        );
    }
    Ok(())
}

/// Takes a refresh token back by the plain OAuth crate, which sends tokens to be revoked over https
/// only, whatever the server is.
fn revoke(world: &World, app: &Value, token: &oauth2::RefreshToken) -> Outcome {
    let url = text(&world.endpoints["revocation_endpoint"]).replace("http://", "https://");
    let client = BasicClient::new(ClientId::new(text(&app["id"])))
        .set_client_secret(ClientSecret::new(text(&app["secret"])))
        .set_revocation_url(oauth2::RevocationUrl::new(url)?);
    let plain = |mut request: oauth2::HttpRequest| {
        let url = request.uri().to_string().replace("https://", "http://");
        *request.uri_mut() = url.parse().expect("it was a URL");
        oauth2::SyncHttpClient::call(&world.http, request)
    };
    client
        .revoke_token(StandardRevocableToken::RefreshToken(token.clone()))?
        .request(&plain)?;
    Ok(())
}

/// The device flow: the program shows a code, a person approves it elsewhere.
fn device(world: &World) -> Outcome {
    let app = world.app("device");
    let url = text(&world.endpoints["device_authorization_endpoint"]);
    let client = CoreClient::from_provider_metadata(
        world.metadata.clone(),
        ClientId::new(text(&app["id"])),
        None,
    )
    .set_device_authorization_url(DeviceAuthorizationUrl::new(url)?);
    let details: CoreDeviceAuthorizationResponse = client
        .exchange_device_code()
        .add_scope(Scope::new("profile".into()))
        .request(&world.http)?;
    let page = details
        .verification_uri_complete()
        .ok_or("no complete URI")?;
    world.visit(page.secret(), None)?;
    let tokens = client.exchange_device_access_token(&details)?.request(
        &world.http,
        std::thread::sleep,
        None,
    )?;
    assert!(!tokens.access_token().secret().is_empty());
    Ok(())
}

/// The plain OAuth crate: client credentials, then introspection of that token.
fn for_itself(world: &World) -> Outcome {
    let app = world.app("service");
    let endpoint = |name: &str| text(&world.endpoints[name]);
    let client = BasicClient::new(ClientId::new(text(&app["id"])))
        .set_client_secret(ClientSecret::new(text(&app["secret"])))
        .set_token_uri(oauth2::TokenUrl::new(endpoint("token_endpoint"))?)
        .set_introspection_url(oauth2::IntrospectionUrl::new(endpoint(
            "introspection_endpoint",
        ))?);
    let tokens = client
        .exchange_client_credentials()
        .add_scope(Scope::new(text(&world.settings["service_scope"])))
        .request(&world.http)?;
    // The yardstick does not introspect tokens that are JWTs.
    if !world.settings["resource"].is_null() {
        use oauth2::TokenIntrospectionResponse as _;
        let told = client
            .introspect(tokens.access_token())
            .request(&world.http)?;
        assert!(told.active());
    }
    Ok(())
}

/// A secret that is not the client's.
fn wrong_secret(world: &World) -> Outcome {
    let client = BasicClient::new(ClientId::new(text(&world.app("service")["id"])))
        .set_client_secret(ClientSecret::new("wrong".into()))
        .set_token_uri(oauth2::TokenUrl::new(text(
            &world.endpoints["token_endpoint"],
        ))?);
    match client.exchange_client_credentials().request(&world.http) {
        Err(oauth2::RequestTokenError::ServerResponse(refusal)) => {
            assert_eq!(
                *refusal.error(),
                oauth2::basic::BasicErrorResponseType::InvalidClient
            );
            Ok(())
        }
        other => Err(format!("not refused as wanted: {other:?}").into()),
    }
}

type Case = (&'static str, fn(&World) -> Outcome);

const CASES: [Case; 6] = [
    ("openidconnect: client_secret_basic", |world| {
        log_in(world, "basic")
    }),
    ("openidconnect: client_secret_post, ES256", |world| {
        log_in(world, "post")
    }),
    ("openidconnect: public client", |world| {
        log_in(world, "public")
    }),
    ("openidconnect: device", device),
    ("oauth2: client credentials, introspection", for_itself),
    ("oauth2: wrong secret", wrong_secret),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let world = World::open(&arguments[1], arguments[2].clone()).expect("discovery");
    let mut failed = false;
    for (name, case) in CASES {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&world)));
        let error = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:?}")),
            Err(_) => Some("an assertion failed; see standard error".to_owned()),
        };
        failed |= error.is_some();
        println!(
            "{}",
            json!({ "case": name, "ok": error.is_none(), "error": error })
        );
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
