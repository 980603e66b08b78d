-- A grant begins with one code and has one live refresh token, which therefore take its id for theirs: what else is to
-- be known of the two stands in the grant's row, and a login writes to two thirds of the tables and indexes.
ALTER TABLE grants ADD COLUMN nonce text;                             -- of the request, for the ID token
ALTER TABLE grants ADD COLUMN redeemed_code_hash varchar(255);        -- the mark of a used code
ALTER TABLE grants ADD COLUMN refresh_generation bigint NOT NULL DEFAULT 0; -- of the live token; 0 for the first

-- Whoever asks for the grants of a session knows whose it is.
DROP INDEX idx_grants_session;
DROP INDEX idx_grants_user;
CREATE INDEX idx_grants_user ON grants(user_id, session_id);

-- Codes live for a minute: a login that was under way begins again.
DELETE FROM authorization_codes;
DROP TABLE authorization_code_details;
DROP TABLE authorization_code_tombstones;

-- Dropped first: it refers to the ids that change.
CREATE TABLE moved_refresh_tokens (id uuid NOT NULL PRIMARY KEY, grant_id uuid NOT NULL, generation bigint NOT NULL);
INSERT INTO moved_refresh_tokens SELECT token_id, grant_id, generation FROM refresh_token_details;
DROP TABLE refresh_token_details;
UPDATE refresh_tokens SET id = (SELECT m.grant_id FROM moved_refresh_tokens m WHERE m.id = refresh_tokens.id)
WHERE id IN (SELECT id FROM moved_refresh_tokens);
UPDATE grants SET refresh_generation =
    (SELECT m.generation FROM moved_refresh_tokens m WHERE m.grant_id = grants.id)
WHERE id IN (SELECT grant_id FROM moved_refresh_tokens);
DROP TABLE moved_refresh_tokens;
