-- bustard: depends on bustard R__share

-- Notifies the listening processes, so that they read the versions. Call it after the
-- commit of the invalidation, because transactions that notify commit one after another.
CREATE OR REPLACE FUNCTION bustard.notify() RETURNS void
LANGUAGE sql AS $$
    SELECT pg_catalog.pg_notify('bustard', '')
$$;

SELECT bustard.share('notify', 'EXECUTE', 'FUNCTION bustard.notify()');
