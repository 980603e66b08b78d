-- The schema everything starts from. Comments are requirements.
-- Ids are UUIDs in 16 bytes, made by the program; times are integer microseconds since 1970, UTC.

-- ============================================================
-- 1. Core entities
-- ============================================================
-- A user account is created automatically on first SSO login.
-- Profile fields (display_name, avatar_url) are sourced from the identity provider.
CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email TEXT NOT NULL UNIQUE CHECK (length(email) <= 255),
    display_name TEXT NOT NULL CHECK (length(display_name) <= 100),
    avatar_url TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- A tenant/workspace that groups users together.
CREATE TABLE organizations (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL CHECK (length(name) <= 100),
    slug TEXT NOT NULL UNIQUE CHECK (length(slug) <= 100), -- used in URLs
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- ============================================================
-- 2. RBAC
-- ============================================================
-- A single capability declared by a service, e.g. (service='auth', resource='member', action='invite').
-- Services register their own permissions on startup via the sync API.
CREATE TABLE permissions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    service TEXT NOT NULL CHECK (length(service) <= 50),
    resource TEXT NOT NULL CHECK (length(resource) <= 50),
    action TEXT NOT NULL CHECK (length(action) <= 50),
    description TEXT,
    UNIQUE (service, resource, action)
) STRICT;

-- Roles are declared by services in their manifests and synced on startup.
-- Users cannot create or modify roles; all roles are service-defined.
CREATE TABLE roles (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    service TEXT NOT NULL CHECK (length(service) <= 50),
    name TEXT NOT NULL CHECK (length(name) <= 50),
    description TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (service, name)
) STRICT;

-- Declares which permissions a role grants. Populated by the service sync API.
CREATE TABLE role_permissions (
    role_id BLOB NOT NULL REFERENCES roles(id) ON DELETE CASCADE,
    permission_id BLOB NOT NULL REFERENCES permissions(id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, permission_id)
) STRICT, WITHOUT ROWID;

-- ============================================================
-- 3. Organization membership
-- ============================================================
-- Tracks which users belong to which organizations and under what role.
-- Roles are service-defined; org admins assign them but cannot create new ones.
-- A user can be a member of multiple organizations with different roles.
CREATE TABLE organization_members (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    organization_id BLOB NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    role_id BLOB NOT NULL REFERENCES roles(id),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (organization_id, user_id)
) STRICT;
CREATE INDEX idx_org_members_user ON organization_members(user_id);

-- ============================================================
-- 4. Identity provider
-- ============================================================
-- Binds a user to an external SSO provider account (e.g. Google).
-- The access/refresh tokens here belong to the provider, used to call provider APIs.
-- One user may have accounts on multiple providers in the future.
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

-- ============================================================
-- 5. Auth server sessions
-- ============================================================
-- Represents a user's login state on the auth server's own domain.
-- The session cookie holds the raw token; only its hash is stored here.
-- An active session allows the user to skip re-authentication (SSO effect).
CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL UNIQUE CHECK (length(token_hash) <= 255),
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idx_sessions_user ON sessions(user_id);

-- ============================================================
-- 6. OAuth 2.0 provider (authorization code flow + PKCE)
-- ============================================================
-- Registered client applications that are allowed to request authorization.
-- Confidential clients (server-side apps) have a client_secret.
-- Public clients (SPA/mobile) leave client_secret NULL and rely solely on PKCE.
CREATE TABLE oauth_clients (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    client_id TEXT NOT NULL UNIQUE CHECK (length(client_id) <= 100),
    client_secret TEXT CHECK (length(client_secret) <= 255), -- NULL for public clients
    name TEXT NOT NULL CHECK (length(name) <= 100),
    redirect_uris TEXT NOT NULL CHECK (json_valid(redirect_uris) AND json_type(redirect_uris) = 'array'),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Short-lived codes issued to the client after the user authenticates.
-- Stores the PKCE code_challenge so the server can verify code_verifier on exchange.
-- Each code is single-use and must be deleted immediately after exchange.
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

-- Long-lived tokens issued to clients to obtain new access tokens without re-login.
-- Only the hash is stored; the raw token is returned once and never persisted.
-- Deleting a row revokes the token.
CREATE TABLE refresh_tokens (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    token_hash TEXT NOT NULL UNIQUE CHECK (length(token_hash) <= 255),
    client_id BLOB NOT NULL REFERENCES oauth_clients(id) ON DELETE CASCADE,
    user_id BLOB NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idx_refresh_tokens_user ON refresh_tokens(user_id);
