-- E-mail addresses are kept in lower case; those from before are brought to it. Of users whose addresses then are the
-- same, the one whose provider verified it keeps it, among several the oldest. The others get a placeholder that
-- `doorward user list --search` finds, and a row in the audit log; what their providers say stays in account_details.
WITH same AS (
    SELECT u.id, u.created_at, lower(u.email) AS address,
        EXISTS (
            SELECT 1 FROM oauth_accounts o JOIN account_details d ON d.account_id = o.id
            WHERE o.user_id = u.id AND d.email_verified = 1 AND lower(d.email) = lower(u.email)
        ) AS verified
    FROM users u
    WHERE lower(u.email) IN (SELECT lower(email) FROM users GROUP BY lower(email) HAVING count(*) > 1)
), ranked AS (
    SELECT id, first_value(id) OVER (PARTITION BY address ORDER BY verified DESC, created_at, id) AS kept FROM same
)
INSERT INTO audit_log (id, at, actor, event, target, details)
SELECT
    -- UUIDv7: the audit log is in order of its ids.
    unhex(printf('%012x', CAST(unixepoch('subsec') * 1000 AS INTEGER)) || '7' || substr(hex(randomblob(2)), 2)
        || '8' || substr(hex(randomblob(8)), 2)),
    CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000,
    'system', 'user.email_collision',
    'user:' || lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-'
        || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)),
    '{"kept_by":"user:' || lower(substr(hex(kept), 1, 8) || '-' || substr(hex(kept), 9, 4) || '-'
        || substr(hex(kept), 13, 4) || '-' || substr(hex(kept), 17, 4) || '-' || substr(hex(kept), 21)) || '"}'
FROM ranked WHERE id <> kept;

WITH same AS (
    SELECT u.id, u.created_at, lower(u.email) AS address,
        EXISTS (
            SELECT 1 FROM oauth_accounts o JOIN account_details d ON d.account_id = o.id
            WHERE o.user_id = u.id AND d.email_verified = 1 AND lower(d.email) = lower(u.email)
        ) AS verified
    FROM users u
    WHERE lower(u.email) IN (SELECT lower(email) FROM users GROUP BY lower(email) HAVING count(*) > 1)
), ranked AS (
    SELECT id, first_value(id) OVER (PARTITION BY address ORDER BY verified DESC, created_at, id) AS kept FROM same
)
UPDATE users
SET email = lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-'
        || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)) || '@duplicate.invalid',
    updated_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000
WHERE id IN (SELECT id FROM ranked WHERE id <> kept);

UPDATE users SET email = lower(email) WHERE email <> lower(email);
UPDATE account_details SET email = lower(email) WHERE email <> lower(email);
UPDATE organization_invitations SET email = lower(email) WHERE email <> lower(email);
