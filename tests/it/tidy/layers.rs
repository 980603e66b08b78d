//! The layer table of docs/ARCHITECTURE.md against every path in `src/`.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{assert_none, read, rust_source};

/// module → what it may import, from the table under "## Layers".
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let document = read("docs/ARCHITECTURE.md");
    let section = document
        .split("## Layers")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("docs/ARCHITECTURE.md has a section `## Layers`");
    section
        .lines()
        .filter_map(|line| {
            let (module, allowed) = line.strip_prefix("| `")?.split_once("` |")?;
            let allowed = allowed.split('`').skip(1).step_by(2).map(str::to_owned);
            Some((module.to_owned(), allowed.collect()))
        })
        .collect()
}

/// The modules that a line names by a path from the crate's root.
fn named(line: &str) -> Vec<&str> {
    line.match_indices("crate::")
        .filter(|(at, _)| !line[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        .map(|(at, prefix)| first_word(&line[at + prefix.len()..]))
        .collect()
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default()
}

#[test]
fn the_table_names_every_module_and_only_those() {
    let documented: BTreeSet<String> = table().into_keys().collect();
    let declared: BTreeSet<String> = read("src/lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, declared);
}

#[test]
fn no_module_imports_what_its_row_does_not_name() {
    let table = table();
    let mut offences = Vec::new();
    for file in rust_source() {
        let Some(module) = file.path.split('/').nth(1) else {
            continue;
        };
        let Some(allowed) = table.get(module) else {
            continue;
        };
        for (number, line) in file.code() {
            for other in named(line) {
                if table.contains_key(other) && other != module && !allowed.contains(other) {
                    offences.push(format!("{}:{number}: {module} → {other}", file.path));
                }
            }
        }
    }
    assert_none("docs/ARCHITECTURE.md does not allow", &offences);
}

#[test]
fn no_path_hides_from_the_table() {
    let table = table();
    let mut offences = Vec::new();
    for file in rust_source() {
        let depth = module_depth(&file.path);
        for (number, line) in file.code() {
            if line.contains("use crate::{") || line.contains("use crate::*") {
                offences.push(format!("{}:{number}: one `use` per module path", file.path));
            }
            let climbs = line.matches("super::").count();
            let after = line.rsplit("super::").next().map(first_word);
            if climbs >= depth && after.is_some_and(|word| table.contains_key(word)) && climbs > 1 {
                offences.push(format!("{}:{number}: say `crate::`", file.path));
            }
        }
    }
    assert_none(
        "every import across modules says its path from the root",
        &offences,
    );
}

fn module_depth(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    inside.trim_end_matches("/mod").split('/').count()
}

#[test]
fn the_store_uses_no_protocol_but_the_frame_codec() {
    let mut offences = Vec::new();
    for file in rust_source() {
        if !file.path.starts_with("src/store/") {
            continue;
        }
        for (number, line) in file.code() {
            if line.contains("crate::protocol") && !line.contains("crate::protocol::feed") {
                offences.push(format!("{}:{number}", file.path));
            }
        }
    }
    assert_none("docs/adr/0003: protocol::feed only", &offences);
}
