//! One JSON object on one line, written field by field. A line is written for each decision: by
//! derived code it costs a third of what the decision does.

use super::format::Text;

/// A key with all that stands around it, so that it is written at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key(pub(super) &'static str);

/// A [`Key`].
macro_rules! key {
    ($name:literal) => {
        $crate::sidecar::decision_log::json::Key(concat!(",\"", $name, "\":"))
    };
}
pub(super) use key;

/// An object under way.
#[derive(Debug)]
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    begun: bool,
}

impl<'o> Object<'o> {
    /// Begins one.
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, begun: false }
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, Key(key): Key) -> &mut Vec<u8> {
        let begin = usize::from(!std::mem::replace(&mut self.begun, true));
        self.out
            .extend_from_slice(key.as_bytes().get(begin..).unwrap_or_default());
        self.out
    }

    /// A text that needs no escape: our own words, hex digits, times.
    pub(super) fn word(&mut self, key: Key, word: &str) {
        let out = self.key(key);
        out.push(b'"');
        out.extend_from_slice(word.as_bytes());
        out.push(b'"');
    }

    /// Any text.
    pub(super) fn text(&mut self, key: Key, text: Option<Text<'_>>) {
        match text {
            None => {}
            Some(Text::Plain(text)) => string(text, self.key(key)),
            Some(Text::Id(id)) => self.word(key, id.hyphenated().encode_lower(&mut [0; 36])),
            Some(Text::Hashed(half)) => Text::hashed(half, |text| self.word(key, text)),
        }
    }

    pub(super) fn number(&mut self, key: Key, number: Option<u64>) {
        let Some(mut number) = number else { return };
        let mut digits = [0; 20];
        let mut begin = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            begin -= 1;
            if number == 0 {
                break;
            }
        }
        let digits = digits.get(begin..).unwrap_or_default();
        self.key(key).extend_from_slice(digits);
    }

    /// JSON as it is, which must stand on one line.
    pub(super) fn raw(&mut self, key: Key, json: Option<&str>) {
        if let Some(json) = json {
            self.key(key).extend_from_slice(json.as_bytes());
        }
    }

    /// An object in it, left out where `fill` puts nothing in.
    pub(super) fn object(&mut self, key: Key, fill: impl FnOnce(&mut Object<'_>)) {
        let before = (self.out.len(), self.begun);
        let mut inner = Object::begin(self.key(key));
        fill(&mut inner);
        let empty = !inner.begun;
        inner.end();
        if empty {
            self.out.truncate(before.0);
            self.begun = before.1;
        }
    }
}

/// A JSON string.
fn string(text: &str, out: &mut Vec<u8>) {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // A Vec takes every write.
        let _ = serde_json::to_writer(out, text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_written_is_the_json_that_was_meant() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        let texts = [
            "",
            "plain",
            "q\"uo\\te",
            "line\nend\u{1}",
            "Zoë 🚪",
            "\u{7f}\u{2028}",
        ];
        for text in texts {
            object.text(key!("t"), Some(Text::Plain(text)));
        }
        object.number(key!("zero"), Some(0));
        object.number(key!("most"), Some(u64::MAX));
        object.number(key!("none"), None);
        object.object(key!("empty"), |_| {});
        object.object(key!("inner"), |inner| {
            inner.object(key!("empty"), |_| {});
            inner.word(key!("a"), "b");
            inner.raw(key!("c"), Some("[1,{}]"));
        });
        object.text(key!("hashed"), Some(Text::Hashed([0xab; 16])));
        object.end();
        let text = String::from_utf8(out).unwrap();
        for wanted in texts {
            assert!(text.contains(&format!("\"t\":{}", json!(wanted))), "{text}");
        }
        let read: Value = serde_json::from_str(&text).unwrap();
        let hashed = format!("h:{}", "ab".repeat(16));
        assert_eq!(
            read,
            json!({"t": texts[5], "zero": 0, "most": u64::MAX,
                   "inner": {"a": "b", "c": [1, {}]}, "hashed": hashed})
        );
        let mut empty = Vec::new();
        let mut object = Object::begin(&mut empty);
        object.object(key!("nothing"), |_| {});
        object.end();
        assert_eq!(empty, b"{}");
    }
}
