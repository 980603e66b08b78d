//! The sidecar's enrolment, as a person would do it: a join token, then the first contact.

use http::{Method, Uri};
use serde_json::json;

use super::super::error::CliError;
use super::super::profile::{Profile, ProfileFile};
use super::super::session::Session;
use super::daemons::Places;
use crate::protocol::credentials::JoinTokenView;
use crate::runtime::chain;
use crate::sidecar::enrolment::{Enrolment, EnrolmentError};

/// Enrols the sidecar unless it is, and points an enrolled one at the present address.
pub(super) async fn ensure(places: &Places, file: &ProfileFile) -> Result<(), CliError> {
    let failed = |error: &EnrolmentError| CliError::local(chain(error));
    let data = places.sidecar();
    let profile = Profile::of(file)?;
    let authority: Uri = profile
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
            let token = invite(&profile).await?;
            Enrolment::join(authority, None, &token, None)
                .await
                .map_err(|error| failed(&error))?
        }
        Err(error) => return Err(failed(&error)),
    };
    enrolment.save(&data).map_err(|error| failed(&error))
}

async fn invite(profile: &Profile) -> Result<String, CliError> {
    let session = Session::open(profile).await?;
    let body = json!({"name": "dev"});
    let invitation: JoinTokenView = session
        .json(Method::POST, "/v1/sidecars/join-tokens", Some(&body))
        .await?;
    Ok(invitation.join_token)
}
