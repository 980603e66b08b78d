//! The sidecar's enrolment, as a person would do it: a join token, then the first contact.

use http::{Method, StatusCode};
use serde_json::json;

use super::super::error::{CliError, chain};
use super::super::http::{Call, send};
use super::super::profile::{Profile, ProfileFile};
use super::super::session::{Session, problem, read};
use super::daemons::Places;
use crate::domain::PlainToken;
use crate::protocol::credentials::{Enrolled, JoinToken, JoinTokenView};
use crate::sidecar::enrolment::{Enrolment, EnrolmentError};

/// Enrols the sidecar unless it is, and points an enrolled one at the present address.
pub(super) async fn ensure(places: &Places, file: &ProfileFile) -> Result<(), CliError> {
    let data = places.sidecar();
    let profile = Profile::of(file)?;
    let authority = profile
        .authority()
        .to_string()
        .parse()
        .map_err(|_| CliError::local("the authority's address is no URL"))?;
    let enrolment = match Enrolment::load(&data) {
        Ok(present) => Enrolment {
            authority,
            ..present
        },
        Err(EnrolmentError::Missing(_)) => {
            let (token, enrolled) = join(&profile).await?;
            if token.feed_key != enrolled.feed_key {
                return Err(CliError::local(
                    "the authority signs with another key than its join token says",
                ));
            }
            Enrolment {
                authority,
                client_id: enrolled.client_id,
                client_secret: PlainToken::presented(enrolled.client_secret),
                feed_key: token
                    .feed_key
                    .parse()
                    .map_err(|_| CliError::local("the feed's key is none"))?,
                ca_file: None,
            }
        }
        Err(error) => return Err(CliError::local(chain(&error))),
    };
    enrolment
        .save(&data)
        .map_err(|error| CliError::local(chain(&error)))
}

async fn join(profile: &Profile) -> Result<(JoinToken, Enrolled), CliError> {
    let session = Session::open(profile).await?;
    let invitation: JoinTokenView = session
        .json(
            Method::POST,
            "/v1/sidecars/join-tokens",
            Some(&json!({"name": "dev"})),
        )
        .await?;
    let token: JoinToken = invitation
        .join_token
        .parse()
        .map_err(|_| CliError::local("the authority's join token is none"))?;
    let body = json!({"join_token": token.token.expose()}).to_string();
    let call = Call::new(Method::POST, "/v1/sidecars/enroll").body("application/json", body);
    let answer = send(profile.authority(), call).await?;
    if answer.status != StatusCode::CREATED {
        return Err(problem(profile.authority(), &answer));
    }
    Ok((token, read(profile.authority(), &answer)?))
}
