//! `docs/authzen.md` names tests that exist.

use std::fs;
use std::path::Path;

/// The tests named in the last cell of each rule.
fn named() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/authzen.md");
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .filter_map(|line| line.rsplit_once(" | "))
        .flat_map(|(_, tests)| tests.split(", ").map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|test| Some(test.strip_prefix('`')?.strip_suffix('`')?.to_owned()))
        .collect()
}

#[test]
fn every_rule_of_authzen_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = named();
    assert!(named.len() > 20, "the page is read: {named:?}");
    for test in named {
        let (module, name) = test.rsplit_once("::").unwrap();
        let file = if module.starts_with("src/") {
            format!("{module}.rs")
        } else {
            format!("tests/it/sidecar/{}.rs", module.replace("::", "/"))
        };
        let text = fs::read_to_string(root.join(&file)).unwrap_or_else(|_| panic!("{test}"));
        assert!(text.contains(&format!("fn {name}(")), "{test}");
    }
}
