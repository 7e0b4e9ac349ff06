-- Returns the triggers that the tables of these sources need, or of all active sources if
-- `ids` is null. Each source needs four on its table. So do its partitions and child tables, because a
-- direct write to a partition fires no trigger of its parent. So do the parents of all these
-- tables, because a write through a parent fires no statement trigger of its partitions.
-- (The trigger of a parent does not learn which partition was written to, so every write
-- through the parent of a tracked partition invalidates.) Temporary child tables have no
-- triggers, because only one session uses them.
--
-- `state` is 'installed', 'triggers' (the trigger does not exist), 'disabled', or 'edited'
-- (the trigger or its function is not the one that Bustard has written). `below` says that
-- the relation is the table, or a part of it. Planning takes longer than running, so one plan
-- serves all calls of a session. Compiling the plan would take seconds.
CREATE OR REPLACE FUNCTION bustard.wanted_triggers(
    ids integer[], OUT source integer, OUT relation pg_catalog.oid, OUT schema_name pg_catalog.name, OUT table_name pg_catalog.name,
    OUT below boolean, OUT event pg_catalog.text, OUT rows pg_catalog.text, OUT name pg_catalog.name,
    OUT function pg_catalog.name, OUT state pg_catalog.text
) RETURNS SETOF record
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
RETURN QUERY WITH RECURSIVE target AS MATERIALIZED (
    SELECT l.id, l.found, l.schema_name, l.table_name, l.columns, l.rule,
           bustard.function_name(l.schema_name, l.table_name, l.columns, l.rule) AS function
    FROM bustard.located AS l
    WHERE l.found IS NOT NULL
      AND CASE WHEN $1 IS NULL THEN l.active ELSE l.id OPERATOR(pg_catalog.=) ANY ($1) END
), part AS (
    SELECT t.id, t.found AS relation FROM target AS t
  UNION
    SELECT p.id, k.oid
    FROM part AS p
        JOIN pg_catalog.pg_inherits AS i ON i.inhparent OPERATOR(pg_catalog.=) p.relation
        JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhrelid
    WHERE k.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
      AND k.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"
), whole AS (
    SELECT p.id, p.relation FROM part AS p
  UNION
    SELECT w.id, i.inhparent
    FROM whole AS w
        JOIN pg_catalog.pg_inherits AS i ON i.inhrelid OPERATOR(pg_catalog.=) w.relation
        JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhparent
    WHERE k.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
), called AS MATERIALIZED (
    SELECT t.id, t.schema_name, t.table_name, t.columns, t.rule, t.function, p.oid,
           COALESCE(p.prosrc OPERATOR(pg_catalog.=) s.body
               AND s.body OPERATOR(pg_catalog.=) bustard.function_body(t.id)
               AND p.prosecdef AND p.proconfig IS NULL AND x.lanname OPERATOR(pg_catalog.=) 'plpgsql'::pg_catalog.name, false) AS good
    FROM target AS t
        JOIN bustard.source AS s ON s.id OPERATOR(pg_catalog.=) t.id
        LEFT JOIN (pg_catalog.pg_proc AS p
            JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace
                AND n.nspname OPERATOR(pg_catalog.=) 'bustard'::pg_catalog.name
            JOIN pg_catalog.pg_language AS x ON x.oid OPERATOR(pg_catalog.=) p.prolang
        ) ON p.proname OPERATOR(pg_catalog.=) t.function AND p.pronargs OPERATOR(pg_catalog.=) 0::pg_catalog.int2
)
SELECT w.id, w.relation, n.nspname, k.relname,
       EXISTS (SELECT FROM part AS o WHERE o.id OPERATOR(pg_catalog.=) w.id AND o.relation OPERATOR(pg_catalog.=) w.relation),
       v.event, v.rows, v.name, c.function,
       CASE WHEN g.oid IS NULL THEN 'triggers'
            WHEN g.tgenabled OPERATOR(pg_catalog.<>) ALL ('{O,A}'::pg_catalog."char"[]) THEN 'disabled'
            WHEN c.good AND g.tgfoid OPERATOR(pg_catalog.=) c.oid AND g.tgtype OPERATOR(pg_catalog.=) v.type
                AND g.tgqual IS NULL AND g.tgattr::pg_catalog.text OPERATOR(pg_catalog.=) ''
                AND g.tgconstraint OPERATOR(pg_catalog.=) 0::pg_catalog.oid
                AND COALESCE(g.tgnewtable, '') OPERATOR(pg_catalog.=) v.new::pg_catalog.name
                AND COALESCE(g.tgoldtable, '') OPERATOR(pg_catalog.=) v.old::pg_catalog.name THEN 'installed'
            ELSE 'edited' END
FROM whole AS w
    JOIN called AS c ON c.id OPERATOR(pg_catalog.=) w.id
    JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) w.relation
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
    CROSS JOIN LATERAL (
        SELECT e.event, e.old, e.new, e.type,
               CASE WHEN pg_catalog.concat(e.old, e.new) OPERATOR(pg_catalog.=) '' THEN ''
                    ELSE pg_catalog.concat('REFERENCING', ' OLD TABLE AS ' OPERATOR(pg_catalog.||) CASE WHEN e.old OPERATOR(pg_catalog.<>) '' THEN e.old END, ' NEW TABLE AS ' OPERATOR(pg_catalog.||) CASE WHEN e.new OPERATOR(pg_catalog.<>) '' THEN e.new END) END AS rows,
               bustard.trigger_name(e.event, c.schema_name, c.table_name, c.columns, c.rule) AS name
        FROM (VALUES
            (false, 'insert'::pg_catalog.text, ''::pg_catalog.text, 'changed'::pg_catalog.text, 4::pg_catalog.int2),
            (false, 'update', '', 'changed', 16::pg_catalog.int2),
            (false, 'delete', 'changed', '', 8::pg_catalog.int2),
            (false, 'truncate', '', '', 32::pg_catalog.int2),
            (true, 'insert', '', 'new_rows', 4::pg_catalog.int2),
            (true, 'update', 'old_rows', 'new_rows', 16::pg_catalog.int2),
            (true, 'delete', 'old_rows', '', 8::pg_catalog.int2),
            (true, 'truncate', '', '', 32::pg_catalog.int2)
        ) AS e (keyed, event, old, new, type)
        WHERE e.keyed OPERATOR(pg_catalog.=) (c.rule OPERATOR(pg_catalog.<>) '')
    ) AS v
    LEFT JOIN pg_catalog.pg_trigger AS g
        ON g.tgrelid OPERATOR(pg_catalog.=) w.relation AND g.tgname OPERATOR(pg_catalog.=) v.name;
END
$$;

REVOKE EXECUTE ON FUNCTION bustard.wanted_triggers(integer[]) FROM PUBLIC;
