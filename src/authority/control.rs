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

use crate::domain::{ClientIdentifier, ClientKind, Scopes, ServiceName, Timestamp, UserId};
use crate::runtime::listen::{Accepted, Address, Listening};
use crate::store::StoreError;
use crate::store::keys::{KeyPurpose, StoredKey};

use super::app::Authority;
use super::audit_chain::{self, Verdict};
use super::credentials::Doer;
use super::credentials::clients::{self, ClientsError, NewClient};
use super::credentials::sidecars::{self, SidecarsError};
use super::credentials::tokens::{self, TokenRefused};
use super::keys::rotation::{self, Rotation};
use super::keys::{self, KeysError};

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
    /// The signing keys.
    ListKeys,
    /// New signing keys.
    RotateKeys {
        /// Of which tokens: `access_token` or `id_token`; both if absent.
        purpose: Option<String>,
        /// Whether they sign at once.
        at_once: bool,
    },
    /// Everything sealed again under the newest key of the key file.
    ResealKeys {
        /// Whether a new key is put in front of the key file first.
        new_key: bool,
    },
    /// Whether the audit log is what it was.
    VerifyAudit {
        /// A head that was printed before.
        head: Option<String>,
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
    /// Signing keys.
    Keys {
        /// Each of them, or those that changed.
        keys: Vec<KeyLine>,
    },
    /// Values sealed again.
    Resealed {
        /// How many changed.
        changed: usize,
        /// The key they are sealed under.
        newest: String,
    },
    /// An audit log that is what it was.
    Audit {
        /// What was looked at.
        verdict: Verdict,
    },
}

/// A signing key, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLine {
    /// Its name.
    pub kid: String,
    /// What it signs.
    pub purpose: String,
    /// How.
    pub algorithm: String,
    /// `staged`, `active` or `retired`.
    pub state: String,
    /// When it signs first, or did.
    pub activates_at: Timestamp,
    /// When it goes for good, once it is retired.
    pub purge_at: Option<Timestamp>,
}

impl From<StoredKey> for KeyLine {
    fn from(key: StoredKey) -> Self {
        Self {
            kid: key.kid,
            purpose: key.purpose.as_str().to_owned(),
            algorithm: key.algorithm,
            state: key.state.as_str().to_owned(),
            activates_at: key.activates_at,
            purge_at: key.purge_at,
        }
    }
}

impl fmt::Display for KeyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, when) = match (self.state.as_str(), self.purge_at) {
            ("staged", _) => ("signs from", self.activates_at),
            (_, Some(purge_at)) => ("published until", purge_at),
            _ => ("signs since", self.activates_at),
        };
        write!(
            f,
            "{:<13} {:<6} {:<8} {}  {what} {when}",
            self.purpose, self.algorithm, self.state, self.kid
        )
    }
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
            Self::Keys { keys } => keys.iter().try_for_each(|key| writeln!(f, "{key}")),
            Self::Resealed { changed, newest } => writeln!(
                f,
                "{changed} values sealed again under key `{newest}`. Keep a copy of the key file \
                 apart from the database, and give every authority the same file before an older \
                 key is taken out of it."
            ),
            Self::Audit { verdict } => writeln!(
                f,
                "The audit log is what it was: {} rows chained, {} young ones wait.\n\
                 Keep this head elsewhere, and compare it next time with `--head`:\n{}",
                verdict.links, verdict.waiting, verdict.head
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
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log is not what it was.
    #[error("the audit log was tampered with: {found} findings\n{}", .findings.join("\n"))]
    Tampered {
        /// How many findings there are.
        found: u64,
        /// The first of them.
        findings: Vec<String>,
    },
    /// An argument that is none.
    #[error("{0}")]
    Argument(String),
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
        Command::ListKeys
        | Command::RotateKeys { .. }
        | Command::ResealKeys { .. }
        | Command::VerifyAudit { .. } => operate(authority, command, doer).await,
        Command::JoinToken { name } => {
            let invitation = sidecars::invite(authority, &doer, name).await?;
            Ok(Given::JoinToken {
                join_token: invitation.token.to_string(),
                authority: authority.config.issuer.to_string(),
            })
        }
    }
}

/// Commands about the installation itself.
async fn operate(
    authority: &Authority,
    command: Command,
    doer: Doer,
) -> Result<Given, ControlError> {
    match command {
        Command::RotateKeys { purpose, at_once } => {
            let purpose = purpose.as_deref().map(parse_purpose).transpose()?;
            let rotation = Rotation { purpose, at_once };
            let changed = rotation::rotate(authority, doer.audit_name(), rotation).await?;
            Ok(Given::Keys {
                keys: changed.into_iter().map(KeyLine::from).collect(),
            })
        }
        Command::ResealKeys { new_key } => {
            let changed = keys::reseal_all(authority, doer.audit_name(), new_key).await?;
            Ok(Given::Resealed {
                changed,
                newest: authority.keys.sealer().ring().newest_id(),
            })
        }
        Command::VerifyAudit { head } => {
            let head = head
                .map(|text| text.parse().map_err(ControlError::Argument))
                .transpose()?;
            let verdict = audit_chain::verify(authority, head).await?;
            if verdict.intact() {
                Ok(Given::Audit { verdict })
            } else {
                Err(ControlError::Tampered {
                    found: verdict.found,
                    findings: verdict.findings,
                })
            }
        }
        // The others are carried out by `carry_out` itself.
        _ => {
            let read = authority
                .store
                .read::<_, StoreError>(crate::store::keys::list);
            Ok(Given::Keys {
                keys: read.await?.into_iter().map(KeyLine::from).collect(),
            })
        }
    }
}

fn parse_purpose(text: &str) -> Result<KeyPurpose, ControlError> {
    match text {
        "access_token" => Ok(KeyPurpose::AccessToken),
        "id_token" => Ok(KeyPurpose::IdToken),
        "feed" => Err(ControlError::Argument(
            "the feed's key is pinned by every sidecar that is enrolled: it is not rotated"
                .to_owned(),
        )),
        _ => Err(ControlError::Argument(format!(
            "`{text}` is no purpose of a key: `access_token` or `id_token` is wanted"
        ))),
    }
}
