//! Random policies: the solver's answer never contradicts the evaluator on a small whole world.

use doorward::domain::{Decision, OrganizationId, PermissionKey, RoleId, UserId};
use doorward::policy::prove::{Answer, Example, compare};
use doorward::policy::{Engine, PolicyFacts, Question, Resource};
use serde_json::{Map, Value, json};

use super::facts::{engine, facts};
use super::solver::solver;

const ROLES: [&str; 2] = ["docs/editor", "docs/guest"];
const PERMISSIONS: [&str; 2] = ["docs:page:read", "docs:page:write"];
const ATTRIBUTES: &str = "[resources.\"docs:page\"]\nsecret = \"Bool\"\nlevel = \"Long\"\n\
                          owner = \"User\"\n[context]\nmfa = \"Bool\"\n";
const ROUNDS: u64 = 40;

/// `SplitMix64`: a round is told by its number.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

fn condition(random: &mut Random, depth: usize) -> String {
    if depth > 0 && random.below(3) > 0 {
        let (left, right) = (condition(random, depth - 1), condition(random, depth - 1));
        return match random.below(3) {
            0 => format!("({left} && {right})"),
            1 => format!("({left} || {right})"),
            _ => format!("!({left})"),
        };
    }
    random
        .of(&[
            "(resource has secret && resource.secret)",
            "(resource has level && resource.level > 3)",
            "(resource has level && resource.level + 9223372036854775803 > 0)",
            "(resource has owner && resource.owner == principal.user)",
            "(context has mfa && context.mfa)",
            "(resource in principal.organization)",
            "(principal in Role::\"docs/editor\")",
            "(principal in [Role::\"docs/editor\", Role::\"docs/guest\"])",
            "(action in Action::\"role:docs/guest\")",
            "(resource in Organization::\"00000000-0000-0000-0000-00000000000a\")",
            "(principal.organization == Organization::\"00000000-0000-0000-0000-00000000000b\")",
        ])
        .to_owned()
}

fn policies(random: &mut Random) -> String {
    let policies: Vec<String> = (0..random.below(4))
        .map(|_| {
            let effect = random.of(&["permit", "forbid"]);
            let action = random.of(&[
                "action",
                "action == Action::\"docs:page:read\"",
                "action in Action::\"role:docs/editor\"",
            ]);
            let principal = random.of(&["principal", "principal in Role::\"docs/guest\""]);
            let condition = condition(random, 2);
            format!("{effect} ({principal}, {action}, resource) when {{ {condition} }};\n")
        })
        .collect();
    policies.concat()
}

fn world(random: &mut Random) -> PolicyFacts {
    let granted = |random: &mut Random| match random.below(4) {
        0 => &PERMISSIONS[..0],
        1 => &PERMISSIONS[..1],
        2 => &PERMISSIONS[1..],
        _ => &PERMISSIONS[..],
    };
    let (editor, guest) = (granted(random), granted(random));
    facts(&[(ROLES[0], editor), (ROLES[1], guest)], &PERMISSIONS)
}

/// Policies that Cedar takes: what it warns of is refused, as a sidecar would.
fn side(random: &mut Random) -> Engine {
    use doorward::policy::{Attributes, CustomPolicies};
    loop {
        let (facts, text) = (world(random), policies(random));
        let attributes = Attributes::parse("attributes.toml", ATTRIBUTES).unwrap();
        let files = vec![("site.cedar".to_owned(), text.clone())];
        if CustomPolicies::load(files, attributes, &facts).is_ok() {
            return engine(&facts, ATTRIBUTES, &text);
        }
    }
}

fn fields(pairs: &[(&str, Option<Value>)]) -> Map<String, Value> {
    pairs
        .iter()
        .filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)))
        .collect()
}

/// Puts every request of the small world to both; the first that `more` allows and `less` denies.
fn found(more: &Engine, less: &Engine, key: &PermissionKey) -> Option<String> {
    let organization = |n: u128| OrganizationId::from_u128(n);
    let user = UserId::from_u128(1);
    let truths = [None, Some(json!(true)), Some(json!(false))];
    let levels = [None, Some(json!(0)), Some(json!(4)), Some(json!(9))];
    let owners = [None, Some(json!(user.to_string())), Some(json!("someone"))];
    for roles in 0..4_u128 {
        let roles: Vec<RoleId> = (0..2)
            .filter(|n| roles >> n & 1 == 1)
            .map(|n| RoleId::from_u128(n + 1))
            .collect();
        for (own, its) in [(10, 10), (10, 11), (11, 10), (11, 11), (12, 12), (12, 13)] {
            for (secret, level) in truths
                .iter()
                .flat_map(|a| levels.iter().map(move |b| (a, b)))
            {
                for (owner, mfa) in owners
                    .iter()
                    .flat_map(|a| truths.iter().map(move |b| (a, b)))
                {
                    let properties = fields(&[
                        ("secret", secret.clone()),
                        ("level", level.clone()),
                        ("owner", owner.clone()),
                    ]);
                    let context = fields(&[("mfa", mfa.clone())]);
                    let allows = |engine: &Engine| {
                        let Some(action) = engine.permission(key) else {
                            return false;
                        };
                        let question = Question {
                            organization: organization(own),
                            user,
                            roles: &roles,
                            action,
                            resource: Resource {
                                resource_type: "docs:page",
                                id: "1",
                                organization: Some(organization(its)),
                                properties: Some(&properties),
                            },
                            subject_properties: None,
                            action_properties: None,
                            context: Some(&context),
                            now: None,
                        };
                        engine.evaluate(&question).decision == Decision::Allow
                    };
                    if allows(more) && !allows(less) {
                        return Some(format!("{roles:?} {own} {its} {properties:?} {context:?}"));
                    }
                }
            }
        }
    }
    None
}

#[tokio::test]
async fn the_solver_and_the_evaluator_never_contradict_each_other_on_random_policies() {
    let Some(mut solver) = solver() else { return };
    let (mut proved, mut disproved, mut undecided) = (0, 0, 0);
    for round in 0..ROUNDS {
        let mut random = Random(round);
        let (old, new) = (side(&mut random), side(&mut random));
        for (key, difference) in compare(&old, &new, &mut solver).await.permissions {
            for (more, less, answer) in [
                (&new, &old, difference.no_wider),
                (&old, &new, difference.no_narrower),
            ] {
                let allows = |engine: &Engine, example: &Example| {
                    example.evaluate(engine).unwrap().decision == Decision::Allow
                };
                match answer {
                    Answer::Proved => {
                        proved += 1;
                        assert_eq!(found(more, less, &key), None, "round {round}, {key}");
                    }
                    Answer::Disproved { example } => {
                        disproved += 1;
                        assert!(allows(more, &example), "round {round}: {example}");
                        assert!(!allows(less, &example), "round {round}: {example}");
                    }
                    Answer::Undecided { why } => {
                        undecided += 1;
                        assert!(why.contains("fail"), "round {round}: {why}");
                    }
                    Answer::Contradiction { what } => panic!("round {round}: {what}"),
                }
            }
        }
    }
    assert!(
        proved >= 10 && disproved >= 10,
        "{proved} {disproved} {undecided}"
    );
    assert!(
        undecided * 4 <= proved + disproved,
        "{proved} {disproved} {undecided}"
    );
}
