//! Cookies.

use doorward::authority::login::COOKIE;
use doorward::protocol::cookies::cookie;
use http::{HeaderMap, HeaderValue};

use super::{Verdict, verdict};

/// A `Cookie` header in each line.
pub fn cookies(data: &[u8]) -> Verdict {
    let mut headers = HeaderMap::new();
    let mut values = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            continue;
        };
        headers.append("cookie", value);
        // RFC 6265 §4.2.1, by hand.
        for pair in line.split(|byte| *byte == b';') {
            if let Some(value) = pair
                .trim_ascii()
                .strip_prefix(COOKIE.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
            {
                values.push(value.to_vec());
            }
        }
    }
    let found = cookie(&headers, COOKIE).map(str::to_owned);
    if let Some(found) = &found {
        assert_eq!(values, [found.as_bytes().to_vec()]);
        assert!(!found.is_empty() && !found.contains(';'), "{found}");
        let mut more = headers.clone();
        more.append("cookie", HeaderValue::from_static("__Host-other=1"));
        assert_eq!(cookie(&more, COOKIE), Some(found.as_str()));
        more.append("cookie", HeaderValue::from_static("__Host-doorward=1"));
        assert_eq!(cookie(&more, COOKIE), None, "one of several is a guess");
    }
    verdict((found.is_some(), values.len().min(2)))
}
