//! Telling systemd how it goes (`sd_notify(3)`). Where nobody listens, nothing is told.

use sd_notify::NotifyState;

/// The process answers, and `status` says what is to be known about it.
pub fn ready(status: &str) {
    // A line is a line of the protocol: systemd would take the first for the whole.
    let status = status.replace('\n', "; ");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The configuration is being read again; [`ready`] follows, whatever comes of it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the time of a reload cannot be told"),
    }
}

/// The process ends, as soon as open requests are answered.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
