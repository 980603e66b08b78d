//! Chance, asked for here and nowhere else.

use std::fmt;
use std::sync::Mutex;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Where random bytes come from.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// The random half of a `UUIDv7`.
    fn id_bits(&self) -> [u8; 10] {
        let mut bits = [0; 10];
        self.fill(&mut bits);
        bits
    }

    /// The bits of a bearer secret.
    fn token_bits(&self) -> Zeroizing<[u8; 32]> {
        let mut bits = Zeroizing::new([0; 32]);
        self.fill(bits.as_mut_slice());
        bits
    }
}

/// The machine's generator.
#[derive(Debug, Default)]
pub struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "a machine without randomness cannot run this program; going on would be worse"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        self.0
            .fill(bytes)
            .expect("the operating system gives random bytes");
    }
}

/// The same bytes in each run, for tests and demo worlds: SHA-256 over a counter. Never for secrets
/// of a real installation.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: Mutex<u64>,
}

impl SeededEntropy {
    /// A generator that always gives the same sequence for the same seed.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: Mutex::new(0),
        }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut counter = self
            .counter
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in bytes.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(self.seed.to_be_bytes())
                .chain_update(counter.to_be_bytes())
                .finalize();
            *counter += 1;
            for (byte, random) in chunk.iter_mut().zip(block) {
                *byte = random;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_sequence_repeats_and_a_system_one_does_not() {
        let take = |entropy: &dyn Entropy| [entropy.id_bits(), entropy.id_bits()];
        assert_eq!(take(&SeededEntropy::new(7)), take(&SeededEntropy::new(7)));
        assert_ne!(take(&SeededEntropy::new(7)), take(&SeededEntropy::new(8)));
        let system = take(&SystemEntropy::default());
        assert_ne!(system[0], system[1]);
    }
}
