-- What every login writes has no more indexes than are read. Most grants and most entries of logins belong to no
-- organization, and a refresh token's own `expires_at` is the time until which it may lie unused.
DROP INDEX idx_grants_organization;
CREATE INDEX idx_grants_organization ON grants(organization_id) WHERE organization_id IS NOT NULL;
DROP INDEX idx_audit_organization;
CREATE INDEX idx_audit_organization ON audit_log(organization_id, at) WHERE organization_id IS NOT NULL;
DROP INDEX idx_refresh_details_idle;
