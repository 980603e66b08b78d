-- Logging in and giving out tokens. Only additions, each a companion of a table that was there, or a table of its own.

-- Users: what the seed has no column for. An unverified e-mail is never kept here; see account_details.
CREATE TABLE user_details (
    user_id BLOB NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE CHECK (length(user_id) = 16),
    locale TEXT,                          -- BCP 47, from the provider
    last_login_at INTEGER
) STRICT, WITHOUT ROWID;

-- Upstream identity providers. `provider` is the word in oauth_accounts.provider; it means one issuer for ever.
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
-- Companion of oauth_accounts, whose token columns hold base64url of a sealed value, or NULL.
CREATE TABLE account_details (
    account_id BLOB NOT NULL PRIMARY KEY REFERENCES oauth_accounts(id) ON DELETE CASCADE CHECK (length(account_id) = 16),
    email TEXT,                           -- as the provider says, verified or not
    email_verified INTEGER NOT NULL CHECK (email_verified IN (0, 1)),
    scope TEXT,                           -- of the kept tokens
    token_expires_at INTEGER,
    last_login_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Roles that a provider's group claims gave, so that they go when the group goes.
CREATE TABLE account_roles (
    account_id BLOB NOT NULL REFERENCES oauth_accounts(id) ON DELETE CASCADE CHECK (length(account_id) = 16),
    organization_id BLOB NOT NULL REFERENCES organizations(id) ON DELETE CASCADE CHECK (length(organization_id) = 16),
    role_id BLOB NOT NULL REFERENCES roles(id) ON DELETE CASCADE CHECK (length(role_id) = 16),
    PRIMARY KEY (account_id, organization_id, role_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_account_roles_organization ON account_roles(organization_id);
CREATE INDEX idx_account_roles_role ON account_roles(role_id);

-- Sessions: how and when the person proved who they are, and from where.
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
CREATE INDEX idx_session_details_upstream ON session_details(provider, upstream_subject);
CREATE INDEX idx_session_details_idle ON session_details(idle_expires_at);
CREATE INDEX idx_sessions_expires ON sessions(expires_at);

-- Apps: companion of oauth_clients and client_settings for clients that people log in through.
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
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_client_details_expires ON client_details(expires_at);
-- Initial access tokens: who may register clients (RFC 7591).
CREATE TABLE registration_tokens (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    token_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    uses_left INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idx_registration_tokens_expires ON registration_tokens(expires_at);

-- What a user granted to a client, once; codes and refresh tokens hang on it.
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
) STRICT;
CREATE INDEX idx_grants_user ON grants(user_id);
CREATE INDEX idx_grants_client ON grants(client_id);
CREATE INDEX idx_grants_session ON grants(session_id);
CREATE INDEX idx_grants_organization ON grants(organization_id);
CREATE INDEX idx_grants_expires ON grants(expires_at);

-- Companions of authorization_codes and refresh_tokens, and what is left of those that were used.
CREATE TABLE authorization_code_details (
    code_id BLOB NOT NULL PRIMARY KEY REFERENCES authorization_codes(id) ON DELETE CASCADE CHECK (length(code_id) = 16),
    grant_id BLOB NOT NULL REFERENCES grants(id) ON DELETE CASCADE CHECK (length(grant_id) = 16),
    nonce TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_code_details_grant ON authorization_code_details(grant_id);
CREATE INDEX idx_codes_expires ON authorization_codes(expires_at);
CREATE TABLE authorization_code_tombstones (
    code_hash TEXT NOT NULL PRIMARY KEY,
    grant_id BLOB NOT NULL REFERENCES grants(id) ON DELETE CASCADE CHECK (length(grant_id) = 16),
    purge_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_code_tombstones_grant ON authorization_code_tombstones(grant_id);
CREATE INDEX idx_code_tombstones_purge ON authorization_code_tombstones(purge_at);
CREATE TABLE refresh_token_details (
    token_id BLOB NOT NULL PRIMARY KEY REFERENCES refresh_tokens(id) ON DELETE CASCADE CHECK (length(token_id) = 16),
    grant_id BLOB NOT NULL REFERENCES grants(id) ON DELETE CASCADE CHECK (length(grant_id) = 16),
    generation INTEGER NOT NULL,          -- 0 for the first of its grant
    idle_expires_at INTEGER NOT NULL,
    UNIQUE (grant_id)                     -- one live branch
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_refresh_tokens_expires ON refresh_tokens(expires_at);
CREATE INDEX idx_refresh_details_idle ON refresh_token_details(idle_expires_at);
CREATE INDEX idx_refresh_tokens_client ON refresh_tokens(client_id);
CREATE TABLE refresh_token_tombstones (
    token_hash TEXT NOT NULL PRIMARY KEY,
    grant_id BLOB NOT NULL REFERENCES grants(id) ON DELETE CASCADE CHECK (length(grant_id) = 16),
    generation INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    purge_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_refresh_tombstones_grant ON refresh_token_tombstones(grant_id);
CREATE INDEX idx_refresh_tombstones_purge ON refresh_token_tombstones(purge_at);

CREATE TABLE consents (
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE CHECK (length(user_id) = 16),
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE CHECK (length(client_id) = 16),
    scope TEXT NOT NULL,                  -- one scope
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_consents_client ON consents(client_id);

-- Pushed authorization requests (RFC 9126).
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

-- Device authorization (RFC 8628). The user code is short, so its hash is keyed.
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
CREATE INDEX idx_device_codes_grant ON device_codes(grant_id);
CREATE INDEX idx_device_codes_expires ON device_codes(expires_at);

-- Assertions, proofs and logout tokens that were used: each counts once.
CREATE TABLE used_jtis (
    issuer TEXT NOT NULL,
    jti_hash TEXT NOT NULL,
    purge_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, jti_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_used_jtis_purge ON used_jtis(purge_at);

-- Back-channel logouts that wait for their client to hear of them. The token is signed when it is sent.
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
CREATE INDEX idx_logout_outbox_next ON logout_outbox(next_at);
CREATE INDEX idx_logout_outbox_expires ON logout_outbox(expires_at);

-- Failed attempts by a keyed hash of who or what failed; shared by all authorities.
CREATE TABLE failed_attempts (
    bucket TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idx_failed_attempts_expires ON failed_attempts(expires_at);

-- Invitations to an organization, by link.
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
CREATE INDEX idx_invitations_organization ON organization_invitations(organization_id);
CREATE INDEX idx_invitations_role ON organization_invitations(role_id);
CREATE INDEX idx_invitations_expires ON organization_invitations(expires_at);

-- The audit log's hash chain, written afterwards by whoever holds the lease.
CREATE TABLE audit_chain (
    sequence INTEGER NOT NULL PRIMARY KEY,
    audit_id BLOB NOT NULL UNIQUE REFERENCES audit_log(id) CHECK (length(audit_id) = 16),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
