//! Whether a session is good enough for a request. Pure: the rules of OpenID Connect Core §3.1.2.1
//! and §3.1.2.3.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::protocol::oauth::authorize::{AuthorizeError, AuthorizeErrorCode};
use crate::store::sessions::Session;

use super::interaction::Interaction;

/// How far a provider's clock may be behind ours when it says when somebody logged in.
const SKEW: Duration = Duration::from_secs(10);

/// What a session is worth to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The user has proved enough.
    Proven,
    /// Somebody must log in, and may be asked to.
    LogIn,
    /// It cannot be had.
    Refused(AuthorizeError),
}

pub(super) fn standing(interaction: &Interaction, session: Option<&Session>) -> Standing {
    let prompt = interaction.request.prompt;
    let Some(session) = session else {
        return if prompt.none {
            refused("nobody is logged in")
        } else {
            Standing::LogIn
        };
    };
    let young = is_young(interaction, session);
    let wanted = interaction.user.is_none_or(|user| user == session.user_id);
    if prompt.none {
        return match (young, wanted) {
            (true, true) => Standing::Proven,
            (false, _) => refused("the login is older than `max_age`"),
            (_, false) => refused("another user is logged in"),
        };
    }
    if !interaction.sent_to_login {
        return if young && wanted && !prompt.login && !prompt.select_account {
            Standing::Proven
        } else {
            Standing::LogIn
        };
    }
    let again = session.created_at >= interaction.started_at;
    let proved = !prompt.login || (again && proved_since(interaction.started_at, session));
    let proved = proved && (!prompt.select_account || again);
    if young && wanted && proved {
        Standing::Proven
    } else if !again {
        Standing::LogIn
    } else if wanted {
        refused("the identity provider did not let the user log in again")
    } else {
        refused("another user logged in")
    }
}

/// The age at the time of the request, so that a slow consent does not count.
fn is_young(interaction: &Interaction, session: &Session) -> bool {
    let age = interaction.started_at.since(session.authenticated_at);
    interaction
        .request
        .max_age()
        .is_none_or(|most| age <= most || proved_since(interaction.started_at, session))
}

/// Whether the proof was given for this request, as far as clocks can tell.
fn proved_since(started_at: Timestamp, session: &Session) -> bool {
    session.created_at >= started_at && session.authenticated_at >= started_at.minus(SKEW)
}

fn refused(description: &'static str) -> Standing {
    Standing::Refused(AuthorizeError::new(
        AuthorizeErrorCode::LoginRequired,
        description,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SessionId, UserId};
    use crate::protocol::oauth::authorize::{AuthorizationRequest, Parameters};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000 + second)
    }

    const ADA: UserId = UserId::from_u128(1);
    const BOB: UserId = UserId::from_u128(2);

    /// A request that began at 0.
    fn interaction(extra: &str, sent_to_login: bool) -> Interaction {
        let text = format!(
            "response_type=code&code_challenge_method=S256&code_challenge={}{extra}",
            "a".repeat(42) + "Q"
        );
        let parameters = Parameters::parse(text.as_bytes()).unwrap();
        let client = "app".parse().unwrap();
        Interaction {
            request: AuthorizationRequest::read(&parameters, client, String::new()).unwrap(),
            started_at: at(0),
            expires_at: at(3_600),
            user: None,
            pushed: None,
            sent_to_login,
            shown: None,
        }
    }

    fn session(user: UserId, created: i64, authenticated: i64) -> Session {
        Session {
            id: SessionId::from_u128(9),
            user_id: user,
            created_at: at(created),
            expires_at: at(100_000),
            provider: "demo".to_owned(),
            upstream_subject: "1".to_owned(),
            upstream_sid: None,
            authenticated_at: at(authenticated),
            amr: Vec::new(),
            acr: None,
            user_agent: None,
            address: None,
            last_seen_at: at(created),
            idle_expires_at: at(100_000),
        }
    }

    fn word(standing: &Standing) -> &'static str {
        match standing {
            Standing::Proven => "proven",
            Standing::LogIn => "log in",
            Standing::Refused(error) => error.code.as_str(),
        }
    }

    #[test]
    fn a_session_is_judged_by_what_the_request_asks_for() {
        /// Parameters, sent to login, (session created, authenticated), what it is worth.
        type Case = (&'static str, bool, Option<(i64, i64)>, &'static str);
        let cases: &[Case] = &[
            ("", false, None, "log in"),
            ("", true, None, "log in"),
            ("", false, Some((-50, -50)), "proven"),
            ("&prompt=none", false, None, "login_required"),
            ("&prompt=none", false, Some((-50, -50)), "proven"),
            ("&prompt=none&max_age=50", false, Some((-50, -50)), "proven"),
            (
                "&prompt=none&max_age=49",
                false,
                Some((-50, -50)),
                "login_required",
            ),
            ("&prompt=login", false, Some((-1, -1)), "log in"),
            ("&prompt=login", true, Some((-1, -1)), "log in"),
            ("&prompt=login", true, Some((5, 5)), "proven"),
            // The provider's clock is behind, or it did not ask again.
            ("&prompt=login", true, Some((5, -10)), "proven"),
            ("&prompt=login", true, Some((5, -11)), "login_required"),
            ("&prompt=select_account", false, Some((-1, -1)), "log in"),
            ("&prompt=select_account", true, Some((-1, -1)), "log in"),
            ("&prompt=select_account", true, Some((5, -50)), "proven"),
            ("&prompt=consent", false, Some((-1, -1)), "proven"),
            ("&max_age=10", false, Some((-10, -10)), "proven"),
            ("&max_age=10", false, Some((-11, -11)), "log in"),
            ("&max_age=10", true, Some((-11, -11)), "log in"),
            ("&max_age=10", true, Some((3, 2)), "proven"),
            ("&max_age=10", true, Some((3, -11)), "login_required"),
            ("&max_age=0", false, Some((-1, -1)), "log in"),
            ("&max_age=0", true, Some((60, 60)), "proven"),
        ];
        for (extra, sent, times, wanted) in cases {
            let session =
                times.map(|(created, authenticated)| session(ADA, created, authenticated));
            let found = standing(&interaction(extra, *sent), session.as_ref());
            assert_eq!(word(&found), *wanted, "{extra} {sent} {times:?}");
        }
    }

    #[test]
    fn the_user_of_the_hint_or_nobody() {
        for (extra, sent, user, wanted) in [
            ("", false, ADA, "proven"),
            ("", false, BOB, "log in"),
            ("", true, BOB, "login_required"),
            ("&prompt=none", false, ADA, "proven"),
            ("&prompt=none", false, BOB, "login_required"),
        ] {
            let mut interaction = interaction(extra, sent);
            interaction.user = Some(ADA);
            let found = standing(&interaction, Some(&session(user, 1, 1)));
            assert_eq!(word(&found), wanted, "{extra} {sent} {user}");
        }
    }
}
