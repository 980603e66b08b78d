-- What Doorward adds to the seed (0001). Only additions; see docs/ARCHITECTURE.md for who owns which table.

-- Manifest sync: what each service last declared.
CREATE TABLE service_manifests (
    service TEXT NOT NULL PRIMARY KEY,
    version INTEGER,                      -- the newest version seen; NULL when the service sends none
    content_hash BLOB NOT NULL CHECK (length(content_hash) = 32),
    document TEXT NOT NULL,               -- canonical JSON, as applied
    applied_at INTEGER NOT NULL,
    applied_by TEXT NOT NULL              -- actor, as audit_log names it
) STRICT;
ALTER TABLE permissions ADD COLUMN deprecated INTEGER NOT NULL DEFAULT 0 CHECK (deprecated IN (0, 1));
ALTER TABLE roles ADD COLUMN assignable_by TEXT NOT NULL DEFAULT 'auth:member:assign';
ALTER TABLE roles ADD COLUMN deprecated INTEGER NOT NULL DEFAULT 0 CHECK (deprecated IN (0, 1));
CREATE INDEX idx_role_permissions_permission ON role_permissions(permission_id);
-- Which other services' roles may grant this service's permissions.
CREATE TABLE service_grantable_by (
    service TEXT NOT NULL,
    grantee TEXT NOT NULL,
    PRIMARY KEY (service, grantee)
) STRICT, WITHOUT ROWID;
-- Scope -> permissions: what a token with that scope may use.
CREATE TABLE scope_permissions (
    scope TEXT NOT NULL,
    permission_id BLOB NOT NULL REFERENCES permissions(id) ON DELETE CASCADE,
    PRIMARY KEY (scope, permission_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_scope_permissions_permission ON scope_permissions(permission_id);

-- Members: further roles beside the primary one of organization_members.role_id.
CREATE TABLE organization_member_roles (
    organization_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    role_id BLOB NOT NULL REFERENCES roles(id),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, user_id, role_id),
    FOREIGN KEY (organization_id, user_id)
        REFERENCES organization_members(organization_id, user_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_member_roles_role ON organization_member_roles(role_id);
CREATE INDEX idx_org_members_role ON organization_members(role_id);
-- Every slug ever taken, reserved for ever; organization_id is NULL once that organization is deleted.
CREATE TABLE organization_slugs (
    slug TEXT NOT NULL PRIMARY KEY,
    organization_id BLOB CHECK (length(organization_id) = 16),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Revocation without clocks. No row: active, epoch 0. No foreign key: the state outlives an erased user.
CREATE TABLE user_states (
    user_id BLOB NOT NULL PRIMARY KEY CHECK (length(user_id) = 16),
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'deleted')),
    token_epoch INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE client_states (
    client_id BLOB NOT NULL PRIMARY KEY CHECK (length(client_id) = 16),
    state TEXT NOT NULL CHECK (state IN ('active', 'retired')),
    token_epoch INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE revoked_sessions (
    session_id BLOB NOT NULL PRIMARY KEY CHECK (length(session_id) = 16),
    expires_at INTEGER NOT NULL           -- purge after: no token of it lives longer
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_revoked_sessions_expires ON revoked_sessions(expires_at);
CREATE TABLE revoked_grants (
    grant_id BLOB NOT NULL PRIMARY KEY CHECK (length(grant_id) = 16),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_revoked_grants_expires ON revoked_grants(expires_at);

-- Machine clients.
CREATE TABLE client_settings (
    client_id BLOB NOT NULL PRIMARY KEY REFERENCES oauth_clients(id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('operator', 'service', 'sidecar', 'app')),
    service TEXT,                         -- the one service whose manifest it syncs (kind = 'service')
    scopes TEXT NOT NULL,                 -- space-delimited: the most it may ask for
    CHECK ((kind = 'service') = (service IS NOT NULL))
) STRICT, WITHOUT ROWID;
-- Further secrets of a client; the first one's hash is oauth_clients.client_secret.
CREATE TABLE client_secrets (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    secret_hash TEXT NOT NULL UNIQUE,
    expires_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idx_client_secrets_client ON client_secrets(client_id);
CREATE INDEX idx_client_secrets_expires ON client_secrets(expires_at);
-- Sidecars: enrolled by a one-time join token, a client each.
CREATE TABLE sidecars (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    client_id BLOB NOT NULL UNIQUE REFERENCES oauth_clients(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE TABLE join_tokens (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    token_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idx_join_tokens_expires ON join_tokens(expires_at);

-- Keys. Private halves are sealed (AAD: table, row, column); sidecars get public_jwk only.
CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('access_token', 'id_token', 'feed')),
    algorithm TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed_private BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('staged', 'active', 'retired')),
    created_at INTEGER NOT NULL,
    activates_at INTEGER NOT NULL,
    retires_at INTEGER,
    purge_at INTEGER
) STRICT;

-- Audit: ids, never e-mails. Written in the transaction of what it tells.
CREATE TABLE audit_log (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,                  -- user:<id>, client:<client_id>, local:<os user>, system
    event TEXT NOT NULL,                  -- member.added, manifest.applied, ..
    organization_id BLOB,
    target TEXT,                          -- user:<id>, role:<service/name>, service:<name>, ..
    details TEXT NOT NULL DEFAULT '{}'    -- JSON
) STRICT;
CREATE INDEX idx_audit_organization ON audit_log(organization_id, at);

-- One row per fact about this installation: canary of the sealing key, issuer, ..
CREATE TABLE installation (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Change feed. Triggers fill feed_pending; Store::write empties it into one outbox frame.
CREATE TABLE feed_state (
    feed TEXT NOT NULL PRIMARY KEY,
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    revision INTEGER NOT NULL,
    chain BLOB NOT NULL CHECK (length(chain) = 32),
    floor INTEGER NOT NULL,               -- frames before this revision are gone from the outbox
    signed_time INTEGER NOT NULL DEFAULT 0 -- the latest time a head was signed for; never goes back
) STRICT;
CREATE TABLE feed_epoch (
    feed TEXT NOT NULL,
    epoch BLOB NOT NULL,
    first_revision INTEGER NOT NULL,
    PRIMARY KEY (feed, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE feed_outbox (
    feed TEXT NOT NULL,
    revision INTEGER NOT NULL,
    chain BLOB NOT NULL CHECK (length(chain) = 32),
    payload BLOB NOT NULL,
    PRIMARY KEY (feed, revision)
) STRICT;
CREATE TABLE feed_pending (
    tbl INTEGER NOT NULL,                 -- Table::id of store::replicated
    k1 BLOB NOT NULL,
    k2 BLOB,
    k3 BLOB
) STRICT;
