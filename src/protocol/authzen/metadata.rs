//! `GET /.well-known/authzen-configuration`.

use serde::Serialize;

/// The metadata document of a decision point at `base` (`https://…`, without a final slash).
/// Empty parameters are left out, as the specification wants.
pub fn metadata(base: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Metadata<'a> {
        policy_decision_point: &'a str,
        access_evaluation_endpoint: String,
        access_evaluations_endpoint: String,
    }
    serde_json::to_vec(&Metadata {
        policy_decision_point: base,
        access_evaluation_endpoint: format!("{base}/access/v1/evaluation"),
        access_evaluations_endpoint: format!("{base}/access/v1/evaluations"),
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
