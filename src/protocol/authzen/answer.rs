//! Answers, written straight to bytes.

use serde_json::value::RawValue;

use crate::domain::{Decision, DecisionId, Freshness};

/// Why an answer is not a plain allow or deny: a word for programs and a sentence for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason<'a> {
    /// One of a closed set of words.
    pub code: &'a str,
    /// What happened and what would help.
    pub message: &'a str,
}

/// A question of a batch that could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemError<'a> {
    /// The status it would have had on its own.
    pub status: u16,
    /// What was wrong.
    pub message: &'a str,
}

/// One answer. By default only decision, revision and staleness are there.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Allow or deny.
    pub decision: Decision,
    /// How fresh the facts were.
    pub freshness: Freshness,
    /// What finds the record, if one was made.
    pub id: Option<DecisionId>,
    /// Why, where it is not the plain outcome of roles and policies.
    pub reason: Option<Reason<'a>>,
    /// Set for an item that could not be asked.
    pub error: Option<ItemError<'a>>,
    /// What an explanation says, ready as JSON.
    pub explanation: Option<&'a RawValue>,
}

impl Answer<'_> {
    /// Room that the default answer needs.
    pub const SIZE: usize = 160;

    /// Appends `{"decision":…,"context":{"revision":…,"staleness_ms":…}}`, with
    /// `"decision_id":"…"` where there is one.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.decision.is_allow() {
            br#"{"decision":true,"context":{"revision":"#
        } else {
            br#"{"decision":false,"context":{"revision":"#
        });
        write_number(self.freshness.revision.get(), out);
        match self.freshness.staleness {
            Some(staleness) => {
                out.extend_from_slice(br#","staleness_ms":"#);
                write_number(
                    u64::try_from(staleness.as_millis()).unwrap_or(u64::MAX),
                    out,
                );
            }
            None => out.extend_from_slice(br#","staleness_ms":null"#),
        }
        if let Some(id) = self.id {
            out.extend_from_slice(br#","decision_id":""#);
            out.extend_from_slice(&id.text());
            out.push(b'"');
        }
        if let Some(reason) = &self.reason {
            out.extend_from_slice(br#","reason":{"code":"#);
            write_text(reason.code, out);
            out.extend_from_slice(br#","message":"#);
            write_text(reason.message, out);
            out.push(b'}');
        }
        if let Some(error) = &self.error {
            out.extend_from_slice(br#","error":{"status":"#);
            write_number(u64::from(error.status), out);
            out.extend_from_slice(br#","message":"#);
            write_text(error.message, out);
            out.push(b'}');
        }
        if let Some(explanation) = self.explanation {
            out.extend_from_slice(br#","explanation":"#);
            out.extend_from_slice(explanation.get().as_bytes());
        }
        out.extend_from_slice(b"}}");
    }
}

/// A decimal number without the formatting machinery, which costs more than the rest of the answer.
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(20 - used));
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // A Vec takes every write and a str is always a JSON string.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Revision;

    fn written(answer: &Answer<'_>) -> String {
        let mut out = Vec::with_capacity(Answer::SIZE);
        answer.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_default_answer_carries_decision_revision_and_staleness() {
        let mut answer = Answer {
            decision: Decision::Allow,
            freshness: Freshness {
                revision: Revision::new(u64::MAX),
                staleness: Some(Duration::from_millis(120)),
            },
            id: None,
            reason: None,
            error: None,
            explanation: None,
        };
        assert_eq!(
            written(&answer),
            r#"{"decision":true,"context":{"revision":18446744073709551615,"staleness_ms":120}}"#
        );
        answer.decision = Decision::Deny;
        answer.freshness = Freshness {
            revision: Revision::ZERO,
            staleness: None,
        };
        assert_eq!(
            written(&answer),
            r#"{"decision":false,"context":{"revision":0,"staleness_ms":null}}"#
        );
    }

    #[test]
    fn texts_of_an_answer_are_escaped() {
        let explanation: Box<RawValue> =
            RawValue::from_string(r#"{"roles":[]}"#.to_owned()).unwrap();
        let text = written(&Answer {
            decision: Decision::Deny,
            freshness: Freshness {
                revision: Revision::new(1),
                staleness: None,
            },
            id: Some(DecisionId::new(1, 2)),
            reason: Some(Reason {
                code: "x",
                message: "a \"quote\"\n",
            }),
            error: Some(ItemError {
                status: 400,
                message: "`subject` is missing",
            }),
            explanation: Some(&explanation),
        });
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["context"]["reason"]["message"], "a \"quote\"\n");
        let id = value["context"]["decision_id"].as_str().unwrap();
        assert_eq!(id.parse(), Ok(DecisionId::new(1, 2)));
        assert_eq!(value["context"]["error"]["status"], 400);
        assert!(value["context"]["explanation"]["roles"].is_array());
    }
}
