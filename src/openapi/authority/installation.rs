//! How the process is.

use http::Method;
use schemars::json_schema;

use crate::openapi::operation::Operation;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(Method::GET, "/healthz", "live", "Whether the process answers.")
            .shows(200, "It does.", |_| {
                json_schema!({
                    "type": "object", "required": ["status"],
                    "properties": { "status": { "const": "ok" } },
                })
            })
            .may(&[500, 503]),
        Operation::new(Method::GET, "/readyz", "ready", "Whether the store answers too.")
            .shows(200, "It does.", |_| {
                json_schema!({
                    "type": "object", "required": ["status", "revision"],
                    "properties": {
                        "status": { "const": "ok" },
                        "revision": { "type": "integer", "minimum": 0, "description": "Of the feed's last frame." },
                    },
                })
            })
            .may(&[500, 503]),
        Operation::new(Method::GET, "/metrics", "metrics", "Counters and gauges.")
            .answers(200, "Prometheus' text format.", vec![("text/plain", |_| json_schema!({ "type": "string" }))])
            .may(&[500, 503]),
    ]
}
