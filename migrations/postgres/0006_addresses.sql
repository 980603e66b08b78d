-- E-mail addresses are kept in lower case; those from before are brought to it. Of users whose addresses then are the
-- same, the one whose provider verified it keeps it, among several the oldest. The others get a placeholder that
-- `doorward user list --search` finds, and a row in the audit log; what their providers say stays in account_details.
-- By the rules of "C" only the letters of ASCII have a case, as in the program and in SQLite.
WITH same AS (
    SELECT u.id, u.created_at, lower(u.email COLLATE "C") AS address,
        EXISTS (
            SELECT 1 FROM oauth_accounts o JOIN account_details d ON d.account_id = o.id
            WHERE o.user_id = u.id AND d.email_verified
                AND lower(d.email COLLATE "C") = lower(u.email COLLATE "C")
        ) AS verified
    FROM users u
    WHERE lower(u.email COLLATE "C") IN (
        SELECT lower(email COLLATE "C") FROM users GROUP BY lower(email COLLATE "C") HAVING count(*) > 1
    )
), ranked AS (
    SELECT id, first_value(id) OVER (PARTITION BY address ORDER BY verified DESC, created_at, id) AS kept FROM same
)
INSERT INTO audit_log (id, at, actor, event, target, details)
SELECT
    -- UUIDv7: the audit log is in order of its ids.
    (lpad(to_hex(floor(extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7'
        || substr(replace(gen_random_uuid()::text, '-', ''), 1, 3) || '8'
        || substr(replace(gen_random_uuid()::text, '-', ''), 18))::uuid,
    date_trunc('milliseconds', now()),
    'system', 'user.email_collision', 'user:' || id::text, '{"kept_by":"user:' || kept::text || '"}'
FROM ranked WHERE id <> kept;

WITH same AS (
    SELECT u.id, u.created_at, lower(u.email COLLATE "C") AS address,
        EXISTS (
            SELECT 1 FROM oauth_accounts o JOIN account_details d ON d.account_id = o.id
            WHERE o.user_id = u.id AND d.email_verified
                AND lower(d.email COLLATE "C") = lower(u.email COLLATE "C")
        ) AS verified
    FROM users u
    WHERE lower(u.email COLLATE "C") IN (
        SELECT lower(email COLLATE "C") FROM users GROUP BY lower(email COLLATE "C") HAVING count(*) > 1
    )
), ranked AS (
    SELECT id, first_value(id) OVER (PARTITION BY address ORDER BY verified DESC, created_at, id) AS kept FROM same
)
UPDATE users SET email = id::text || '@duplicate.invalid', updated_at = now()
WHERE id IN (SELECT id FROM ranked WHERE id <> kept);

UPDATE users SET email = lower(email COLLATE "C") WHERE email <> lower(email COLLATE "C");
UPDATE account_details SET email = lower(email COLLATE "C") WHERE email <> lower(email COLLATE "C");
UPDATE organization_invitations SET email = lower(email COLLATE "C") WHERE email <> lower(email COLLATE "C");
