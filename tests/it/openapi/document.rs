//! What every document holds to.

use std::collections::BTreeSet;
use std::path::PathBuf;

use doorward::openapi;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// Both, by the name of their file.
pub fn documents() -> [(&'static str, Value); 2] {
    [
        ("authority", openapi::authority()),
        ("sidecar", openapi::sidecar()),
    ]
}

/// Every path and method of a document.
pub fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| {
                assert!(METHODS.contains(&method.as_str()), "{method}");
                (path.clone(), method.to_ascii_uppercase())
            })
        })
        .collect()
}

#[test]
fn the_golden_documents_are_what_the_code_makes() {
    for (name, document) in documents() {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("docs/openapi/{name}.json"));
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        } else {
            let golden = std::fs::read_to_string(path).unwrap_or_default();
            assert!(
                golden == text,
                "docs/openapi/{name}.json is out of date: UPDATE_GOLDEN=1 rewrites it"
            );
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_no_answer_is_a_default() {
    for (name, document) in documents() {
        walk(&document, &mut |key, value| {
            if key == "$ref" {
                let place = value.as_str().unwrap().strip_prefix('#').unwrap();
                assert!(
                    document.pointer(place).is_some(),
                    "{name}: {value} leads nowhere"
                );
            }
        });
        let mut ids = BTreeSet::new();
        for (path, method) in operations(&document) {
            let operation = &document["paths"][&path][method.to_ascii_lowercase()];
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{name}: two operations of {operation}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                !responses.contains_key("default"),
                "{name}: {method} {path}"
            );
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{name}: {method} {path} never succeeds"
            );
            for parameter in operation["parameters"].as_array().unwrap() {
                assert_ne!(
                    parameter["description"], "",
                    "{name}: {method} {path}: {parameter}"
                );
            }
        }
    }
}

fn walk(value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                visit(key, value);
                walk(value, visit);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

/// The characters of a text that has no pattern are tried as letters: what else may stand there is
/// told in words.
#[test]
fn every_text_that_fits_its_schema_is_taken_by_its_parser() {
    let mut runner = TestRunner::deterministic();
    for text in openapi::texts() {
        let schema = (text.schema)().to_value();
        let bound = |name: &str, otherwise| {
            schema[name]
                .as_u64()
                .map_or(otherwise, |bound| usize::try_from(bound).unwrap())
        };
        let (least, most) = (bound("minLength", 0), bound("maxLength", usize::MAX));
        let pattern = match schema["pattern"].as_str() {
            // Any script may stand in an address; invisible characters may not.
            Some(pattern) => pattern
                .trim_start_matches('^')
                .trim_end_matches('$')
                .replace(r"[^@\s]", "[!-?A-~]"),
            None if schema["format"] == "date-time" => continue,
            None => format!("[a-z]{{{least},{most}}}"),
        };
        let fits = |made: &str| (least..=most).contains(&made.chars().count());
        let strategy = proptest::string::string_regex(&pattern).unwrap();
        let mut tried = 0;
        for _ in 0..2000 {
            let made = strategy.new_tree(&mut runner).unwrap().current();
            if fits(&made) {
                tried += 1;
                assert!((text.takes)(&made), "{} is refused: `{made}`", text.name);
            }
        }
        assert!(tried > 100, "{}: only {tried} texts were tried", text.name);
        if most < 1000 {
            assert!(
                !(text.takes)(&"a".repeat(most + 1)),
                "{} may be longer",
                text.name
            );
        }
        assert!(
            least == 0 || !(text.takes)(""),
            "{} may be empty",
            text.name
        );
    }
}
