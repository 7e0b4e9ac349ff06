-- bustard: depends on bustard R__share

CREATE OR REPLACE FUNCTION bustard.invalidate_all() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO bustard.event (cell) VALUES (4096);
END
$$;

SELECT bustard.share('invalidate_all', 'EXECUTE', 'FUNCTION bustard.invalidate_all()');
