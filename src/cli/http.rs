//! One HTTP request to a daemon: over TCP, TLS or a Unix socket.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::rt::{Read, Write};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::error::CliError;
use crate::runtime::chain;

/// More than any answer of ours: an endless one is an error, not a full memory.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A daemon may take this long before it is given up: longer than an authority takes for the largest
/// change of a manifest.
const TIMEOUT: Duration = Duration::from_secs(130);

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `http://` or `https://` with host and port.
    Url(Uri),
    /// A Unix socket's path.
    Unix(PathBuf),
}

impl FromStr for Endpoint {
    type Err = CliError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        if text.starts_with('/') || text.starts_with("./") {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let wrong = || {
            CliError::usage(format!("`{text}` is not an address"))
                .fix("use http://HOST:PORT, https://HOST, HOST:PORT or unix:/path/to/socket")
        };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong())?;
        let plain_path = matches!(uri.path(), "" | "/") && uri.query().is_none();
        match uri.scheme_str() {
            Some("http" | "https") if uri.host().is_some() && plain_path => Ok(Self::Url(uri)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(uri) => f.write_str(uri.to_string().trim_end_matches('/')),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// The whole body.
    pub(super) body: Bytes,
}

/// A request to be sent.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The method.
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: &'a str,
    /// Header lines beside those that follow from the rest.
    pub(super) headers: HeaderMap,
    /// Media type and bytes, if there is a body.
    pub(super) body: Option<(&'a str, Bytes)>,
}

impl<'a> Call<'a> {
    /// A request without a body.
    pub(super) fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            headers: HeaderMap::new(),
            body: None,
        }
    }

    /// With this body.
    #[must_use]
    pub(super) fn body(mut self, media_type: &'a str, bytes: impl Into<Bytes>) -> Self {
        self.body = Some((media_type, bytes.into()));
        self
    }
}

/// Sends one request on a connection of its own and reads the whole answer.
///
/// # Errors
///
/// [`CliError`] of kind unreachable, naming the endpoint.
pub(super) async fn send(endpoint: &Endpoint, call: Call<'_>) -> Result<Answer, CliError> {
    let work = async {
        match endpoint {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .await
                    .map_err(|error| unreachable(endpoint, &error))?;
                exchange(endpoint, TokioIo::new(stream), call).await
            }
            Endpoint::Url(uri) if uri.scheme_str() == Some("https") => {
                let stream = connect_tls(uri)
                    .await
                    .map_err(|error| unreachable(endpoint, error.as_ref()))?;
                exchange(endpoint, stream, call).await
            }
            Endpoint::Url(uri) => {
                let stream = TcpStream::connect((host(uri), uri.port_u16().unwrap_or(80)))
                    .await
                    .map_err(|error| unreachable(endpoint, &error))?;
                exchange(endpoint, TokioIo::new(stream), call).await
            }
        }
    };
    tokio::time::timeout(TIMEOUT, work)
        .await
        .unwrap_or_else(|_| {
            Err(CliError::unreachable(format!(
                "{endpoint} did not answer within {} s",
                TIMEOUT.as_secs()
            )))
        })
}

async fn connect_tls(
    uri: &Uri,
) -> Result<impl Read + Write + Unpin + 'static, Box<dyn std::error::Error + Send + Sync>> {
    use tower::Service;
    let mut connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())?
        .https_only()
        .enable_http1()
        .build();
    connector.call(uri.clone()).await
}

/// `[::1]` without its brackets.
fn host(uri: &Uri) -> &str {
    uri.host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
}

async fn exchange<S>(endpoint: &Endpoint, stream: S, call: Call<'_>) -> Result<Answer, CliError>
where
    S: Read + Write + Unpin,
{
    let failed = |error: hyper::Error| unreachable(endpoint, &error);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(failed)?;
    let request = request(endpoint, call)?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| unreachable(endpoint, error.as_ref()))?
            .to_bytes();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    };
    // The connection has to be driven while the answer is awaited; it ends after it.
    let drive = async {
        let _ = connection.await;
        std::future::pending::<Result<Answer, CliError>>().await
    };
    tokio::select! {
        biased;
        answer = talk => answer,
        answer = drive => answer,
    }
}

fn request(endpoint: &Endpoint, call: Call<'_>) -> Result<Request<Full<Bytes>>, CliError> {
    let authority = match endpoint {
        Endpoint::Url(uri) => uri
            .authority()
            .map_or("localhost", http::uri::Authority::as_str),
        Endpoint::Unix(_) => "localhost",
    };
    let mut builder = Request::builder()
        .method(call.method)
        .uri(call.path)
        .header(HOST, authority);
    if let Some((media_type, _)) = &call.body {
        builder = builder.header(CONTENT_TYPE, *media_type);
    }
    let bytes = call.body.map(|(_, bytes)| bytes).unwrap_or_default();
    let mut request = builder
        .body(Full::new(bytes))
        .map_err(|error| CliError::usage(format!("`{}` is not a path: {error}", call.path)))?;
    request.headers_mut().extend(call.headers);
    Ok(request)
}

fn unreachable(endpoint: &Endpoint, error: &dyn std::error::Error) -> CliError {
    CliError::unreachable(format!("{endpoint} cannot be reached: {}", chain(error)))
        .fix("is it running, and is the address right? `doorward dev` starts both daemons")
}

/// A path segment with everything but unreserved characters escaped.
pub(super) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_a_host_with_port_or_a_socket() {
        for (text, shown) in [
            ("127.0.0.1:7181", "http://127.0.0.1:7181"),
            ("https://auth.example.com/", "https://auth.example.com"),
            ("unix:/run/doorward.sock", "unix:/run/doorward.sock"),
            ("/run/doorward.sock", "unix:/run/doorward.sock"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for bad in ["", "ftp://x", "http://x/path", "http://", "a b"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("../a b/ü?"), "..%2Fa%20b%2F%C3%BC%3F");
    }

    #[tokio::test]
    async fn a_closed_port_is_named_in_the_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let endpoint: Endpoint = address.to_string().parse().unwrap();
        let error = send(&endpoint, Call::new(Method::GET, "/healthz"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        assert_eq!(error.kind(), super::super::error::Kind::Unreachable);
    }
}
