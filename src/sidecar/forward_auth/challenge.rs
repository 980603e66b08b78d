//! `WWW-Authenticate` (RFC 6750 §3, RFC 9449 §7.1): one header, since nginx hands on only one.

use super::ask::Asked;
use super::credentials::Scheme;
use super::outcome::DoorOutcome;
use crate::sidecar::why::Why;

/// What a client is told to do otherwise; `None` where another token would change nothing.
pub(super) fn challenge(asked: &Asked) -> Option<&'static str> {
    Some(match (asked.outcome, asked.scheme) {
        (DoorOutcome::Anonymous, _) => "Bearer, DPoP algs=\"ES256 RS256 PS256 EdDSA\"",
        (DoorOutcome::BadToken, _) if asked.is_unproved() => {
            "DPoP error=\"invalid_dpop_proof\", algs=\"ES256 RS256 PS256 EdDSA\""
        }
        (DoorOutcome::BadToken, Scheme::Bearer) => {
            "Bearer error=\"invalid_token\", DPoP algs=\"ES256 RS256 PS256 EdDSA\""
        }
        (DoorOutcome::BadToken, Scheme::Dpop) => {
            "DPoP error=\"invalid_token\", algs=\"ES256 RS256 PS256 EdDSA\""
        }
        (DoorOutcome::Denied, scheme) if asked.reason == Why::Scope.code() => match scheme {
            Scheme::Bearer => "Bearer error=\"insufficient_scope\"",
            Scheme::Dpop => "DPoP error=\"insufficient_scope\", algs=\"ES256 RS256 PS256 EdDSA\"",
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sign::CLIENT_ALGORITHMS;

    #[test]
    fn a_challenge_names_the_algorithms_that_are_accepted() {
        let algorithms = format!("algs=\"{}\"", CLIENT_ALGORITHMS.join(" "));
        for (outcome, scheme, reason) in [
            (DoorOutcome::Anonymous, Scheme::Bearer, "anonymous"),
            (DoorOutcome::BadToken, Scheme::Bearer, "invalid_token"),
            (DoorOutcome::BadToken, Scheme::Dpop, "invalid_token"),
            (DoorOutcome::BadToken, Scheme::Dpop, "invalid_proof"),
            (DoorOutcome::Denied, Scheme::Dpop, "scope"),
        ] {
            let asked = Asked {
                scheme,
                ..Asked::plain(outcome, reason)
            };
            let told = challenge(&asked).unwrap();
            assert!(told.contains(&algorithms), "{told}");
        }
    }
}
