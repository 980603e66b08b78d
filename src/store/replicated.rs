//! Which tables and columns travel to sidecars. Everything about the feed follows from this one
//! constant: capture triggers on both engines, frames, the copy's tables, snapshots, row hashes.
//!
//! Never here: e-mails, names, tokens, hashes, private keys.

/// A table that sidecars copy, with its columns in the order of the copy's table. The first
/// `key_len` columns are the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its number on the wire. Never change or reuse one: old copies know tables by it.
    pub id: u16,
    /// Its name, the same on the authority and in the copy.
    pub name: &'static str,
    /// How many of the columns form the key (1 to 3).
    pub key_len: usize,
    /// The columns that travel. A column's number on the wire is its index: append only.
    pub columns: &'static [Column],
}

/// A column that sidecars copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
}

/// How a replicated column is kept and hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UUID: 16 bytes in the copy.
    Id,
    /// Text.
    Text,
    /// Integer; also times, as microseconds.
    Int,
    /// A time on the authority; integer microseconds in the copy.
    Time,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

/// The number of the table of clients that are not as they were made.
pub const CLIENT_STATES: u16 = 8;

/// The number of the table of registered instances.
pub const RESOURCE_INSTANCES: u16 = 13;

/// The replicated tables. A row that is absent from `user_states` or `client_states` means active,
/// token epoch 0.
pub const REPLICATED: &[Table] = &[
    Table {
        id: 1,
        name: "organizations",
        key_len: 1,
        columns: &[column("id", Kind::Id), column("slug", Kind::Text)],
    },
    Table {
        id: 2,
        name: "permissions",
        key_len: 1,
        columns: &[
            column("id", Kind::Id),
            column("service", Kind::Text),
            column("resource", Kind::Text),
            column("action", Kind::Text),
        ],
    },
    Table {
        id: 3,
        name: "roles",
        key_len: 1,
        columns: &[
            column("id", Kind::Id),
            column("service", Kind::Text),
            column("name", Kind::Text),
        ],
    },
    Table {
        id: 4,
        name: "role_permissions",
        key_len: 2,
        columns: &[
            column("role_id", Kind::Id),
            column("permission_id", Kind::Id),
        ],
    },
    Table {
        id: 5,
        name: "organization_members",
        key_len: 2,
        columns: &[
            column("organization_id", Kind::Id),
            column("user_id", Kind::Id),
            column("role_id", Kind::Id),
        ],
    },
    Table {
        id: 6,
        name: "organization_member_roles",
        key_len: 3,
        columns: &[
            column("organization_id", Kind::Id),
            column("user_id", Kind::Id),
            column("role_id", Kind::Id),
        ],
    },
    Table {
        id: 7,
        name: "user_states",
        key_len: 1,
        columns: &[
            column("user_id", Kind::Id),
            column("state", Kind::Text),
            column("token_epoch", Kind::Int),
        ],
    },
    Table {
        id: CLIENT_STATES,
        name: "client_states",
        key_len: 1,
        columns: &[
            column("client_id", Kind::Id),
            column("state", Kind::Text),
            column("token_epoch", Kind::Int),
        ],
    },
    Table {
        id: 9,
        name: "revoked_sessions",
        key_len: 1,
        columns: &[
            column("session_id", Kind::Id),
            column("expires_at", Kind::Time),
        ],
    },
    Table {
        id: 10,
        name: "revoked_grants",
        key_len: 1,
        columns: &[
            column("grant_id", Kind::Id),
            column("expires_at", Kind::Time),
        ],
    },
    Table {
        id: 11,
        name: "signing_keys",
        key_len: 1,
        columns: &[
            column("kid", Kind::Text),
            column("purpose", Kind::Text),
            column("algorithm", Kind::Text),
            column("public_jwk", Kind::Text),
        ],
    },
    Table {
        id: 12,
        name: "scope_permissions",
        key_len: 2,
        columns: &[
            column("scope", Kind::Text),
            column("permission_id", Kind::Id),
        ],
    },
    Table {
        id: RESOURCE_INSTANCES,
        name: "resource_instances",
        key_len: 3,
        columns: &[
            column("service", Kind::Text),
            column("resource", Kind::Text),
            column("id", Kind::Text),
            column("organization_id", Kind::Id),
            column("attributes", Kind::Text),
        ],
    },
];
