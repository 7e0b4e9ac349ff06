-- Makes registrations, changes and unregistrations wait for each other. Each calls it before
-- it first reads the registry. They need READ COMMITTED: a statement of another level would
-- miss the events that have committed since its transaction began, and would take less than
-- they have come to into the carry of a cache.
CREATE OR REPLACE FUNCTION bustard.begin_registering() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF pg_catalog.current_setting('transaction_isolation')
       OPERATOR(pg_catalog.<>) ALL ('{read committed,read uncommitted}'::pg_catalog.text[]) THEN
        RAISE EXCEPTION USING
            ERRCODE = '25001',
            MESSAGE = 'registering, changing and unregistering caches needs a READ COMMITTED transaction',
            HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED;';
    END IF;
    LOCK TABLE bustard.cache IN SHARE ROW EXCLUSIVE MODE;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.begin_registering() FROM PUBLIC;
