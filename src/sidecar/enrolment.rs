//! What enrolment left behind: whom to follow, as whom, and whose signatures to believe.

use std::path::{Path, PathBuf};

use http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::sign::FeedPublicKey;
use crate::domain::{ClientIdentifier, PlainToken};
use crate::protocol::credentials::{Enroll, Enrolled, JoinToken, NotAJoinToken};
use crate::protocol::problem::Problem;
use crate::replication::client::{ClientConfig, ClientError, post_json};
use crate::replication::consumer::{FollowerConfig, SCRUB_EVERY, SILENCE};
use crate::runtime::files::{FileError, create_private_dir, read_text, replace_private};

/// The file's name in the data directory. Only its owner may read it: it holds a secret.
pub const FILE: &str = "enrolment.json";

const FILE_MAX: u64 = 64 * 1024;

const PROBE: &str = "enrolment.probe";
/// More than an enrolment has.
const PROBE_BYTES: usize = 4096;

/// Why there is no enrolment.
#[derive(Debug, thiserror::Error)]
pub enum EnrolmentError {
    /// Never enrolled.
    #[error(
        "this sidecar is not enrolled: run `doorward-sidecar enroll --authority URL \
         --join-token TOKEN --data {0}`"
    )]
    Missing(String),
    /// The file cannot be read or written.
    #[error("the enrolment cannot be kept")]
    File(#[from] FileError),
    /// The file is not what `enroll` writes.
    #[error("`{0}` is damaged: enrol again")]
    Damaged(String),
    /// The join token is none.
    #[error(transparent)]
    JoinToken(#[from] NotAJoinToken),
    /// The authority cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The authority says no.
    #[error("the authority refused the enrolment: {0}")]
    Refused(String),
    /// The authority signs with a key that the join token does not name.
    #[error("the authority at this address signs with another key than the join token names")]
    OtherKey,
}

/// An enrolled sidecar.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The authority's base URL.
    pub authority: Uri,
    /// Who we are.
    pub client_id: ClientIdentifier,
    /// Our secret.
    pub client_secret: PlainToken,
    /// The key the feed is signed with.
    pub feed_key: FeedPublicKey,
    /// Certificates to trust instead of the public roots.
    pub ca_file: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    authority: String,
    client_id: ClientIdentifier,
    #[serde(borrow)]
    client_secret: std::borrow::Cow<'a, str>,
    feed_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
}

impl Enrolment {
    /// Reads a data directory's enrolment.
    ///
    /// # Errors
    ///
    /// [`EnrolmentError::Missing`] says how to enrol.
    pub fn load(data: &Path) -> Result<Self, EnrolmentError> {
        let path = data.join(FILE);
        let text = read_text(&path, FILE_MAX).map_err(|error| {
            if error.is_not_found() {
                EnrolmentError::Missing(data.display().to_string())
            } else {
                EnrolmentError::File(error)
            }
        })?;
        let damaged = || EnrolmentError::Damaged(path.display().to_string());
        // The parser's message could quote the secret.
        let written: Written<'_> = serde_json::from_str(&text).map_err(|_| damaged())?;
        Ok(Self {
            authority: written.authority.parse().map_err(|_| damaged())?,
            client_id: written.client_id,
            client_secret: PlainToken::presented(written.client_secret.into_owned()),
            feed_key: written.feed_key.parse().map_err(|_| damaged())?,
            ca_file: written.ca_file,
        })
    }

    /// Turns a join token into credentials. The token also names the key that the feed is signed
    /// with; it is pinned from this first contact on.
    ///
    /// # Errors
    ///
    /// [`EnrolmentError`]. After [`EnrolmentError::OtherKey`] the token is used up: somebody else
    /// may have answered, so the operator should revoke what it made.
    pub async fn join(
        authority: Uri,
        ca_file: Option<PathBuf>,
        join_token: &str,
        name: Option<String>,
    ) -> Result<Self, EnrolmentError> {
        let token: JoinToken = join_token.trim().parse()?;
        let body = serde_json::to_vec(&Enroll {
            join_token: token.token.expose().to_owned(),
            name,
        })
        .map_err(|_| NotAJoinToken)?;
        let path = "/v1/sidecars/enroll";
        let (status, body) = post_json(&authority, ca_file.as_deref(), path, body).await?;
        if status != StatusCode::CREATED {
            let told = serde_json::from_slice::<Problem>(&body)
                .map_or_else(|_| status.to_string(), |problem| problem.to_string());
            return Err(EnrolmentError::Refused(told));
        }
        // The parser's message could quote the secret.
        let enrolled: Enrolled = serde_json::from_slice(&body)
            .map_err(|_| EnrolmentError::Refused("its answer is not understood".to_owned()))?;
        if enrolled.feed_key != token.feed_key {
            return Err(EnrolmentError::OtherKey);
        }
        Ok(Self {
            authority,
            client_id: enrolled.client_id,
            client_secret: PlainToken::presented(enrolled.client_secret),
            feed_key: enrolled
                .feed_key
                .parse()
                .map_err(|_| EnrolmentError::Refused("its feed key is none".to_owned()))?,
            ca_file,
        })
    }

    /// Proves that [`Self::save`] will find room: a join token works once, so this is asked before it
    /// is used up.
    ///
    /// # Errors
    ///
    /// [`EnrolmentError::File`].
    pub fn make_room(data: &Path) -> Result<(), EnrolmentError> {
        let path = data.join(PROBE);
        create_private_dir(data)?;
        replace_private(&path, &[b' '; PROBE_BYTES])?;
        std::fs::remove_file(&path).map_err(FileError::new("remove", &path))?;
        Ok(())
    }

    /// Writes it into a data directory, in place of an older one.
    ///
    /// # Errors
    ///
    /// [`EnrolmentError::File`].
    pub fn save(&self, data: &Path) -> Result<(), EnrolmentError> {
        let path = data.join(FILE);
        let text = serde_json::to_vec_pretty(&Written {
            authority: self.authority.to_string(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.expose().into(),
            feed_key: self.feed_key.to_string(),
            ca_file: self.ca_file.clone(),
        })
        .map(Zeroizing::new)
        .map_err(|_| EnrolmentError::Damaged(path.display().to_string()))?;
        create_private_dir(data)?;
        Ok(replace_private(&path, &text)?)
    }

    /// What the follower needs.
    pub fn follower(&self, data: &Path) -> FollowerConfig {
        FollowerConfig {
            client: ClientConfig {
                authority: self.authority.clone(),
                client_id: self.client_id.clone(),
                client_secret: self.client_secret.clone(),
                ca_file: self.ca_file.clone(),
            },
            feed_key: self.feed_key,
            data_dir: data.to_owned(),
            scrub_every: SCRUB_EVERY,
            silence: SILENCE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign::FeedSigner;

    #[test]
    fn an_enrolment_round_trips_and_only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert!(matches!(
            Enrolment::load(&data),
            Err(EnrolmentError::Missing(_))
        ));
        let enrolment = Enrolment {
            authority: "https://authority.example".parse().unwrap(),
            client_id: "sidecar-1".parse().unwrap(),
            client_secret: PlainToken::presented("dwc_secret".to_owned()),
            feed_key: FeedSigner::from_seed(&[1; 32]).unwrap().public(),
            ca_file: None,
        };
        enrolment.save(&data).unwrap();
        let read = Enrolment::load(&data).unwrap();
        assert_eq!(read.client_secret.expose(), "dwc_secret");
        assert_eq!(read.feed_key.to_string(), enrolment.feed_key.to_string());
        let mode = std::fs::metadata(data.join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        std::fs::write(data.join(FILE), "{\"client_secret\":\"dwc_x\"}").unwrap();
        let error = Enrolment::load(&data).unwrap_err().to_string();
        assert!(
            error.contains("damaged") && !error.contains("dwc_x"),
            "{error}"
        );
    }
}
