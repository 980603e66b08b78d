//! Bans and licences of deny.toml, checked without the cargo-deny binary.

use std::collections::BTreeSet;
use std::process::Command;

use super::source::{File, assert_none, files, read, root};

fn rules() -> toml::Table {
    read("deny.toml").parse().expect("deny.toml is TOML")
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn linked(features: &[&str]) -> BTreeSet<String> {
    let mut arguments = vec!["tree", "--offline", "--locked", "-e", "normal,build"];
    arguments.extend(["--prefix", "none", "--format", "{p}"]);
    arguments.extend(features);
    cargo(&arguments)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// Dependencies that no line of ours names, each with why it is there all the same.
const UNNAMED: [&str; 1] = [
    // Cargo.toml says why.
    "num-traits",
];

#[test]
fn every_dependency_is_used() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let sources = files("src", &["rs"]);
    let checks: Vec<File> = ["tests", "benches", "examples", "src"]
        .iter()
        .flat_map(|folder| files(folder, &["rs"]))
        .collect();
    let mut unused = Vec::new();
    for (section, files) in [("dependencies", &sources), ("dev-dependencies", &checks)] {
        for name in manifest[section].as_table().expect("a table").keys() {
            let path = format!("{}::", name.replace('-', "_"));
            let named = files
                .iter()
                .any(|file| file.code().any(|(_, line)| line.contains(&path)));
            if !named && !UNNAMED.contains(&name.as_str()) {
                unused.push(format!("[{section}] {name}"));
            }
        }
    }
    assert_none("Cargo.toml names what no source uses", &unused);
}

#[test]
fn nothing_banned_is_linked() {
    let rules = rules();
    let linked = linked(&["--all-features"]);
    let banned: Vec<String> = rules["bans"]["deny"]
        .as_array()
        .expect("[bans] deny is a list")
        .iter()
        .map(|ban| ban["crate"].as_str().unwrap().to_owned())
        .filter(|name| linked.contains(name))
        .collect();
    assert_none("deny.toml [bans]", &banned);
}

#[test]
fn the_sidecar_alone_links_no_server_or_database_of_the_authority() {
    let linked = linked(&["--no-default-features", "--features", "sidecar"]);
    let found: Vec<String> = [
        "axum",
        "tower-http",
        "postgres",
        "tokio-postgres",
        "r2d2_postgres",
        "askama",
        "lettre",
        "clap_complete",
        "indicatif",
    ]
    .into_iter()
    .filter(|name| linked.contains(*name))
    .map(str::to_owned)
    .collect();
    assert_none("--no-default-features --features sidecar", &found);
}

#[test]
fn every_licence_is_on_the_list() {
    let rules = rules();
    let allowed: BTreeSet<&str> = rules["licenses"]["allow"]
        .as_array()
        .expect("[licenses] allow is a list")
        .iter()
        .map(|licence| licence.as_str().unwrap())
        .collect();
    let listing = cargo(&[
        "tree",
        "--offline",
        "--locked",
        "-e",
        "normal,build",
        "--all-features",
        "--prefix",
        "none",
        "--format",
        "{p}\t{l}",
    ]);
    let found: BTreeSet<String> = listing
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(_, licence)| !is_allowed(licence.trim_end_matches(" (*)"), &allowed))
        .map(|(package, licence)| format!("{package}: {licence}"))
        .collect();
    assert_none("deny.toml [licenses]", &Vec::from_iter(found));
}

/// Evaluates an SPDX expression of `OR`, `AND`, `WITH`, parentheses and the old `/`.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = any_of(&mut words, allowed);
    verdict && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut verdict = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all_of(words, allowed);
    }
    verdict
}

fn all_of(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut verdict = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed);
    }
    verdict
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let verdict = any_of(words, allowed);
        return words.next_if_eq(&")").is_some() && verdict;
    }
    let Some(mut name) = words.next().map(str::to_owned) else {
        return false;
    };
    if words.next_if_eq(&"WITH").is_some() {
        name = format!("{name} WITH {}", words.next().unwrap_or_default());
    }
    allowed.contains(name.as_str())
}

#[test]
fn a_licence_expression_is_read_by_its_operators() {
    let allowed = BTreeSet::from(["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]);
    for fine in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "(MIT OR GPL-3.0) AND ISC",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(fine, &allowed), "{fine}");
    }
    for wrong in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "Apache-2.0"] {
        assert!(!is_allowed(wrong, &allowed), "{wrong}");
    }
}
