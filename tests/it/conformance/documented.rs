//! `docs/conformance.md` names every module once, each with a test that exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The rows of the tables: what was ported, and the name of the test.
fn rows() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let (what, by) = (cells.next()?, cells.next()?);
            let name = |cell: &str| cell.trim().trim_matches('`').to_owned();
            by.starts_with('`').then(|| (name(what), name(by)))
        })
        .collect()
}

/// The tests of this folder.
fn tests() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/conformance");
    let mut names = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for part in text.split("#[tokio::test]\nasync fn ").skip(1) {
            names.insert(part.split('(').next().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn the_document_and_the_tests_are_the_same_list() {
    let (mut rows, tests) = (rows(), tests());
    rows.retain(|(_, test)| !test.contains("::"));
    let named: BTreeSet<String> = rows.iter().map(|(_, test)| test.clone()).collect();
    assert_eq!(named, tests);
    assert_eq!(
        rows.len(),
        tests.len(),
        "a test stands in the document once"
    );
}

/// They stand there with their module, and are instantiated for each engine.
#[test]
fn tests_of_other_folders_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let mut found = 0;
    for (_, test) in rows() {
        let Some((module, name)) = test.rsplit_once("::") else {
            continue;
        };
        let path = format!("{}.rs", module.replace("::", "/"));
        let text = fs::read_to_string(root.join(path)).unwrap();
        let (_, list) = text.split_once("on_both_engines! {").unwrap();
        let (list, _) = list.split_once('}').unwrap();
        let listed = list.split(',').any(|it| it.trim() == name);
        assert!(listed, "{test}");
        found += 1;
    }
    assert!(found > 0, "the page is read");
}

#[test]
fn a_ported_module_keeps_its_name() {
    for (module, test) in rows() {
        if module.starts_with("oidcc-") {
            assert_eq!(module.replace('-', "_"), test);
        }
    }
}

#[test]
fn every_module_of_the_four_plans_is_there() {
    let mut plans: BTreeMap<&str, usize> = BTreeMap::new();
    for (module, _) in rows() {
        let plan = if module.starts_with("oidcc-backchannel") {
            "back-channel"
        } else if module.starts_with("oidcc-rp-initiated") {
            "rp-initiated"
        } else if module.starts_with("oidcc-discovery") {
            "config"
        } else if module.starts_with("oidcc-") {
            "basic"
        } else {
            continue;
        };
        *plans.entry(plan).or_default() += 1;
    }
    let wanted = [
        ("back-channel", 2),
        ("basic", 38),
        ("config", 1),
        ("rp-initiated", 11),
    ];
    assert_eq!(plans, BTreeMap::from(wanted));
}

/// A row of the table of RFC 9700: the test, the request and the answer.
fn requirements() -> Vec<(String, String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, table) = page.split_once("| exact answer |\n").unwrap();
    table
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            let [_, by, request, answer] = cells[..] else {
                panic!("a requirement has four cells: {line}");
            };
            let by = by.trim_matches('`').to_owned();
            (by, request.to_owned(), answer.to_owned())
        })
        .collect()
}

/// The text of a test, and of the helpers of its file when it is not of this folder.
fn source(test: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let (module, name) = test
        .rsplit_once("::")
        .unwrap_or(("conformance::rfc9700", test));
    let path = root.join(format!("{}.rs", module.replace("::", "/")));
    let file = fs::read_to_string(path).unwrap();
    let body = |name: &str| {
        let start = file.find(&format!("fn {name}(")).unwrap();
        let end = file[start..].find("\n}\n").unwrap();
        file[start..start + end].to_owned()
    };
    let mut all = body(name);
    if module == "oauth::dpop" {
        for helper in ["token", "show", "expect_challenge"] {
            all += &body(helper);
        }
    }
    all
}

/// Whether a test looks at this status: helpers know 303 by the word for what it leads to.
fn checks(source: &str, status: &str) -> bool {
    let words = [".answer()", ".refused(", ".location()", "world.code("];
    source.contains(status) || status == "303" && words.iter().any(|word| source.contains(word))
}

#[test]
fn each_requirement_has_a_request_and_the_answer_that_its_test_checks() {
    let requirements = requirements();
    assert_eq!(requirements.len(), 24);
    for (test, request, answer) in requirements {
        assert!(!request.is_empty() && !answer.is_empty(), "{test}");
        let source = source(&test);
        let numbers = answer.split(|c: char| !c.is_ascii_alphanumeric());
        let statuses = numbers.filter(|it| it.len() == 3 && it.parse::<u16>().is_ok());
        for status in statuses {
            assert!(checks(&source, status), "{test}: {status}");
        }
        // Error codes stand between backticks, alone or after `error=`.
        for code in answer.split('`').skip(1).step_by(2) {
            let code = code.strip_prefix("error=").unwrap_or(code);
            let is_code = code.contains(['_', '-']) && !code.contains([' ', ':']);
            if is_code || code == "unauthenticated" {
                assert!(source.contains(code), "{test}: {code}");
            }
        }
    }
}
