-- Logging in and giving out tokens. Only additions, each a companion of a table that was there, or a table of its own.

-- Users: what the seed has no column for. An unverified e-mail is never kept here; see account_details.
CREATE TABLE user_details (
    user_id uuid NOT NULL PRIMARY KEY REFERENCES users(id) ON DELETE CASCADE,
    locale text, -- BCP 47, from the provider
    last_login_at timestamptz
);

-- Upstream identity providers. `provider` is the word in oauth_accounts.provider; it means one issuer for ever.
CREATE TABLE identity_providers (
    provider varchar(30) NOT NULL PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('oidc', 'google', 'github', 'demo')),
    issuer text NOT NULL UNIQUE,
    name varchar(100) NOT NULL,
    client_id text NOT NULL,
    sealed_secret bytea,
    settings text NOT NULL, -- JSON: scopes, domains, groups, keep_tokens, ..
    source text NOT NULL CHECK (source IN ('config', 'api')),
    enabled boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
-- Companion of oauth_accounts, whose token columns hold base64url of a sealed value, or NULL.
CREATE TABLE account_details (
    account_id uuid NOT NULL PRIMARY KEY REFERENCES oauth_accounts(id) ON DELETE CASCADE,
    email text, -- as the provider says, verified or not
    email_verified boolean NOT NULL,
    scope text, -- of the kept tokens
    token_expires_at timestamptz,
    last_login_at timestamptz NOT NULL
);
-- Roles that a provider's group claims gave, so that they go when the group goes.
CREATE TABLE account_roles (
    account_id uuid NOT NULL REFERENCES oauth_accounts(id) ON DELETE CASCADE,
    organization_id uuid NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    role_id uuid NOT NULL REFERENCES roles(id) ON DELETE CASCADE,
    PRIMARY KEY (account_id, organization_id, role_id)
);
CREATE INDEX idx_account_roles_organization ON account_roles(organization_id);
CREATE INDEX idx_account_roles_role ON account_roles(role_id);

-- Sessions: how and when the person proved who they are, and from where.
CREATE TABLE session_details (
    session_id uuid NOT NULL PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE,
    provider varchar(30) NOT NULL,
    upstream_subject text NOT NULL,
    upstream_sid text, -- the provider's session, for its back-channel logout
    authenticated_at timestamptz NOT NULL,
    amr text NOT NULL, -- space-delimited
    acr text,
    user_agent varchar(255),
    address text, -- of the last use: /24 or /48, no more
    last_seen_at timestamptz NOT NULL,
    idle_expires_at timestamptz NOT NULL
);
CREATE INDEX idx_session_details_upstream ON session_details(provider, upstream_subject);
CREATE INDEX idx_session_details_idle ON session_details(idle_expires_at);
CREATE INDEX idx_sessions_expires ON sessions(expires_at);

-- Apps: companion of oauth_clients and client_settings for clients that people log in through.
CREATE TABLE client_details (
    client_id uuid NOT NULL PRIMARY KEY REFERENCES oauth_clients(id) ON DELETE CASCADE,
    application_type text NOT NULL CHECK (application_type IN ('web', 'native')),
    auth_method text NOT NULL CHECK (auth_method IN ('none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt')),
    grant_types text NOT NULL, -- space-delimited
    resources text[] NOT NULL,
    post_logout_redirect_uris text[] NOT NULL,
    backchannel_logout_uri text,
    jwks text, -- JSON, for private_key_jwt
    first_party boolean NOT NULL, -- no consent page
    require_par boolean NOT NULL,
    dpop_bound boolean NOT NULL,
    refresh_binding text NOT NULL CHECK (refresh_binding IN ('session', 'standalone')),
    id_token_alg text NOT NULL CHECK (id_token_alg IN ('RS256', 'ES256')),
    logo_uri text,
    client_uri text,
    policy_uri text,
    tos_uri text,
    source text NOT NULL CHECK (source IN ('config', 'api', 'registration', 'metadata')),
    registration_token_hash text UNIQUE,
    expires_at timestamptz -- of a registered or metadata client; retired and deleted after
);
CREATE INDEX idx_client_details_expires ON client_details(expires_at);
-- Initial access tokens: who may register clients (RFC 7591).
CREATE TABLE registration_tokens (
    id uuid NOT NULL PRIMARY KEY,
    token_hash text NOT NULL UNIQUE,
    name text NOT NULL,
    uses_left bigint NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_registration_tokens_expires ON registration_tokens(expires_at);

-- What a user granted to a client, once; codes and refresh tokens hang on it.
CREATE TABLE grants (
    id uuid NOT NULL PRIMARY KEY,
    client_id uuid NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    session_id uuid, -- the login it came from; it may be gone
    binding text NOT NULL CHECK (binding IN ('session', 'standalone')),
    organization_id uuid REFERENCES organizations(id) ON DELETE CASCADE,
    scope text NOT NULL, -- space-delimited
    resources text[] NOT NULL,
    authenticated_at timestamptz NOT NULL,
    amr text NOT NULL,
    acr text,
    dpop_jkt varchar(64),
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL, -- absolute: nothing of it lives longer
    revoked_at timestamptz,
    revoke_reason varchar(40)
);
CREATE INDEX idx_grants_user ON grants(user_id);
CREATE INDEX idx_grants_client ON grants(client_id);
CREATE INDEX idx_grants_session ON grants(session_id);
CREATE INDEX idx_grants_organization ON grants(organization_id);
CREATE INDEX idx_grants_expires ON grants(expires_at);

-- Companions of authorization_codes and refresh_tokens, and what is left of those that were used.
CREATE TABLE authorization_code_details (
    code_id uuid NOT NULL PRIMARY KEY REFERENCES authorization_codes(id) ON DELETE CASCADE,
    grant_id uuid NOT NULL REFERENCES grants(id) ON DELETE CASCADE,
    nonce text
);
CREATE INDEX idx_code_details_grant ON authorization_code_details(grant_id);
CREATE INDEX idx_codes_expires ON authorization_codes(expires_at);
CREATE TABLE authorization_code_tombstones (
    code_hash text NOT NULL PRIMARY KEY,
    grant_id uuid NOT NULL REFERENCES grants(id) ON DELETE CASCADE,
    purge_at timestamptz NOT NULL
);
CREATE INDEX idx_code_tombstones_grant ON authorization_code_tombstones(grant_id);
CREATE INDEX idx_code_tombstones_purge ON authorization_code_tombstones(purge_at);
CREATE TABLE refresh_token_details (
    token_id uuid NOT NULL PRIMARY KEY REFERENCES refresh_tokens(id) ON DELETE CASCADE,
    grant_id uuid NOT NULL REFERENCES grants(id) ON DELETE CASCADE,
    generation bigint NOT NULL, -- 0 for the first of its grant
    idle_expires_at timestamptz NOT NULL,
    UNIQUE (grant_id) -- one live branch
);
CREATE INDEX idx_refresh_tokens_expires ON refresh_tokens(expires_at);
CREATE INDEX idx_refresh_details_idle ON refresh_token_details(idle_expires_at);
CREATE INDEX idx_refresh_tokens_client ON refresh_tokens(client_id);
CREATE TABLE refresh_token_tombstones (
    token_hash text NOT NULL PRIMARY KEY,
    grant_id uuid NOT NULL REFERENCES grants(id) ON DELETE CASCADE,
    generation bigint NOT NULL,
    rotated_at timestamptz NOT NULL,
    purge_at timestamptz NOT NULL
);
CREATE INDEX idx_refresh_tombstones_grant ON refresh_token_tombstones(grant_id);
CREATE INDEX idx_refresh_tombstones_purge ON refresh_token_tombstones(purge_at);

CREATE TABLE consents (
    user_id uuid NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    client_id uuid NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    scope text NOT NULL, -- one scope
    granted_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, client_id, scope)
);
CREATE INDEX idx_consents_client ON consents(client_id);

-- Pushed authorization requests (RFC 9126).
CREATE TABLE pushed_requests (
    uri_hash text NOT NULL PRIMARY KEY,
    client_id uuid NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    parameters text NOT NULL, -- JSON, without credentials
    dpop_jkt varchar(64),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_pushed_requests_client ON pushed_requests(client_id);
CREATE INDEX idx_pushed_requests_expires ON pushed_requests(expires_at);

-- Device authorization (RFC 8628). The user code is short, so its hash is keyed.
CREATE TABLE device_codes (
    device_code_hash text NOT NULL PRIMARY KEY,
    user_code_hash text NOT NULL UNIQUE,
    client_id uuid NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    scope text NOT NULL,
    resources text[] NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'approved', 'denied')),
    grant_id uuid REFERENCES grants(id) ON DELETE CASCADE,
    interval_seconds bigint NOT NULL,
    last_polled_at timestamptz,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_device_codes_client ON device_codes(client_id);
CREATE INDEX idx_device_codes_grant ON device_codes(grant_id);
CREATE INDEX idx_device_codes_expires ON device_codes(expires_at);

-- Assertions, proofs and logout tokens that were used: each counts once.
CREATE TABLE used_jtis (
    issuer text NOT NULL,
    jti_hash text NOT NULL,
    purge_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, jti_hash)
);
CREATE INDEX idx_used_jtis_purge ON used_jtis(purge_at);

-- Back-channel logouts that wait for their client to hear of them. The token is signed when it is sent.
CREATE TABLE logout_outbox (
    id uuid NOT NULL PRIMARY KEY,
    client_id uuid NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    user_id uuid NOT NULL,
    session_id uuid,
    attempts bigint NOT NULL,
    next_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_logout_outbox_client ON logout_outbox(client_id);
CREATE INDEX idx_logout_outbox_next ON logout_outbox(next_at);
CREATE INDEX idx_logout_outbox_expires ON logout_outbox(expires_at);

-- Failed attempts by a keyed hash of who or what failed; shared by all authorities.
CREATE TABLE failed_attempts (
    bucket text NOT NULL PRIMARY KEY,
    failures bigint NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_failed_attempts_expires ON failed_attempts(expires_at);

-- Invitations to an organization, by link.
CREATE TABLE organization_invitations (
    id uuid NOT NULL PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    role_id uuid NOT NULL REFERENCES roles(id) ON DELETE CASCADE,
    token_hash text NOT NULL UNIQUE,
    email varchar(255), -- when set, only a user with this verified address may accept
    invited_by text NOT NULL, -- actor, as audit_log names it
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX idx_invitations_organization ON organization_invitations(organization_id);
CREATE INDEX idx_invitations_role ON organization_invitations(role_id);
CREATE INDEX idx_invitations_expires ON organization_invitations(expires_at);

-- The audit log's hash chain, written afterwards by whoever holds the lease.
CREATE TABLE audit_chain (
    sequence bigint NOT NULL PRIMARY KEY,
    audit_id uuid NOT NULL UNIQUE REFERENCES audit_log(id),
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE TABLE leases (
    name text NOT NULL PRIMARY KEY,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL
);
