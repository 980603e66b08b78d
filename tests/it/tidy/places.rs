//! Each thing in its one place.

use super::source::{File, assert_none, files, read, rust_source};

fn offences(is_home: impl Fn(&str) -> bool, offends: impl Fn(&str) -> bool) -> Vec<String> {
    rust_source()
        .iter()
        .filter(|file| !is_home(&file.path))
        .flat_map(|file| {
            file.code()
                .filter(|(_, line)| offends(line))
                .map(|(number, line)| format!("{}:{number}: {}", file.path, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn sql_and_drivers_stay_in_the_store() {
    const STATEMENTS: [&str; 9] = [
        "\"SELECT ",
        "\"INSERT INTO",
        "\"UPDATE ",
        "\"DELETE FROM",
        "\"CREATE TABLE",
        "\"CREATE INDEX",
        "\"PRAGMA ",
        "\"ATTACH ",
        "\"VACUUM",
    ];
    let found = offences(
        |path| path.starts_with("src/store/"),
        |line| {
            STATEMENTS.iter().any(|statement| line.contains(statement))
                || ["rusqlite::", "postgres::", "r2d2::", "r2d2_sqlite::"]
                    .iter()
                    .any(|driver| line.contains(driver) && !line.contains("driver::"))
        },
    );
    assert_none("SQL only in store/", &found);
}

#[test]
fn cedar_stays_in_policy() {
    let found = offences(
        |path| path.starts_with("src/policy/"),
        |line| line.contains("cedar_policy"),
    );
    assert_none("cedar_policy only in policy/", &found);
}

#[test]
fn moka_stays_where_it_is_watched() {
    let found = offences(
        |path| {
            matches!(
                path,
                "src/sidecar/cache.rs" | "src/authority/keys/verified.rs"
            )
        },
        |line| line.contains("moka::"),
    );
    assert_none(
        "moka only in sidecar/cache.rs and authority/keys/verified.rs",
        &found,
    );
}

#[test]
fn tasks_are_spawned_by_the_runtime_only() {
    let found = offences(
        |path| path.starts_with("src/runtime/"),
        |line| line.contains("tokio::spawn(") || line.contains("task::spawn("),
    );
    assert_none("tokio::spawn only in runtime/", &found);
}

#[test]
fn system_clocks_are_read_by_the_runtime_only() {
    let found = offences(
        |path| path.starts_with("src/runtime/"),
        |line| {
            if line.contains("UPDATE_GOLDEN") {
                return false;
            }
            line.contains("SystemTime::now")
                || line.contains("Timestamp::now")
                || line.contains("std::env::var(")
        },
    );
    assert_none("clock and environment only in runtime/", &found);
}

#[test]
fn a_binary_is_at_most_sixty_lines() {
    let long: Vec<String> = files("src/bin", &["rs"])
        .iter()
        .filter(|file| file.text.lines().count() > 60)
        .map(|file| format!("{}: {} lines", file.path, file.text.lines().count()))
        .collect();
    assert_none("src/bin: args → config → app → run", &long);
}

/// Files that hold logic in a `mod.rs`. The list may only shrink.
const MOD_FILES_WITH_LOGIC: [&str; 2] =
    ["src/protocol/feed/mod.rs", "src/protocol/manifest/mod.rs"];

#[test]
fn a_mod_file_holds_documentation_modules_and_re_exports() {
    let holds_logic = |file: &File| {
        file.code().any(|(_, line)| {
            let line = line.trim_start_matches("pub ").trim_start_matches("async ");
            line.starts_with("fn ") || line.starts_with("impl") || line.starts_with("const fn ")
        })
    };
    let found: Vec<String> = rust_source()
        .iter()
        .filter(|file| file.path.ends_with("/mod.rs") && holds_logic(file))
        .map(|file| file.path.clone())
        .collect();
    let unlisted: Vec<String> = found
        .iter()
        .filter(|path| !MOD_FILES_WITH_LOGIC.contains(&path.as_str()))
        .cloned()
        .collect();
    assert_none("logic has a file of its own", &unlisted);
    let stale: Vec<String> = MOD_FILES_WITH_LOGIC
        .iter()
        .filter(|path| !found.iter().any(|file| file == *path))
        .map(|path| (*path).to_owned())
        .collect();
    assert_none("take it off MOD_FILES_WITH_LOGIC", &stale);
}

#[test]
fn no_file_names_a_machine() {
    // Put together at run time, so that this file does not name them.
    let needles = ["/work", "/root", "/home"].map(|folder| format!("{folder}/"));
    let mut found = Vec::new();
    for folder in [
        "src",
        "docs",
        "tests",
        "examples",
        "benches",
        "migrations",
        "schema",
        "policies",
    ] {
        if !super::source::root().join(folder).exists() {
            continue;
        }
        for file in files(
            folder,
            &[
                "rs", "md", "sql", "json", "yaml", "toml", "py", "sh", "cedar",
            ],
        ) {
            for (index, line) in file.text.lines().enumerate() {
                if needles.iter().any(|needle| starts_a_path(line, needle)) {
                    found.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
                }
            }
        }
    }
    assert_none("paths of one machine", &found);
}

/// A needle in the middle of a longer path is not a path of a machine.
fn starts_a_path(line: &str, needle: &str) -> bool {
    line.match_indices(needle)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "-_.}~".contains(c)))
}

#[test]
fn the_sidecar_is_built_without_the_authority() {
    let lib = read("src/lib.rs");
    assert!(lib.contains("#[cfg(feature = \"authority\")]\npub mod authority;"));
    assert!(lib.contains("#[cfg(feature = \"sidecar\")]\npub mod sidecar;"));
}
