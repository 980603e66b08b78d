//! `GET /.well-known/authzen-configuration`.

use serde::Serialize;

/// Where the metadata is looked for: a decision point with a path of its own has it between host and
/// path (`https://pdp.example/a` at `/.well-known/authzen-configuration/a`).
pub fn metadata_path(base: &str) -> String {
    let after_scheme = base.split_once("://").map_or(base, |(_, rest)| rest);
    let path = after_scheme.split_once('/').map_or("", |(_, path)| path);
    let mut whole = "/.well-known/authzen-configuration".to_owned();
    if !path.is_empty() {
        whole.push('/');
        whole.push_str(path);
    }
    whole
}

/// The metadata document of a decision point at `base` (`https://…`, without a final slash).
/// Empty parameters are left out, as the specification wants.
pub fn metadata(base: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Metadata<'a> {
        policy_decision_point: &'a str,
        access_evaluation_endpoint: String,
        access_evaluations_endpoint: String,
        search_subject_endpoint: String,
        search_resource_endpoint: String,
        search_action_endpoint: String,
    }
    serde_json::to_vec(&Metadata {
        policy_decision_point: base,
        access_evaluation_endpoint: format!("{base}/access/v1/evaluation"),
        access_evaluations_endpoint: format!("{base}/access/v1/evaluations"),
        search_subject_endpoint: format!("{base}/access/v1/search/subject"),
        search_resource_endpoint: format!("{base}/access/v1/search/resource"),
        search_action_endpoint: format!("{base}/access/v1/search/action"),
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_point_with_a_path_is_looked_for_between_host_and_path() {
        for (base, wanted) in [
            ("https://pdp.example", "/.well-known/authzen-configuration"),
            (
                "https://pdp.example/a/b",
                "/.well-known/authzen-configuration/a/b",
            ),
            (
                "http://127.0.0.1:7181",
                "/.well-known/authzen-configuration",
            ),
        ] {
            assert_eq!(metadata_path(base), wanted);
        }
    }

    #[test]
    fn the_metadata_names_both_endpoints_below_the_decision_point() {
        let value: serde_json::Value =
            serde_json::from_slice(&metadata("https://pdp.example")).unwrap();
        assert_eq!(value["policy_decision_point"], "https://pdp.example");
        assert_eq!(
            value["access_evaluation_endpoint"],
            "https://pdp.example/access/v1/evaluation"
        );
        assert_eq!(
            value["access_evaluations_endpoint"],
            "https://pdp.example/access/v1/evaluations"
        );
    }
}
