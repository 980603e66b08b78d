-- What the migrations make, all together. Written by a test under UPDATE_GOLDEN=1.

CREATE FUNCTION capture_client_states() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1) VALUES (8, uuid_send(OLD.client_id));
    ELSE
        INSERT INTO feed_pending (tbl, k1) VALUES (8, uuid_send(NEW.client_id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1) SELECT 8, uuid_send(OLD.client_id) WHERE OLD.client_id IS DISTINCT FROM NEW.client_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_organization_member_roles() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (6, uuid_send(OLD.organization_id), uuid_send(OLD.user_id), uuid_send(OLD.role_id));
    ELSE
        INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (6, uuid_send(NEW.organization_id), uuid_send(NEW.user_id), uuid_send(NEW.role_id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1, k2, k3) SELECT 6, uuid_send(OLD.organization_id), uuid_send(OLD.user_id), uuid_send(OLD.role_id) WHERE OLD.organization_id IS DISTINCT FROM NEW.organization_id OR OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.role_id IS DISTINCT FROM NEW.role_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_organization_members() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1, k2) VALUES (5, uuid_send(OLD.organization_id), uuid_send(OLD.user_id));
    ELSE
        INSERT INTO feed_pending (tbl, k1, k2) VALUES (5, uuid_send(NEW.organization_id), uuid_send(NEW.user_id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1, k2) SELECT 5, uuid_send(OLD.organization_id), uuid_send(OLD.user_id) WHERE OLD.organization_id IS DISTINCT FROM NEW.organization_id OR OLD.user_id IS DISTINCT FROM NEW.user_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_organizations() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1) VALUES (1, uuid_send(OLD.id));
    ELSE
        INSERT INTO feed_pending (tbl, k1) VALUES (1, uuid_send(NEW.id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1) SELECT 1, uuid_send(OLD.id) WHERE OLD.id IS DISTINCT FROM NEW.id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_permissions() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1) VALUES (2, uuid_send(OLD.id));
    ELSE
        INSERT INTO feed_pending (tbl, k1) VALUES (2, uuid_send(NEW.id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1) SELECT 2, uuid_send(OLD.id) WHERE OLD.id IS DISTINCT FROM NEW.id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_resource_instances() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (13, convert_to(OLD.service, 'UTF8'), convert_to(OLD.resource, 'UTF8'), convert_to(OLD.id, 'UTF8'));
    ELSE
        INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (13, convert_to(NEW.service, 'UTF8'), convert_to(NEW.resource, 'UTF8'), convert_to(NEW.id, 'UTF8'));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1, k2, k3) SELECT 13, convert_to(OLD.service, 'UTF8'), convert_to(OLD.resource, 'UTF8'), convert_to(OLD.id, 'UTF8') WHERE OLD.service IS DISTINCT FROM NEW.service OR OLD.resource IS DISTINCT FROM NEW.resource OR OLD.id IS DISTINCT FROM NEW.id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_revoked_grants() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1) VALUES (10, uuid_send(OLD.grant_id));
    ELSE
        INSERT INTO feed_pending (tbl, k1) VALUES (10, uuid_send(NEW.grant_id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1) SELECT 10, uuid_send(OLD.grant_id) WHERE OLD.grant_id IS DISTINCT FROM NEW.grant_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_revoked_sessions() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1) VALUES (9, uuid_send(OLD.session_id));
    ELSE
        INSERT INTO feed_pending (tbl, k1) VALUES (9, uuid_send(NEW.session_id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1) SELECT 9, uuid_send(OLD.session_id) WHERE OLD.session_id IS DISTINCT FROM NEW.session_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_role_permissions() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1, k2) VALUES (4, uuid_send(OLD.role_id), uuid_send(OLD.permission_id));
    ELSE
        INSERT INTO feed_pending (tbl, k1, k2) VALUES (4, uuid_send(NEW.role_id), uuid_send(NEW.permission_id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1, k2) SELECT 4, uuid_send(OLD.role_id), uuid_send(OLD.permission_id) WHERE OLD.role_id IS DISTINCT FROM NEW.role_id OR OLD.permission_id IS DISTINCT FROM NEW.permission_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_roles() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1) VALUES (3, uuid_send(OLD.id));
    ELSE
        INSERT INTO feed_pending (tbl, k1) VALUES (3, uuid_send(NEW.id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1) SELECT 3, uuid_send(OLD.id) WHERE OLD.id IS DISTINCT FROM NEW.id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_scope_permissions() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1, k2) VALUES (12, convert_to(OLD.scope, 'UTF8'), uuid_send(OLD.permission_id));
    ELSE
        INSERT INTO feed_pending (tbl, k1, k2) VALUES (12, convert_to(NEW.scope, 'UTF8'), uuid_send(NEW.permission_id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1, k2) SELECT 12, convert_to(OLD.scope, 'UTF8'), uuid_send(OLD.permission_id) WHERE OLD.scope IS DISTINCT FROM NEW.scope OR OLD.permission_id IS DISTINCT FROM NEW.permission_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_signing_keys() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1) VALUES (11, convert_to(OLD.kid, 'UTF8'));
    ELSE
        INSERT INTO feed_pending (tbl, k1) VALUES (11, convert_to(NEW.kid, 'UTF8'));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1) SELECT 11, convert_to(OLD.kid, 'UTF8') WHERE OLD.kid IS DISTINCT FROM NEW.kid;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION capture_user_states() AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO feed_pending (tbl, k1) VALUES (7, uuid_send(OLD.user_id));
    ELSE
        INSERT INTO feed_pending (tbl, k1) VALUES (7, uuid_send(NEW.user_id));
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO feed_pending (tbl, k1) SELECT 7, uuid_send(OLD.user_id) WHERE OLD.user_id IS DISTINCT FROM NEW.user_id;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION feed_refuse_truncate() AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of a replicated table would not reach the sidecars: use DELETE';
END $$;

CREATE TABLE account_details (
    account_id uuid NOT NULL,
    email text,
    email_verified boolean NOT NULL,
    scope text,
    token_expires_at timestamp with time zone,
    last_login_at timestamp with time zone NOT NULL
);

ALTER TABLE account_details ADD CONSTRAINT account_details_account_id_fkey FOREIGN KEY (account_id) REFERENCES oauth_accounts(id) ON DELETE CASCADE;

ALTER TABLE account_details ADD CONSTRAINT account_details_pkey PRIMARY KEY (account_id);

CREATE TABLE account_roles (
    account_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    role_id uuid NOT NULL
);

ALTER TABLE account_roles ADD CONSTRAINT account_roles_account_id_fkey FOREIGN KEY (account_id) REFERENCES oauth_accounts(id) ON DELETE CASCADE;

ALTER TABLE account_roles ADD CONSTRAINT account_roles_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations(id) ON DELETE CASCADE;

ALTER TABLE account_roles ADD CONSTRAINT account_roles_pkey PRIMARY KEY (account_id, organization_id, role_id);

ALTER TABLE account_roles ADD CONSTRAINT account_roles_role_id_fkey FOREIGN KEY (role_id) REFERENCES roles(id) ON DELETE CASCADE;

CREATE INDEX idx_account_roles_organization ON public.account_roles USING btree (organization_id);

CREATE INDEX idx_account_roles_role ON public.account_roles USING btree (role_id);

CREATE TABLE audit_chain (
    sequence bigint NOT NULL,
    audit_id uuid NOT NULL,
    hash bytea NOT NULL
);

ALTER TABLE audit_chain ADD CONSTRAINT audit_chain_audit_id_fkey FOREIGN KEY (audit_id) REFERENCES audit_log(id);

ALTER TABLE audit_chain ADD CONSTRAINT audit_chain_audit_id_key UNIQUE (audit_id);

ALTER TABLE audit_chain ADD CONSTRAINT audit_chain_hash_check CHECK ((length(hash) = 32));

ALTER TABLE audit_chain ADD CONSTRAINT audit_chain_pkey PRIMARY KEY (sequence);

CREATE TABLE audit_log (
    id uuid NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    event text NOT NULL,
    organization_id uuid,
    target text,
    details text NOT NULL DEFAULT '{}'::text
);

ALTER TABLE audit_log ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

CREATE INDEX idx_audit_organization ON public.audit_log USING btree (organization_id, at) WHERE (organization_id IS NOT NULL);

CREATE TABLE authorization_codes (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    code_hash character varying(255) NOT NULL,
    client_id uuid NOT NULL,
    user_id uuid NOT NULL,
    redirect_uri text NOT NULL,
    code_challenge character varying(128) NOT NULL,
    code_challenge_method character varying(10) NOT NULL DEFAULT 'S256'::character varying,
    expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now()
);

ALTER TABLE authorization_codes ADD CONSTRAINT authorization_codes_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE authorization_codes ADD CONSTRAINT authorization_codes_code_hash_key UNIQUE (code_hash);

ALTER TABLE authorization_codes ADD CONSTRAINT authorization_codes_pkey PRIMARY KEY (id);

ALTER TABLE authorization_codes ADD CONSTRAINT authorization_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

CREATE INDEX idx_codes_expires ON public.authorization_codes USING btree (expires_at);

CREATE TABLE client_details (
    client_id uuid NOT NULL,
    application_type text NOT NULL,
    auth_method text NOT NULL,
    grant_types text NOT NULL,
    resources text[] NOT NULL,
    post_logout_redirect_uris text[] NOT NULL,
    backchannel_logout_uri text,
    jwks text,
    first_party boolean NOT NULL,
    require_par boolean NOT NULL,
    dpop_bound boolean NOT NULL,
    refresh_binding text NOT NULL,
    id_token_alg text NOT NULL,
    logo_uri text,
    client_uri text,
    policy_uri text,
    tos_uri text,
    source text NOT NULL,
    registration_token_hash text,
    expires_at timestamp with time zone,
    registration_policy text
);

ALTER TABLE client_details ADD CONSTRAINT client_details_application_type_check CHECK ((application_type = ANY (ARRAY['web'::text, 'native'::text])));

ALTER TABLE client_details ADD CONSTRAINT client_details_auth_method_check CHECK ((auth_method = ANY (ARRAY['none'::text, 'client_secret_basic'::text, 'client_secret_post'::text, 'private_key_jwt'::text])));

ALTER TABLE client_details ADD CONSTRAINT client_details_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE client_details ADD CONSTRAINT client_details_id_token_alg_check CHECK ((id_token_alg = ANY (ARRAY['RS256'::text, 'ES256'::text])));

ALTER TABLE client_details ADD CONSTRAINT client_details_pkey PRIMARY KEY (client_id);

ALTER TABLE client_details ADD CONSTRAINT client_details_refresh_binding_check CHECK ((refresh_binding = ANY (ARRAY['session'::text, 'standalone'::text])));

ALTER TABLE client_details ADD CONSTRAINT client_details_registration_token_hash_key UNIQUE (registration_token_hash);

ALTER TABLE client_details ADD CONSTRAINT client_details_source_check CHECK ((source = ANY (ARRAY['config'::text, 'api'::text, 'registration'::text, 'metadata'::text])));

CREATE INDEX idx_client_details_expires ON public.client_details USING btree (expires_at);

CREATE TABLE client_secrets (
    id uuid NOT NULL,
    client_id uuid NOT NULL,
    secret_hash text NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE client_secrets ADD CONSTRAINT client_secrets_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE client_secrets ADD CONSTRAINT client_secrets_pkey PRIMARY KEY (id);

ALTER TABLE client_secrets ADD CONSTRAINT client_secrets_secret_hash_key UNIQUE (secret_hash);

CREATE INDEX idx_client_secrets_client ON public.client_secrets USING btree (client_id);

CREATE INDEX idx_client_secrets_expires ON public.client_secrets USING btree (expires_at);

CREATE TABLE client_settings (
    client_id uuid NOT NULL,
    kind text NOT NULL,
    service text,
    scopes text NOT NULL
);

ALTER TABLE client_settings ADD CONSTRAINT client_settings_check CHECK (((kind = 'service'::text) = (service IS NOT NULL)));

ALTER TABLE client_settings ADD CONSTRAINT client_settings_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE client_settings ADD CONSTRAINT client_settings_kind_check CHECK ((kind = ANY (ARRAY['operator'::text, 'service'::text, 'sidecar'::text, 'app'::text])));

ALTER TABLE client_settings ADD CONSTRAINT client_settings_pkey PRIMARY KEY (client_id);

CREATE TABLE client_states (
    client_id uuid NOT NULL,
    state text NOT NULL,
    token_epoch bigint NOT NULL DEFAULT 0
);

ALTER TABLE client_states ADD CONSTRAINT client_states_pkey PRIMARY KEY (client_id);

ALTER TABLE client_states ADD CONSTRAINT client_states_state_check CHECK ((state = ANY (ARRAY['active'::text, 'retired'::text])));

CREATE TRIGGER capture_client_states_rows AFTER INSERT OR DELETE ON public.client_states FOR EACH ROW EXECUTE FUNCTION capture_client_states();

CREATE TRIGGER capture_client_states_truncate BEFORE TRUNCATE ON public.client_states FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_client_states_update AFTER UPDATE ON public.client_states FOR EACH ROW WHEN (((old.client_id IS DISTINCT FROM new.client_id) OR (old.state IS DISTINCT FROM new.state) OR (old.token_epoch IS DISTINCT FROM new.token_epoch))) EXECUTE FUNCTION capture_client_states();

CREATE TABLE consents (
    user_id uuid NOT NULL,
    client_id uuid NOT NULL,
    scope text NOT NULL,
    granted_at timestamp with time zone NOT NULL
);

ALTER TABLE consents ADD CONSTRAINT consents_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE consents ADD CONSTRAINT consents_pkey PRIMARY KEY (user_id, client_id, scope);

ALTER TABLE consents ADD CONSTRAINT consents_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

CREATE INDEX idx_consents_client ON public.consents USING btree (client_id);

CREATE TABLE device_codes (
    device_code_hash text NOT NULL,
    user_code_hash text NOT NULL,
    client_id uuid NOT NULL,
    scope text NOT NULL,
    resources text[] NOT NULL,
    state text NOT NULL,
    grant_id uuid,
    interval_seconds bigint NOT NULL,
    last_polled_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE device_codes ADD CONSTRAINT device_codes_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE device_codes ADD CONSTRAINT device_codes_grant_id_fkey FOREIGN KEY (grant_id) REFERENCES grants(id) ON DELETE CASCADE;

ALTER TABLE device_codes ADD CONSTRAINT device_codes_pkey PRIMARY KEY (device_code_hash);

ALTER TABLE device_codes ADD CONSTRAINT device_codes_state_check CHECK ((state = ANY (ARRAY['pending'::text, 'approved'::text, 'denied'::text])));

ALTER TABLE device_codes ADD CONSTRAINT device_codes_user_code_hash_key UNIQUE (user_code_hash);

CREATE INDEX idx_device_codes_client ON public.device_codes USING btree (client_id);

CREATE INDEX idx_device_codes_expires ON public.device_codes USING btree (expires_at);

CREATE INDEX idx_device_codes_grant ON public.device_codes USING btree (grant_id);

CREATE TABLE failed_attempts (
    bucket text NOT NULL,
    failures bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE failed_attempts ADD CONSTRAINT failed_attempts_pkey PRIMARY KEY (bucket);

CREATE INDEX idx_failed_attempts_expires ON public.failed_attempts USING btree (expires_at);

CREATE TABLE feed_epoch (
    feed text NOT NULL,
    epoch uuid NOT NULL,
    first_revision bigint NOT NULL
);

ALTER TABLE feed_epoch ADD CONSTRAINT feed_epoch_pkey PRIMARY KEY (feed, epoch);

CREATE TABLE feed_outbox (
    feed text NOT NULL,
    revision bigint NOT NULL,
    chain bytea NOT NULL,
    payload bytea NOT NULL
);

ALTER TABLE feed_outbox ADD CONSTRAINT feed_outbox_chain_check CHECK ((length(chain) = 32));

ALTER TABLE feed_outbox ADD CONSTRAINT feed_outbox_pkey PRIMARY KEY (feed, revision);

CREATE TABLE feed_pending (
    tbl integer NOT NULL,
    k1 bytea NOT NULL,
    k2 bytea,
    k3 bytea
);

CREATE TABLE feed_state (
    feed text NOT NULL,
    epoch uuid NOT NULL,
    revision bigint NOT NULL,
    chain bytea NOT NULL,
    floor bigint NOT NULL,
    signed_time timestamp with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone
) WITH (fillfactor=10);

ALTER TABLE feed_state ADD CONSTRAINT feed_state_chain_check CHECK ((length(chain) = 32));

ALTER TABLE feed_state ADD CONSTRAINT feed_state_pkey PRIMARY KEY (feed);

CREATE TABLE grants (
    id uuid NOT NULL,
    client_id uuid NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid,
    binding text NOT NULL,
    organization_id uuid,
    scope text NOT NULL,
    resources text[] NOT NULL,
    authenticated_at timestamp with time zone NOT NULL,
    amr text NOT NULL,
    acr text,
    dpop_jkt character varying(64),
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    revoke_reason character varying(40),
    nonce text,
    redeemed_code_hash character varying(255),
    refresh_generation bigint NOT NULL DEFAULT 0
);

ALTER TABLE grants ADD CONSTRAINT grants_binding_check CHECK ((binding = ANY (ARRAY['session'::text, 'standalone'::text])));

ALTER TABLE grants ADD CONSTRAINT grants_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE grants ADD CONSTRAINT grants_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations(id) ON DELETE CASCADE;

ALTER TABLE grants ADD CONSTRAINT grants_pkey PRIMARY KEY (id);

ALTER TABLE grants ADD CONSTRAINT grants_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

CREATE INDEX idx_grants_client ON public.grants USING btree (client_id);

CREATE INDEX idx_grants_expires ON public.grants USING btree (expires_at);

CREATE INDEX idx_grants_organization ON public.grants USING btree (organization_id) WHERE (organization_id IS NOT NULL);

CREATE INDEX idx_grants_user ON public.grants USING btree (user_id, session_id);

CREATE TABLE identity_providers (
    provider character varying(30) NOT NULL,
    kind text NOT NULL,
    issuer text NOT NULL,
    name character varying(100) NOT NULL,
    client_id text NOT NULL,
    sealed_secret bytea,
    settings text NOT NULL,
    source text NOT NULL,
    enabled boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

ALTER TABLE identity_providers ADD CONSTRAINT identity_providers_issuer_key UNIQUE (issuer);

ALTER TABLE identity_providers ADD CONSTRAINT identity_providers_kind_check CHECK ((kind = ANY (ARRAY['oidc'::text, 'google'::text, 'github'::text, 'demo'::text])));

ALTER TABLE identity_providers ADD CONSTRAINT identity_providers_pkey PRIMARY KEY (provider);

ALTER TABLE identity_providers ADD CONSTRAINT identity_providers_source_check CHECK ((source = ANY (ARRAY['config'::text, 'api'::text])));

CREATE TABLE installation (
    name text NOT NULL,
    value bytea NOT NULL
);

ALTER TABLE installation ADD CONSTRAINT installation_pkey PRIMARY KEY (name);

CREATE TABLE join_tokens (
    id uuid NOT NULL,
    token_hash text NOT NULL,
    name text NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE join_tokens ADD CONSTRAINT join_tokens_pkey PRIMARY KEY (id);

ALTER TABLE join_tokens ADD CONSTRAINT join_tokens_token_hash_key UNIQUE (token_hash);

CREATE INDEX idx_join_tokens_expires ON public.join_tokens USING btree (expires_at);

CREATE TABLE leases (
    name text NOT NULL,
    holder text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE leases ADD CONSTRAINT leases_pkey PRIMARY KEY (name);

CREATE TABLE logout_outbox (
    id uuid NOT NULL,
    client_id uuid NOT NULL,
    user_id uuid NOT NULL,
    session_id uuid,
    attempts bigint NOT NULL,
    next_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE logout_outbox ADD CONSTRAINT logout_outbox_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE logout_outbox ADD CONSTRAINT logout_outbox_pkey PRIMARY KEY (id);

CREATE INDEX idx_logout_outbox_client ON public.logout_outbox USING btree (client_id);

CREATE INDEX idx_logout_outbox_expires ON public.logout_outbox USING btree (expires_at);

CREATE INDEX idx_logout_outbox_next ON public.logout_outbox USING btree (next_at);

CREATE TABLE oauth_accounts (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    provider character varying(30) NOT NULL,
    provider_account_id character varying(255) NOT NULL,
    access_token text,
    refresh_token text,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now()
);

ALTER TABLE oauth_accounts ADD CONSTRAINT oauth_accounts_pkey PRIMARY KEY (id);

ALTER TABLE oauth_accounts ADD CONSTRAINT oauth_accounts_provider_provider_account_id_key UNIQUE (provider, provider_account_id);

ALTER TABLE oauth_accounts ADD CONSTRAINT oauth_accounts_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

CREATE INDEX idx_oauth_accounts_user ON public.oauth_accounts USING btree (user_id);

CREATE TABLE oauth_clients (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    client_id character varying(100) NOT NULL,
    client_secret character varying(255),
    name character varying(100) NOT NULL,
    redirect_uris text[] NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now()
);

ALTER TABLE oauth_clients ADD CONSTRAINT oauth_clients_client_id_key UNIQUE (client_id);

ALTER TABLE oauth_clients ADD CONSTRAINT oauth_clients_pkey PRIMARY KEY (id);

CREATE TABLE organization_invitations (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    role_id uuid NOT NULL,
    token_hash text NOT NULL,
    email character varying(255),
    invited_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE organization_invitations ADD CONSTRAINT organization_invitations_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations(id) ON DELETE CASCADE;

ALTER TABLE organization_invitations ADD CONSTRAINT organization_invitations_pkey PRIMARY KEY (id);

ALTER TABLE organization_invitations ADD CONSTRAINT organization_invitations_role_id_fkey FOREIGN KEY (role_id) REFERENCES roles(id) ON DELETE CASCADE;

ALTER TABLE organization_invitations ADD CONSTRAINT organization_invitations_token_hash_key UNIQUE (token_hash);

CREATE INDEX idx_invitations_expires ON public.organization_invitations USING btree (expires_at);

CREATE INDEX idx_invitations_organization ON public.organization_invitations USING btree (organization_id);

CREATE INDEX idx_invitations_role ON public.organization_invitations USING btree (role_id);

CREATE TABLE organization_member_roles (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE organization_member_roles ADD CONSTRAINT organization_member_roles_organization_id_user_id_fkey FOREIGN KEY (organization_id, user_id) REFERENCES organization_members(organization_id, user_id) ON DELETE CASCADE;

ALTER TABLE organization_member_roles ADD CONSTRAINT organization_member_roles_pkey PRIMARY KEY (organization_id, user_id, role_id);

ALTER TABLE organization_member_roles ADD CONSTRAINT organization_member_roles_role_id_fkey FOREIGN KEY (role_id) REFERENCES roles(id);

CREATE INDEX idx_member_roles_role ON public.organization_member_roles USING btree (role_id);

CREATE TRIGGER capture_organization_member_roles_rows AFTER INSERT OR DELETE ON public.organization_member_roles FOR EACH ROW EXECUTE FUNCTION capture_organization_member_roles();

CREATE TRIGGER capture_organization_member_roles_truncate BEFORE TRUNCATE ON public.organization_member_roles FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_organization_member_roles_update AFTER UPDATE ON public.organization_member_roles FOR EACH ROW WHEN (((old.organization_id IS DISTINCT FROM new.organization_id) OR (old.user_id IS DISTINCT FROM new.user_id) OR (old.role_id IS DISTINCT FROM new.role_id))) EXECUTE FUNCTION capture_organization_member_roles();

CREATE TABLE organization_members (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now()
);

ALTER TABLE organization_members ADD CONSTRAINT organization_members_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations(id) ON DELETE CASCADE;

ALTER TABLE organization_members ADD CONSTRAINT organization_members_organization_id_user_id_key UNIQUE (organization_id, user_id);

ALTER TABLE organization_members ADD CONSTRAINT organization_members_pkey PRIMARY KEY (id);

ALTER TABLE organization_members ADD CONSTRAINT organization_members_role_id_fkey FOREIGN KEY (role_id) REFERENCES roles(id);

ALTER TABLE organization_members ADD CONSTRAINT organization_members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

CREATE INDEX idx_org_members_role ON public.organization_members USING btree (role_id);

CREATE INDEX idx_org_members_user ON public.organization_members USING btree (user_id);

CREATE TRIGGER capture_organization_members_rows AFTER INSERT OR DELETE ON public.organization_members FOR EACH ROW EXECUTE FUNCTION capture_organization_members();

CREATE TRIGGER capture_organization_members_truncate BEFORE TRUNCATE ON public.organization_members FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_organization_members_update AFTER UPDATE ON public.organization_members FOR EACH ROW WHEN (((old.organization_id IS DISTINCT FROM new.organization_id) OR (old.user_id IS DISTINCT FROM new.user_id) OR (old.role_id IS DISTINCT FROM new.role_id))) EXECUTE FUNCTION capture_organization_members();

CREATE TABLE organization_slugs (
    slug text NOT NULL,
    organization_id uuid,
    created_at timestamp with time zone NOT NULL
);

ALTER TABLE organization_slugs ADD CONSTRAINT organization_slugs_pkey PRIMARY KEY (slug);

CREATE TABLE organizations (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name character varying(100) NOT NULL,
    slug character varying(100) NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now()
);

ALTER TABLE organizations ADD CONSTRAINT organizations_pkey PRIMARY KEY (id);

ALTER TABLE organizations ADD CONSTRAINT organizations_slug_key UNIQUE (slug);

CREATE TRIGGER capture_organizations_rows AFTER INSERT OR DELETE ON public.organizations FOR EACH ROW EXECUTE FUNCTION capture_organizations();

CREATE TRIGGER capture_organizations_truncate BEFORE TRUNCATE ON public.organizations FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_organizations_update AFTER UPDATE ON public.organizations FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR ((old.slug)::text IS DISTINCT FROM (new.slug)::text))) EXECUTE FUNCTION capture_organizations();

CREATE TABLE permissions (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    service character varying(50) NOT NULL,
    resource character varying(50) NOT NULL,
    action character varying(50) NOT NULL,
    description text,
    deprecated boolean NOT NULL DEFAULT false
);

ALTER TABLE permissions ADD CONSTRAINT permissions_pkey PRIMARY KEY (id);

ALTER TABLE permissions ADD CONSTRAINT permissions_service_resource_action_key UNIQUE (service, resource, action);

CREATE TRIGGER capture_permissions_rows AFTER INSERT OR DELETE ON public.permissions FOR EACH ROW EXECUTE FUNCTION capture_permissions();

CREATE TRIGGER capture_permissions_truncate BEFORE TRUNCATE ON public.permissions FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_permissions_update AFTER UPDATE ON public.permissions FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR ((old.service)::text IS DISTINCT FROM (new.service)::text) OR ((old.resource)::text IS DISTINCT FROM (new.resource)::text) OR ((old.action)::text IS DISTINCT FROM (new.action)::text))) EXECUTE FUNCTION capture_permissions();

CREATE TABLE pushed_requests (
    uri_hash text NOT NULL,
    client_id uuid NOT NULL,
    parameters text NOT NULL,
    dpop_jkt character varying(64),
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE pushed_requests ADD CONSTRAINT pushed_requests_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE pushed_requests ADD CONSTRAINT pushed_requests_pkey PRIMARY KEY (uri_hash);

CREATE INDEX idx_pushed_requests_client ON public.pushed_requests USING btree (client_id);

CREATE INDEX idx_pushed_requests_expires ON public.pushed_requests USING btree (expires_at);

CREATE TABLE refresh_token_tombstones (
    token_hash text NOT NULL,
    grant_id uuid NOT NULL,
    generation bigint NOT NULL,
    rotated_at timestamp with time zone NOT NULL,
    purge_at timestamp with time zone NOT NULL
);

ALTER TABLE refresh_token_tombstones ADD CONSTRAINT refresh_token_tombstones_grant_id_fkey FOREIGN KEY (grant_id) REFERENCES grants(id) ON DELETE CASCADE;

ALTER TABLE refresh_token_tombstones ADD CONSTRAINT refresh_token_tombstones_pkey PRIMARY KEY (token_hash);

CREATE INDEX idx_refresh_tombstones_grant ON public.refresh_token_tombstones USING btree (grant_id);

CREATE INDEX idx_refresh_tombstones_purge ON public.refresh_token_tombstones USING btree (purge_at);

CREATE TABLE refresh_tokens (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    token_hash character varying(255) NOT NULL,
    client_id uuid NOT NULL,
    user_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now()
);

ALTER TABLE refresh_tokens ADD CONSTRAINT refresh_tokens_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE refresh_tokens ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (id);

ALTER TABLE refresh_tokens ADD CONSTRAINT refresh_tokens_token_hash_key UNIQUE (token_hash);

ALTER TABLE refresh_tokens ADD CONSTRAINT refresh_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

CREATE INDEX idx_refresh_tokens_client ON public.refresh_tokens USING btree (client_id);

CREATE INDEX idx_refresh_tokens_expires ON public.refresh_tokens USING btree (expires_at);

CREATE INDEX idx_refresh_tokens_user ON public.refresh_tokens USING btree (user_id);

CREATE TABLE registration_tokens (
    id uuid NOT NULL,
    token_hash text NOT NULL,
    name text NOT NULL,
    uses_left bigint NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    policy text NOT NULL DEFAULT '{}'::text
);

ALTER TABLE registration_tokens ADD CONSTRAINT registration_tokens_pkey PRIMARY KEY (id);

ALTER TABLE registration_tokens ADD CONSTRAINT registration_tokens_token_hash_key UNIQUE (token_hash);

CREATE INDEX idx_registration_tokens_expires ON public.registration_tokens USING btree (expires_at);

CREATE TABLE resource_instances (
    service character varying(50) NOT NULL,
    resource character varying(50) NOT NULL,
    id character varying(255) NOT NULL,
    organization_id uuid NOT NULL,
    attributes character varying(4096) NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

ALTER TABLE resource_instances ADD CONSTRAINT resource_instances_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations(id) ON DELETE CASCADE;

ALTER TABLE resource_instances ADD CONSTRAINT resource_instances_pkey PRIMARY KEY (service, resource, id);

CREATE INDEX idx_resource_instances_organization ON public.resource_instances USING btree (organization_id, service, resource, id);

CREATE TRIGGER capture_resource_instances_rows AFTER INSERT OR DELETE ON public.resource_instances FOR EACH ROW EXECUTE FUNCTION capture_resource_instances();

CREATE TRIGGER capture_resource_instances_truncate BEFORE TRUNCATE ON public.resource_instances FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_resource_instances_update AFTER UPDATE ON public.resource_instances FOR EACH ROW WHEN ((((old.service)::text IS DISTINCT FROM (new.service)::text) OR ((old.resource)::text IS DISTINCT FROM (new.resource)::text) OR ((old.id)::text IS DISTINCT FROM (new.id)::text) OR (old.organization_id IS DISTINCT FROM new.organization_id) OR ((old.attributes)::text IS DISTINCT FROM (new.attributes)::text))) EXECUTE FUNCTION capture_resource_instances();

CREATE TABLE revoked_grants (
    grant_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE revoked_grants ADD CONSTRAINT revoked_grants_pkey PRIMARY KEY (grant_id);

CREATE INDEX idx_revoked_grants_expires ON public.revoked_grants USING btree (expires_at);

CREATE TRIGGER capture_revoked_grants_rows AFTER INSERT OR DELETE ON public.revoked_grants FOR EACH ROW EXECUTE FUNCTION capture_revoked_grants();

CREATE TRIGGER capture_revoked_grants_truncate BEFORE TRUNCATE ON public.revoked_grants FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_revoked_grants_update AFTER UPDATE ON public.revoked_grants FOR EACH ROW WHEN (((old.grant_id IS DISTINCT FROM new.grant_id) OR (old.expires_at IS DISTINCT FROM new.expires_at))) EXECUTE FUNCTION capture_revoked_grants();

CREATE TABLE revoked_sessions (
    session_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

ALTER TABLE revoked_sessions ADD CONSTRAINT revoked_sessions_pkey PRIMARY KEY (session_id);

CREATE INDEX idx_revoked_sessions_expires ON public.revoked_sessions USING btree (expires_at);

CREATE TRIGGER capture_revoked_sessions_rows AFTER INSERT OR DELETE ON public.revoked_sessions FOR EACH ROW EXECUTE FUNCTION capture_revoked_sessions();

CREATE TRIGGER capture_revoked_sessions_truncate BEFORE TRUNCATE ON public.revoked_sessions FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_revoked_sessions_update AFTER UPDATE ON public.revoked_sessions FOR EACH ROW WHEN (((old.session_id IS DISTINCT FROM new.session_id) OR (old.expires_at IS DISTINCT FROM new.expires_at))) EXECUTE FUNCTION capture_revoked_sessions();

CREATE TABLE role_permissions (
    role_id uuid NOT NULL,
    permission_id uuid NOT NULL
);

ALTER TABLE role_permissions ADD CONSTRAINT role_permissions_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES permissions(id) ON DELETE CASCADE;

ALTER TABLE role_permissions ADD CONSTRAINT role_permissions_pkey PRIMARY KEY (role_id, permission_id);

ALTER TABLE role_permissions ADD CONSTRAINT role_permissions_role_id_fkey FOREIGN KEY (role_id) REFERENCES roles(id) ON DELETE CASCADE;

CREATE INDEX idx_role_permissions_permission ON public.role_permissions USING btree (permission_id);

CREATE TRIGGER capture_role_permissions_rows AFTER INSERT OR DELETE ON public.role_permissions FOR EACH ROW EXECUTE FUNCTION capture_role_permissions();

CREATE TRIGGER capture_role_permissions_truncate BEFORE TRUNCATE ON public.role_permissions FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_role_permissions_update AFTER UPDATE ON public.role_permissions FOR EACH ROW WHEN (((old.role_id IS DISTINCT FROM new.role_id) OR (old.permission_id IS DISTINCT FROM new.permission_id))) EXECUTE FUNCTION capture_role_permissions();

CREATE TABLE roles (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    service character varying(50) NOT NULL,
    name character varying(50) NOT NULL,
    description text,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    assignable_by text NOT NULL DEFAULT 'auth:member:assign'::text,
    deprecated boolean NOT NULL DEFAULT false
);

ALTER TABLE roles ADD CONSTRAINT roles_pkey PRIMARY KEY (id);

ALTER TABLE roles ADD CONSTRAINT roles_service_name_key UNIQUE (service, name);

CREATE TRIGGER capture_roles_rows AFTER INSERT OR DELETE ON public.roles FOR EACH ROW EXECUTE FUNCTION capture_roles();

CREATE TRIGGER capture_roles_truncate BEFORE TRUNCATE ON public.roles FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_roles_update AFTER UPDATE ON public.roles FOR EACH ROW WHEN (((old.id IS DISTINCT FROM new.id) OR ((old.service)::text IS DISTINCT FROM (new.service)::text) OR ((old.name)::text IS DISTINCT FROM (new.name)::text))) EXECUTE FUNCTION capture_roles();

CREATE TABLE schema_migrations (
    version bigint NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone NOT NULL
);

ALTER TABLE schema_migrations ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

CREATE TABLE scope_permissions (
    scope text NOT NULL,
    permission_id uuid NOT NULL
);

ALTER TABLE scope_permissions ADD CONSTRAINT scope_permissions_permission_id_fkey FOREIGN KEY (permission_id) REFERENCES permissions(id) ON DELETE CASCADE;

ALTER TABLE scope_permissions ADD CONSTRAINT scope_permissions_pkey PRIMARY KEY (scope, permission_id);

CREATE INDEX idx_scope_permissions_permission ON public.scope_permissions USING btree (permission_id);

CREATE TRIGGER capture_scope_permissions_rows AFTER INSERT OR DELETE ON public.scope_permissions FOR EACH ROW EXECUTE FUNCTION capture_scope_permissions();

CREATE TRIGGER capture_scope_permissions_truncate BEFORE TRUNCATE ON public.scope_permissions FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_scope_permissions_update AFTER UPDATE ON public.scope_permissions FOR EACH ROW WHEN (((old.scope IS DISTINCT FROM new.scope) OR (old.permission_id IS DISTINCT FROM new.permission_id))) EXECUTE FUNCTION capture_scope_permissions();

CREATE TABLE service_grantable_by (
    service text NOT NULL,
    grantee text NOT NULL
);

ALTER TABLE service_grantable_by ADD CONSTRAINT service_grantable_by_pkey PRIMARY KEY (service, grantee);

CREATE TABLE service_manifests (
    service text NOT NULL,
    version bigint,
    content_hash bytea NOT NULL,
    document text NOT NULL,
    applied_at timestamp with time zone NOT NULL,
    applied_by text NOT NULL
);

ALTER TABLE service_manifests ADD CONSTRAINT service_manifests_content_hash_check CHECK ((length(content_hash) = 32));

ALTER TABLE service_manifests ADD CONSTRAINT service_manifests_pkey PRIMARY KEY (service);

CREATE TABLE session_details (
    session_id uuid NOT NULL,
    provider character varying(30) NOT NULL,
    upstream_subject text NOT NULL,
    upstream_sid text,
    authenticated_at timestamp with time zone NOT NULL,
    amr text NOT NULL,
    acr text,
    user_agent character varying(255),
    address text,
    last_seen_at timestamp with time zone NOT NULL,
    idle_expires_at timestamp with time zone NOT NULL
);

ALTER TABLE session_details ADD CONSTRAINT session_details_pkey PRIMARY KEY (session_id);

ALTER TABLE session_details ADD CONSTRAINT session_details_session_id_fkey FOREIGN KEY (session_id) REFERENCES sessions(id) ON DELETE CASCADE;

CREATE INDEX idx_session_details_idle ON public.session_details USING btree (idle_expires_at);

CREATE INDEX idx_session_details_upstream ON public.session_details USING btree (provider, upstream_subject);

CREATE TABLE sessions (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    token_hash character varying(255) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL DEFAULT now()
);

ALTER TABLE sessions ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE sessions ADD CONSTRAINT sessions_token_hash_key UNIQUE (token_hash);

ALTER TABLE sessions ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

CREATE INDEX idx_sessions_expires ON public.sessions USING btree (expires_at);

CREATE INDEX idx_sessions_user ON public.sessions USING btree (user_id);

CREATE TABLE sidecars (
    id uuid NOT NULL,
    client_id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone
);

ALTER TABLE sidecars ADD CONSTRAINT sidecars_client_id_fkey FOREIGN KEY (client_id) REFERENCES oauth_clients(id) ON DELETE CASCADE;

ALTER TABLE sidecars ADD CONSTRAINT sidecars_client_id_key UNIQUE (client_id);

ALTER TABLE sidecars ADD CONSTRAINT sidecars_pkey PRIMARY KEY (id);

CREATE TABLE signing_keys (
    kid text NOT NULL,
    purpose text NOT NULL,
    algorithm text NOT NULL,
    public_jwk text NOT NULL,
    sealed_private bytea NOT NULL,
    state text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    activates_at timestamp with time zone NOT NULL,
    retires_at timestamp with time zone,
    purge_at timestamp with time zone
);

ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_pkey PRIMARY KEY (kid);

ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_purpose_check CHECK ((purpose = ANY (ARRAY['access_token'::text, 'id_token'::text, 'feed'::text])));

ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_state_check CHECK ((state = ANY (ARRAY['staged'::text, 'active'::text, 'retired'::text])));

CREATE TRIGGER capture_signing_keys_rows AFTER INSERT OR DELETE ON public.signing_keys FOR EACH ROW EXECUTE FUNCTION capture_signing_keys();

CREATE TRIGGER capture_signing_keys_truncate BEFORE TRUNCATE ON public.signing_keys FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_signing_keys_update AFTER UPDATE ON public.signing_keys FOR EACH ROW WHEN (((old.kid IS DISTINCT FROM new.kid) OR (old.purpose IS DISTINCT FROM new.purpose) OR (old.algorithm IS DISTINCT FROM new.algorithm) OR (old.public_jwk IS DISTINCT FROM new.public_jwk))) EXECUTE FUNCTION capture_signing_keys();

CREATE TABLE used_jtis (
    issuer text NOT NULL,
    jti_hash text NOT NULL,
    purge_at timestamp with time zone NOT NULL
);

ALTER TABLE used_jtis ADD CONSTRAINT used_jtis_pkey PRIMARY KEY (issuer, jti_hash);

CREATE INDEX idx_used_jtis_purge ON public.used_jtis USING btree (purge_at);

CREATE TABLE user_details (
    user_id uuid NOT NULL,
    locale text,
    last_login_at timestamp with time zone
);

ALTER TABLE user_details ADD CONSTRAINT user_details_pkey PRIMARY KEY (user_id);

ALTER TABLE user_details ADD CONSTRAINT user_details_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE;

CREATE TABLE user_states (
    user_id uuid NOT NULL,
    state text NOT NULL,
    token_epoch bigint NOT NULL DEFAULT 0
);

ALTER TABLE user_states ADD CONSTRAINT user_states_pkey PRIMARY KEY (user_id);

ALTER TABLE user_states ADD CONSTRAINT user_states_state_check CHECK ((state = ANY (ARRAY['active'::text, 'suspended'::text, 'deleted'::text])));

CREATE TRIGGER capture_user_states_rows AFTER INSERT OR DELETE ON public.user_states FOR EACH ROW EXECUTE FUNCTION capture_user_states();

CREATE TRIGGER capture_user_states_truncate BEFORE TRUNCATE ON public.user_states FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE TRIGGER capture_user_states_update AFTER UPDATE ON public.user_states FOR EACH ROW WHEN (((old.user_id IS DISTINCT FROM new.user_id) OR (old.state IS DISTINCT FROM new.state) OR (old.token_epoch IS DISTINCT FROM new.token_epoch))) EXECUTE FUNCTION capture_user_states();

CREATE TABLE users (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    email character varying(255) NOT NULL,
    display_name character varying(100) NOT NULL,
    avatar_url text,
    created_at timestamp with time zone NOT NULL DEFAULT now(),
    updated_at timestamp with time zone NOT NULL DEFAULT now()
);

ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email);

ALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
