//! What the decision log says of a request at a door.

use super::ask::Asked;
use super::outcome::DoorOutcome;
use crate::domain::{DecisionId, Freshness, GrantId, SessionId};
use crate::protocol::forward_auth::Original;
use crate::sidecar::decide::Worker;
use crate::sidecar::decision_log::{AskedToken, Asker, Record};
use crate::sidecar::routes::{Access, Route};
use crate::sidecar::tokens::Verified;
use crate::sidecar::view::State;

/// Notes what became of a request. `route` decided it, if one did; a request that could not be read
/// is `None`.
pub(super) fn note(
    state: &State,
    worker: &mut Worker,
    asked: &Asked,
    route: Option<&Route>,
    original: Option<&Original<'_>>,
    from: Asker<'_>,
) -> Option<DecisionId> {
    let held = worker.held;
    let log = worker.log.as_mut()?;
    let token = asked.token.as_deref();
    let wanted = route.and_then(|route| match &route.access {
        Access::Permission(wanted) => Some(wanted),
        Access::Public | Access::SignedIn => None,
    });
    let place = wanted.and_then(|wanted| wanted.resource_id);
    let bytes = |id: u128| id.to_be_bytes();
    log.note(asked.outcome == DoorOutcome::Allowed, || Record {
        at: state.clock().now().unix_micros(),
        asker: from,
        reason: asked.reason,
        detail: asked.detail,
        revision: asked.freshness.map(|freshness| freshness.revision.get()),
        staleness_ms: asked.freshness.and_then(Freshness::staleness_ms),
        user: token
            .and_then(Verified::user)
            .map(|user| bytes(user.as_u128())),
        action: wanted.map(|wanted| wanted.permission.action.as_str()),
        resource_type: wanted.map(|wanted| &*wanted.resource_type),
        resource_id: place.and_then(|place| place.value(&original?.path)),
        organization: asked.organization.map(|id| bytes(id.as_u128())),
        roles: held.and_then(|set| u32::try_from(set.index()).ok()),
        token: token.map(|token| AskedToken {
            client: token.client.as_str(),
            session: token.session.map(SessionId::as_u128).map(bytes),
            grant: token.grant.map(GrantId::as_u128).map(bytes),
            id: &token.jti,
        }),
        route: route.map(|route| &*route.name),
        method: original.map(|original| original.method),
        host: original.map(|original| &*original.host),
        ..Record::default()
    })
}
