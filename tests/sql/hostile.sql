-- A schema full of traps: every function and operator that the registry uses, for
-- every type that it might use them on, raises an error here. It has tables and types
-- of the registry's names as well.
CREATE SCHEMA evil;
GRANT USAGE, CREATE ON SCHEMA evil TO PUBLIC;

CREATE FUNCTION evil.trap() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'trapped' USING ERRCODE = 'ZZ666';
END
$$;

DO $do$
DECLARE
    body CONSTANT text := 'BEGIN PERFORM evil.trap(); END';
    names CONSTANT text[] := '{abs,bit_xor,bool,cardinality,convert_to,count,current_setting,encode,generate_series,hashfloat8extended,int8,left,length,
        lower,max,name,now,oid,pg_current_snapshot,pg_current_xact_id,pg_current_xact_id_if_assigned,pg_notify,pg_snapshot_xip,pg_snapshot_xmax,
        pg_try_advisory_xact_lock,random,regclass,sha256,strpos,string_agg,substr,sum,text,to_regclass,txid_current,unnest,xid}';
    f record;
BEGIN
    FOR f IN
        SELECT DISTINCT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments, p.prorettype::regtype AS result
        FROM pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND p.proname = ANY (names)
          AND NOT EXISTS (SELECT FROM unnest(p.proargtypes::oid[] || p.prorettype) AS t
                          WHERE t::regtype::text IN ('internal', 'cstring', '"any"') OR t::regtype::text LIKE 'any%')
    LOOP
        EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.proname, f.arguments, f.result, body);
    END LOOP;
    EXECUTE format('CREATE FUNCTION evil.cardinality(text[]) RETURNS integer LANGUAGE plpgsql AS %L', body);
    EXECUTE format('CREATE FUNCTION evil.unnest(xid8[]) RETURNS SETOF xid8 LANGUAGE plpgsql AS %L', body);
    EXECUTE format('CREATE FUNCTION evil.concat(VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS %L', body);
    EXECUTE format('CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS %L', body);

    FOR f IN
        SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r
        FROM pg_operator AS o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0
          AND o.oprleft::regtype::text NOT LIKE '%any%' AND o.oprright::regtype::text NOT LIKE '%any%'
          AND o.oprname IN ('=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '&', '|', '#', '<<', '||', '~')
        UNION
        SELECT o, t, t FROM unnest('{text[],integer[],xid8[],name[],"\"char\"[]"}'::regtype[]) AS t, unnest('{=,<>,||}'::text[]) AS o
        UNION
        SELECT '||', 'text', 'text'
    LOOP
        EXECUTE format('CREATE OR REPLACE FUNCTION evil.trap(%s, %s) RETURNS boolean LANGUAGE plpgsql AS %L', f.l, f.r, body);
        EXECUTE format('CREATE OPERATOR evil.%s (FUNCTION = evil.trap, LEFTARG = %s, RIGHTARG = %s)', f.oprname, f.l, f.r);
    END LOOP;
END
$do$;

CREATE TABLE evil.cache ();
CREATE TABLE evil.event ();
CREATE TABLE evil.base ();
CREATE TABLE evil.caches ();
CREATE TABLE evil.fold ();
CREATE TABLE evil.changed ();
CREATE TABLE evil.located ();
CREATE TABLE evil.source ();
CREATE TABLE evil.former_sources ();
CREATE TABLE evil.unfolded ();
CREATE DOMAIN evil.text AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.xid AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.xid8 AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.int4 AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.int8 AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.bool AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.name AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.oid AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.record AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.regclass AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.regprocedure AS pg_catalog.int2 CHECK (evil.trap());
CREATE DOMAIN evil.pg_snapshot AS pg_catalog.int2 CHECK (evil.trap());
