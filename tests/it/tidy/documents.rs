//! Documents that point at things point at things that exist.

use super::source::{assert_none, files, read, root};

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
