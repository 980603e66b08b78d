-- Generated from store::replicated by store::capture; do not edit by hand.
-- Notes the keys of replicated rows that a transaction touches.

CREATE OR REPLACE FUNCTION feed_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of a replicated table would not reach the sidecars: use DELETE';
END $$;

CREATE OR REPLACE FUNCTION capture_organizations() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_organizations_rows ON organizations;
CREATE TRIGGER capture_organizations_rows AFTER INSERT OR DELETE ON organizations
    FOR EACH ROW EXECUTE FUNCTION capture_organizations();
DROP TRIGGER IF EXISTS capture_organizations_update ON organizations;
CREATE TRIGGER capture_organizations_update AFTER UPDATE ON organizations
    FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.slug IS DISTINCT FROM NEW.slug) EXECUTE FUNCTION capture_organizations();
DROP TRIGGER IF EXISTS capture_organizations_truncate ON organizations;
CREATE TRIGGER capture_organizations_truncate BEFORE TRUNCATE ON organizations
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_permissions() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_permissions_rows ON permissions;
CREATE TRIGGER capture_permissions_rows AFTER INSERT OR DELETE ON permissions
    FOR EACH ROW EXECUTE FUNCTION capture_permissions();
DROP TRIGGER IF EXISTS capture_permissions_update ON permissions;
CREATE TRIGGER capture_permissions_update AFTER UPDATE ON permissions
    FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.service IS DISTINCT FROM NEW.service OR OLD.resource IS DISTINCT FROM NEW.resource OR OLD.action IS DISTINCT FROM NEW.action) EXECUTE FUNCTION capture_permissions();
DROP TRIGGER IF EXISTS capture_permissions_truncate ON permissions;
CREATE TRIGGER capture_permissions_truncate BEFORE TRUNCATE ON permissions
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_roles() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_roles_rows ON roles;
CREATE TRIGGER capture_roles_rows AFTER INSERT OR DELETE ON roles
    FOR EACH ROW EXECUTE FUNCTION capture_roles();
DROP TRIGGER IF EXISTS capture_roles_update ON roles;
CREATE TRIGGER capture_roles_update AFTER UPDATE ON roles
    FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.service IS DISTINCT FROM NEW.service OR OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION capture_roles();
DROP TRIGGER IF EXISTS capture_roles_truncate ON roles;
CREATE TRIGGER capture_roles_truncate BEFORE TRUNCATE ON roles
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_role_permissions() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_role_permissions_rows ON role_permissions;
CREATE TRIGGER capture_role_permissions_rows AFTER INSERT OR DELETE ON role_permissions
    FOR EACH ROW EXECUTE FUNCTION capture_role_permissions();
DROP TRIGGER IF EXISTS capture_role_permissions_update ON role_permissions;
CREATE TRIGGER capture_role_permissions_update AFTER UPDATE ON role_permissions
    FOR EACH ROW WHEN (OLD.role_id IS DISTINCT FROM NEW.role_id OR OLD.permission_id IS DISTINCT FROM NEW.permission_id) EXECUTE FUNCTION capture_role_permissions();
DROP TRIGGER IF EXISTS capture_role_permissions_truncate ON role_permissions;
CREATE TRIGGER capture_role_permissions_truncate BEFORE TRUNCATE ON role_permissions
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_organization_members() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_organization_members_rows ON organization_members;
CREATE TRIGGER capture_organization_members_rows AFTER INSERT OR DELETE ON organization_members
    FOR EACH ROW EXECUTE FUNCTION capture_organization_members();
DROP TRIGGER IF EXISTS capture_organization_members_update ON organization_members;
CREATE TRIGGER capture_organization_members_update AFTER UPDATE ON organization_members
    FOR EACH ROW WHEN (OLD.organization_id IS DISTINCT FROM NEW.organization_id OR OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.role_id IS DISTINCT FROM NEW.role_id) EXECUTE FUNCTION capture_organization_members();
DROP TRIGGER IF EXISTS capture_organization_members_truncate ON organization_members;
CREATE TRIGGER capture_organization_members_truncate BEFORE TRUNCATE ON organization_members
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_organization_member_roles() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_organization_member_roles_rows ON organization_member_roles;
CREATE TRIGGER capture_organization_member_roles_rows AFTER INSERT OR DELETE ON organization_member_roles
    FOR EACH ROW EXECUTE FUNCTION capture_organization_member_roles();
DROP TRIGGER IF EXISTS capture_organization_member_roles_update ON organization_member_roles;
CREATE TRIGGER capture_organization_member_roles_update AFTER UPDATE ON organization_member_roles
    FOR EACH ROW WHEN (OLD.organization_id IS DISTINCT FROM NEW.organization_id OR OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.role_id IS DISTINCT FROM NEW.role_id) EXECUTE FUNCTION capture_organization_member_roles();
DROP TRIGGER IF EXISTS capture_organization_member_roles_truncate ON organization_member_roles;
CREATE TRIGGER capture_organization_member_roles_truncate BEFORE TRUNCATE ON organization_member_roles
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_user_states() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_user_states_rows ON user_states;
CREATE TRIGGER capture_user_states_rows AFTER INSERT OR DELETE ON user_states
    FOR EACH ROW EXECUTE FUNCTION capture_user_states();
DROP TRIGGER IF EXISTS capture_user_states_update ON user_states;
CREATE TRIGGER capture_user_states_update AFTER UPDATE ON user_states
    FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.state IS DISTINCT FROM NEW.state OR OLD.token_epoch IS DISTINCT FROM NEW.token_epoch) EXECUTE FUNCTION capture_user_states();
DROP TRIGGER IF EXISTS capture_user_states_truncate ON user_states;
CREATE TRIGGER capture_user_states_truncate BEFORE TRUNCATE ON user_states
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_client_states() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_client_states_rows ON client_states;
CREATE TRIGGER capture_client_states_rows AFTER INSERT OR DELETE ON client_states
    FOR EACH ROW EXECUTE FUNCTION capture_client_states();
DROP TRIGGER IF EXISTS capture_client_states_update ON client_states;
CREATE TRIGGER capture_client_states_update AFTER UPDATE ON client_states
    FOR EACH ROW WHEN (OLD.client_id IS DISTINCT FROM NEW.client_id OR OLD.state IS DISTINCT FROM NEW.state OR OLD.token_epoch IS DISTINCT FROM NEW.token_epoch) EXECUTE FUNCTION capture_client_states();
DROP TRIGGER IF EXISTS capture_client_states_truncate ON client_states;
CREATE TRIGGER capture_client_states_truncate BEFORE TRUNCATE ON client_states
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_revoked_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_revoked_sessions_rows ON revoked_sessions;
CREATE TRIGGER capture_revoked_sessions_rows AFTER INSERT OR DELETE ON revoked_sessions
    FOR EACH ROW EXECUTE FUNCTION capture_revoked_sessions();
DROP TRIGGER IF EXISTS capture_revoked_sessions_update ON revoked_sessions;
CREATE TRIGGER capture_revoked_sessions_update AFTER UPDATE ON revoked_sessions
    FOR EACH ROW WHEN (OLD.session_id IS DISTINCT FROM NEW.session_id OR OLD.expires_at IS DISTINCT FROM NEW.expires_at) EXECUTE FUNCTION capture_revoked_sessions();
DROP TRIGGER IF EXISTS capture_revoked_sessions_truncate ON revoked_sessions;
CREATE TRIGGER capture_revoked_sessions_truncate BEFORE TRUNCATE ON revoked_sessions
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_revoked_grants() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_revoked_grants_rows ON revoked_grants;
CREATE TRIGGER capture_revoked_grants_rows AFTER INSERT OR DELETE ON revoked_grants
    FOR EACH ROW EXECUTE FUNCTION capture_revoked_grants();
DROP TRIGGER IF EXISTS capture_revoked_grants_update ON revoked_grants;
CREATE TRIGGER capture_revoked_grants_update AFTER UPDATE ON revoked_grants
    FOR EACH ROW WHEN (OLD.grant_id IS DISTINCT FROM NEW.grant_id OR OLD.expires_at IS DISTINCT FROM NEW.expires_at) EXECUTE FUNCTION capture_revoked_grants();
DROP TRIGGER IF EXISTS capture_revoked_grants_truncate ON revoked_grants;
CREATE TRIGGER capture_revoked_grants_truncate BEFORE TRUNCATE ON revoked_grants
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_signing_keys() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_signing_keys_rows ON signing_keys;
CREATE TRIGGER capture_signing_keys_rows AFTER INSERT OR DELETE ON signing_keys
    FOR EACH ROW EXECUTE FUNCTION capture_signing_keys();
DROP TRIGGER IF EXISTS capture_signing_keys_update ON signing_keys;
CREATE TRIGGER capture_signing_keys_update AFTER UPDATE ON signing_keys
    FOR EACH ROW WHEN (OLD.kid IS DISTINCT FROM NEW.kid OR OLD.purpose IS DISTINCT FROM NEW.purpose OR OLD.algorithm IS DISTINCT FROM NEW.algorithm OR OLD.public_jwk IS DISTINCT FROM NEW.public_jwk) EXECUTE FUNCTION capture_signing_keys();
DROP TRIGGER IF EXISTS capture_signing_keys_truncate ON signing_keys;
CREATE TRIGGER capture_signing_keys_truncate BEFORE TRUNCATE ON signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();

CREATE OR REPLACE FUNCTION capture_scope_permissions() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_scope_permissions_rows ON scope_permissions;
CREATE TRIGGER capture_scope_permissions_rows AFTER INSERT OR DELETE ON scope_permissions
    FOR EACH ROW EXECUTE FUNCTION capture_scope_permissions();
DROP TRIGGER IF EXISTS capture_scope_permissions_update ON scope_permissions;
CREATE TRIGGER capture_scope_permissions_update AFTER UPDATE ON scope_permissions
    FOR EACH ROW WHEN (OLD.scope IS DISTINCT FROM NEW.scope OR OLD.permission_id IS DISTINCT FROM NEW.permission_id) EXECUTE FUNCTION capture_scope_permissions();
DROP TRIGGER IF EXISTS capture_scope_permissions_truncate ON scope_permissions;
CREATE TRIGGER capture_scope_permissions_truncate BEFORE TRUNCATE ON scope_permissions
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();
