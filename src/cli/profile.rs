//! Where the daemons are and who we are: flags, then the environment, then a profile file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::error::CliError;
use super::http::Endpoint;
use crate::domain::{ClientIdentifier, Secret, UserId};
use crate::runtime::files::replace_private;

/// The authority of a `doorward dev` with default ports.
const DEFAULT_AUTHORITY: &str = "http://127.0.0.1:7180";

/// The sidecar of a `doorward dev` with default ports.
const DEFAULT_SIDECAR: &str = "http://127.0.0.1:7181";

/// Where the daemons are and who is asking. What is not given comes from the profile file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArgs {
    /// File with addresses and credentials, as `doorward dev --data DIR` writes it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "DOORWARD_PROFILE",
        hide_env_values = true
    )]
    pub(super) profile: Option<PathBuf>,

    /// The authority's URL
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "DOORWARD_AUTHORITY",
        hide_env_values = true
    )]
    pub(super) authority: Option<String>,

    /// The sidecar: HOST:PORT, a URL, or `unix:` and the path of its socket
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "DOORWARD_SIDECAR",
        hide_env_values = true
    )]
    pub(super) sidecar: Option<String>,

    /// The client to act as; its secret is read from `DOORWARD_CLIENT_SECRET`, a file or the profile
    #[arg(
        long,
        global = true,
        value_name = "ID",
        env = "DOORWARD_CLIENT_ID",
        hide_env_values = true
    )]
    pub(super) client_id: Option<ClientIdentifier>,

    /// File that holds the client's secret and nothing else
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "DOORWARD_CLIENT_SECRET_FILE",
        hide_env_values = true
    )]
    pub(super) client_secret_file: Option<PathBuf>,
}

/// The profile file: TOML, readable by its owner only.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileFile {
    /// The authority's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authority: Option<String>,
    /// The sidecar's address for checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sidecar: Option<String>,
    /// The sidecar's Unix socket, which also answers explain and status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sidecar_socket: Option<String>,
    /// The client to act as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<ClientIdentifier>,
    /// Its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) client_secret: Option<String>,
    /// Short names for users, so that `doorward check alice …` works.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) users: BTreeMap<String, UserId>,
}

impl std::fmt::Debug for ProfileFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProfileFile")
            .field("authority", &self.authority)
            .field("sidecar", &self.sidecar)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl ProfileFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`CliError`] naming the file and, for a mistake in it, the line.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            CliError::usage(format!(
                "the profile {} cannot be read: {error}",
                path.display()
            ))
            .fix("start `doorward dev --data DIR` and name DIR/profile.toml")
        })?;
        toml::from_str(&text).map_err(|error| {
            // The message only: the snippet that toml shows could be the secret's line.
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.lines().count().max(1));
            CliError::usage(format!(
                "the profile {} is wrong near line {line}: {}",
                path.display(),
                error.message()
            ))
        })
    }

    /// Writes a file that only its owner can read.
    ///
    /// # Errors
    ///
    /// [`CliError`] naming the file.
    pub(super) fn write(&self, path: &Path) -> Result<(), CliError> {
        let wrong = |error: &dyn std::fmt::Display| CliError::local(error.to_string());
        let text = toml::to_string(self).map_err(|error| wrong(&error))?;
        replace_private(path, text.as_bytes()).map_err(|error| wrong(&error))
    }
}

/// Everything a command needs to reach the daemons.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    authority: Endpoint,
    sidecar: Endpoint,
    sidecar_socket: Option<Endpoint>,
    client: Option<(ClientIdentifier, Secret<String>)>,
    users: BTreeMap<String, UserId>,
}

impl Profile {
    /// Puts flags, the environment and the file together, in this order.
    ///
    /// `secret` is `DOORWARD_CLIENT_SECRET`, which has no flag: arguments show in process lists.
    ///
    /// # Errors
    ///
    /// [`CliError`] of kind usage: a file that cannot be read, an address that is none.
    pub(super) fn load(
        args: &ConnectionArgs,
        secret: Option<Secret<String>>,
    ) -> Result<Self, CliError> {
        let file = match &args.profile {
            Some(path) => ProfileFile::read(path)?,
            None => ProfileFile::default(),
        };
        Self::merge(args, secret, file)
    }

    fn merge(
        args: &ConnectionArgs,
        secret: Option<Secret<String>>,
        file: ProfileFile,
    ) -> Result<Self, CliError> {
        let secret_file = match &args.client_secret_file {
            Some(path) => Some(read_secret(path)?),
            None => None,
        };
        let id = args.client_id.clone().or(file.client_id);
        let secret = secret_file
            .or(secret)
            .or(file.client_secret.map(Secret::new));
        let given_sidecar = args.sidecar.as_deref();
        let socket = match given_sidecar {
            Some(_) => None,
            None => file.sidecar_socket.as_deref(),
        };
        Ok(Self {
            authority: args
                .authority
                .as_deref()
                .or(file.authority.as_deref())
                .unwrap_or(DEFAULT_AUTHORITY)
                .parse()?,
            sidecar: given_sidecar
                .or(file.sidecar.as_deref())
                .or(socket)
                .unwrap_or(DEFAULT_SIDECAR)
                .parse()?,
            sidecar_socket: socket.map(str::parse).transpose()?,
            client: id.zip(secret),
            users: file.users,
        })
    }

    /// What a file says, with nothing from outside.
    ///
    /// # Errors
    ///
    /// [`CliError`] of kind usage: an address that is none.
    pub(super) fn of(file: &ProfileFile) -> Result<Self, CliError> {
        let nothing = ConnectionArgs {
            profile: None,
            authority: None,
            sidecar: None,
            client_id: None,
            client_secret_file: None,
        };
        Self::merge(&nothing, None, file.clone())
    }

    /// The authority's address.
    pub(super) fn authority(&self) -> &Endpoint {
        &self.authority
    }

    /// Where checks are asked.
    pub(super) fn sidecar(&self) -> &Endpoint {
        &self.sidecar
    }

    /// Where explain and status are asked: the socket, if one is known.
    pub(super) fn sidecar_admin(&self) -> &Endpoint {
        self.sidecar_socket.as_ref().unwrap_or(&self.sidecar)
    }

    /// Who we are.
    ///
    /// # Errors
    ///
    /// [`CliError`] of kind usage when nobody was named.
    pub(super) fn client(&self) -> Result<(&ClientIdentifier, &Secret<String>), CliError> {
        match &self.client {
            Some((id, secret)) => Ok((id, secret)),
            None => Err(CliError::usage("this command needs a client and its secret").fix(
                "pass --profile FILE, or --client-id with DOORWARD_CLIENT_SECRET or --client-secret-file",
            )),
        }
    }

    /// A user by id, or by a short name of the profile.
    ///
    /// # Errors
    ///
    /// [`CliError`] of kind usage, listing the names that are known.
    pub(super) fn user(&self, text: &str) -> Result<UserId, CliError> {
        if let Some(id) = self.users.get(text) {
            return Ok(*id);
        }
        text.parse().map_err(|_| {
            let error = CliError::usage(format!("`{text}` is no user id"));
            if self.users.is_empty() {
                error.fix("users are named by their id, a hyphenated UUID")
            } else {
                let names: Vec<&str> = self.users.keys().map(String::as_str).collect();
                error.fix(format!(
                    "use an id or a name of the profile: {}",
                    names.join(", ")
                ))
            }
        })
    }

    /// The profile's name for a user, if it has one.
    pub(super) fn name_of(&self, user: UserId) -> Option<&str> {
        self.users
            .iter()
            .find(|(_, id)| **id == user)
            .map(|(name, _)| name.as_str())
    }
}

fn read_secret(path: &Path) -> Result<Secret<String>, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!(
            "the secret's file {} cannot be read: {error}",
            path.display()
        ))
    })?;
    let secret = text.trim();
    if secret.is_empty() || secret.contains(char::is_whitespace) {
        return Err(CliError::usage(format!(
            "{} holds more or less than one secret",
            path.display()
        ))
        .fix("write the secret, and nothing else, to the file"));
    }
    Ok(Secret::new(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(profile: Option<PathBuf>) -> ConnectionArgs {
        ConnectionArgs {
            profile,
            authority: None,
            sidecar: None,
            client_id: None,
            client_secret_file: None,
        }
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        let file = ProfileFile {
            authority: Some("http://127.0.0.1:1".to_owned()),
            sidecar_socket: Some("unix:/run/d.sock".to_owned()),
            ..ProfileFile::default()
        };
        file.write(&path).unwrap();
        let mut args = args(Some(path));
        let profile = Profile::load(&args, None).unwrap();
        assert_eq!(profile.authority().to_string(), "http://127.0.0.1:1");
        assert_eq!(profile.sidecar_admin().to_string(), "unix:/run/d.sock");
        args.authority = Some("http://127.0.0.1:2".to_owned());
        args.sidecar = Some("127.0.0.1:3".to_owned());
        let profile = Profile::load(&args, None).unwrap();
        assert_eq!(profile.authority().to_string(), "http://127.0.0.1:2");
        assert_eq!(profile.sidecar_admin().to_string(), "http://127.0.0.1:3");
    }

    #[test]
    fn a_profile_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        ProfileFile::default().write(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_mistake_in_a_profile_names_the_line_and_shows_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        std::fs::write(&path, "authority = \"x\"\nclient_secret = \"hush\" oops\n").unwrap();
        let error = ProfileFile::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && !error.contains("hush"),
            "{error}"
        );
    }
}
