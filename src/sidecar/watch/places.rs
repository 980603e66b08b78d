//! How many watches there are, and whose.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::config::WatchConfig;
use crate::sidecar::callers::Transport;

/// The places that watches take.
#[derive(Debug)]
pub(in crate::sidecar) struct Places {
    config: WatchConfig,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_holder: HashMap<Holder, usize>,
}

/// Whose places are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    /// A known caller's.
    Caller(Box<str>),
    /// Those of everybody else who comes that way: whoever may open the Unix socket is not kept
    /// from watching by those who only reach a port.
    Anybody(Transport),
}

/// A place that is taken, given back when dropped.
#[derive(Debug)]
pub(in crate::sidecar) struct Place {
    places: Arc<Places>,
    holder: Holder,
}

impl Places {
    pub(in crate::sidecar) fn new(config: WatchConfig) -> Self {
        Self {
            config,
            taken: Mutex::default(),
        }
    }

    pub(in crate::sidecar) const fn config(&self) -> &WatchConfig {
        &self.config
    }

    /// How many there are.
    pub(in crate::sidecar) fn taken(&self) -> usize {
        self.lock().all
    }

    /// Takes a place; `None` when there is none left, for this caller or at all.
    pub(in crate::sidecar) fn take(
        self: &Arc<Self>,
        caller: Option<&str>,
        transport: Transport,
    ) -> Option<Place> {
        let holder = caller.map_or(Holder::Anybody(transport), |name| {
            Holder::Caller(name.into())
        });
        let mut taken = self.lock();
        let own = taken.by_holder.get(&holder).copied().unwrap_or(0);
        if taken.all >= self.config.most || own >= self.config.most_per_caller {
            return None;
        }
        taken.all += 1;
        taken.by_holder.insert(holder.clone(), own + 1);
        Some(Place {
            places: Arc::clone(self),
            holder,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(1);
        let left = taken.by_holder.get(&self.holder).map_or(0, |own| own - 1);
        if left == 0 {
            taken.by_holder.remove(&self.holder);
        } else {
            taken.by_holder.insert(self.holder.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_by_holder_and_at_all_and_are_given_back() {
        let places = Arc::new(Places::new(WatchConfig {
            most: 3,
            most_per_caller: 2,
            ..WatchConfig::default()
        }));
        let first = places.take(Some("a"), Transport::Loopback).unwrap();
        let _second = places.take(Some("a"), Transport::Loopback).unwrap();
        assert!(places.take(Some("a"), Transport::Loopback).is_none());
        let _third = places.take(None, Transport::Loopback).unwrap();
        assert!(places.take(Some("b"), Transport::Loopback).is_none());
        drop(first);
        assert_eq!(places.taken(), 2);
        assert!(places.take(Some("a"), Transport::Loopback).is_some());
        assert_eq!(places.taken(), 2);
    }
}
