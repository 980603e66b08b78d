//! Documents that point at things point at things that exist, and the operator's knows all of them.

use std::collections::BTreeSet;

use super::source::{assert_none, files, read, root, rust_source};

#[test]
fn every_relative_link_leads_somewhere() {
    let mut documents = files("docs", &["md"]);
    for path in [
        "README.md",
        "CHANGELOG.md",
        "migrations/README.md",
        "benches/harness/README.md",
    ] {
        if root().join(path).exists() {
            documents.push(super::source::File {
                path: path.to_owned(),
                text: read(path),
            });
        }
    }
    let mut broken = Vec::new();
    for document in &documents {
        let folder = root().join(&document.path);
        let folder = folder.parent().unwrap();
        for link in links(&document.text) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || link.contains("://") {
                continue;
            }
            if !folder.join(target).exists() {
                broken.push(format!("{}: {link}", document.path));
            }
        }
    }
    assert_none("broken links", &broken);
}

/// The targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains([' ', '\n', '`']))
}

/// What stands between quotation marks and begins with `doorward_`, outside tests.
fn metrics() -> BTreeSet<String> {
    let sources = rust_source();
    let names = sources.iter().flat_map(|file| {
        let code = file.text.split("#[cfg(test)]").next().unwrap_or_default();
        code.split('"').skip(1).filter_map(|text| {
            let end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            let name = &text[..end.unwrap_or(text.len())];
            name.starts_with("doorward_").then(|| name.to_owned())
        })
    });
    names.collect()
}

#[test]
fn every_metric_is_documented_and_no_other_is() {
    let text = read("docs/operations.md");
    let documented: BTreeSet<String> = text
        .split('`')
        .map(|part| part.split('{').next().unwrap_or_default())
        .filter(|name| name.starts_with("doorward_"))
        .map(str::to_owned)
        .collect();
    let metrics = metrics();
    assert!(metrics.len() > 20, "the sources are read: {metrics:?}");
    let differ: Vec<String> = metrics.symmetric_difference(&documented).cloned().collect();
    assert_none("in the sources or in docs/operations.md only", &differ);
}

#[test]
fn every_setting_is_documented() {
    let text = read("docs/operations.md");
    let mut missing = Vec::new();
    let mut found = 0;
    for path in [
        "src/authority/config.rs",
        "src/sidecar/config.rs",
        "src/sidecar/decision_log/config.rs",
        "src/sidecar/watch/config.rs",
    ] {
        let source = read(path);
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        for getter in [
            "or", "optional", "required", "duration", "size", "path", "secret", "list", "map",
        ] {
            for call in [format!(".{getter}("), format!(".{getter}::<")] {
                for rest in code.split(&call).skip(1) {
                    let Some(key) = rest.split('"').nth(1).filter(|_| !rest.starts_with('|'))
                    else {
                        continue;
                    };
                    let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                    if !is_key || rest.find('"') > rest.find([')', ';']) {
                        continue;
                    }
                    found += 1;
                    let file = if getter == "secret" { "_file" } else { "" };
                    let named = [format!("`{key}{file}`"), format!(".{key}{file}`")];
                    let section = format!("`{key}.<");
                    if !named.iter().any(|name| text.contains(name)) && !text.contains(&section) {
                        missing.push(format!("{path}: {key}{file}"));
                    }
                }
            }
        }
    }
    assert!(found > 25, "the sources are read: {found}");
    assert_none("not in docs/operations.md", &missing);
}

#[test]
fn decisions_are_numbered_without_a_gap() {
    let numbers: Vec<String> = files("docs/adr", &["md"])
        .iter()
        .map(|file| file.path["docs/adr/".len()..][..4].to_owned())
        .collect();
    let wanted: Vec<String> = (1..=numbers.len())
        .map(|number| format!("{number:04}"))
        .collect();
    assert_eq!(numbers, wanted);
}

#[test]
fn the_licence_is_the_one_the_package_declares() {
    assert!(read("Cargo.toml").contains("license = \"Apache-2.0\""));
    assert!(read("LICENSE").contains("Version 2.0, January 2004"));
}
