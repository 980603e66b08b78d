//! docs/operations.md must name every problem code with its status, every OAuth error, every reason
//! of a denial and every exit code.

use std::collections::BTreeSet;
use std::path::Path;

use doorward::protocol::problem::Problem;
use doorward::runtime::Exit;
use doorward::sidecar::why::Why;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|end| end == "rs") {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// Every `| status | code |` that the sources can answer.
fn answered() -> BTreeSet<(u16, String)> {
    let mut texts = Vec::new();
    sources(&root().join("src"), &mut texts);
    let mut found: BTreeSet<(u16, String)> = [
        Problem::malformed(""),
        Problem::unauthenticated(),
        Problem::forbidden(""),
        Problem::not_found(""),
        Problem::too_large(0),
        Problem::unsupported_media_type(""),
        Problem::invalid(Vec::new()),
        Problem::internal(),
        Problem::unavailable(""),
        Problem::disk_full(),
    ]
    .map(|problem| (problem.status, problem.code.into_owned()))
    .into();
    for text in texts {
        // Tests come last in a file; what they make is nobody's answer.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for (call, fixed) in [("conflict(", Some(409)), ("Problem::new(", None)] {
            for part in text.split(call).skip(1) {
                let mut words = part.split([',', ')']).map(str::trim);
                let status = fixed.or_else(|| words.next()?.parse().ok());
                let code = words
                    .next()
                    .and_then(|word| word.strip_prefix('"')?.strip_suffix('"').map(str::to_owned));
                if let (Some(status), Some(code)) = (status, code) {
                    found.insert((status, code));
                }
            }
        }
        // What stands in the way of a manifest has its codes in one place.
        if text.contains("pub enum Conflict") {
            for part in text.split("=> \"").skip(1) {
                found.insert((409, part.split('"').next().unwrap().to_owned()));
            }
        }
    }
    found
}

fn documented() -> String {
    std::fs::read_to_string(root().join("docs/operations.md")).unwrap()
}

#[test]
fn every_problem_code_is_documented_with_its_status_and_no_other_is() {
    let text = documented();
    let answered = answered();
    assert!(answered.len() > 25, "the sources are read: {answered:?}");
    let listed: BTreeSet<(u16, String)> = text
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let status = cells.next()?.parse().ok()?;
            let code = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            (status >= 300).then(|| (status, code.to_owned()))
        })
        .collect();
    let missing: Vec<_> = answered.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&answered).collect();
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
    assert!(stale.is_empty(), "answered by nothing: {stale:?}");
}

#[test]
fn every_reason_and_every_exit_code_is_documented() {
    let text = documented();
    for why in Why::ALL {
        assert!(
            text.contains(&format!("| `{}` |", why.code())),
            "{}",
            why.code()
        );
    }
    for exit in [
        Exit::Success,
        Exit::Failed,
        Exit::Usage,
        Exit::Io,
        Exit::Config,
    ] {
        assert!(
            text.contains(&format!("\n| {} | ", exit.code())),
            "{exit:?}"
        );
    }
    for code in 0..=5 {
        let row = format!("\n| {code} | ");
        let cli = text.split("### `doorward`").nth(1).expect("a section");
        assert!(cli.contains(&row), "{code}");
    }
}
