-- bustard: depends on bustard R__located
-- bustard: depends on bustard R__table_changed
-- bustard: depends on bustard R__trigger_name

-- Shows the triggers that tracked tables need, and whether each is installed. Each tracked
-- table needs four. So do its partitions and child tables, because a direct write to a
-- partition fires no trigger of its parent. So do the parents of all these tables, because
-- a write through a parent fires no statement trigger of its partitions. (The trigger of a
-- parent does not learn which partition was written to, so every write through the parent
-- of a tracked partition invalidates the cache.) Temporary child tables have no triggers,
-- because only one session uses them.
CREATE OR REPLACE VIEW bustard.wanted_trigger AS
WITH RECURSIVE part AS (
    SELECT l.cache, l.found AS relation FROM bustard.located AS l WHERE l.found IS NOT NULL
  UNION
    SELECT p.cache, k.oid
    FROM part AS p
        JOIN pg_catalog.pg_inherits AS i ON i.inhparent OPERATOR(pg_catalog.=) p.relation
        JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhrelid
    WHERE k.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
      AND k.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog."char"
), whole AS (
    SELECT p.cache, p.relation FROM part AS p
  UNION
    SELECT w.cache, i.inhparent
    FROM whole AS w
        JOIN pg_catalog.pg_inherits AS i ON i.inhrelid OPERATOR(pg_catalog.=) w.relation
        JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) i.inhparent
    WHERE k.relkind OPERATOR(pg_catalog.=) ANY ('{r,p}'::pg_catalog."char"[])
)
SELECT p.cache, p.relation, n.nspname AS schema_name, k.relname AS table_name,
       EXISTS (SELECT FROM part AS o WHERE o.cache OPERATOR(pg_catalog.=) p.cache AND o.relation OPERATOR(pg_catalog.=) p.relation) AS below,
       v.event, v.rows, bustard.trigger_name(v.event, p.cache) AS name,
       EXISTS (
           SELECT FROM pg_catalog.pg_trigger AS g
           WHERE g.tgrelid OPERATOR(pg_catalog.=) p.relation
             AND g.tgname OPERATOR(pg_catalog.=) bustard.trigger_name(v.event, p.cache)
             AND g.tgfoid OPERATOR(pg_catalog.=) 'bustard.table_changed()'::pg_catalog.regprocedure::pg_catalog.oid
             AND g.tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}'::pg_catalog."char"[])
       ) AS installed
FROM whole AS p
    JOIN pg_catalog.pg_class AS k ON k.oid OPERATOR(pg_catalog.=) p.relation
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) k.relnamespace
    CROSS JOIN (VALUES
        ('insert'::pg_catalog.text, 'REFERENCING NEW TABLE AS changed'::pg_catalog.text),
        ('update', 'REFERENCING NEW TABLE AS changed'),
        ('delete', 'REFERENCING OLD TABLE AS changed'),
        ('truncate', '')
    ) AS v (event, rows);
