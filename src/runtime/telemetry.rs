//! Log lines and metrics of the process.

use std::io::{self, IsTerminal, Write as _};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// The default filter: our own words and others' warnings.
pub const DEFAULT_FILTER: &str = "warn,doorward=info";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people, on standard error.
    #[default]
    Text,
    /// One JSON object per line, on standard error.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!(
                "`{text}` is not a log format: `text` or `json` is wanted"
            )),
        }
    }
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is wrong.
    #[error("`{0}` is not a log filter, such as `info` or `warn,doorward=debug`")]
    Filter(String),
    /// A recorder of somebody else's is installed in this process.
    #[error("another metrics recorder is installed")]
    Recorder,
}

/// Starts logging to standard error, by a filter such as `warn,doorward=debug`. The first call in a
/// process counts; later ones change nothing.
///
/// # Errors
///
/// [`TelemetryError::Filter`].
pub fn start_logging(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let parsed =
        EnvFilter::try_new(filter).map_err(|_| TelemetryError::Filter(filter.to_owned()))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(io::stderr);
    // A test or an embedding program may have installed its own: that one stays.
    match format {
        LogFormat::Text => {
            let builder = builder
                .with_ansi(io::stderr().is_terminal())
                .with_filter_reloading();
            let handle = builder.reload_handle();
            if builder.try_init().is_ok() {
                keep(move |filter| handle.reload(filter).is_ok());
            }
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            if builder.try_init().is_ok() {
                keep(move |filter| handle.reload(filter).is_ok());
            }
        }
    }
    Ok(())
}

/// Puts another filter in the place of the one that is there.
type Change = Box<dyn Fn(EnvFilter) -> bool + Send>;

/// How the filter of this process is changed, once logging was started here.
static CHANGE: Mutex<Option<Change>> = Mutex::new(None);

fn keep(change: impl Fn(EnvFilter) -> bool + Send + 'static) {
    *CHANGE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(change));
}

/// Changes the filter of [`start_logging`], where that was what started the logging.
///
/// # Errors
///
/// [`TelemetryError::Filter`]: the filter is the one it was.
pub fn change_filter(filter: &str) -> Result<(), TelemetryError> {
    let refused = || TelemetryError::Filter(filter.to_owned());
    let parsed = EnvFilter::try_new(filter).map_err(|_| refused())?;
    match &*CHANGE.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(change) => change(parsed).then_some(()).ok_or_else(refused),
        None => Ok(()),
    }
}

/// Writes whole lines to standard output, where nothing else writes.
///
/// # Errors
///
/// As the system says; a reader that is gone is `BrokenPipe`.
pub fn write_stdout(lines: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines)?;
    stdout.flush()
}

/// Installs the process's metrics recorder, once, and gives the handle that renders `/metrics`.
///
/// # Errors
///
/// [`TelemetryError::Recorder`] if an embedding program has installed another.
pub fn metrics() -> Result<PrometheusHandle, TelemetryError> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = handle.as_ref() {
        return Ok(handle.clone());
    }
    let installed = PrometheusBuilder::new()
        .install_recorder()
        .map_err(|_| TelemetryError::Recorder)?;
    *handle = Some(installed.clone());
    Ok(installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_callers_share_one_recorder() {
        let (first, second) = (metrics().unwrap(), metrics().unwrap());
        metrics::counter!("doorward_test_total").increment(1);
        assert!(first.render().contains("doorward_test_total 1"));
        assert_eq!(first.render(), second.render());
    }

    #[test]
    fn a_wrong_filter_is_refused_by_name() {
        let error = start_logging(LogFormat::Text, "doorward=loud").unwrap_err();
        assert!(error.to_string().contains("doorward=loud"));
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
