//! Access tokens at the sidecar: verified by the copy, remembered, and refused as soon as a row says
//! so.

use std::sync::Arc;
use std::time::Duration;

use doorward::crypto::sign::AccessTokenSigner;
use doorward::policy::{Attributes, CustomPolicies};
use doorward::protocol::feed::Op;
use doorward::protocol::jose::{AccessTokenClaims, Audience, Confirmation, Subject};
use doorward::runtime::Clock as _;
use doorward::sidecar::decide::Worker;
use doorward::sidecar::refusal::Refusal;
use doorward::sidecar::tokens::{self, Rules};
use doorward::sidecar::view::State;
use doorward::sidecar::why::Why;

use super::token_world::*;
use super::world::*;

/// A JWT of any header, signed right.
fn signed_under(signer: &AccessTokenSigner, header: &serde_json::Value, payload: &str) -> String {
    let part = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let input = format!("{}.{}", part(&header.to_string()), part(payload));
    let der = signer.to_pkcs8().unwrap();
    let pair = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &der,
    )
    .unwrap();
    let random = aws_lc_rs::rand::SystemRandom::new();
    let signature = pair.sign(&random, input.as_bytes()).unwrap();
    format!(
        "{input}.{}",
        data_encoding::BASE64URL_NOPAD.encode(signature.as_ref())
    )
}

#[test]
fn a_token_is_verified_once_and_found_from_then_on() {
    let tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let token = tokens.token(|claims| {
        claims.cnf = Some(Confirmation {
            jkt: "k".to_owned(),
        });
    });
    let verified = tokens::verify(&tokens.world.state, &mut worker, &rules(), &token).unwrap();
    assert_eq!(verified.subject, Subject::User(user(1)));
    assert_eq!(verified.user(), Some(user(1)));
    assert_eq!(verified.client.as_str(), "board");
    assert_eq!(verified.client_id, client(1));
    assert_eq!(verified.session, Some(session(1)));
    assert_eq!(verified.grant, Some(grant_of(1)));
    assert_eq!(verified.jkt.as_deref(), Some("k"));
    assert!(verified.scopes().eq(["docs:edit", "openid"]));
    // The keys, the user, the client, the session, the grant.
    assert_eq!(worker.counts.sqlite_reads, 5);
    for _ in 0..3 {
        assert_eq!(tokens.outcome(&mut worker, &token), Ok(()));
    }
    assert_eq!(worker.counts.sqlite_reads, 5);
    assert_eq!(
        (worker.counts.token_misses, worker.counts.token_hits),
        (1, 3)
    );
    assert_eq!(worker.counts.tokens_accepted, 4);

    // Another token: the keys are known.
    let other = tokens.token(|claims| claims.jti = "t2".to_owned());
    assert_eq!(tokens.outcome(&mut worker, &other), Ok(()));
    assert_eq!(worker.counts.sqlite_reads, 9);
}

#[test]
fn what_is_no_access_token_of_ours_is_refused_with_its_reason_counted() {
    let tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let stranger = AccessTokenSigner::generate().unwrap();
    let now = tokens.world.clock.now().unix_seconds();
    let good = tokens.token(|_| {});
    let mut parts: Vec<&str> = good.split('.').collect();
    let forged = tokens.token(|claims| claims.scope = "docs:read".to_owned());
    parts[2] = forged.split('.').nth(2).unwrap();
    let spliced = parts.join(".");
    let cases = [
        (String::new(), Refusal::Malformed),
        ("a.b.c".to_owned(), Refusal::Malformed),
        ("x".repeat(9000), Refusal::Malformed),
        (spliced, Refusal::Signature),
        (
            stranger.sign(&tokens.claims(1)).unwrap(),
            Refusal::UnknownKey,
        ),
        (tokens.token(|claims| claims.iss.push('/')), Refusal::Issuer),
        (
            tokens.token(|claims| claims.aud = Audience::One(ISSUER.to_owned())),
            Refusal::Audience,
        ),
        (
            tokens.token(|claims| claims.exp = now - 5),
            Refusal::Expired,
        ),
        (
            tokens.token(|claims| claims.iat = now + 60),
            Refusal::NotYetValid,
        ),
        (
            tokens.token(|claims| claims.dw_client = None),
            Refusal::Malformed,
        ),
        (
            tokens.token(|claims| claims.dw_client_epoch = None),
            Refusal::Malformed,
        ),
        (
            tokens.token(|claims| claims.sub = "nobody".to_owned()),
            Refusal::Malformed,
        ),
    ];
    for (token, refusal) in &cases {
        assert_eq!(tokens.outcome(&mut worker, token), Err(*refusal), "{token}");
        // Not remembered as anything else.
        assert_eq!(tokens.outcome(&mut worker, token), Err(*refusal), "{token}");
    }
    for refusal in Refusal::ALL {
        let told = cases.iter().filter(|(_, one)| *one == refusal).count() as u64;
        assert_eq!(worker.counts.tokens_refused[refusal as usize], 2 * told);
    }
    assert_eq!(worker.counts.tokens_accepted, 0);
}

#[test]
fn an_id_token_is_refused_even_when_its_key_signed_it() {
    let tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let payload = serde_json::to_string(&tokens.claims(1)).unwrap();
    let kid = &tokens.signer.jwk().kid;
    for (header, refusal) in [
        (
            serde_json::json!({"alg": "ES256", "typ": "JWT", "kid": kid}),
            Some(Refusal::WrongType),
        ),
        (
            serde_json::json!({"alg": "ES256", "kid": kid}),
            Some(Refusal::WrongType),
        ),
        (
            serde_json::json!({"alg": "none", "typ": "at+jwt", "kid": kid}),
            Some(Refusal::Algorithm),
        ),
        (
            serde_json::json!({"alg": "HS256", "typ": "at+jwt", "kid": kid}),
            Some(Refusal::Algorithm),
        ),
        (
            serde_json::json!({"alg": "ES256", "typ": "at+jwt", "kid": kid, "crit": ["x"], "x": 1}),
            Some(Refusal::Malformed),
        ),
        (
            serde_json::json!({"alg": "ES256", "typ": "application/AT+JWT", "kid": kid}),
            None,
        ),
    ] {
        let token = signed_under(&tokens.signer, &header, &payload);
        let outcome = tokens.outcome(&mut worker, &token);
        assert_eq!(outcome.err(), refusal, "{header}");
    }
}

#[test]
fn a_key_of_another_purpose_verifies_nothing() {
    let mut tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let other = AccessTokenSigner::generate().unwrap();
    tokens.world.apply(vec![key_row(&other, "id_token")]);
    let token = other.sign(&tokens.claims(1)).unwrap();
    assert_eq!(
        tokens.outcome(&mut worker, &token),
        Err(Refusal::UnknownKey)
    );
    tokens.world.apply(vec![key_row(&other, "access_token")]);
    assert_eq!(tokens.outcome(&mut worker, &token), Ok(()));
}

#[test]
fn a_damaged_key_takes_no_other_along() {
    let mut tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let damaged = |kid: &str, jwk: &str| {
        let cells = [kid, "access_token", "ES256", jwk].map(text);
        put(11, cells.to_vec())
    };
    let curve = r#"{"kty":"EC","crv":"P-256","x":"!","y":"!","kid":"b","use":"sig","alg":"ES256"}"#;
    tokens
        .world
        .apply(vec![damaged("a", "no JSON"), damaged("b", curve)]);
    let token = tokens.token(|_| {});
    assert_eq!(tokens.outcome(&mut worker, &token), Ok(()));
}

#[test]
fn whatever_ends_a_token_refuses_it_once_it_is_applied() {
    type Change = fn(&Tokens) -> Op;
    let cases: [(Change, Refusal); 8] = [
        (|_| user_row(1, "suspended", 0), Refusal::UserInactive),
        (|_| user_row(1, "deleted", 0), Refusal::UserInactive),
        (|_| user_row(1, "active", 1), Refusal::UserSignedOut),
        (|_| client_row(1, "retired", 0), Refusal::ClientInactive),
        (|_| client_row(1, "active", 1), Refusal::ClientRevoked),
        (|_| ended_session(1), Refusal::SessionEnded),
        (|_| revoked_grant(1), Refusal::GrantRevoked),
        (|tokens| no_key(&tokens.signer), Refusal::UnknownKey),
    ];
    for (change, refusal) in cases {
        let mut tokens = Tokens::new();
        let mut worker = tokens.world.worker();
        let token = tokens.token(|_| {});
        assert_eq!(tokens.outcome(&mut worker, &token), Ok(()));
        // What touches others leaves it alone.
        tokens.world.apply(vec![
            user_row(2, "suspended", 9),
            client_row(2, "retired", 9),
            ended_session(2),
            revoked_grant(2),
        ]);
        assert_eq!(tokens.outcome(&mut worker, &token), Ok(()), "{refusal:?}");
        let op = change(&tokens);
        tokens.world.apply(vec![op]);
        for _ in 0..2 {
            assert_eq!(tokens.outcome(&mut worker, &token), Err(refusal));
        }
        // Another thread, and a sidecar that starts from its copy, with the authority gone.
        let mut other = tokens.world.worker();
        assert_eq!(tokens.outcome(&mut other, &token), Err(refusal));
        let restarted = State::new(
            &Setup::default().sizes,
            Setup::default().mapping,
            CustomPolicies::none(),
            Arc::clone(&tokens.world.clock) as _,
        )
        .unwrap();
        restarted.adopt(tokens.world.replica.path()).unwrap();
        let mut fresh = Worker::new(&restarted);
        let outcome = tokens::verify(&restarted, &mut fresh, &rules(), &token);
        assert_eq!(outcome.unwrap_err(), refusal);
    }
}

#[test]
fn a_remembered_token_expires_and_a_revoked_one_is_not_verified_again() {
    let mut tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let token = tokens.token(|_| {});
    assert_eq!(tokens.outcome(&mut worker, &token), Ok(()));
    tokens.world.apply(vec![ended_session(1)]);
    for _ in 0..10 {
        assert!(tokens.outcome(&mut worker, &token).is_err());
    }
    assert_eq!(worker.counts.token_misses, 1, "one signature was checked");
    tokens.world.clock.advance(Duration::from_secs(605));
    assert_eq!(tokens.outcome(&mut worker, &token), Err(Refusal::Expired));
    assert_eq!(worker.counts.token_misses, 1);
}

#[test]
fn a_token_that_passed_one_door_is_refused_at_another_audience() {
    let tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let token = tokens.token(|_| {});
    assert_eq!(tokens.outcome(&mut worker, &token), Ok(()));
    let other = Rules {
        audiences: vec!["https://other.example".to_owned()],
        ..rules()
    };
    let refused = tokens::verify(&tokens.world.state, &mut worker, &other, &token);
    assert_eq!(refused.unwrap_err(), Refusal::Audience);
}

#[test]
fn a_copy_that_is_replaced_is_asked_again() {
    let tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let token = tokens.token(|_| {});
    assert_eq!(tokens.outcome(&mut worker, &token), Ok(()));
    // A snapshot that knows of the end of the session, and of the keys.
    let path = tokens.world.folder.path().join("copy-2.db");
    let mut replica = empty_copy(&path, epoch());
    commit(
        &mut replica,
        vec![key_row(&tokens.signer, "access_token"), ended_session(1)],
    );
    tokens.world.state.adopt(replica.path()).unwrap();
    assert_eq!(
        tokens.outcome(&mut worker, &token),
        Err(Refusal::SessionEnded)
    );
}

#[test]
fn without_a_copy_nothing_is_accepted() {
    let tokens = Tokens::new();
    let empty = State::new(
        &Setup::default().sizes,
        Setup::default().mapping,
        CustomPolicies::none(),
        Arc::clone(&tokens.world.clock) as _,
    )
    .unwrap();
    let mut worker = Worker::new(&empty);
    let token = tokens.token(|_| {});
    let refused = tokens::verify(&empty, &mut worker, &rules(), &token);
    assert_eq!(refused.unwrap_err(), Refusal::NoCopy);
}

#[test]
fn a_decision_is_what_roles_allow_and_scopes_name() {
    let tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let scoped = |u: u128, scope: &str| {
        tokens.token(|claims| {
            claims.sub = user(u).to_string();
            claims.scope = scope.to_owned();
        })
    };
    // User 1 edits in organization 1 and reads in organization 2; user 2 reads in organization 1.
    for (u, scope, asked, expected) in [
        (1, "docs:edit", (1, "write"), (true, Why::Roles)),
        (1, "docs:edit", (2, "write"), (false, Why::Roles)),
        (1, "docs:read", (1, "write"), (false, Why::Scope)),
        (1, "docs:read", (1, "read"), (true, Why::Roles)),
        (1, "openid", (1, "read"), (false, Why::Scope)),
        (1, "", (1, "read"), (false, Why::Scope)),
        (1, "doorward:full", (1, "write"), (true, Why::Roles)),
        (1, "doorward:full", (1, "publish"), (false, Why::Roles)),
        (2, "docs:edit", (1, "write"), (false, Why::Roles)),
        (3, "docs:edit", (1, "write"), (false, Why::NotMember)),
        (
            1,
            "docs:edit",
            (1, "wirte"),
            (false, Why::PermissionUnknown),
        ),
    ] {
        let decided = tokens.decide(&mut worker, &scoped(u, scope), asked);
        assert_eq!(decided, expected, "{u} {scope} {asked:?}");
    }
}

#[test]
fn a_scope_means_what_the_newest_manifest_says() {
    let mut tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let token = tokens.token(|claims| claims.scope = "docs:read".to_owned());
    let asked = (1, "write");
    assert_eq!(
        tokens.decide(&mut worker, &token, asked),
        (false, Why::Scope)
    );
    tokens.world.apply(vec![scope("docs:read", 2)]);
    assert_eq!(
        tokens.decide(&mut worker, &token, asked),
        (true, Why::Roles)
    );
    let Op::Put { cells, .. } = scope("docs:read", 2) else {
        panic!("a row is put")
    };
    tokens.world.apply(vec![Op::Delete {
        table: 12,
        key: cells,
    }]);
    assert_eq!(
        tokens.decide(&mut worker, &token, asked),
        (false, Why::Scope)
    );
}

#[test]
fn a_token_bound_to_an_organization_does_nothing_in_another() {
    let tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let bound = tokens.token(|claims| claims.dw_org = Some(organization(2)));
    assert_eq!(
        tokens.decide(&mut worker, &bound, (1, "read")),
        (false, Why::OtherOrganization)
    );
    assert_eq!(
        tokens.decide(&mut worker, &bound, (2, "read")),
        (true, Why::Roles)
    );
}

#[test]
fn a_token_bound_to_an_organization_that_its_user_left_does_nothing_whatever_policies_say() {
    let policy = "permit (principal, action == Action::\"docs:page:write\", resource);";
    let files = vec![("site.cedar".to_owned(), policy.to_owned())];
    let mut tokens = Tokens::with(Setup {
        custom: CustomPolicies::parse(files, Attributes::default()).unwrap(),
        ..Setup::default()
    });
    let mut worker = tokens.world.worker();
    let bound = tokens.token(|claims| {
        claims.sub = user(2).to_string();
        claims.dw_org = Some(organization(1));
    });
    let asked = (1, "write");
    assert_eq!(
        tokens.decide(&mut worker, &bound, asked),
        (true, Why::Policies),
        "a member whose role does not allow it"
    );
    tokens.world.apply(vec![no_member(1, 2)]);
    assert_eq!(
        tokens.decide(&mut worker, &bound, asked),
        (false, Why::NotMember)
    );
    assert_eq!(
        tokens.decide(&mut worker, &bound, (2, "write")),
        (false, Why::OtherOrganization)
    );
}

#[test]
fn a_token_does_nothing_to_a_resource_that_is_registered_elsewhere() {
    let mut tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let users = tokens.token(|_| {});
    let clients = tokens
        .signer
        .sign(&AccessTokenClaims {
            scope: "docs:read".to_owned(),
            ..tokens.own_claims()
        })
        .unwrap();
    for token in [&users, &clients] {
        assert!(tokens.decide(&mut worker, token, (1, "read")).0);
    }
    tokens
        .world
        .apply(vec![put_instance("page", "p1", 2, &serde_json::json!({}))]);
    for token in [&users, &clients] {
        let decided = tokens.decide(&mut worker, token, (1, "read"));
        assert_eq!(decided, (false, Why::ResourceElsewhere));
        assert!(tokens.decide(&mut worker, token, (2, "read")).0);
    }
}

#[test]
fn a_client_for_itself_has_its_scopes_and_no_roles() {
    let tokens = Tokens::new();
    let mut worker = tokens.world.worker();
    let scoped = |scope: &str| {
        let claims = AccessTokenClaims {
            scope: scope.to_owned(),
            ..tokens.own_claims()
        };
        tokens.signer.sign(&claims).unwrap()
    };
    for (scope, action, expected) in [
        ("docs:edit", "write", (true, Why::ClientScopes)),
        ("docs:read", "write", (false, Why::Scope)),
        ("doorward:full", "read", (false, Why::Scope)),
    ] {
        let decided = tokens.decide(&mut worker, &scoped(scope), (1, action));
        assert_eq!(decided, expected, "{scope}");
    }
    // A client that managed to be named like a user is not that user.
    let impostor = AccessTokenClaims {
        sub: user(1).to_string(),
        client_id: user(1).to_string().parse().unwrap(),
        scope: "doorward:full".to_owned(),
        ..tokens.own_claims()
    };
    let impostor = tokens.signer.sign(&impostor).unwrap();
    assert_eq!(
        tokens.decide(&mut worker, &impostor, (1, "read")),
        (false, Why::Scope)
    );
}

#[test]
fn where_policies_may_have_a_say_a_client_for_itself_is_denied() {
    let policy = "forbid (principal, action == Action::\"docs:page:write\", resource);";
    let files = vec![("site.cedar".to_owned(), policy.to_owned())];
    let tokens = Tokens::with(Setup {
        custom: CustomPolicies::parse(files, Attributes::default()).unwrap(),
        ..Setup::default()
    });
    let mut worker = tokens.world.worker();
    let token = tokens.signer.sign(&tokens.own_claims()).unwrap();
    assert_eq!(
        tokens.decide(&mut worker, &token, (1, "write")),
        (false, Why::PoliciesJudgeMembers)
    );
    assert_eq!(
        tokens.decide(&mut worker, &token, (1, "read")),
        (true, Why::ClientScopes)
    );
}
