//! Commands of whoever runs the host: tokens for users, clients, join tokens.
//!
//! A running authority takes them on a Unix socket in its data directory, which only its own user
//! may open (0600 in a directory of 0700): the same people who may read the key file. One line of
//! JSON each way.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::domain::{ClientIdentifier, ClientKind, Scopes, ServiceName, UserId};
use crate::runtime::listen::{Accepted, Address, Listening};

use super::app::Authority;
use super::credentials::Doer;
use super::credentials::clients::{self, ClientsError, NewClient};
use super::credentials::sidecars::{self, SidecarsError};
use super::credentials::tokens::{self, TokenRefused};

const LINE_MAX: u64 = 64 * 1024;
const TIME: Duration = Duration::from_secs(30);

/// What can be asked for on the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// A short access token for a user.
    Token {
        /// The user.
        user: UserId,
        /// Its scopes; those of people if absent.
        scope: Option<String>,
    },
    /// A client of an operator, or of a service.
    CreateClient {
        /// Its public name.
        client_id: ClientIdentifier,
        /// The service whose manifest it syncs; without one it is an operator's.
        service: Option<ServiceName>,
    },
    /// A join token for one sidecar.
    JoinToken {
        /// What the sidecar is called.
        name: String,
    },
}

/// What is given. Holds secrets: written to whoever asked, and nowhere else.
#[derive(Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Given {
    /// An access token.
    Token {
        /// The token.
        access_token: String,
    },
    /// A client.
    Client {
        /// Its public name.
        client_id: String,
        /// Its secret.
        client_secret: String,
    },
    /// A join token.
    JoinToken {
        /// The whole text.
        join_token: String,
        /// Where to enrol.
        authority: String,
    },
}

/// For people; a token alone, so that it can be put in a variable.
impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { access_token } => writeln!(f, "{access_token}"),
            Self::Client {
                client_id,
                client_secret,
            } => writeln!(
                f,
                "client_id      {client_id}\nclient_secret  {client_secret}"
            ),
            Self::JoinToken {
                join_token,
                authority,
            } => writeln!(
                f,
                "doorward-sidecar enroll --authority {authority} --join-token {join_token}"
            ),
        }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(…)")
    }
}

/// Why nothing is given.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Clients.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// Sidecars.
    #[error(transparent)]
    Sidecars(#[from] SidecarsError),
    /// Tokens.
    #[error(transparent)]
    Tokens(#[from] TokenRefused),
    /// A scope that is none.
    #[error("{0}")]
    Scope(String),
    /// The running authority refused, in its words.
    #[error("{0}")]
    Refused(String),
    /// The socket.
    #[error("the running authority does not answer on `{}`", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where a running authority takes commands.
pub fn socket(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Opens the control socket of a starting authority.
///
/// # Errors
///
/// The address cannot be listened on.
pub fn listen(path: &Path) -> Result<Listening, crate::runtime::listen::ListenError> {
    let address = Address::Unix {
        path: path.to_owned(),
        mode: 0o600,
    };
    Listening::bind(&address, &crate::runtime::config::Environment::default())
}

/// Takes commands in the background until the authority stops.
///
/// # Errors
///
/// The current runtime has no I/O.
pub fn serve(authority: &Arc<Authority>, listening: Listening) -> io::Result<()> {
    let acceptor = listening.into_acceptor()?;
    let shared = Arc::clone(authority);
    authority.tasks.spawn("control", async move {
        let stop = shared.stop();
        loop {
            let accepted = tokio::select! {
                () = stop.requested() => return,
                accepted = acceptor.accept() => accepted,
            };
            let Ok(Accepted::Unix(stream)) = accepted else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let served = Arc::clone(&shared);
            shared.tasks.spawn("control connection", async move {
                match tokio::time::timeout(TIME, answer(&served, stream)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "a control connection was lost"),
                    Err(_) => tracing::debug!("a control connection took too long"),
                }
            });
        }
    });
    Ok(())
}

async fn answer(authority: &Authority, stream: std::os::unix::net::UnixStream) -> io::Result<()> {
    let stream = UnixStream::from_std(stream)?;
    let user = stream.peer_cred()?.uid().to_string();
    let (reader, mut writer) = stream.into_split();
    let line = read_line(reader).await?;
    let outcome: Result<Given, String> = match serde_json::from_str(&line) {
        Ok(command) => carry_out(authority, command, &user)
            .await
            .map_err(|error| error.to_string()),
        Err(error) => Err(format!("the command is malformed: {error}")),
    };
    let mut bytes = serde_json::to_vec(&outcome)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await
}

/// Asks a running authority; `None` when there is none.
///
/// # Errors
///
/// [`ControlError::Refused`] in its own words; [`ControlError::Socket`] when it breaks off.
pub async fn ask(path: &Path, command: &Command) -> Result<Option<Given>, ControlError> {
    let failed = |source| ControlError::Socket {
        path: path.to_owned(),
        source,
    };
    let Ok(stream) = UnixStream::connect(path).await else {
        return Ok(None);
    };
    let (reader, mut writer) = stream.into_split();
    let mut bytes = serde_json::to_vec(command).map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await.map_err(failed)?;
    let line = read_line(reader).await.map_err(failed)?;
    let outcome: Result<Given, String> =
        serde_json::from_str(&line).map_err(|error| failed(error.into()))?;
    outcome.map(Some).map_err(ControlError::Refused)
}

async fn read_line(reader: tokio::net::unix::OwnedReadHalf) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(reader.take(LINE_MAX))
        .read_line(&mut line)
        .await?;
    Ok(line)
}

/// Carries a command out for `user` of the operating system.
///
/// # Errors
///
/// [`ControlError`] of what was asked for.
pub async fn carry_out(
    authority: &Authority,
    command: Command,
    user: &str,
) -> Result<Given, ControlError> {
    let doer = Doer::Host(user.to_owned());
    match command {
        Command::Token { user, scope } => {
            let scopes = match scope {
                Some(text) => {
                    Scopes::parse(&text).map_err(|error| ControlError::Scope(error.to_string()))?
                }
                None => tokens::user_scopes(),
            };
            let given = tokens::for_user(authority, &doer, user, scopes).await?;
            Ok(Given::Token {
                access_token: given.access_token,
            })
        }
        Command::CreateClient { client_id, service } => {
            let kind = service.map_or(ClientKind::Operator, ClientKind::Service);
            let name = client_id.to_string();
            let new = NewClient::new(client_id, name, kind, None)?;
            let made = clients::create(authority, &doer, new).await?;
            Ok(Given::Client {
                client_id: made.client.identifier.to_string(),
                client_secret: made.secret.expose().to_owned(),
            })
        }
        Command::JoinToken { name } => {
            let invitation = sidecars::invite(authority, &doer, name).await?;
            Ok(Given::JoinToken {
                join_token: invitation.token.to_string(),
                authority: authority.config.issuer.to_string(),
            })
        }
    }
}
