//! What was found at the URLs of clients' documents, and how many are being fetched.
//!
//! Strangers choose the URLs. Whoever has a host uses up that host's share and nobody else's, and what
//! gave no document goes before what did.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::documents::DocumentError;
use crate::domain::Timestamp;
use crate::domain::app::AppSpec;

/// How many documents are fetched at once.
const AT_ONCE: usize = 64;
/// How many of them of one host.
const AT_ONCE_OF_HOST: usize = 2;
/// How many documents are remembered.
const REMEMBERED: usize = 1_000;
/// How many of them of one host.
const REMEMBERED_OF_HOST: usize = 32;

/// What was found at URLs. Bounded; forgotten when the process ends.
#[derive(Debug, Default)]
pub struct Documents(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    known: HashMap<String, Known>,
    fetching: BTreeMap<String, usize>,
    uses: u64,
}

#[derive(Debug)]
struct Known {
    host: String,
    found: Result<AppSpec, DocumentError>,
    until: Timestamp,
    last_use: u64,
}

/// Leave to fetch one document of a host, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    documents: &'a Documents,
    host: String,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.documents.state();
        let left = state.fetching.get(&self.host).copied().unwrap_or(0);
        if left > 1 {
            state.fetching.insert(self.host.clone(), left - 1);
        } else {
            state.fetching.remove(&self.host);
        }
    }
}

impl Documents {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found at the URL, while it counts.
    pub(super) fn recall(
        &self,
        url: &str,
        now: Timestamp,
    ) -> Option<Result<AppSpec, DocumentError>> {
        let mut state = self.state();
        let last_use = state.next_use();
        let known = state.known.get_mut(url).filter(|known| now < known.until)?;
        known.last_use = last_use;
        Some(known.found.clone())
    }

    /// Leave to fetch; `None` when too many are being fetched, of this host or of all.
    pub(super) fn permit(&self, host: &str) -> Option<Permit<'_>> {
        let host = host.to_ascii_lowercase();
        let mut state = self.state();
        let all: usize = state.fetching.values().sum();
        let own = state.fetching.get(&host).copied().unwrap_or(0);
        if own >= AT_ONCE_OF_HOST || all >= AT_ONCE {
            return None;
        }
        state.fetching.insert(host.clone(), own + 1);
        Some(Permit {
            documents: self,
            host,
        })
    }

    /// Remembers what was found, until it counts no more or there is no room.
    pub(super) fn remember(
        &self,
        url: &str,
        host: &str,
        found: Result<AppSpec, DocumentError>,
        (now, until): (Timestamp, Timestamp),
    ) {
        let host = host.to_ascii_lowercase();
        let mut state = self.state();
        let over = |known: &Known| known.until <= now;
        state
            .known
            .retain(|other, known| other != url && !over(known));
        state.make_room(REMEMBERED_OF_HOST, |known| known.host == host);
        state.make_room(REMEMBERED, |_| true);
        let known = Known {
            host,
            found,
            until,
            last_use: state.next_use(),
        };
        state.known.insert(url.to_owned(), known);
    }
}

impl State {
    const fn next_use(&mut self) -> u64 {
        self.uses = self.uses.saturating_add(1);
        self.uses
    }

    /// Forgets one of these if there are as many as may be: the least recently used, and one that gave
    /// no document first.
    fn make_room(&mut self, most: usize, of: impl Fn(&Known) -> bool) {
        let those = || self.known.iter().filter(|(_, known)| of(known));
        if those().count() < most {
            return;
        }
        let first = those().min_by_key(|(_, known)| (known.found.is_ok(), known.last_use));
        if let Some(url) = first.map(|(url, _)| url.clone()) {
            self.known.remove(&url);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Scopes;
    use crate::protocol::clients::fetched;

    const NOW: Timestamp = Timestamp::from_unix_micros(1_000_000);

    fn url(host: &str, number: usize) -> String {
        format!("https://{host}/{number}.json")
    }

    fn document(url: &str) -> AppSpec {
        let body = serde_json::json!({
            "client_id": url, "redirect_uris": ["http://127.0.0.1/cb"],
        });
        let most = Scopes::parse("openid").unwrap();
        fetched::read(&url.parse().unwrap(), body.to_string().as_bytes(), &most).unwrap()
    }

    fn remember(documents: &Documents, host: &str, number: usize, good: bool) {
        let url = url(host, number);
        let found = if good {
            Ok(document(&url))
        } else {
            Err(DocumentError::Unreached)
        };
        let until = NOW.plus(Duration::from_mins(1));
        documents.remember(&url, host, found, (NOW, until));
    }

    fn knows(documents: &Documents, host: &str, number: usize) -> bool {
        documents.recall(&url(host, number), NOW).is_some()
    }

    #[test]
    fn a_host_fetches_two_at_once_and_shuts_nobody_else_out() {
        let documents = Documents::default();
        let first = documents.permit("a.example").unwrap();
        let _second = documents.permit("A.example").unwrap();
        assert!(documents.permit("a.example").is_none());
        assert!(documents.permit("b.example").is_some());
        drop(first);
        let _third = documents.permit("a.example").unwrap();
        assert!(documents.permit("a.example").is_none());
    }

    #[test]
    fn all_hosts_together_fetch_so_many_at_once() {
        let documents = Documents::default();
        let permits: Vec<_> = (0..AT_ONCE)
            .map(|number| documents.permit(&format!("h{number}.example")).unwrap())
            .collect();
        assert!(documents.permit("another.example").is_none());
        drop(permits);
        assert!(documents.permit("another.example").is_some());
        assert!(documents.state().fetching.is_empty());
    }

    #[test]
    fn a_host_has_its_share_and_no_more() {
        let documents = Documents::default();
        remember(&documents, "b.example", 0, true);
        for number in 0..=REMEMBERED_OF_HOST {
            remember(&documents, "a.example", number, true);
            assert!(knows(&documents, "a.example", 0));
        }
        // The first was used each time: the second goes.
        assert!(!knows(&documents, "a.example", 1));
        assert!(knows(&documents, "a.example", REMEMBERED_OF_HOST));
        assert!(knows(&documents, "b.example", 0));
        assert_eq!(documents.state().known.len(), REMEMBERED_OF_HOST + 1);
    }

    #[test]
    fn what_gave_no_document_goes_before_what_did() {
        let documents = Documents::default();
        remember(&documents, "good.example", 0, true);
        for number in 0..2 * REMEMBERED {
            let host = format!("h{}.example", number / REMEMBERED_OF_HOST);
            remember(&documents, &host, number, false);
        }
        assert!(knows(&documents, "good.example", 0));
        assert_eq!(documents.state().known.len(), REMEMBERED);
    }

    #[test]
    fn what_counts_no_more_is_forgotten() {
        let documents = Documents::default();
        remember(&documents, "a.example", 0, true);
        let later = NOW.plus(Duration::from_mins(1));
        assert!(documents.recall(&url("a.example", 0), later).is_none());
    }
}
