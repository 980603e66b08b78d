//! The only place of the command that writes to the terminal.
//!
//! Results go to standard output, in words or with `--json` as JSON; everything else (progress,
//! questions, errors) goes to standard error, so that a result can be piped.

use std::borrow::Cow;
use std::io::{BufRead, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use super::error::CliError;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Words and tables.
    Human,
    /// One JSON document per result.
    Json,
}

/// Writes results, questions and errors.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// An output in this form.
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// The form chosen.
    pub const fn format(self) -> Format {
        self.format
    }

    /// Shows a result: `value` as JSON, or the text that `human` makes of it.
    pub fn show<T: Serialize>(self, value: &T, human: impl FnOnce(&T) -> String) {
        match self.format {
            Format::Human => write_out(&human(value)),
            Format::Json => match serde_json::to_string_pretty(value) {
                Ok(text) => write_out(&text),
                Err(error) => write_err(&format!("error: the result is no JSON: {error}")),
            },
        }
    }

    /// Shows one event of a stream: a line of JSON, or a line of text.
    pub fn event<T: Serialize>(self, value: &T, human: impl FnOnce(&T) -> String) {
        match self.format {
            Format::Human => write_out(&human(value)),
            Format::Json => {
                if let Ok(text) = serde_json::to_string(value) {
                    write_out(&text);
                }
            }
        }
    }

    /// Text as it is, in both forms: exported documents.
    pub fn document(self, text: &str) {
        write_out(text.trim_end_matches('\n'));
    }

    /// A remark for people, beside the result.
    pub fn note(self, text: &str) {
        if self.format == Format::Human {
            write_err(text);
        }
    }

    /// A failure.
    pub fn error(self, error: &CliError) {
        if self.format == Format::Json {
            let value = json!({"error": {
                "message": error.to_string(),
                "details": error.mistakes(),
                "fix": error.advice(),
            }});
            write_err(&value.to_string());
            return;
        }
        write_err(&format!("error: {error}"));
        for detail in error.mistakes() {
            write_err(&format!("  {detail}"));
        }
        if let Some(fix) = error.advice() {
            write_err(&format!("fix: {fix}"));
        }
    }

    /// Asks a question that only `y` or `yes` answers with yes.
    ///
    /// # Errors
    ///
    /// [`CliError`] of kind usage when nobody is there to answer.
    pub fn confirm(self, question: &str, flag: &str) -> Result<bool, CliError> {
        if self.format == Format::Json || !std::io::stdin().is_terminal() {
            return Err(
                CliError::usage("this needs a yes, and nobody is here to give it")
                    .fix(format!("pass {flag}")),
            );
        }
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{question} [y/N] ");
        let _ = stderr.flush();
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| CliError::local(format!("the answer cannot be read: {error}")))?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// A bar of `steps` for work that takes longer than a second; invisible where nobody looks.
    pub fn progress(self, label: impl Into<Cow<'static, str>>, steps: u64) -> ProgressBar {
        let bar = self.bar(ProgressBar::with_draw_target(Some(steps), self.target()));
        if let Ok(style) =
            ProgressStyle::with_template("{msg:<28} {wide_bar} {human_pos}/{human_len} {eta}")
        {
            bar.set_style(style);
        }
        bar.set_message(label);
        bar
    }

    /// A spinner for a wait of unknown length.
    pub fn spinner(self, label: impl Into<Cow<'static, str>>) -> ProgressBar {
        let bar = self.bar(ProgressBar::with_draw_target(None, self.target()));
        bar.set_message(label);
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        bar
    }

    fn target(self) -> ProgressDrawTarget {
        if self.format == Format::Human && std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        }
    }

    #[expect(clippy::unused_self, reason = "one way to finish every bar")]
    fn bar(self, bar: ProgressBar) -> ProgressBar {
        bar.with_finish(indicatif::ProgressFinish::AndClear)
    }
}

/// A closed pipe is the reader's way to say "enough".
fn write_out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}");
    let _ = stdout.flush();
}

fn write_err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Columns, as wide as their widest cell.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    std::iter::once(&heads)
        .chain(rows)
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, &width)| format!("{cell:<width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let rows = vec![
            vec!["acme".to_owned(), "1".to_owned()],
            vec!["ö".to_owned(), "20".to_owned()],
        ];
        assert_eq!(table(&["SLUG", "N"], &rows), "SLUG  N\nacme  1\nö     20");
    }
}
