//! What was found at the URLs of clients' documents, and how many are being fetched.
//!
//! Strangers choose the URLs. Whoever has a host uses up that host's share and nobody else's, and what
//! gave no document goes before what did.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::documents::DocumentError;
use crate::authority::proxies::ClientAddress;
use crate::domain::app::AppSpec;

/// How many documents are fetched at once.
const AT_ONCE: usize = 64;
/// How many of them of clients that nobody has agreed to yet: whoever names hosts that never answer
/// keeps strangers out, and no client that people use.
const AT_ONCE_OF_STRANGERS: usize = 48;
/// How many of all for one address.
const AT_ONCE_OF_ADDRESS: usize = 4;
/// How many of them of one host; of clients that nobody has agreed to yet, one less.
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
    askers: BTreeMap<IpAddr, usize>,
    flights: HashMap<String, Flying>,
    uses: u64,
}

/// Those who want one URL's document now: one fetches it, the others wait for what comes of that.
#[derive(Debug, Default)]
struct Flying {
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: usize,
}

/// A place among those who want one URL's document, until it is dropped.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    documents: &'a Documents,
    url: &'a str,
    /// Whoever holds it looks at what is known by then, and fetches if it is nothing.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut state = self.documents.state();
        if let Some(flying) = state.flights.get_mut(self.url) {
            flying.waiting = flying.waiting.saturating_sub(1);
            if flying.waiting == 0 {
                state.flights.remove(self.url);
            }
        }
    }
}

#[derive(Debug)]
struct Known {
    host: String,
    found: Result<AppSpec, DocumentError>,
    /// On the clock that nobody sets back ([`crate::runtime::Clock::since_boot`]).
    until: Duration,
    last_use: u64,
}

/// Leave to fetch one document of a host, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    documents: &'a Documents,
    host: String,
    asker: Asker,
}

/// Who has a document fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// Whether somebody has agreed to the client.
    pub known_client: bool,
    /// The address; none where all come from this machine, by a proxy that nobody configured.
    pub address: Option<IpAddr>,
}

impl Asker {
    /// Who asks from there.
    pub fn new(known_client: bool, from: ClientAddress) -> Self {
        Self {
            known_client,
            address: (!from.is_local()).then(|| from.counted_as()),
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.documents.state();
        one_less(&mut state.fetching, &self.host);
        if let Some(address) = &self.asker.address {
            one_less(&mut state.askers, address);
        }
    }
}

fn one_less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    let left = counts.get_mut(key).map_or(0, |count| {
        *count = count.saturating_sub(1);
        *count
    });
    if left == 0 {
        counts.remove(key);
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
        now: Duration,
    ) -> Option<Result<AppSpec, DocumentError>> {
        let mut state = self.state();
        let last_use = state.next_use();
        let known = state.known.get_mut(url).filter(|known| now < known.until)?;
        known.last_use = last_use;
        Some(known.found.clone())
    }

    /// Takes a place among those who want this document.
    pub(super) fn flight<'a>(&'a self, url: &'a str) -> Flight<'a> {
        let mut state = self.state();
        let flying = state.flights.entry(url.to_owned()).or_default();
        flying.waiting = flying.waiting.saturating_add(1);
        Flight {
            documents: self,
            url,
            turn: Arc::clone(&flying.turn),
        }
    }

    /// Leave to fetch; `None` when too many are being fetched: of this host, for this asker, or of all.
    pub(super) fn permit(&self, host: &str, asker: Asker) -> Option<Permit<'_>> {
        let host = host.to_ascii_lowercase();
        let mut state = self.state();
        let all: usize = state.fetching.values().sum();
        let own = state.fetching.get(&host).copied().unwrap_or(0);
        let (most, most_of_host) = if asker.known_client {
            (AT_ONCE, AT_ONCE_OF_HOST)
        } else {
            (AT_ONCE_OF_STRANGERS, AT_ONCE_OF_HOST - 1)
        };
        let theirs = asker
            .address
            .and_then(|address| state.askers.get(&address).copied());
        let enough = theirs.is_some_and(|theirs| theirs >= AT_ONCE_OF_ADDRESS);
        if own >= most_of_host || all >= most || enough {
            return None;
        }
        state.fetching.insert(host.clone(), own + 1);
        if let Some(address) = asker.address {
            let theirs = state.askers.entry(address).or_default();
            *theirs = theirs.saturating_add(1);
        }
        Some(Permit {
            documents: self,
            host,
            asker,
        })
    }

    /// Remembers what was found, until it counts no more or there is no room.
    pub(super) fn remember(
        &self,
        url: &str,
        host: &str,
        found: Result<AppSpec, DocumentError>,
        (now, until): (Duration, Duration),
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
    use super::*;
    use crate::domain::Scopes;
    use crate::protocol::clients::fetched;

    const NOW: Duration = Duration::from_secs(1);
    const KNOWN: Asker = Asker {
        known_client: true,
        address: None,
    };

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
        let until = NOW + Duration::from_mins(1);
        documents.remember(&url, host, found, (NOW, until));
    }

    fn stranger(number: usize) -> Asker {
        let number = u8::try_from(number).unwrap();
        Asker {
            known_client: false,
            address: Some(IpAddr::from([203, 0, 113, number])),
        }
    }

    fn knows(documents: &Documents, host: &str, number: usize) -> bool {
        documents.recall(&url(host, number), NOW).is_some()
    }

    #[test]
    fn a_host_fetches_two_at_once_and_shuts_nobody_else_out() {
        let documents = Documents::default();
        let first = documents.permit("a.example", KNOWN).unwrap();
        let _second = documents.permit("A.example", KNOWN).unwrap();
        assert!(documents.permit("a.example", KNOWN).is_none());
        assert!(documents.permit("b.example", KNOWN).is_some());
        drop(first);
        let _third = documents.permit("a.example", KNOWN).unwrap();
        assert!(documents.permit("a.example", KNOWN).is_none());
    }

    #[test]
    fn all_hosts_together_fetch_so_many_at_once() {
        let documents = Documents::default();
        let permits: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                documents
                    .permit(&format!("h{number}.example"), KNOWN)
                    .unwrap()
            })
            .collect();
        assert!(documents.permit("another.example", KNOWN).is_none());
        drop(permits);
        assert!(documents.permit("another.example", KNOWN).is_some());
        assert!(documents.state().fetching.is_empty());
    }

    #[test]
    fn hosts_that_never_answer_keep_out_strangers_alone() {
        let documents = Documents::default();
        let _tarpits: Vec<_> = (0..AT_ONCE_OF_STRANGERS)
            .map(|number| {
                let host = format!("h{number}.example");
                let asker = stranger(number / AT_ONCE_OF_ADDRESS);
                documents.permit(&host, asker).unwrap()
            })
            .collect();
        let another = stranger(AT_ONCE_OF_STRANGERS);
        assert!(documents.permit("stranger.example", another).is_none());
        let known = KNOWN;
        assert!(documents.permit("used.example", known).is_some());
    }

    #[test]
    fn made_up_paths_leave_a_host_room_for_the_clients_that_people_use() {
        let documents = Documents::default();
        let _made_up = documents.permit("a.example", stranger(0)).unwrap();
        assert!(documents.permit("a.example", stranger(1)).is_none());
        assert!(documents.permit("a.example", KNOWN).is_some());
    }

    #[test]
    fn one_address_keeps_out_nobody_but_itself() {
        let documents = Documents::default();
        let tarpit = |number: usize| format!("h{number}.example");
        let mut tarpits: Vec<_> = (0..AT_ONCE_OF_ADDRESS)
            .map(|number| documents.permit(&tarpit(number), stranger(0)).unwrap())
            .collect();
        assert!(documents.permit("more.example", stranger(0)).is_none());
        let known_client = Asker {
            known_client: true,
            ..stranger(0)
        };
        assert!(documents.permit("used.example", known_client).is_none());
        assert!(documents.permit("used.example", KNOWN).is_some());
        assert!(documents.permit("new.example", stranger(1)).is_some());
        tarpits.pop();
        assert!(documents.permit("more.example", stranger(0)).is_some());
        drop(tarpits);
        assert!(documents.state().askers.is_empty());
    }

    #[test]
    fn a_place_among_those_who_wait_is_forgotten_with_the_last() {
        let documents = Documents::default();
        let (first, second) = (documents.flight("a"), documents.flight("a"));
        assert!(Arc::ptr_eq(&first.turn, &second.turn));
        assert!(!Arc::ptr_eq(&first.turn, &documents.flight("b").turn));
        drop(first);
        assert!(Arc::ptr_eq(&second.turn, &documents.flight("a").turn));
        drop(second);
        assert!(documents.state().flights.is_empty());
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
        let later = NOW + Duration::from_mins(1);
        assert!(documents.recall(&url("a.example", 0), later).is_none());
    }
}
