//! What browsers bring to a sidecar's gate.

use doorward::protocol::cookies::{Cookie, find};
use doorward::protocol::forward_auth::is_navigation;
use doorward::protocol::gate::{GatePath, return_to};
use http::{HeaderMap, HeaderValue};

use super::{Verdict, first_line, verdict};

const NAME: &str = "__Host-doorward-gate";

/// The query of `login`, then a `Cookie` header in each line.
pub fn gates(data: &[u8]) -> Verdict {
    let (query, lines) = first_line(data);
    let Ok(query) = std::str::from_utf8(query) else {
        return 0;
    };
    let target = return_to(query, &GatePath::default());
    if let Some(target) = &target {
        stays_here(target);
    }
    let mut headers = HeaderMap::new();
    let mut said = 0;
    for line in lines.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            continue;
        };
        headers.append("cookie", value);
        // However proxies join headers.
        said += line
            .split(|byte| matches!(byte, b';' | b','))
            .filter(|pair| pair.trim_ascii().starts_with(b"__Host-doorward-gate="))
            .count();
    }
    let found = find(&headers, NAME);
    match found {
        Cookie::One(value) => {
            assert_eq!(said, 1, "{value}");
            assert!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Cookie::Absent => assert!(said <= 1),
        Cookie::Unclear => assert!(said >= 1),
    }
    assert!(!is_navigation("GET", &headers));
    let found = std::mem::discriminant(&found);
    verdict((target.map(|target| target.len().min(3)), found))
}

/// As browsers read it: `\\` is `/`, tabs and line ends are nothing, and it leads neither to another
/// host nor into the gate.
fn stays_here(target: &str) {
    let read: String = target
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .map(|c| if c == '\\' { '/' } else { c })
        .collect();
    assert_eq!(read, target);
    assert!(
        target.starts_with('/') && !target.starts_with("//"),
        "{target}"
    );
    assert!(HeaderValue::from_str(target).is_ok(), "{target}");
    let path = target.split('?').next().unwrap();
    assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")));
    assert!(
        path != "/.doorward" && !path.starts_with("/.doorward/"),
        "{target}"
    );
}
