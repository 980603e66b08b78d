//! What a token may do.

use super::verified::Verified;
use crate::domain::{Decision, OrganizationId};
use crate::protocol::authzen::RequestError;
use crate::protocol::jose::Subject;
use crate::sidecar::decide::{self, Check, Outcome, Properties, Worker};
use crate::sidecar::view::{State, View};
use crate::sidecar::why::Why;

/// What a token may do, asked about by its bearer.
#[derive(Debug, Clone)]
pub struct TokenCheck<'a> {
    /// Where.
    pub organization: OrganizationId,
    /// `service:resource`.
    pub resource_type: &'a str,
    /// The action's name.
    pub action: &'a str,
    /// The resource's id, in the service's terms.
    pub resource_id: &'a str,
    /// Unread properties, for hand-written policies only.
    pub properties: Properties<'a>,
}

/// Decides what a verified token may do: what its scopes name *and* its user's roles allow. A client
/// for itself may do what its scopes name, unless hand-written policies might have a say: they judge
/// members, and a client is none.
///
/// # Errors
///
/// As [`decide::decide`].
pub fn decide(
    state: &State,
    view: &View,
    worker: &mut Worker,
    token: &Verified,
    check: &TokenCheck<'_>,
) -> Result<Outcome, RequestError> {
    if token
        .organization
        .is_some_and(|bound| bound != check.organization)
    {
        return Ok(Outcome::deny(Why::OtherOrganization));
    }
    if view.position.is_none() {
        return Ok(Outcome::deny(Why::NoCopy));
    }
    let Some(action) = view.engine.action(check.resource_type, check.action) else {
        return Ok(Outcome::deny(Why::PermissionUnknown));
    };
    if !token.permits(view, action) {
        return Ok(Outcome::deny(Why::Scope));
    }
    match token.subject {
        Subject::User(user) => decide::decide(
            state,
            view,
            worker,
            &Check {
                user,
                organization: check.organization,
                resource_type: check.resource_type.into(),
                action: check.action,
                resource_id: check.resource_id,
                properties: check.properties,
            },
        ),
        Subject::Client if view.engine.depends(action) => {
            Ok(Outcome::deny(Why::PoliciesJudgeMembers))
        }
        Subject::Client => {
            let resource = (check.resource_type, check.resource_id);
            let organization = check.organization;
            Ok(
                match decide::registered_in(state, view, worker, resource, organization) {
                    Ok(_) => Outcome {
                        decision: Decision::Allow,
                        why: Why::ClientScopes,
                    },
                    Err(why) => Outcome::deny(why),
                },
            )
        }
    }
}
