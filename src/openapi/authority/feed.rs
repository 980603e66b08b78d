//! `/v1/feeds`: what sidecars follow.

use http::Method;
use schemars::{Schema, SchemaGenerator, json_schema};

use crate::openapi::operation::{JSON, Operation, SchemaOf, of};
use crate::protocol::feed::Ack;
use crate::replication::endpoint::FEED_TYPE;
use crate::replication::fleet::Follower;

use super::{call, get};

/// Bytes of a form that a description elsewhere has.
const BYTES: SchemaOf = |_| json_schema!({});

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get(
            "/v1/feeds/{feed}/changes",
            "followFeed",
            "An endless stream of changes from a position on.",
        )
        .about("Frames and heartbeats in CBOR, signed; schema/feed.md has their form.")
        .queried(position)
        .answers(200, "The stream.", vec![(FEED_TYPE, BYTES)])
        .with(&["CacheControl"])
        .may(&[404, 409, 410, 426]),
        get(
            "/v1/feeds/{feed}/snapshot",
            "fetchSnapshot",
            "The whole copy, compressed, with its signed manifest.",
        )
        .queried(|_| {
            json_schema!({
                "type": "object",
                "properties": { "at_least": {
                    "type": "integer", "minimum": 0, "maximum": i64::MAX,
                    "description": "A revision that it has to hold.",
                } },
            })
        })
        .bringing(&[
            (
                "Range",
                "With `If-Range`: the rest of a transfer that broke.",
                |_| json_schema!({ "type": "string", "pattern": "^bytes=[0-9]{1,15}-$" }),
            ),
            (
                "If-Range",
                "The `ETag` of the transfer that broke.",
                |_| json_schema!({ "type": "string", "pattern": "^\"[0-9a-f]+-[0-9]+\"$" }),
            ),
        ])
        .answers(200, "All of it.", vec![("application/zstd", BYTES)])
        .with(&["CacheControl", "ETag", "SnapshotManifest"])
        .answers(206, "The rest.", vec![("application/zstd", BYTES)])
        .with(&["CacheControl", "ETag", "SnapshotManifest", "ContentRange"])
        .may(&[404, 416, 429]),
        // It changes no row: there is nothing to be at odds with.
        call(
            Method::POST,
            "/v1/feeds/{feed}/acks",
            "acknowledge",
            "Where a follower stands.",
        )
        .wants(JSON, of::<Ack>())
        .says(204, "Noted.")
        .may(&[404, 413]),
        get(
            "/v1/feeds/{feed}/followers",
            "listFollowers",
            "Who follows this process, and how far they are.",
        )
        .shows(200, "All of them.", of::<Vec<Follower>>())
        .may(&[404]),
    ]
}

/// Where to resume.
fn position(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["epoch", "revision", "chain", "schema"],
        "properties": {
            "epoch": { "type": "string", "format": "uuid", "description": "Which stretch of the feed's history." },
            "revision": {
                "type": "integer", "minimum": 0, "maximum": i64::MAX,
                "description": "The last revision that the follower has.",
            },
            "chain": {
                "type": "string", "pattern": "^[0-9a-f]{64}$",
                "description": "The chain of hashes there, in hex: it proves the position.",
            },
            "schema": {
                "type": "integer", "minimum": 0, "maximum": u32::MAX,
                "description": "The version of the feed that the follower reads.",
            },
        },
    })
}
