-- bustard: depends on bustard R__share

-- Tells who listens that there is something to look at. Call it after the commit:
-- committing transactions that notify queue up behind one lock.
CREATE OR REPLACE FUNCTION bustard.notify() RETURNS void
LANGUAGE sql AS $$
    SELECT pg_catalog.pg_notify('bustard', '')
$$;

SELECT bustard.share('notify', 'EXECUTE', 'FUNCTION bustard.notify()');
