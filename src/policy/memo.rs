//! What Cedar answered before, for one set of roles: two bits an action.

use std::sync::atomic::{AtomicU8, Ordering};

const CELLS: usize = 4;
const ALLOW: u8 = 0b01;
const DENY: u8 = 0b10;

/// A cell an action: unknown, allow or deny. Cells only ever go from unknown to one answer, and
/// every thread fills a cell with the same one, so no order between threads is needed.
pub(super) struct Memo(Box<[AtomicU8]>);

impl Memo {
    pub(super) fn new(actions: usize) -> Self {
        Self(
            (0..actions.div_ceil(CELLS))
                .map(|_| AtomicU8::new(0))
                .collect(),
        )
    }

    /// `None` is unknown.
    pub(super) fn get(&self, action: usize) -> Option<bool> {
        let cells = self.0.get(action / CELLS)?.load(Ordering::Relaxed);
        match (cells >> shift(action)) & 0b11 {
            0 => None,
            cell => Some(cell == ALLOW),
        }
    }

    pub(super) fn set(&self, action: usize, allow: bool) {
        if let Some(cells) = self.0.get(action / CELLS) {
            let cell = if allow { ALLOW } else { DENY };
            cells.fetch_or(cell << shift(action), Ordering::Relaxed);
        }
    }
}

const fn shift(action: usize) -> usize {
    2 * (action % CELLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_its_own_answer() {
        let memo = Memo::new(9);
        for action in 0..9 {
            assert_eq!(memo.get(action), None);
        }
        for action in 0..9 {
            memo.set(action, action % 3 == 0);
        }
        for action in 0..9 {
            assert_eq!(memo.get(action), Some(action % 3 == 0), "{action}");
        }
        assert_eq!(memo.get(1000), None);
    }
}
