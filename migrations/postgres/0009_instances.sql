-- Instances of resources, as services register them: what sidecars know of single things. An organization or a
-- resource that goes takes its instances with it; the manifest's sync removes those of a resource that no permission
-- names any more.
CREATE TABLE resource_instances (
    service varchar(50) COLLATE "C" NOT NULL,
    resource varchar(50) COLLATE "C" NOT NULL,
    id varchar(255) COLLATE "C" NOT NULL, -- by bytes, as on SQLite: pages are in its order
    organization_id uuid NOT NULL REFERENCES organizations(id) ON DELETE CASCADE,
    attributes varchar(4096) NOT NULL, -- canonical JSON
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (service, resource, id)
);
-- What a cascade and the quota of an organization look for.
CREATE INDEX idx_resource_instances_organization ON resource_instances(organization_id, service, resource, id);

-- The triggers of store::capture for it.
CREATE OR REPLACE FUNCTION capture_resource_instances() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP TRIGGER IF EXISTS capture_resource_instances_rows ON resource_instances;
CREATE TRIGGER capture_resource_instances_rows AFTER INSERT OR DELETE ON resource_instances
    FOR EACH ROW EXECUTE FUNCTION capture_resource_instances();
DROP TRIGGER IF EXISTS capture_resource_instances_update ON resource_instances;
CREATE TRIGGER capture_resource_instances_update AFTER UPDATE ON resource_instances
    FOR EACH ROW WHEN (OLD.service IS DISTINCT FROM NEW.service OR OLD.resource IS DISTINCT FROM NEW.resource OR OLD.id IS DISTINCT FROM NEW.id OR OLD.organization_id IS DISTINCT FROM NEW.organization_id OR OLD.attributes IS DISTINCT FROM NEW.attributes) EXECUTE FUNCTION capture_resource_instances();
DROP TRIGGER IF EXISTS capture_resource_instances_truncate ON resource_instances;
CREATE TRIGGER capture_resource_instances_truncate BEFORE TRUNCATE ON resource_instances
    FOR EACH STATEMENT EXECUTE FUNCTION feed_refuse_truncate();
