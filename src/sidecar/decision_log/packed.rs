//! Records as bytes between a thread and the writer: fields in a fixed order, without names. They
//! never leave the process, so that they need no version and no care for older readers; what they
//! need is to cost next to nothing.

/// A text that is not there; texts are shorter.
const ABSENT: u16 = u16::MAX;

/// Appends fields.
#[derive(Debug)]
pub(super) struct Pack<'o>(&'o mut Vec<u8>);

impl<'o> Pack<'o> {
    /// Fields of about `bytes` bytes are to come.
    pub(super) fn new(out: &'o mut Vec<u8>, bytes: usize) -> Self {
        out.reserve(bytes);
        Self(out)
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_ne_bytes());
    }

    /// Takes nothing but a byte where there is none.
    pub(super) fn maybe<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.byte(u8::from(value.is_some()));
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub(super) fn id(&mut self, id: [u8; 16]) {
        self.0.extend_from_slice(&id);
    }

    /// A text, or its first 65,534 bytes.
    pub(super) fn text(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            return self.0.extend_from_slice(&ABSENT.to_ne_bytes());
        };
        let length = u16::try_from(text.len()).map_or(ABSENT - 1, |length| length.min(ABSENT - 1));
        self.0.extend_from_slice(&length.to_ne_bytes());
        let bytes = text.as_bytes();
        self.0
            .extend_from_slice(bytes.get(..usize::from(length)).unwrap_or(bytes));
    }
}

/// Reads them back, in the same order. `None`: these are no fields of ours.
#[derive(Debug)]
pub(super) struct Unpack<'a>(pub(super) &'a [u8]);

impl<'a> Unpack<'a> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// Outer: whether it can be read.
    #[expect(
        clippy::option_option,
        reason = "what cannot be read is not what is absent"
    )]
    pub(super) fn maybe<T>(
        &mut self,
        get: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            _ => get(self).map(Some),
        }
    }

    pub(super) fn id(&mut self) -> Option<[u8; 16]> {
        self.array()
    }

    /// Outer: whether it can be read.
    #[expect(
        clippy::option_option,
        reason = "what cannot be read is not what is absent"
    )]
    pub(super) fn text(&mut self) -> Option<Option<&'a str>> {
        let length = u16::from_ne_bytes(self.array()?);
        if length == ABSENT {
            return Some(None);
        }
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(Some)
    }
}
