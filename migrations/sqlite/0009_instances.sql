-- Instances of resources, as services register them: what sidecars know of single things. An organization or a
-- resource that goes takes its instances with it; the manifest's sync removes those of a resource that no permission
-- names any more.
CREATE TABLE resource_instances (
    service TEXT NOT NULL CHECK (length(service) <= 50),
    resource TEXT NOT NULL CHECK (length(resource) <= 50),
    id TEXT NOT NULL CHECK (length(id) <= 255),
    organization_id BLOB NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    attributes TEXT NOT NULL CHECK (length(attributes) <= 4096), -- canonical JSON
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (service, resource, id)
) STRICT, WITHOUT ROWID;
-- What a cascade and the quota of an organization look for.
CREATE INDEX idx_resource_instances_organization ON resource_instances(organization_id, service, resource, id);

-- The triggers of store::capture for it.
DROP TRIGGER IF EXISTS capture_resource_instances_insert;
DROP TRIGGER IF EXISTS capture_resource_instances_delete;
DROP TRIGGER IF EXISTS capture_resource_instances_update;
CREATE TRIGGER capture_resource_instances_insert AFTER INSERT ON resource_instances BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (13, CAST(NEW.service AS BLOB), CAST(NEW.resource AS BLOB), CAST(NEW.id AS BLOB));
END;
CREATE TRIGGER capture_resource_instances_delete AFTER DELETE ON resource_instances BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (13, CAST(OLD.service AS BLOB), CAST(OLD.resource AS BLOB), CAST(OLD.id AS BLOB));
END;
CREATE TRIGGER capture_resource_instances_update AFTER UPDATE ON resource_instances
WHEN OLD.service IS NOT NEW.service OR OLD.resource IS NOT NEW.resource OR OLD.id IS NOT NEW.id OR OLD.organization_id IS NOT NEW.organization_id OR OLD.attributes IS NOT NEW.attributes BEGIN
    INSERT INTO feed_pending (tbl, k1, k2, k3) VALUES (13, CAST(NEW.service AS BLOB), CAST(NEW.resource AS BLOB), CAST(NEW.id AS BLOB));
    INSERT INTO feed_pending (tbl, k1, k2, k3) SELECT 13, CAST(OLD.service AS BLOB), CAST(OLD.resource AS BLOB), CAST(OLD.id AS BLOB) WHERE OLD.service IS NOT NEW.service OR OLD.resource IS NOT NEW.resource OR OLD.id IS NOT NEW.id;
END;
