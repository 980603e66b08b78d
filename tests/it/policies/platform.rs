//! The rules of the authority's own API, proved.

use doorward::authority::access::auth_manifest;
use doorward::policy::platform::Platform;
use doorward::policy::prove::Answer;

use super::solver::solver;

const RULES: &str = include_str!("../../../policies/platform.cedar");

/// Another organization's, for a member who is no operator.
const ACROSS: &str = "principal is Membership && !principal.organization.system && \
                      !(resource in principal.organization)";

#[tokio::test]
async fn no_member_but_an_operator_is_ever_allowed_anything_in_another_organization() {
    let Some(mut solver) = solver() else { return };
    let platform = Platform::new(&auth_manifest().unwrap()).unwrap();
    let proof = platform.never(ACROSS, &mut solver).await.unwrap();
    assert!(proof.open.is_empty(), "{:#?}", proof.open);
    assert!(proof.environments > 100, "{}", proof.environments);
}

#[tokio::test]
async fn rules_that_forget_the_organization_are_disproved_with_a_request_in_words() {
    let Some(mut solver) = solver() else { return };
    let broken = RULES.replace("when { resource == principal.organization };", ";");
    assert_ne!(broken, RULES);
    let platform = Platform::with_rules(&auth_manifest().unwrap(), &broken).unwrap();
    let proof = platform.never(ACROSS, &mut solver).await.unwrap();
    let [(what, Answer::Disproved { example })] = proof.open.as_slice() else {
        panic!("{:#?}", proof.open);
    };
    assert!(what.contains("auth:organization:read"), "{what}");
    assert_eq!(example.decided_by, ["members-see-their-organization"]);
    for part in [
        "a member of organization ",
        "auth:organization:read",
        "asks for",
    ] {
        assert!(example.words.contains(part), "{}", example.words);
    }
}
