-- What the migrations make, all together. Written by a test under UPDATE_GOLDEN=1.

CREATE TABLE account_details (
    account_id BLOB NOT NULL PRIMARY KEY REFERENCES oauth_accounts(id) ON DELETE CASCADE CHECK (length(account_id) = 16),
    email TEXT,                           -- as the provider says, verified or not
    email_verified INTEGER NOT NULL CHECK (email_verified IN (0, 1)),
    scope TEXT,                           -- of the kept tokens
    token_expires_at INTEGER,
    last_login_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account_roles (
    account_id BLOB NOT NULL REFERENCES oauth_accounts(id) ON DELETE CASCADE CHECK (length(account_id) = 16),
    organization_id BLOB NOT NULL REFERENCES organizations(id) ON DELETE CASCADE CHECK (length(organization_id) = 16),
    role_id BLOB NOT NULL REFERENCES roles(id) ON DELETE CASCADE CHECK (length(role_id) = 16),
    PRIMARY KEY (account_id, organization_id, role_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_account_roles_organization ON account_roles(organization_id);

CREATE INDEX idx_account_roles_role ON account_roles(role_id);

CREATE TABLE audit_chain (
    sequence INTEGER NOT NULL PRIMARY KEY,
    audit_id BLOB NOT NULL UNIQUE REFERENCES audit_log(id) CHECK (length(audit_id) = 16),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TABLE audit_log (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,                  -- user:<id>, client:<client_id>, local:<os user>, system
    event TEXT NOT NULL,                  -- member.added, manifest.applied, ..
    organization_id BLOB,
    target TEXT,                          -- user:<id>, role:<service/name>, service:<name>, ..
    details TEXT NOT NULL DEFAULT '{}'    -- JSON
) STRICT;

CREATE INDEX idx_audit_organization ON audit_log(organization_id, at) WHERE organization_id IS NOT NULL;

CREATE TABLE authorization_codes (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    code_hash TEXT NOT NULL UNIQUE CHECK (length(code_hash) <= 255),
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    redirect_uri TEXT NOT NULL,
    code_challenge TEXT NOT NULL CHECK (length(code_challenge) <= 128),
    code_challenge_method TEXT NOT NULL DEFAULT 'S256' CHECK (length(code_challenge_method) <= 10),
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_codes_expires ON authorization_codes(expires_at);

CREATE TABLE client_details (
    client_id BLOB NOT NULL PRIMARY KEY REFERENCES oauth_clients(id) ON DELETE CASCADE CHECK (length(client_id) = 16),
    application_type TEXT NOT NULL CHECK (application_type IN ('web', 'native')),
    auth_method TEXT NOT NULL CHECK (auth_method IN ('none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt')),
    grant_types TEXT NOT NULL,            -- space-delimited
    resources TEXT NOT NULL CHECK (json_valid(resources) AND json_type(resources) = 'array'),
    post_logout_redirect_uris TEXT NOT NULL CHECK (json_valid(post_logout_redirect_uris) AND json_type(post_logout_redirect_uris) = 'array'),
    backchannel_logout_uri TEXT,
    jwks TEXT,                            -- JSON, for private_key_jwt
    first_party INTEGER NOT NULL CHECK (first_party IN (0, 1)),        -- no consent page
    require_par INTEGER NOT NULL CHECK (require_par IN (0, 1)),
    dpop_bound INTEGER NOT NULL CHECK (dpop_bound IN (0, 1)),
    refresh_binding TEXT NOT NULL CHECK (refresh_binding IN ('session', 'standalone')),
    id_token_alg TEXT NOT NULL CHECK (id_token_alg IN ('RS256', 'ES256')),
    logo_uri TEXT,
    client_uri TEXT,
    policy_uri TEXT,
    tos_uri TEXT,
    source TEXT NOT NULL CHECK (source IN ('config', 'api', 'registration', 'metadata')),
    registration_token_hash TEXT UNIQUE,
    expires_at INTEGER                    -- of a registered or metadata client; retired and deleted after
, registration_policy TEXT) STRICT, WITHOUT ROWID;

CREATE INDEX idx_client_details_expires ON client_details(expires_at);

CREATE TABLE client_secrets (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    secret_hash TEXT NOT NULL UNIQUE,
    expires_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_client_secrets_client ON client_secrets(client_id);

CREATE INDEX idx_client_secrets_expires ON client_secrets(expires_at);

CREATE TABLE client_settings (
    client_id BLOB NOT NULL PRIMARY KEY REFERENCES oauth_clients(id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('operator', 'service', 'sidecar', 'app')),
    service TEXT,                         -- the one service whose manifest it syncs (kind = 'service')
    scopes TEXT NOT NULL,                 -- space-delimited: the most it may ask for
    CHECK ((kind = 'service') = (service IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE client_states (
    client_id BLOB NOT NULL PRIMARY KEY CHECK (length(client_id) = 16),
    state TEXT NOT NULL CHECK (state IN ('active', 'retired')),
    token_epoch INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TRIGGER capture_client_states_delete AFTER DELETE ON client_states BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (8, OLD.client_id);
END;

CREATE TRIGGER capture_client_states_insert AFTER INSERT ON client_states BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (8, NEW.client_id);
END;

CREATE TRIGGER capture_client_states_update AFTER UPDATE ON client_states
WHEN OLD.client_id IS NOT NEW.client_id OR OLD.state IS NOT NEW.state OR OLD.token_epoch IS NOT NEW.token_epoch BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (8, NEW.client_id);
    INSERT INTO feed_pending (tbl, k1) SELECT 8, OLD.client_id WHERE OLD.client_id IS NOT NEW.client_id;
END;

CREATE TABLE consents (
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE CHECK (length(user_id) = 16),
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE CHECK (length(client_id) = 16),
    scope TEXT NOT NULL,                  -- one scope
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id, scope)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_consents_client ON consents(client_id);

CREATE TABLE device_codes (
    device_code_hash TEXT NOT NULL PRIMARY KEY,
    user_code_hash TEXT NOT NULL UNIQUE,
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE CHECK (length(client_id) = 16),
    scope TEXT NOT NULL,
    resources TEXT NOT NULL CHECK (json_valid(resources) AND json_type(resources) = 'array'),
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied')),
    grant_id BLOB REFERENCES grants(id) ON DELETE CASCADE CHECK (length(grant_id) = 16),
    interval_seconds INTEGER NOT NULL,
    last_polled_at INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_device_codes_client ON device_codes(client_id);

CREATE INDEX idx_device_codes_expires ON device_codes(expires_at);

CREATE INDEX idx_device_codes_grant ON device_codes(grant_id);

CREATE TABLE failed_attempts (
    bucket TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_failed_attempts_expires ON failed_attempts(expires_at);

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

CREATE TABLE feed_state (
    feed TEXT NOT NULL PRIMARY KEY,
    epoch BLOB NOT NULL CHECK (length(epoch) = 16),
    revision INTEGER NOT NULL,
    chain BLOB NOT NULL CHECK (length(chain) = 32),
    floor INTEGER NOT NULL,               -- frames before this revision are gone from the outbox
    signed_time INTEGER NOT NULL DEFAULT 0 -- the latest time a head was signed for; never goes back
) STRICT;

CREATE TABLE grants (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE CHECK (length(client_id) = 16),
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE CHECK (length(user_id) = 16),
    session_id BLOB CHECK (length(session_id) = 16), -- the login it came from; it may be gone
    binding TEXT NOT NULL CHECK (binding IN ('session', 'standalone')),
    organization_id BLOB REFERENCES organizations(id) ON DELETE CASCADE CHECK (length(organization_id) = 16),
    scope TEXT NOT NULL,                  -- space-delimited
    resources TEXT NOT NULL CHECK (json_valid(resources) AND json_type(resources) = 'array'),
    authenticated_at INTEGER NOT NULL,
    amr TEXT NOT NULL,
    acr TEXT,
    dpop_jkt TEXT CHECK (length(dpop_jkt) <= 64),
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,          -- absolute: nothing of it lives longer
    revoked_at INTEGER,
    revoke_reason TEXT CHECK (length(revoke_reason) <= 40)
, nonce TEXT, redeemed_code_hash TEXT CHECK (length(redeemed_code_hash) <= 255), refresh_generation INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE INDEX idx_grants_client ON grants(client_id);

CREATE INDEX idx_grants_expires ON grants(expires_at);

CREATE INDEX idx_grants_organization ON grants(organization_id) WHERE organization_id IS NOT NULL;

CREATE INDEX idx_grants_user ON grants(user_id, session_id);

CREATE TABLE identity_providers (
    provider TEXT NOT NULL PRIMARY KEY CHECK (length(provider) <= 30),
    kind TEXT NOT NULL CHECK (kind IN ('oidc', 'google', 'github', 'demo')),
    issuer TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL CHECK (length(name) <= 100),
    client_id TEXT NOT NULL,
    sealed_secret BLOB,
    settings TEXT NOT NULL,               -- JSON: scopes, domains, groups, keep_tokens, ..
    source TEXT NOT NULL CHECK (source IN ('config', 'api')),
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE installation (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE join_tokens (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    token_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_join_tokens_expires ON join_tokens(expires_at);

CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE logout_outbox (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE CHECK (length(client_id) = 16),
    user_id BLOB NOT NULL CHECK (length(user_id) = 16),
    session_id BLOB CHECK (length(session_id) = 16),
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_logout_outbox_client ON logout_outbox(client_id);

CREATE INDEX idx_logout_outbox_expires ON logout_outbox(expires_at);

CREATE INDEX idx_logout_outbox_next ON logout_outbox(next_at);

CREATE TABLE oauth_accounts (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    provider TEXT NOT NULL CHECK (length(provider) <= 30), -- e.g. 'google'
    provider_account_id TEXT NOT NULL CHECK (length(provider_account_id) <= 255),
    access_token TEXT,
    refresh_token TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (provider, provider_account_id)
) STRICT;

CREATE INDEX idx_oauth_accounts_user ON oauth_accounts(user_id);

CREATE TABLE oauth_clients (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    client_id TEXT NOT NULL UNIQUE CHECK (length(client_id) <= 100),
    client_secret TEXT CHECK (length(client_secret) <= 255), -- NULL for public clients
    name TEXT NOT NULL CHECK (length(name) <= 100),
    redirect_uris TEXT NOT NULL CHECK (json_valid(redirect_uris) AND json_type(redirect_uris) = 'array'),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE organization_invitations (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization_id BLOB NOT NULL REFERENCES organizations(id) ON DELETE CASCADE CHECK (length(organization_id) = 16),
    role_id BLOB NOT NULL REFERENCES roles(id) ON DELETE CASCADE CHECK (length(role_id) = 16),
    token_hash TEXT NOT NULL UNIQUE,
    email TEXT CHECK (length(email) <= 255), -- when set, only a user with this verified address may accept
    invited_by TEXT NOT NULL,             -- actor, as audit_log names it
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_invitations_expires ON organization_invitations(expires_at);

CREATE INDEX idx_invitations_organization ON organization_invitations(organization_id);

CREATE INDEX idx_invitations_role ON organization_invitations(role_id);

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

CREATE TRIGGER capture_organization_member_roles_delete AFTER DELETE ON organization_member_roles BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (6, OLD.organization_id, OLD.user_id, OLD.role_id);
END;

CREATE TRIGGER capture_organization_member_roles_insert AFTER INSERT ON organization_member_roles BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (6, NEW.organization_id, NEW.user_id, NEW.role_id);
END;

CREATE TRIGGER capture_organization_member_roles_update AFTER UPDATE ON organization_member_roles
WHEN OLD.organization_id IS NOT NEW.organization_id OR OLD.user_id IS NOT NEW.user_id OR OLD.role_id IS NOT NEW.role_id BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (6, NEW.organization_id, NEW.user_id, NEW.role_id);
    INSERT INTO feed_pending (tbl, k1, k2, k3) SELECT 6, OLD.organization_id, OLD.user_id, OLD.role_id WHERE OLD.organization_id IS NOT NEW.organization_id OR OLD.user_id IS NOT NEW.user_id OR OLD.role_id IS NOT NEW.role_id;
END;

CREATE TABLE organization_members (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization_id BLOB NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    role_id BLOB NOT NULL REFERENCES roles(id),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organization_id, user_id)
) STRICT;

CREATE INDEX idx_org_members_role ON organization_members(role_id);

CREATE INDEX idx_org_members_user ON organization_members(user_id);

CREATE TRIGGER capture_organization_members_delete AFTER DELETE ON organization_members BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (5, OLD.organization_id, OLD.user_id);
END;

CREATE TRIGGER capture_organization_members_insert AFTER INSERT ON organization_members BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (5, NEW.organization_id, NEW.user_id);
END;

CREATE TRIGGER capture_organization_members_update AFTER UPDATE ON organization_members
WHEN OLD.organization_id IS NOT NEW.organization_id OR OLD.user_id IS NOT NEW.user_id OR OLD.role_id IS NOT NEW.role_id BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (5, NEW.organization_id, NEW.user_id);
    INSERT INTO feed_pending (tbl, k1, k2) SELECT 5, OLD.organization_id, OLD.user_id WHERE OLD.organization_id IS NOT NEW.organization_id OR OLD.user_id IS NOT NEW.user_id;
END;

CREATE TABLE organization_slugs (
    slug TEXT NOT NULL PRIMARY KEY,
    organization_id BLOB CHECK (length(organization_id) = 16),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE organizations (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 100),
    slug TEXT NOT NULL UNIQUE CHECK (length(slug) <= 100), -- used in URLs
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TRIGGER capture_organizations_delete AFTER DELETE ON organizations BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (1, OLD.id);
END;

CREATE TRIGGER capture_organizations_insert AFTER INSERT ON organizations BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (1, NEW.id);
END;

CREATE TRIGGER capture_organizations_update AFTER UPDATE ON organizations
WHEN OLD.id IS NOT NEW.id OR OLD.slug IS NOT NEW.slug BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (1, NEW.id);
    INSERT INTO feed_pending (tbl, k1) SELECT 1, OLD.id WHERE OLD.id IS NOT NEW.id;
END;

CREATE TABLE permissions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    service TEXT NOT NULL CHECK (length(service) <= 50),
    resource TEXT NOT NULL CHECK (length(resource) <= 50),
    action TEXT NOT NULL CHECK (length(action) <= 50),
    description TEXT, deprecated INTEGER NOT NULL DEFAULT 0 CHECK (deprecated IN (0, 1)),
    UNIQUE (service, resource, action)
) STRICT;

CREATE TRIGGER capture_permissions_delete AFTER DELETE ON permissions BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (2, OLD.id);
END;

CREATE TRIGGER capture_permissions_insert AFTER INSERT ON permissions BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (2, NEW.id);
END;

CREATE TRIGGER capture_permissions_update AFTER UPDATE ON permissions
WHEN OLD.id IS NOT NEW.id OR OLD.service IS NOT NEW.service OR OLD.resource IS NOT NEW.resource OR OLD.action IS NOT NEW.action BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (2, NEW.id);
    INSERT INTO feed_pending (tbl, k1) SELECT 2, OLD.id WHERE OLD.id IS NOT NEW.id;
END;

CREATE TABLE pushed_requests (
    uri_hash TEXT NOT NULL PRIMARY KEY,
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE CHECK (length(client_id) = 16),
    parameters TEXT NOT NULL,             -- JSON, without credentials
    dpop_jkt TEXT CHECK (length(dpop_jkt) <= 64),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_pushed_requests_client ON pushed_requests(client_id);

CREATE INDEX idx_pushed_requests_expires ON pushed_requests(expires_at);

CREATE TABLE refresh_token_tombstones (
    token_hash TEXT NOT NULL PRIMARY KEY,
    grant_id BLOB NOT NULL REFERENCES grants(id) ON DELETE CASCADE CHECK (length(grant_id) = 16),
    generation INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    purge_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_refresh_tombstones_grant ON refresh_token_tombstones(grant_id);

CREATE INDEX idx_refresh_tombstones_purge ON refresh_token_tombstones(purge_at);

CREATE TABLE refresh_tokens (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    token_hash TEXT NOT NULL UNIQUE CHECK (length(token_hash) <= 255),
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_refresh_tokens_client ON refresh_tokens(client_id);

CREATE INDEX idx_refresh_tokens_expires ON refresh_tokens(expires_at);

CREATE INDEX idx_refresh_tokens_user ON refresh_tokens(user_id);

CREATE TABLE registration_tokens (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    token_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    uses_left INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
, policy TEXT NOT NULL DEFAULT '{}') STRICT;

CREATE INDEX idx_registration_tokens_expires ON registration_tokens(expires_at);

CREATE TABLE resource_instances (
    service TEXT NOT NULL CHECK (length(service) <= 50),
    resource TEXT NOT NULL CHECK (length(resource) <= 50),
    id TEXT NOT NULL CHECK (length(id) <= 255),
    organization_id BLOB NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    attributes TEXT NOT NULL CHECK (length(attributes) <= 4096), -- canonical JSON
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (service, resource, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_resource_instances_organization ON resource_instances(organization_id, service, resource, id);

CREATE TRIGGER capture_resource_instances_delete AFTER DELETE ON resource_instances BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (13, CAST(OLD.service AS BLOB), CAST(OLD.resource AS BLOB), CAST(OLD.id AS BLOB));
END;

CREATE TRIGGER capture_resource_instances_insert AFTER INSERT ON resource_instances BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (13, CAST(NEW.service AS BLOB), CAST(NEW.resource AS BLOB), CAST(NEW.id AS BLOB));
END;

CREATE TRIGGER capture_resource_instances_update AFTER UPDATE ON resource_instances
WHEN OLD.service IS NOT NEW.service OR OLD.resource IS NOT NEW.resource OR OLD.id IS NOT NEW.id OR OLD.organization_id IS NOT NEW.organization_id OR OLD.attributes IS NOT NEW.attributes BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (13, CAST(NEW.service AS BLOB), CAST(NEW.resource AS BLOB), CAST(NEW.id AS BLOB));
    INSERT INTO feed_pending (tbl, k1, k2, k3) SELECT 13, CAST(OLD.service AS BLOB), CAST(OLD.resource AS BLOB), CAST(OLD.id AS BLOB) WHERE OLD.service IS NOT NEW.service OR OLD.resource IS NOT NEW.resource OR OLD.id IS NOT NEW.id;
END;

CREATE TABLE revoked_grants (
    grant_id BLOB NOT NULL PRIMARY KEY CHECK (length(grant_id) = 16),
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_revoked_grants_expires ON revoked_grants(expires_at);

CREATE TRIGGER capture_revoked_grants_delete AFTER DELETE ON revoked_grants BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (10, OLD.grant_id);
END;

CREATE TRIGGER capture_revoked_grants_insert AFTER INSERT ON revoked_grants BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (10, NEW.grant_id);
END;

CREATE TRIGGER capture_revoked_grants_update AFTER UPDATE ON revoked_grants
WHEN OLD.grant_id IS NOT NEW.grant_id OR OLD.expires_at IS NOT NEW.expires_at BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (10, NEW.grant_id);
    INSERT INTO feed_pending (tbl, k1) SELECT 10, OLD.grant_id WHERE OLD.grant_id IS NOT NEW.grant_id;
END;

CREATE TABLE revoked_sessions (
    session_id BLOB NOT NULL PRIMARY KEY CHECK (length(session_id) = 16),
    expires_at INTEGER NOT NULL           -- purge after: no token of it lives longer
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_revoked_sessions_expires ON revoked_sessions(expires_at);

CREATE TRIGGER capture_revoked_sessions_delete AFTER DELETE ON revoked_sessions BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (9, OLD.session_id);
END;

CREATE TRIGGER capture_revoked_sessions_insert AFTER INSERT ON revoked_sessions BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (9, NEW.session_id);
END;

CREATE TRIGGER capture_revoked_sessions_update AFTER UPDATE ON revoked_sessions
WHEN OLD.session_id IS NOT NEW.session_id OR OLD.expires_at IS NOT NEW.expires_at BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (9, NEW.session_id);
    INSERT INTO feed_pending (tbl, k1) SELECT 9, OLD.session_id WHERE OLD.session_id IS NOT NEW.session_id;
END;

CREATE TABLE role_permissions (
    role_id BLOB NOT NULL REFERENCES roles(id) ON DELETE CASCADE,
    permission_id BLOB NOT NULL REFERENCES permissions(id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, permission_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_role_permissions_permission ON role_permissions(permission_id);

CREATE TRIGGER capture_role_permissions_delete AFTER DELETE ON role_permissions BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (4, OLD.role_id, OLD.permission_id);
END;

CREATE TRIGGER capture_role_permissions_insert AFTER INSERT ON role_permissions BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (4, NEW.role_id, NEW.permission_id);
END;

CREATE TRIGGER capture_role_permissions_update AFTER UPDATE ON role_permissions
WHEN OLD.role_id IS NOT NEW.role_id OR OLD.permission_id IS NOT NEW.permission_id BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (4, NEW.role_id, NEW.permission_id);
    INSERT INTO feed_pending (tbl, k1, k2) SELECT 4, OLD.role_id, OLD.permission_id WHERE OLD.role_id IS NOT NEW.role_id OR OLD.permission_id IS NOT NEW.permission_id;
END;

CREATE TABLE roles (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    service TEXT NOT NULL CHECK (length(service) <= 50),
    name TEXT NOT NULL CHECK (length(name) <= 50),
    description TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL, assignable_by TEXT NOT NULL DEFAULT 'auth:member:assign', deprecated INTEGER NOT NULL DEFAULT 0 CHECK (deprecated IN (0, 1)),
    UNIQUE (service, name)
) STRICT;

CREATE TRIGGER capture_roles_delete AFTER DELETE ON roles BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (3, OLD.id);
END;

CREATE TRIGGER capture_roles_insert AFTER INSERT ON roles BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (3, NEW.id);
END;

CREATE TRIGGER capture_roles_update AFTER UPDATE ON roles
WHEN OLD.id IS NOT NEW.id OR OLD.service IS NOT NEW.service OR OLD.name IS NOT NEW.name BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (3, NEW.id);
    INSERT INTO feed_pending (tbl, k1) SELECT 3, OLD.id WHERE OLD.id IS NOT NEW.id;
END;

CREATE TABLE schema_migrations (
                version INTEGER NOT NULL PRIMARY KEY,
                name TEXT NOT NULL,
                checksum TEXT NOT NULL,
                applied_at INTEGER NOT NULL
            ) STRICT;

CREATE TABLE scope_permissions (
    scope TEXT NOT NULL,
    permission_id BLOB NOT NULL REFERENCES permissions(id) ON DELETE CASCADE,
    PRIMARY KEY (scope, permission_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_scope_permissions_permission ON scope_permissions(permission_id);

CREATE TRIGGER capture_scope_permissions_delete AFTER DELETE ON scope_permissions BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (12, CAST(OLD.scope AS BLOB), OLD.permission_id);
END;

CREATE TRIGGER capture_scope_permissions_insert AFTER INSERT ON scope_permissions BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (12, CAST(NEW.scope AS BLOB), NEW.permission_id);
END;

CREATE TRIGGER capture_scope_permissions_update AFTER UPDATE ON scope_permissions
WHEN OLD.scope IS NOT NEW.scope OR OLD.permission_id IS NOT NEW.permission_id BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (12, CAST(NEW.scope AS BLOB), NEW.permission_id);
    INSERT INTO feed_pending (tbl, k1, k2) SELECT 12, CAST(OLD.scope AS BLOB), OLD.permission_id WHERE OLD.scope IS NOT NEW.scope OR OLD.permission_id IS NOT NEW.permission_id;
END;

CREATE TABLE service_grantable_by (
    service TEXT NOT NULL,
    grantee TEXT NOT NULL,
    PRIMARY KEY (service, grantee)
) STRICT, WITHOUT ROWID;

CREATE TABLE service_manifests (
    service TEXT NOT NULL PRIMARY KEY,
    version INTEGER,                      -- the newest version seen; NULL when the service sends none
    content_hash BLOB NOT NULL CHECK (length(content_hash) = 32),
    document TEXT NOT NULL,               -- canonical JSON, as applied
    applied_at INTEGER NOT NULL,
    applied_by TEXT NOT NULL              -- actor, as audit_log names it
) STRICT;

CREATE TABLE session_details (
    session_id BLOB NOT NULL PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE CHECK (length(session_id) = 16),
    provider TEXT NOT NULL CHECK (length(provider) <= 30),
    upstream_subject TEXT NOT NULL,
    upstream_sid TEXT,                    -- the provider's session, for its back-channel logout
    authenticated_at INTEGER NOT NULL,
    amr TEXT NOT NULL,                    -- space-delimited
    acr TEXT,
    user_agent TEXT CHECK (length(user_agent) <= 255),
    address TEXT,                         -- of the last use: /24 or /48, no more
    last_seen_at INTEGER NOT NULL,
    idle_expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_session_details_idle ON session_details(idle_expires_at);

CREATE INDEX idx_session_details_upstream ON session_details(provider, upstream_subject);

CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL UNIQUE CHECK (length(token_hash) <= 255),
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_sessions_expires ON sessions(expires_at);

CREATE INDEX idx_sessions_user ON sessions(user_id);

CREATE TABLE sidecars (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    client_id BLOB NOT NULL UNIQUE REFERENCES oauth_clients(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

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

CREATE TRIGGER capture_signing_keys_delete AFTER DELETE ON signing_keys BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (11, CAST(OLD.kid AS BLOB));
END;

CREATE TRIGGER capture_signing_keys_insert AFTER INSERT ON signing_keys BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (11, CAST(NEW.kid AS BLOB));
END;

CREATE TRIGGER capture_signing_keys_update AFTER UPDATE ON signing_keys
WHEN OLD.kid IS NOT NEW.kid OR OLD.purpose IS NOT NEW.purpose OR OLD.algorithm IS NOT NEW.algorithm OR OLD.public_jwk IS NOT NEW.public_jwk BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (11, CAST(NEW.kid AS BLOB));
    INSERT INTO feed_pending (tbl, k1) SELECT 11, CAST(OLD.kid AS BLOB) WHERE OLD.kid IS NOT NEW.kid;
END;

CREATE TABLE used_jtis (
    issuer TEXT NOT NULL,
    jti_hash TEXT NOT NULL,
    purge_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, jti_hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_used_jtis_purge ON used_jtis(purge_at);

CREATE TABLE user_details (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE CHECK (length(user_id) = 16),
    locale TEXT,                          -- BCP 47, from the provider
    last_login_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE user_states (
    user_id BLOB NOT NULL PRIMARY KEY CHECK (length(user_id) = 16),
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'deleted')),
    token_epoch INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TRIGGER capture_user_states_delete AFTER DELETE ON user_states BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (7, OLD.user_id);
END;

CREATE TRIGGER capture_user_states_insert AFTER INSERT ON user_states BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (7, NEW.user_id);
END;

CREATE TRIGGER capture_user_states_update AFTER UPDATE ON user_states
WHEN OLD.user_id IS NOT NEW.user_id OR OLD.state IS NOT NEW.state OR OLD.token_epoch IS NOT NEW.token_epoch BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (7, NEW.user_id);
    INSERT INTO feed_pending (tbl, k1) SELECT 7, OLD.user_id WHERE OLD.user_id IS NOT NEW.user_id;
END;

CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email TEXT NOT NULL UNIQUE CHECK (length(email) <= 255),
    display_name TEXT NOT NULL CHECK (length(display_name) <= 100),
    avatar_url TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
