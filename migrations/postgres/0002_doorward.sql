-- What Doorward adds to the seed (0001). Only additions; see docs/ARCHITECTURE.md for who owns which table.

-- Manifest sync: what each service last declared.
CREATE TABLE service_manifests (
    service text NOT NULL PRIMARY KEY,
    version bigint,                      -- the newest version seen; NULL when the service sends none
    content_hash bytea NOT NULL CHECK (length(content_hash) = 32),
    document text NOT NULL,               -- canonical JSON, as applied
    applied_at timestamptz NOT NULL,
    applied_by text NOT NULL              -- actor, as audit_log names it
);
ALTER TABLE permissions ADD COLUMN deprecated boolean NOT NULL DEFAULT false;
ALTER TABLE roles ADD COLUMN assignable_by text NOT NULL DEFAULT 'auth:member:assign';
ALTER TABLE roles ADD COLUMN deprecated boolean NOT NULL DEFAULT false;
CREATE INDEX idx_role_permissions_permission ON role_permissions(permission_id);
-- Which other services' roles may grant this service's permissions.
CREATE TABLE service_grantable_by (
    service text NOT NULL,
    grantee text NOT NULL,
    PRIMARY KEY (service, grantee)
);
-- Scope -> permissions: what a token with that scope may use.
CREATE TABLE scope_permissions (
    scope text NOT NULL,
    permission_id uuid NOT NULL REFERENCES permissions(id) ON DELETE CASCADE,
    PRIMARY KEY (scope, permission_id)
);
CREATE INDEX idx_scope_permissions_permission ON scope_permissions(permission_id);

-- Members: further roles beside the primary one of organization_members.role_id.
CREATE TABLE organization_member_roles (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role_id uuid NOT NULL REFERENCES roles(id),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id, role_id),
    FOREIGN KEY (organization_id, user_id)
        REFERENCES organization_members(organization_id, user_id) ON DELETE CASCADE
);
CREATE INDEX idx_member_roles_role ON organization_member_roles(role_id);
CREATE INDEX idx_org_members_role ON organization_members(role_id);
-- Every slug ever taken, reserved for ever; organization_id is NULL once that organization is deleted.
CREATE TABLE organization_slugs (
    slug text NOT NULL PRIMARY KEY,
    organization_id uuid,
    created_at timestamptz NOT NULL
);

-- Revocation without clocks. No row: active, epoch 0. No foreign key: the state outlives an erased user.
CREATE TABLE user_states (
    user_id uuid NOT NULL PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('active', 'suspended', 'deleted')),
    token_epoch bigint NOT NULL DEFAULT 0
);
CREATE TABLE client_states (
    client_id uuid NOT NULL PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('active', 'retired')),
    token_epoch bigint NOT NULL DEFAULT 0
);
CREATE TABLE revoked_sessions (
    session_id uuid NOT NULL PRIMARY KEY,
    expires_at timestamptz NOT NULL           -- purge after: no token of it lives longer
);
CREATE INDEX idx_revoked_sessions_expires ON revoked_sessions(expires_at);
CREATE TABLE revoked_grants (
    grant_id uuid NOT NULL PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_revoked_grants_expires ON revoked_grants(expires_at);

-- Machine clients.
CREATE TABLE client_settings (
    client_id uuid NOT NULL PRIMARY KEY REFERENCES oauth_clients(id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('operator', 'service', 'sidecar', 'app')),
    service text,                         -- the one service whose manifest it syncs (kind = 'service')
    scopes text NOT NULL,                 -- space-delimited: the most it may ask for
    CHECK ((kind = 'service') = (service IS NOT NULL))
);
-- Further secrets of a client; the first one's hash is oauth_clients.client_secret.
CREATE TABLE client_secrets (
    id uuid NOT NULL PRIMARY KEY,
    client_id uuid NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    secret_hash text NOT NULL UNIQUE,
    expires_at timestamptz,
    created_at timestamptz NOT NULL
);
CREATE INDEX idx_client_secrets_client ON client_secrets(client_id);
CREATE INDEX idx_client_secrets_expires ON client_secrets(expires_at);
-- Sidecars: enrolled by a one-time join token, a client each.
CREATE TABLE sidecars (
    id uuid NOT NULL PRIMARY KEY,
    client_id uuid NOT NULL UNIQUE REFERENCES oauth_clients(id) ON DELETE CASCADE,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE TABLE join_tokens (
    id uuid NOT NULL PRIMARY KEY,
    token_hash text NOT NULL UNIQUE,
    name text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_join_tokens_expires ON join_tokens(expires_at);

-- Keys. Private halves are sealed (AAD: table, row, column); sidecars get public_jwk only.
CREATE TABLE signing_keys (
    kid text NOT NULL PRIMARY KEY,
    purpose text NOT NULL CHECK (purpose IN ('access_token', 'id_token', 'feed')),
    algorithm text NOT NULL,
    public_jwk text NOT NULL,
    sealed_private bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('staged', 'active', 'retired')),
    created_at timestamptz NOT NULL,
    activates_at timestamptz NOT NULL,
    retires_at timestamptz,
    purge_at timestamptz
);

-- Audit: ids, never e-mails. Written in the transaction of what it tells.
CREATE TABLE audit_log (
    id uuid NOT NULL PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,                  -- user:<id>, client:<client_id>, local:<os user>, system
    event text NOT NULL,                  -- member.added, manifest.applied, ..
    organization_id uuid,
    target text,                          -- user:<id>, role:<service/name>, service:<name>, ..
    details text NOT NULL DEFAULT '{}'    -- JSON
);
CREATE INDEX idx_audit_organization ON audit_log(organization_id, at);

-- One row per fact about this installation: canary of the sealing key, issuer, ..
CREATE TABLE installation (
    name text NOT NULL PRIMARY KEY,
    value bytea NOT NULL
);

-- Change feed. Triggers fill feed_pending; Store::write empties it into one outbox frame.
CREATE TABLE feed_state (
    feed text NOT NULL PRIMARY KEY,
    epoch uuid NOT NULL,
    revision bigint NOT NULL,
    chain bytea NOT NULL CHECK (length(chain) = 32),
    floor bigint NOT NULL,               -- frames before this revision are gone from the outbox
    signed_time timestamptz NOT NULL DEFAULT 'epoch' -- the latest time a head was signed for; never goes back
) WITH (fillfactor = 10);
CREATE TABLE feed_epoch (
    feed text NOT NULL,
    epoch uuid NOT NULL,
    first_revision bigint NOT NULL,
    PRIMARY KEY (feed, epoch)
);
CREATE TABLE feed_outbox (
    feed text NOT NULL,
    revision bigint NOT NULL,
    chain bytea NOT NULL CHECK (length(chain) = 32),
    payload bytea NOT NULL,
    PRIMARY KEY (feed, revision)
);
CREATE TABLE feed_pending (
    tbl integer NOT NULL,                 -- Table::id of store::replicated
    k1 bytea NOT NULL,
    k2 bytea,
    k3 bytea
);
