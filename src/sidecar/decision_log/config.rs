//! `[decision_log]` of the configuration.
//!
//! ```toml
//! [decision_log]
//! directory = "/var/log/doorward-sidecar" # lines go to `decisions.jsonl` in it
//! stdout = false                          # and/or to standard output
//! format = "doorward"                     # or "ocsf"
//! allow = 1.0                             # the share of allows that is recorded
//! deny = 1.0                              # and of denies
//! context = false                         # record what requests say in `context`
//! drop = ["resource.id"]                  # fields that are left out
//! hash = ["subject.id"]                   # fields that are replaced by a keyed hash
//! hash_key_file = "/etc/doorward/log.key"
//! queue = "4MiB"                          # of each thread, in memory
//! rotate_size = "64MiB"
//! rotate_age = "24h"
//! total_size = "1GiB"                     # the oldest files are deleted beyond it
//! fsync = "1s"                            # at most this long after a write
//! ```

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::fields::Field;
use super::sampling::Rate;
use crate::domain::Secret;
use crate::runtime::config::Reader;

/// The smallest queue: a batch's records fit.
const QUEUE_MIN: u64 = 64 * 1024;

/// The smallest file: whatever is written at once fits.
const FILE_MIN: u64 = 1024 * 1024;

/// The shortest age of a file.
const AGE_MIN: Duration = Duration::from_mins(1);

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Ours.
    #[default]
    Doorward,
    /// An API Activity of the Open Cybersecurity Schema Framework.
    Ocsf,
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "doorward" => Ok(Self::Doorward),
            "ocsf" => Ok(Self::Ocsf),
            _ => Err(format!("`{text}` is no format: `doorward` and `ocsf` are")),
        }
    }
}

/// What is recorded, and where.
#[derive(Debug, Clone)]
pub struct DecisionLogConfig {
    /// The spool's directory.
    pub directory: Option<PathBuf>,
    /// Whether lines go to standard output.
    pub stdout: bool,
    /// How they look.
    pub form: Form,
    /// The share of allows.
    pub allow: Rate,
    /// The share of denies.
    pub deny: Rate,
    /// Whether requests' contexts are recorded.
    pub context: bool,
    /// What is left out.
    pub drop: Vec<Field>,
    /// What is replaced by a keyed hash.
    pub hash: Vec<Field>,
    /// The key.
    pub hash_key: Option<Secret<String>>,
    /// Bytes that each thread's queue takes.
    pub queue_bytes: usize,
    /// Bytes of a file, after which another one is begun.
    pub rotate_bytes: u64,
    /// Its age.
    pub rotate_age: Duration,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// How long what was written may be unsynced; zero syncs each write.
    pub fsync: Duration,
}

impl Default for DecisionLogConfig {
    fn default() -> Self {
        Self {
            directory: None,
            stdout: false,
            form: Form::default(),
            allow: Rate::ALL,
            deny: Rate::ALL,
            context: false,
            drop: Vec::new(),
            hash: Vec::new(),
            hash_key: None,
            queue_bytes: 4 << 20,
            rotate_bytes: 64 << 20,
            rotate_age: Duration::from_hours(24),
            total_bytes: 1 << 30,
            fsync: Duration::from_secs(1),
        }
    }
}

/// Reads `[decision_log]`; `None` where it names nothing to write to.
pub(in crate::sidecar) fn read(reader: &mut Reader<'_>) -> Option<DecisionLogConfig> {
    let default = DecisionLogConfig::default();
    let config = DecisionLogConfig {
        directory: reader.path("directory"),
        stdout: reader.or("stdout", false),
        form: reader.or("format", default.form),
        allow: reader.or("allow", default.allow),
        deny: reader.or("deny", default.deny),
        context: reader.or("context", false),
        drop: reader.list("drop"),
        hash: reader.list("hash"),
        hash_key: reader.secret("hash_key"),
        queue_bytes: usize::try_from(reader.size("queue", default.queue_bytes as u64))
            .unwrap_or(usize::MAX),
        rotate_bytes: reader.size("rotate_size", default.rotate_bytes),
        rotate_age: reader.duration("rotate_age", default.rotate_age),
        total_bytes: reader.size("total_size", default.total_bytes),
        fsync: reader.duration("fsync", default.fsync),
    };
    for (key, message) in config.mistakes() {
        reader.mistake(key, message.to_owned());
    }
    (config.directory.is_some() || config.stdout).then_some(config)
}

impl DecisionLogConfig {
    fn mistakes(&self) -> Vec<(&'static str, &'static str)> {
        let hashes = !self.hash.is_empty();
        let twice = self.hash.iter().any(|field| self.drop.contains(field));
        let wrong = [
            (
                hashes && self.hash_key.is_none(),
                "hash_key_file",
                "it must be set: ids are few, and a hash without a key can be undone by trying",
            ),
            (
                !hashes && self.hash_key.is_some(),
                "hash",
                "name the fields that the key is for",
            ),
            (twice, "hash", "a field that is dropped cannot be hashed"),
            (
                (self.queue_bytes as u64) < QUEUE_MIN,
                "queue",
                "64KiB or more is wanted",
            ),
            (
                self.rotate_bytes < FILE_MIN,
                "rotate_size",
                "1MiB or more is wanted",
            ),
            (
                self.rotate_age < AGE_MIN,
                "rotate_age",
                "1m or more is wanted",
            ),
            (
                self.total_bytes < 2 * self.rotate_bytes,
                "total_size",
                "twice `rotate_size` or more is wanted",
            ),
        ];
        wrong
            .into_iter()
            .filter_map(|(wrong, key, message)| wrong.then_some((key, message)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::config::Environment;

    fn read_text(text: &str) -> Result<Option<DecisionLogConfig>, String> {
        let environment = Environment::default();
        let mut reader = Reader::from_text(text, "the text", &environment, "X").unwrap();
        let config = reader.section("decision_log", read);
        reader
            .finish()
            .map(|()| config)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_anything_to_write_to_there_is_no_log() {
        assert!(read_text("").unwrap().is_none());
        assert!(read_text("[decision_log]\nallow = 0.5").unwrap().is_none());
        assert!(
            read_text("[decision_log]\nstdout = true")
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn every_setting_of_the_documented_example_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("log.key");
        std::fs::write(&key, "a key\n").unwrap();
        let text = format!(
            "[decision_log]\ndirectory = \"/d\"\nstdout = true\nformat = \"ocsf\"\nallow = 0.5\n\
             deny = 1.0\ncontext = true\ndrop = [\"resource.id\"]\nhash = [\"subject.id\"]\n\
             hash_key_file = \"{}\"\nqueue = \"1MiB\"\nrotate_size = \"2MiB\"\n\
             rotate_age = \"1h\"\ntotal_size = \"8MiB\"\nfsync = \"0s\"",
            key.display()
        );
        let config = read_text(&text).unwrap().unwrap();
        assert_eq!(config.directory, Some(PathBuf::from("/d")));
        assert_eq!((config.form, config.context), (Form::Ocsf, true));
        assert_eq!((config.allow.get(), config.deny), (0.5, Rate::ALL));
        assert_eq!(
            (config.drop, config.hash),
            (vec![Field::Resource], vec![Field::Subject])
        );
        assert_eq!(config.hash_key.unwrap().expose(), "a key");
        assert_eq!(
            (config.queue_bytes, config.rotate_bytes, config.total_bytes),
            (1 << 20, 2 << 20, 8 << 20)
        );
        assert_eq!(
            (config.rotate_age, config.fsync),
            (Duration::from_hours(1), Duration::ZERO)
        );
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (text, named) in [
            ("format = \"xml\"", "decision_log.format"),
            ("allow = 2", "decision_log.allow"),
            ("deny = \"some\"", "decision_log.deny"),
            ("drop = [\"context\"]", "decision_log.drop"),
            ("hash = [\"subject.id\"]", "decision_log.hash_key_file"),
            ("queue = \"1KiB\"", "decision_log.queue"),
            ("rotate_size = \"1KiB\"", "decision_log.rotate_size"),
            ("total_size = \"65MiB\"", "decision_log.total_size"),
            ("colour = 1", "decision_log.colour"),
        ] {
            let error = read_text(&format!("[decision_log]\n{text}")).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
