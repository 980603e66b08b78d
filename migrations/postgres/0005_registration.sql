-- Clients that register themselves (RFC 7591), within what their initial access token allows.
ALTER TABLE registration_tokens ADD COLUMN policy text NOT NULL DEFAULT '{}'; -- JSON: what such a client may be
ALTER TABLE client_details ADD COLUMN registration_policy text; -- of a registered client: the policy it came by
