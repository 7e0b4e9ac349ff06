-- Grants PUBLIC the privilege on a function or view that has just been created. If the
-- function or view was installed before, its privileges stay as they are, because
-- `[registry] grant` or a person may have granted them to other roles. Call this function
-- before the installation is recorded.
CREATE OR REPLACE FUNCTION bustard.share(name pg_catalog.text, privilege pg_catalog.text, object pg_catalog.text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM bustard.repeatable AS r
        WHERE r.app OPERATOR(pg_catalog.=) 'bustard' AND r.name OPERATOR(pg_catalog.=) $1
    ) THEN
        EXECUTE pg_catalog.format('GRANT %s ON %s TO PUBLIC', $2, $3);
    END IF;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.share(pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
