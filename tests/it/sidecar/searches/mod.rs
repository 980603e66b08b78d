//! `POST /access/v1/search/…` and `POST /v1/plan`, and explanations on the same random worlds.

mod explain;
mod instances;
mod pages;
mod plans;
mod random;
mod rules;

use doorward::protocol::authzen::Target;
use doorward::sidecar::decide::Worker;
use doorward::sidecar::http::{SearchError, Terms, search};
use serde_json::{Value, json};

use super::world::*;

/// One page.
fn page(
    world: &World,
    worker: &mut Worker,
    target: Target,
    body: &Value,
) -> Result<Value, SearchError> {
    let body = body.to_string();
    let answer = search(
        &world.state,
        worker,
        &Terms::default(),
        target,
        body.as_bytes(),
    )?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

/// All results, by pages of `limit`.
fn whole(
    world: &World,
    worker: &mut Worker,
    target: Target,
    body: &Value,
    limit: usize,
) -> Result<Vec<Value>, SearchError> {
    let mut body = body.clone();
    let mut all = Vec::new();
    body["page"] = json!({"limit": limit});
    loop {
        let found = page(world, worker, target, &body)?;
        let results = found["results"].as_array().unwrap();
        assert!(results.len() <= limit, "{found}");
        assert_eq!(found["page"]["count"], results.len());
        all.extend(results.iter().cloned());
        let token = found["page"]["next_token"].as_str().unwrap();
        if token.is_empty() {
            return Ok(all);
        }
        body["page"] = json!({"token": token});
    }
}

fn ids(results: &[Value]) -> Vec<&str> {
    results
        .iter()
        .map(|found| found["id"].as_str().unwrap())
        .collect()
}
