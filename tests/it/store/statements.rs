//! Every SQL statement that stands whole in `src/store/` is understood by both engines.

use std::path::{Path, PathBuf};

use doorward::store::StoreConfig;

use super::bench::Bench;

/// Statements with the file each is in. Those built from pieces are the behaviours' to cover.
fn statements() -> Vec<(PathBuf, String)> {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(store).unwrap() {
        let path = entry.unwrap().path();
        // Files with SQL of their own schema or of one engine.
        let other = ["replica.rs", "capture.rs", "migrate.rs", "feed.rs"];
        if path.extension().is_none_or(|extension| extension != "rs")
            || other.iter().any(|name| path.ends_with(name))
        {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for literal in literals(code) {
            let verb = literal.split_whitespace().next().unwrap_or_default();
            let whole = ["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&verb)
                && literal.split_whitespace().count() > 3
                && !["IN", "FROM", "WHERE"].contains(&literal.split_whitespace().last().unwrap())
                && !literal.contains(['{', '\\']);
            if whole {
                found.push((path.clone(), literal));
            }
        }
    }
    assert!(found.len() > 20, "only {} statements found", found.len());
    found
}

/// The string literals of Rust code, without those of its comments.
fn literals(code: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = code.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '/' if rest.peek() == Some(&'/') => {
                rest.by_ref().find(|&end| end == '\n');
            }
            '"' => {
                let mut literal = String::new();
                while let Some(character) = rest.next_if(|&end| end != '"') {
                    literal.push(character);
                    if character == '\\' {
                        literal.extend(rest.next());
                    }
                }
                rest.next();
                literals.push(literal);
            }
            _ => {}
        }
    }
    literals
}

#[test]
fn sqlite_understands_every_statement() {
    let bench = Bench::sqlite();
    let connection = rusqlite::Connection::open(bench.path()).unwrap();
    for (path, sql) in statements() {
        if let Err(error) = connection.prepare(&sql) {
            panic!("{}: {error}\n{sql}", path.display());
        }
    }
}

#[test]
fn postgresql_understands_every_statement() {
    let Some(bench) = Bench::postgres() else {
        return;
    };
    let StoreConfig::Postgres { url, .. } = &bench.config else {
        panic!("not PostgreSQL");
    };
    let mut client = ::postgres::Client::connect(url.expose(), ::postgres::NoTls).unwrap();
    let mut refused = Vec::new();
    for (path, sql) in statements() {
        if let Err(error) = client.prepare(&sql.replace('?', "$")) {
            refused.push(format!(
                "{}: {:?}\n{sql}",
                path.display(),
                error.as_db_error()
            ));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n\n"));
}
