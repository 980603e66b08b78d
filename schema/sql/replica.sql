CREATE TABLE replica (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    feed TEXT NOT NULL,
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    revision INTEGER NOT NULL,
    chain BLOB NOT NULL CHECK (length(chain) = 32),
    state BLOB NOT NULL CHECK (length(state) = 32), -- sum of the hashes of all rows
    schema INTEGER NOT NULL,
    feed_key TEXT NOT NULL,                         -- public key that signs this feed
    signed_time INTEGER NOT NULL                    -- latest signature seen; older ones are replays
) STRICT;
CREATE TABLE replica_epochs (
    epoch BLOB NOT NULL PRIMARY KEY CHECK (length(epoch) = 16),
    first_revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE replica_tables (
    id INTEGER NOT NULL PRIMARY KEY,                -- the table's number in frames
    name TEXT NOT NULL UNIQUE,
    key_len INTEGER NOT NULL,
    columns TEXT NOT NULL                           -- space-delimited, in the order of cells
) STRICT;
CREATE TABLE organizations (
    id BLOB NOT NULL,
    slug TEXT NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE TABLE permissions (
    id BLOB NOT NULL,
    service TEXT NOT NULL,
    resource TEXT NOT NULL,
    action TEXT NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE TABLE roles (
    id BLOB NOT NULL,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
CREATE TABLE role_permissions (
    role_id BLOB NOT NULL,
    permission_id BLOB NOT NULL,
    PRIMARY KEY (role_id, permission_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE organization_members (
    organization_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    role_id BLOB NOT NULL,
    PRIMARY KEY (organization_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE organization_member_roles (
    organization_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    role_id BLOB NOT NULL,
    PRIMARY KEY (organization_id, user_id, role_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE user_states (
    user_id BLOB NOT NULL,
    state TEXT NOT NULL,
    token_epoch INTEGER NOT NULL,
    PRIMARY KEY (user_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE client_states (
    client_id BLOB NOT NULL,
    state TEXT NOT NULL,
    token_epoch INTEGER NOT NULL,
    PRIMARY KEY (client_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE revoked_sessions (
    session_id BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (session_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE revoked_grants (
    grant_id BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (grant_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE signing_keys (
    kid TEXT NOT NULL,
    purpose TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    PRIMARY KEY (kid)
) STRICT, WITHOUT ROWID;
CREATE TABLE scope_permissions (
    scope TEXT NOT NULL,
    permission_id BLOB NOT NULL,
    PRIMARY KEY (scope, permission_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE resource_instances (
    service TEXT NOT NULL,
    resource TEXT NOT NULL,
    id TEXT NOT NULL,
    organization_id BLOB NOT NULL,
    attributes TEXT NOT NULL,
    PRIMARY KEY (service, resource, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS organizations_slug ON organizations(slug);
CREATE INDEX IF NOT EXISTS organization_members_role
    ON organization_members(organization_id, role_id, user_id);
CREATE INDEX IF NOT EXISTS organization_members_user
    ON organization_members(user_id, organization_id);
CREATE INDEX IF NOT EXISTS organization_member_roles_role
    ON organization_member_roles(organization_id, role_id, user_id);
CREATE INDEX IF NOT EXISTS resource_instances_organization
    ON resource_instances(service, resource, organization_id, id);
