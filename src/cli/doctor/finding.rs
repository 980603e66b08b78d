//! What was found.

use std::fmt::Write as _;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, and may not be what is wanted.
    Warning,
    /// It does not work, or is not safe.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which daemon, and where.
    pub(super) about: String,
    pub(super) level: Level,
    pub(super) what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

/// All that was looked at, in this order.
#[derive(Debug, Default)]
pub(super) struct Findings {
    about: String,
    all: Vec<Finding>,
}

impl Findings {
    /// What comes next is about this.
    pub(super) fn about(&mut self, about: impl Into<String>) {
        self.about = about.into();
    }

    pub(super) fn ok(&mut self, what: impl Into<String>) {
        self.add(Level::Ok, what.into(), None);
    }

    pub(super) fn warning(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Level::Warning, what.into(), Some(fix.into()));
    }

    pub(super) fn wrong(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.add(Level::Wrong, what.into(), Some(fix.into()));
    }

    fn add(&mut self, level: Level, what: String, fix: Option<String>) {
        self.all.push(Finding {
            about: self.about.clone(),
            level,
            what,
            fix,
        });
    }

    pub(super) fn any_wrong(&self) -> bool {
        self.count(Level::Wrong) > 0
    }

    fn count(&self, level: Level) -> usize {
        self.all
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    }

    pub(super) fn report(&self) -> Report<'_> {
        Report {
            wrong: self.count(Level::Wrong),
            warnings: self.count(Level::Warning),
            findings: &self.all,
        }
    }
}

/// What is shown.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    wrong: usize,
    warnings: usize,
    findings: &'a [Finding],
}

impl Report<'_> {
    pub(super) fn words(&self) -> String {
        let mut text = String::new();
        let mut about = "";
        for finding in self.findings {
            if finding.about != about {
                about = &finding.about;
                let _ = writeln!(text, "{about}");
            }
            let word = match finding.level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Wrong => "WRONG",
            };
            let mut lines = finding.what.lines();
            let _ = writeln!(text, "  {word:<8} {}", lines.next().unwrap_or_default());
            for line in lines {
                let _ = writeln!(text, "           {line}");
            }
            if let Some(fix) = &finding.fix {
                let _ = writeln!(text, "           fix: {fix}");
            }
        }
        let wrong = match self.wrong {
            0 => "nothing is wrong".to_owned(),
            1 => "1 thing is wrong".to_owned(),
            many => format!("{many} things are wrong"),
        };
        let warnings = match self.warnings {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            many => format!(", {many} warnings"),
        };
        let _ = write!(text, "{wrong}{warnings}");
        text
    }
}
