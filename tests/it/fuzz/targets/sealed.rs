//! Sealed values that come back from browsers, and key files.

use std::sync::{Arc, LazyLock};

use doorward::authority::sealer::Sealer;
use doorward::crypto::seal::{KeyRing, Place};
use doorward::domain::Timestamp;
use zeroize::Zeroizing;

use super::{Verdict, verdict};

const PURPOSE: &str = "login";
const VALUE: &str = "who, where to, and the rest";
const UNTIL: Timestamp = Timestamp::from_unix_seconds(2_000);
const PLACE: Place<'static> = Place {
    table: "keys",
    row: "1",
    column: "private",
};

struct Sealed {
    sealer: Sealer,
    text: String,
    bytes: Vec<u8>,
}

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let sealer = Sealer::new(Arc::new(KeyRing::new(&[7; 32])), &Zeroizing::new([9; 32]));
    let text = sealer.seal(PURPOSE, &VALUE, UNTIL).unwrap();
    let bytes = sealer.ring().seal(VALUE.as_bytes(), PLACE).unwrap();
    Sealed {
        sealer,
        text,
        bytes,
    }
});

/// The first byte chooses: a text as it is, changes of a sealed value at places, one for another
/// purpose or time, or a key file.
pub fn sealed_values(data: &[u8]) -> Verdict {
    let Some((how, rest)) = data.split_first() else {
        return 0;
    };
    match how {
        b'c' => changed(rest),
        b'k' => key_file(rest),
        b'p' => another(rest),
        _ => {
            let text = String::from_utf8_lossy(rest);
            let now = Timestamp::from_unix_seconds(1);
            assert!(SEALED.sealer.open::<String>(PURPOSE, &text, now).is_err());
            let opened = SEALED.sealer.ring().open(rest, PLACE);
            verdict(opened.map(|_| panic!("nobody sealed {rest:?}")))
        }
    }
}

/// Pairs of bytes: where, and what is put there.
fn changed(rest: &[u8]) -> Verdict {
    let now = Timestamp::from_unix_seconds(1_999);
    let (mut text, mut bytes) = (SEALED.text.clone().into_bytes(), SEALED.bytes.clone());
    for pair in rest.chunks_exact(2) {
        let place = usize::from(pair[0]);
        for target in [&mut text, &mut bytes] {
            let index = place % target.len();
            target[index] = pair[1];
        }
    }
    if rest.len() % 2 == 1 {
        text.push(rest[rest.len() - 1]);
        bytes.pop();
    }
    let same = text == SEALED.text.as_bytes();
    let opened =
        String::from_utf8(text).map(|text| SEALED.sealer.open::<String>(PURPOSE, &text, now));
    assert_eq!(opened == Ok(Ok(VALUE.to_owned())), same);
    let same = bytes == SEALED.bytes;
    let ring = SEALED.sealer.ring();
    let opened = ring.open(&bytes, PLACE);
    assert_eq!(opened.is_ok(), same);
    let elsewhere = Place { row: "2", ..PLACE };
    assert!(ring.open(&bytes, elsewhere).is_err());
    verdict((same, rest.len().min(3)))
}

/// A purpose, and in eight bytes before it a time.
fn another(rest: &[u8]) -> Verdict {
    let Some((time, purpose)) = rest.split_first_chunk::<8>() else {
        return 0;
    };
    let now = Timestamp::from_unix_micros(i64::from_be_bytes(*time));
    let purpose = String::from_utf8_lossy(purpose);
    let opened = SEALED.sealer.open::<String>(&purpose, &SEALED.text, now);
    assert_eq!(opened.is_ok(), purpose == PURPOSE && now < UNTIL);
    verdict(opened)
}

fn key_file(rest: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(rest);
    match KeyRing::from_text(&text) {
        Ok(ring) => {
            let again = KeyRing::from_text(&ring.to_text()).unwrap();
            assert!(again.same_as(&ring));
            let sealed = ring.seal(b"value", PLACE).unwrap();
            assert_eq!(again.open(&sealed, PLACE).unwrap().as_slice(), b"value");
            verdict("a key ring")
        }
        Err(error) => verdict(error),
    }
}
