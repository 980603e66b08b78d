//! Properties of everything that strangers may send, on inputs that nobody thought of.
//!
//! Each target is a function that is given bytes, has a parser of the product read them, and asserts
//! what must be true of the answer. Here they run on mutations of `fuzz/seeds`, always the same
//! ones, bounded by number; `fuzz/README.md` tells how to let them run longer, and under libFuzzer.

mod mutate;
pub mod targets;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mutate::Mutator;

/// How many inputs a target is given here.
const RUNS: u64 = 20_000;

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = home().join("seeds").join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// The words of the dictionary, which has libFuzzer's form: one in double quotes a line.
fn words() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(home().join("dictionary.txt")).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'))
        .map(|word| {
            word.replace("\\\"", "\"")
                .replace("\\\\", "\\")
                .into_bytes()
        })
        .collect()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?;
    let number = text.to_str().and_then(|text| text.parse().ok());
    Some(number.unwrap_or_else(|| panic!("`{variable}` is not a number")))
}

/// Gives a target its seeds, then mutations of them. An input that is answered as none before it was
/// becomes a seed too.
fn run(name: &str) {
    let (_, target) = targets::TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("there is no target `{name}`"));
    let runs = number("DOORWARD_FUZZ_RUNS").unwrap_or(RUNS);
    let seed = number("DOORWARD_FUZZ_SEED").unwrap_or(1);
    let give = |input: &[u8]| {
        catch_unwind(AssertUnwindSafe(|| target(input)))
            .unwrap_or_else(|_| panic!("`{name}` fails on b\"{}\"", input.escape_ascii()))
    };
    let mut mutator = Mutator::new(seed, words());
    let mut answers = BTreeSet::new();
    for seed in seeds(name) {
        answers.insert(give(&seed));
        mutator.keep(seed);
    }
    let known = answers.len();
    for _ in 0..runs {
        let input = mutator.next();
        if answers.insert(give(&input)) {
            mutator.keep(input);
        }
    }
    assert!(known > 1, "the seeds of `{name}` are all answered alike");
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            let known: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, run);
        }
    };
}

tests! {
    redirect_uris
    registered_uris
    proof_urls
    outbound_urls
    forms
    authorization_requests
    callbacks
    token_requests
    client_authentication
    signed_tokens
    raw_tokens
    key_sets
    provider_metadata
    upstream_tokens
    app_documents
    client_documents
    registrations
    cookies
    sealed_values
    forward_auth
    ext_authz
    evaluations
    gates
}
