//! `doorward policy` as people run it.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use doorward::policy::prove::ProgramKind;
use serde_json::Value;

use super::solver::program;

/// Runs it in the repository, with no configuration of the machine's.
fn doorward(arguments: &[&str], variables: &[(&str, &Path)]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// As [`doorward`], with the solver that there is.
fn with_solver(arguments: &[&str]) -> Option<(i32, String, String)> {
    let program = program(Duration::from_mins(1))?;
    let name = match program.kind {
        ProgramKind::Cvc5 => "CVC5",
        ProgramKind::Z3 => "Z3",
    };
    Some(doorward(arguments, &[(name, &program.path)]))
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

const CASES: &str = r#"
manifests:
  - service: docs
    permissions: { page: { read: Read it } }
    roles: { reader: { permissions: ["page:read"] } }
policies: .
members:
  ann: { organization: acme, roles: [docs/reader] }
cases:
  - name: ann reads
    member: ann
    permission: docs:page:read
    expect: allow
    reasons: ["role:docs/reader"]
"#;

#[test]
fn every_policy_of_this_repository_decides_a_case_for_the_reason_it_was_written_for() {
    let arguments = ["policy", "test", "policies/tests", "--require-coverage"];
    let (code, told, failed) = doorward(&arguments, &[]);
    assert_eq!(code, 0, "{told}{failed}");
    assert!(told.contains(" 0 failed; "), "{told}");
}

#[test]
fn a_case_that_fails_is_told_with_its_line_both_answers_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let forbid = "\n@id(\"closed\")\n@reason(\"the library is closed\")\nforbid (principal, action, resource);";
    file(folder.path(), "site.cedar", forbid);
    let cases = file(folder.path(), "a.yaml", CASES);
    let (code, told, _) = doorward(&["policy", "test", &cases], &[]);
    assert_eq!(code, 1, "{told}");
    for part in [
        "a.yaml:10: ann reads: expected allow by `role:docs/reader`, got deny by `closed`",
        "(the library is closed)",
        "site.cedar:2: `closed` decides no case",
        "1 cases, 1 failed; 0 of 1 policies decided one",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn a_policy_that_decides_no_case_fails_only_where_coverage_is_required() {
    let folder = tempfile::tempdir().unwrap();
    let unused = "permit (principal == Membership::\"a/b\", action, resource);\n\n// A comment; with more.\n@id(\"never\")\nforbid (principal, action, resource) when { resource in Organization::\"x\" };";
    file(folder.path(), "site.cedar", unused);
    let cases = file(folder.path(), "a.yaml", CASES);
    let (code, told, _) = doorward(&["policy", "test", &cases], &[]);
    assert_eq!(code, 0, "{told}");
    let (code, told, _) = doorward(
        &["policy", "test", &cases, "--require-coverage", "--json"],
        &[],
    );
    assert_eq!(code, 1, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let uncovered = told["uncovered"].as_array().unwrap();
    let places: Vec<(&str, u64)> = uncovered
        .iter()
        .map(|place| {
            (
                place["id"].as_str().unwrap(),
                place["line"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(places, [("site.cedar#1", 1), ("never", 4)]);
}

#[test]
fn a_mistake_in_cases_is_told_with_file_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    for (wrong, wanted) in [
        (
            ("member: ann", "member: bob"),
            "a.yaml:11: cases[0].member: no member is called `bob`",
        ),
        (
            ("docs:page:read", "docs:page:write"),
            "a.yaml:12: cases[0].permission: no manifest declares `docs:page:write`",
        ),
        (
            ("docs:page:read\n", "docs\n"),
            "a.yaml:12: cases[0].permission: ",
        ),
        (
            ("expect: allow", "expect: perhaps"),
            "a.yaml:13: cases[0].expect: unknown variant",
        ),
        (
            ("expect: allow", "except: allow"),
            "a.yaml:13: cases[0].except: unknown field",
        ),
        (
            ("roles: [docs/reader]", "roles: [docs/writer]"),
            "a.yaml:8: members.ann.roles[0]: no manifest declares the role `docs/writer`",
        ),
        (("policies: .", "policies: gone"), "a.yaml:6: policies: "),
    ] {
        let cases = file(folder.path(), "a.yaml", &CASES.replace(wrong.0, wrong.1));
        let (code, _, told) = doorward(&["policy", "test", &cases], &[]);
        assert_eq!(code, 2, "{told}");
        assert!(told.contains(wanted), "{wanted} in {told}");
    }
}

const OLD: &str = "service: docs\npermissions: { page: { read: Read, write: Write } }\n\
                   roles:\n  reader: { permissions: [\"page:read\"] }\n  old: { permissions: [\"page:read\"] }\n";
const NEW: &str = "service: docs\npermissions: { page: { read: Read, write: Write, print: Print } }\n\
                   roles:\n  reader: { permissions: [\"page:write\"] }\n  new: { permissions: [\"page:print\"] }\n";

#[test]
fn the_difference_of_two_manifests_is_told_by_role_without_a_solver() {
    let folder = tempfile::tempdir().unwrap();
    let old = file(folder.path(), "old.yaml", OLD);
    let new = file(folder.path(), "new.yaml", NEW);
    let (code, told, failed) = doorward(&["policy", "diff", &old, &new], &[]);
    assert_eq!(code, 0, "{failed}");
    let wanted = "+ permission docs:page:print\n+ role docs/new\n    + docs:page:print\n\
                  - role docs/old\n    - docs:page:read\n~ role docs/reader\n    + docs:page:write\n    \
                  - docs:page:read\n";
    assert_eq!(told, wanted);
    let (code, ..) = doorward(&["policy", "diff", &old, &new, "--fail-if-wider"], &[]);
    assert_eq!(code, 1);
    let (code, told, _) = doorward(&["policy", "diff", &old, &old, "--fail-if-wider"], &[]);
    assert_eq!((code, told.as_str()), (0, "no role changes\n"));
}

#[test]
fn a_policy_that_is_loosened_is_told_as_wider_with_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str, forget: bool| {
        let to = folder.path().join(name);
        std::fs::create_dir(&to).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/examples");
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let mut text = std::fs::read_to_string(&path).unwrap();
            if forget {
                text = text.replace("context has mfa && context.mfa", "context has mfa");
            }
            std::fs::write(to.join(path.file_name().unwrap()), text).unwrap();
        }
        to.display().to_string()
    };
    let (old, new) = (copy("old", false), copy("new", true));
    let Some((code, told, failed)) =
        with_solver(&["policy", "diff", &old, &new, "--fail-if-wider"])
    else {
        return;
    };
    assert_eq!(code, 1, "{told}{failed}");
    for part in [
        "no role changes",
        "+ deploy:environment:deploy: wider, for example:",
        "who holds `deploy/operator`",
        "tier: \"production\", in the context of mfa: false",
        "= documents:document:read: the policies allow the same",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let (code, told, _) = with_solver(&["policy", "diff", &old, &old, "--fail-if-wider"]).unwrap();
    assert_eq!(code, 0, "{told}");
}

#[test]
fn every_property_of_this_repository_is_proved() {
    for properties in ["examples", "platform"] {
        let path = format!("policies/tests/{properties}.properties.yaml");
        let Some((code, told, failed)) = with_solver(&["policy", "prove", &path]) else {
            return;
        };
        assert_eq!(code, 0, "{told}{failed}");
        assert!(told.lines().count() == 5, "{told}");
        assert!(
            told.lines().all(|line| line.starts_with("proved: ")),
            "{told}"
        );
    }
}

#[test]
fn a_property_that_does_not_hold_is_told_with_a_request_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/examples");
    let properties = file(
        folder.path(),
        "p.yaml",
        "properties:\n  - name: guests read nothing\n    permissions: [documents:document:read]\n    \
         never_allow: 'principal in Role::\"documents/guest\"'\n",
    );
    let arguments = ["policy", "prove", &properties, "--source", examples];
    let Some((code, told, failed)) = with_solver(&arguments) else {
        return;
    };
    assert_eq!(code, 1, "{told}{failed}");
    for part in [
        "DISPROVED: guests read nothing (",
        "p.yaml:2; 1 kinds of request)",
        "who holds `documents/guest`",
        "asks for `documents:document:read`",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn a_mistake_in_properties_is_told_with_file_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/examples");
    for (text, wanted) in [
        (
            "    never_alow: x\n",
            "p.yaml:3: properties[0].never_alow: unknown field",
        ),
        ("", "p.yaml:2: properties[0]: one of never_allow"),
        (
            "    never_allow: resource.colour\n",
            "p.yaml:3: properties[0].never_allow: ",
        ),
        (
            "    permissions: [a:b:c]\n    never_allow: 'true'\n",
            "properties[0].",
        ),
    ] {
        let text = format!("properties:\n  - name: x\n{text}");
        let path = file(folder.path(), "p.yaml", &text);
        let Some((code, _, told)) = with_solver(&["policy", "prove", &path, "--source", examples])
        else {
            return;
        };
        assert_eq!(code, 2, "{told}");
        assert!(told.contains(wanted), "{wanted} in {told}");
    }
}

#[test]
fn without_a_solver_nothing_is_proved_and_the_way_to_get_one_is_told() {
    let path = "policies/tests/examples.properties.yaml";
    let nowhere = Path::new("/nonexistent/z3");
    for variables in [
        &[][..],
        &[("Z3", nowhere)],
        &[("CVC5", Path::new("/bin/true"))],
    ] {
        let (code, told, failed) = doorward(&["policy", "prove", path], variables);
        assert_eq!((code, told.as_str()), (2, ""), "{failed}");
        assert!(
            failed.contains("pip install z3-solver") && failed.contains("CVC5="),
            "{failed}"
        );
    }
}
