-- Generated from store::replicated by store::capture; do not edit by hand.
-- Notes the keys of replicated rows that a transaction touches.

DROP TRIGGER IF EXISTS capture_organizations_insert;
DROP TRIGGER IF EXISTS capture_organizations_delete;
DROP TRIGGER IF EXISTS capture_organizations_update;
CREATE TRIGGER capture_organizations_insert AFTER INSERT ON organizations BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (1, NEW.id);
END;
CREATE TRIGGER capture_organizations_delete AFTER DELETE ON organizations BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (1, OLD.id);
END;
CREATE TRIGGER capture_organizations_update AFTER UPDATE ON organizations
WHEN OLD.id IS NOT NEW.id OR OLD.slug IS NOT NEW.slug BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (1, NEW.id);
    INSERT INTO feed_pending (tbl, k1) SELECT 1, OLD.id WHERE OLD.id IS NOT NEW.id;
END;

DROP TRIGGER IF EXISTS capture_permissions_insert;
DROP TRIGGER IF EXISTS capture_permissions_delete;
DROP TRIGGER IF EXISTS capture_permissions_update;
CREATE TRIGGER capture_permissions_insert AFTER INSERT ON permissions BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (2, NEW.id);
END;
CREATE TRIGGER capture_permissions_delete AFTER DELETE ON permissions BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (2, OLD.id);
END;
CREATE TRIGGER capture_permissions_update AFTER UPDATE ON permissions
WHEN OLD.id IS NOT NEW.id OR OLD.service IS NOT NEW.service OR OLD.resource IS NOT NEW.resource OR OLD.action IS NOT NEW.action BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (2, NEW.id);
    INSERT INTO feed_pending (tbl, k1) SELECT 2, OLD.id WHERE OLD.id IS NOT NEW.id;
END;

DROP TRIGGER IF EXISTS capture_roles_insert;
DROP TRIGGER IF EXISTS capture_roles_delete;
DROP TRIGGER IF EXISTS capture_roles_update;
CREATE TRIGGER capture_roles_insert AFTER INSERT ON roles BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (3, NEW.id);
END;
CREATE TRIGGER capture_roles_delete AFTER DELETE ON roles BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (3, OLD.id);
END;
CREATE TRIGGER capture_roles_update AFTER UPDATE ON roles
WHEN OLD.id IS NOT NEW.id OR OLD.service IS NOT NEW.service OR OLD.name IS NOT NEW.name BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (3, NEW.id);
    INSERT INTO feed_pending (tbl, k1) SELECT 3, OLD.id WHERE OLD.id IS NOT NEW.id;
END;

DROP TRIGGER IF EXISTS capture_role_permissions_insert;
DROP TRIGGER IF EXISTS capture_role_permissions_delete;
DROP TRIGGER IF EXISTS capture_role_permissions_update;
CREATE TRIGGER capture_role_permissions_insert AFTER INSERT ON role_permissions BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (4, NEW.role_id, NEW.permission_id);
END;
CREATE TRIGGER capture_role_permissions_delete AFTER DELETE ON role_permissions BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (4, OLD.role_id, OLD.permission_id);
END;
CREATE TRIGGER capture_role_permissions_update AFTER UPDATE ON role_permissions
WHEN OLD.role_id IS NOT NEW.role_id OR OLD.permission_id IS NOT NEW.permission_id BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (4, NEW.role_id, NEW.permission_id);
    INSERT INTO feed_pending (tbl, k1, k2) SELECT 4, OLD.role_id, OLD.permission_id WHERE OLD.role_id IS NOT NEW.role_id OR OLD.permission_id IS NOT NEW.permission_id;
END;

DROP TRIGGER IF EXISTS capture_organization_members_insert;
DROP TRIGGER IF EXISTS capture_organization_members_delete;
DROP TRIGGER IF EXISTS capture_organization_members_update;
CREATE TRIGGER capture_organization_members_insert AFTER INSERT ON organization_members BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (5, NEW.organization_id, NEW.user_id);
END;
CREATE TRIGGER capture_organization_members_delete AFTER DELETE ON organization_members BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (5, OLD.organization_id, OLD.user_id);
END;
CREATE TRIGGER capture_organization_members_update AFTER UPDATE ON organization_members
WHEN OLD.organization_id IS NOT NEW.organization_id OR OLD.user_id IS NOT NEW.user_id OR OLD.role_id IS NOT NEW.role_id BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (5, NEW.organization_id, NEW.user_id);
    INSERT INTO feed_pending (tbl, k1, k2) SELECT 5, OLD.organization_id, OLD.user_id WHERE OLD.organization_id IS NOT NEW.organization_id OR OLD.user_id IS NOT NEW.user_id;
END;

DROP TRIGGER IF EXISTS capture_organization_member_roles_insert;
DROP TRIGGER IF EXISTS capture_organization_member_roles_delete;
DROP TRIGGER IF EXISTS capture_organization_member_roles_update;
CREATE TRIGGER capture_organization_member_roles_insert AFTER INSERT ON organization_member_roles BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (6, NEW.organization_id, NEW.user_id, NEW.role_id);
END;
CREATE TRIGGER capture_organization_member_roles_delete AFTER DELETE ON organization_member_roles BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (6, OLD.organization_id, OLD.user_id, OLD.role_id);
END;
CREATE TRIGGER capture_organization_member_roles_update AFTER UPDATE ON organization_member_roles
WHEN OLD.organization_id IS NOT NEW.organization_id OR OLD.user_id IS NOT NEW.user_id OR OLD.role_id IS NOT NEW.role_id BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (6, NEW.organization_id, NEW.user_id, NEW.role_id);
    INSERT INTO feed_pending (tbl, k1, k2, k3) SELECT 6, OLD.organization_id, OLD.user_id, OLD.role_id WHERE OLD.organization_id IS NOT NEW.organization_id OR OLD.user_id IS NOT NEW.user_id OR OLD.role_id IS NOT NEW.role_id;
END;

DROP TRIGGER IF EXISTS capture_user_states_insert;
DROP TRIGGER IF EXISTS capture_user_states_delete;
DROP TRIGGER IF EXISTS capture_user_states_update;
CREATE TRIGGER capture_user_states_insert AFTER INSERT ON user_states BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (7, NEW.user_id);
END;
CREATE TRIGGER capture_user_states_delete AFTER DELETE ON user_states BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (7, OLD.user_id);
END;
CREATE TRIGGER capture_user_states_update AFTER UPDATE ON user_states
WHEN OLD.user_id IS NOT NEW.user_id OR OLD.state IS NOT NEW.state OR OLD.token_epoch IS NOT NEW.token_epoch BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (7, NEW.user_id);
    INSERT INTO feed_pending (tbl, k1) SELECT 7, OLD.user_id WHERE OLD.user_id IS NOT NEW.user_id;
END;

DROP TRIGGER IF EXISTS capture_client_states_insert;
DROP TRIGGER IF EXISTS capture_client_states_delete;
DROP TRIGGER IF EXISTS capture_client_states_update;
CREATE TRIGGER capture_client_states_insert AFTER INSERT ON client_states BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (8, NEW.client_id);
END;
CREATE TRIGGER capture_client_states_delete AFTER DELETE ON client_states BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (8, OLD.client_id);
END;
CREATE TRIGGER capture_client_states_update AFTER UPDATE ON client_states
WHEN OLD.client_id IS NOT NEW.client_id OR OLD.state IS NOT NEW.state OR OLD.token_epoch IS NOT NEW.token_epoch BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (8, NEW.client_id);
    INSERT INTO feed_pending (tbl, k1) SELECT 8, OLD.client_id WHERE OLD.client_id IS NOT NEW.client_id;
END;

DROP TRIGGER IF EXISTS capture_revoked_sessions_insert;
DROP TRIGGER IF EXISTS capture_revoked_sessions_delete;
DROP TRIGGER IF EXISTS capture_revoked_sessions_update;
CREATE TRIGGER capture_revoked_sessions_insert AFTER INSERT ON revoked_sessions BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (9, NEW.session_id);
END;
CREATE TRIGGER capture_revoked_sessions_delete AFTER DELETE ON revoked_sessions BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (9, OLD.session_id);
END;
CREATE TRIGGER capture_revoked_sessions_update AFTER UPDATE ON revoked_sessions
WHEN OLD.session_id IS NOT NEW.session_id OR OLD.expires_at IS NOT NEW.expires_at BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (9, NEW.session_id);
    INSERT INTO feed_pending (tbl, k1) SELECT 9, OLD.session_id WHERE OLD.session_id IS NOT NEW.session_id;
END;

DROP TRIGGER IF EXISTS capture_revoked_grants_insert;
DROP TRIGGER IF EXISTS capture_revoked_grants_delete;
DROP TRIGGER IF EXISTS capture_revoked_grants_update;
CREATE TRIGGER capture_revoked_grants_insert AFTER INSERT ON revoked_grants BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (10, NEW.grant_id);
END;
CREATE TRIGGER capture_revoked_grants_delete AFTER DELETE ON revoked_grants BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (10, OLD.grant_id);
END;
CREATE TRIGGER capture_revoked_grants_update AFTER UPDATE ON revoked_grants
WHEN OLD.grant_id IS NOT NEW.grant_id OR OLD.expires_at IS NOT NEW.expires_at BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (10, NEW.grant_id);
    INSERT INTO feed_pending (tbl, k1) SELECT 10, OLD.grant_id WHERE OLD.grant_id IS NOT NEW.grant_id;
END;

DROP TRIGGER IF EXISTS capture_signing_keys_insert;
DROP TRIGGER IF EXISTS capture_signing_keys_delete;
DROP TRIGGER IF EXISTS capture_signing_keys_update;
CREATE TRIGGER capture_signing_keys_insert AFTER INSERT ON signing_keys BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (11, CAST(NEW.kid AS BLOB));
END;
CREATE TRIGGER capture_signing_keys_delete AFTER DELETE ON signing_keys BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (11, CAST(OLD.kid AS BLOB));
END;
CREATE TRIGGER capture_signing_keys_update AFTER UPDATE ON signing_keys
WHEN OLD.kid IS NOT NEW.kid OR OLD.purpose IS NOT NEW.purpose OR OLD.algorithm IS NOT NEW.algorithm OR OLD.public_jwk IS NOT NEW.public_jwk BEGIN
    INSERT INTO feed_pending (tbl, k1) VALUES (11, CAST(NEW.kid AS BLOB));
    INSERT INTO feed_pending (tbl, k1) SELECT 11, CAST(OLD.kid AS BLOB) WHERE OLD.kid IS NOT NEW.kid;
END;

DROP TRIGGER IF EXISTS capture_scope_permissions_insert;
DROP TRIGGER IF EXISTS capture_scope_permissions_delete;
DROP TRIGGER IF EXISTS capture_scope_permissions_update;
CREATE TRIGGER capture_scope_permissions_insert AFTER INSERT ON scope_permissions BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (12, CAST(NEW.scope AS BLOB), NEW.permission_id);
END;
CREATE TRIGGER capture_scope_permissions_delete AFTER DELETE ON scope_permissions BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (12, CAST(OLD.scope AS BLOB), OLD.permission_id);
END;
CREATE TRIGGER capture_scope_permissions_update AFTER UPDATE ON scope_permissions
WHEN OLD.scope IS NOT NEW.scope OR OLD.permission_id IS NOT NEW.permission_id BEGIN
    INSERT INTO feed_pending (tbl, k1, k2) VALUES (12, CAST(NEW.scope AS BLOB), NEW.permission_id);
    INSERT INTO feed_pending (tbl, k1, k2) SELECT 12, CAST(OLD.scope AS BLOB), OLD.permission_id WHERE OLD.scope IS NOT NEW.scope OR OLD.permission_id IS NOT NEW.permission_id;
END;
