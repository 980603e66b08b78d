//! Explanations against decisions, on random worlds.

use doorward::sidecar::decide::Worker;
use doorward::sidecar::http::{Terms, evaluation};
use serde_json::{Value, json};

use super::random::{ACTIONS, ORGANIZATIONS, ROLES, SITUATIONS, USERS, asked, world};
use crate::sidecar::world::*;

fn explained(world: &World, worker: &mut Worker, body: &Value) -> Value {
    let terms = Terms {
        explain: true,
        ..Terms::default()
    };
    let body = body.to_string();
    let answer = evaluation(&world.state, worker, &terms, body.as_bytes()).unwrap();
    serde_json::from_slice(&answer).unwrap()
}

fn names(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect()
}

/// Whether what is said goes with the decision.
fn goes_together(answer: &Value, (o, u): (u128, u128)) {
    let explanation = &answer["context"]["explanation"];
    let allowed = answer["decision"].as_bool().unwrap();
    assert_eq!(explanation["allowed"], allowed, "{answer}");
    let summary = explanation["summary"].as_str().unwrap();
    assert!(!summary.is_empty(), "{answer}");
    let cause = &explanation["cause"];
    let kind = cause["kind"].as_str().unwrap();
    let stranger = explanation["member"] == false;
    assert!(!allowed || kind == "granted", "{answer}");
    let Some(held) = explanation.get("roles_held").map(names) else {
        assert!(!allowed, "{answer}");
        return;
    };
    if !stranger && kind != "unknown_action" {
        let membership = &explanation["membership"];
        assert_eq!(membership["organization"], organization(o).to_string());
        assert_eq!(membership["user"], user(u).to_string());
        assert_eq!(explanation["manifest"], "docs");
    }
    match kind {
        "granted" => {
            assert!(allowed || stranger, "{answer}");
            let roles = names(&cause["roles"]);
            let policies = cause["policies"].as_array().unwrap();
            assert!(!roles.is_empty() || !policies.is_empty(), "{answer}");
            assert!(roles.iter().all(|role| held.contains(role)), "{answer}");
        }
        "not_held" => {
            let granting = names(&cause["granting"]);
            assert!(!granting.is_empty(), "{answer}");
            assert!(!granting.iter().any(|role| held.contains(role)), "{answer}");
        }
        "forbidden" | "policy_failed" => {
            assert!(
                !cause["policies"].as_array().unwrap().is_empty(),
                "{answer}"
            );
        }
        "unknown_action" | "no_role_grants" => {}
        other => panic!("{other}: {answer}"),
    }
}

#[test]
fn an_explanation_goes_with_the_decision_on_random_worlds() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 100..116 {
        let world = world(seed);
        let mut worker = world.worker();
        for o in 1..=u128::from(ORGANIZATIONS) {
            for u in 1..=u128::from(USERS) {
                for (kind, action) in ["docs:page", "docs:folder"]
                    .into_iter()
                    .flat_map(|kind| ACTIONS.map(|action| (kind, action)))
                {
                    for situation in SITUATIONS {
                        let body = asked(o, u, (kind, action), situation);
                        let plain = world.allowed(&mut worker, &body);
                        let answer = explained(&world, &mut worker, &body);
                        assert_eq!(answer["decision"], plain, "{seed}: {body}");
                        goes_together(&answer, (o, u));
                        let cause = &answer["context"]["explanation"]["cause"]["kind"];
                        kinds.insert(cause.as_str().unwrap().to_owned());
                    }
                }
            }
        }
    }
    for kind in [
        "granted",
        "not_held",
        "forbidden",
        "policy_failed",
        "suspended",
    ] {
        assert!(kinds.contains(kind), "{kind} of {kinds:?}");
    }
}

/// Where roles alone decide, whoever gets the role that is the nearest miss may do it.
#[test]
fn the_nearest_miss_is_what_is_missing() {
    let mut world = World::new();
    world.apply(vec![
        put_role(3, "docs", "third"),
        grant(3, 3),
        member(1, 4, 1),
    ]);
    let mut worker = world.worker();
    for action in ["write", "publish"] {
        let body = question("acme", 4, action);
        let answer = explained(&world, &mut worker, &body);
        let cause = answer["context"]["explanation"]["cause"].clone();
        assert_eq!(cause["kind"], "not_held", "{answer}");
        for role in names(&cause["granting"]) {
            let place = ROLES.iter().position(|name| role == format!("docs/{name}"));
            let number = u128::try_from(place.unwrap()).unwrap() + 1;
            world.apply(vec![member(1, 4, number)]);
            assert!(world.allowed(&mut worker, &body), "{role}");
            world.apply(vec![member(1, 4, 1)]);
            assert!(!world.allowed(&mut worker, &body), "{role}");
        }
    }
}

#[test]
fn a_denial_without_a_member_says_which_fact_is_missing() {
    let mut world = World::new();
    world.apply(vec![user_state(2, "suspended")]);
    let mut worker = world.worker();
    for (body, kind) in [
        (question("acme", 2, "read"), "suspended"),
        (question("nobody", 1, "read"), "organization_unknown"),
        (question("acme", 1, "fly"), "unknown_action"),
    ] {
        let answer = explained(&world, &mut worker, &body);
        assert_eq!(answer["context"]["explanation"]["cause"]["kind"], kind);
        assert_eq!(answer["decision"], json!(false));
    }
}
