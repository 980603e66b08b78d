//! Inputs made of other inputs, the same ones for the same number to begin with.

/// The longest input.
const LENGTH_MAX: usize = 2_048;

/// A source of inputs.
pub(super) struct Mutator {
    state: u64,
    words: Vec<Vec<u8>>,
    corpus: Vec<Vec<u8>>,
}

impl Mutator {
    pub(super) fn new(seed: u64, words: Vec<Vec<u8>>) -> Self {
        Self {
            state: seed,
            words,
            corpus: Vec::new(),
        }
    }

    /// An input to make others of.
    pub(super) fn keep(&mut self, input: Vec<u8>) {
        self.corpus.push(input);
    }

    /// The next input: one of the corpus after a few changes.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let mut input = self.one_of_the_corpus();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input.truncate(LENGTH_MAX);
        input
    }

    /// `SplitMix64`: small, and good enough to choose with.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn one_of_the_corpus(&mut self) -> Vec<u8> {
        let index = self.below(self.corpus.len());
        self.corpus.get(index).cloned().unwrap_or_default()
    }

    /// A part of an input, as the indexes of its beginning and its end.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 8 };
        let end = start + self.below(most.min(length - start) + 1);
        start..end
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\0\n\r\t !\"#%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\x7f\x80\xc3\xff";
        match self.below(3) {
            0 => self.random().to_le_bytes()[0],
            _ => TELLING[self.below(TELLING.len())],
        }
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let length = input.len();
        let at = self.below(length);
        match self.below(11) {
            0 if length > 0 => input[at] ^= 1 << self.below(8),
            1 if length > 0 => input[at] = self.byte(),
            2 => input.insert(at, self.byte()),
            3 => drop(input.drain(self.part(length))),
            4 => {
                let copied = input[self.part(length)].to_vec();
                input.splice(at..at, copied);
            }
            5 | 6 => {
                let word = self.below(self.words.len());
                let word = self.words.get(word).cloned().unwrap_or_default();
                let replaced = if self.below(2) == 0 {
                    at..at
                } else {
                    self.part(length)
                };
                input.splice(replaced, word);
            }
            7 => {
                let other = self.one_of_the_corpus();
                let part = self.part(other.len());
                let replaced = self.part(length);
                input.splice(replaced, other[part].iter().copied());
            }
            8 if length > 0 => {
                let encoded = format!("%{:02X}", input[at]).into_bytes();
                input.splice(at..=at, encoded);
            }
            9 if length > 0 => {
                let changed = input[at];
                input[at] = if changed.is_ascii_uppercase() {
                    changed.to_ascii_lowercase()
                } else {
                    changed.to_ascii_uppercase()
                };
            }
            10 => {
                let number = match self.below(4) {
                    0 => self.random().to_string(),
                    1 => i64::MAX.to_string(),
                    2 => format!("-{}", self.below(1_000_000)),
                    _ => self.below(70_000).to_string(),
                };
                // In the place of a number, if there is one.
                let start = input.iter().position(u8::is_ascii_digit).unwrap_or(at);
                let end = (start..length)
                    .find(|index| !input[*index].is_ascii_digit())
                    .unwrap_or(length);
                input.splice(start..end.max(start), number.into_bytes());
            }
            _ => input.push(self.byte()),
        }
    }
}

#[test]
fn the_same_number_gives_the_same_inputs() {
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed, vec![b"word".to_vec()]);
        mutator.keep(b"a=1&b=2".to_vec());
        (0..1_000).map(|_| mutator.next()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
    assert!(inputs(1).iter().all(|input| input.len() <= LENGTH_MAX));
}
