//! What is in a PostgreSQL database, as text that two databases of one server can be
//! compared by. It is read from the catalogue, because `pg_dump` refuses a server that is
//! newer than itself.

use postgres::{Client, SimpleQueryMessage};

/// Every object that is not the server's own: its kind, the schema and name by which it
/// can be left out, and its definition.
const OBJECTS: &str = r"
WITH schema AS (
    SELECT oid, nspname::text AS name FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), relation AS (
    SELECT c.*, schema.name AS schema, schema.name || '.' || c.relname AS path
    FROM pg_class AS c JOIN schema ON schema.oid = c.relnamespace
), of_extension AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
)
SELECT 'schema', schema.name, concat_ws(' ', pg_get_userbyid(n.nspowner), n.nspacl)
FROM schema JOIN pg_namespace AS n USING (oid)
UNION ALL
SELECT 'relation ' || c.relkind::text, path, concat_ws(' ', c.relpersistence, pg_get_userbyid(c.relowner), c.relacl,
    c.reloptions, 'identity', c.relreplident, 'security', c.relrowsecurity, c.relforcerowsecurity,
    pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(CASE c.relkind WHEN 'p' THEN c.oid END),
    (SELECT string_agg(inhparent::regclass::text, ',' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid),
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)
FROM relation AS c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')
UNION ALL
SELECT 'column', path, concat_ws(' ', lpad(row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum)::text, 4, '0'),
    a.attname, format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
    'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), 'identity', a.attidentity, 'generated', a.attgenerated, 'storage', a.attstorage,
    'collation', nullif(a.attcollation, t.typcollation), a.attoptions, a.attacl)
FROM relation AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
UNION ALL
SELECT 'constraint', path, concat_ws(' ', k.conname, pg_get_constraintdef(k.oid), k.convalidated)
FROM relation AS c JOIN pg_constraint AS k ON k.conrelid = c.oid
UNION ALL
SELECT 'index', path, concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident, i.indisclustered)
FROM relation AS c JOIN pg_index AS i ON i.indrelid = c.oid
UNION ALL
SELECT 'trigger', path, concat_ws(' ', pg_get_triggerdef(g.oid), g.tgenabled)
FROM relation AS c JOIN pg_trigger AS g ON g.tgrelid = c.oid WHERE NOT g.tgisinternal
UNION ALL
SELECT 'rule', path, concat_ws(' ', pg_get_ruledef(r.oid), r.ev_enabled)
FROM relation AS c JOIN pg_rewrite AS r ON r.ev_class = c.oid WHERE r.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', path, concat_ws(' ', p.polname, p.polcmd, p.polpermissive, p.polroles,
    pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid))
FROM relation AS c JOIN pg_policy AS p ON p.polrelid = c.oid
UNION ALL
SELECT 'sequence', path, concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
    s.seqcache, s.seqcycle, 'of', (SELECT d.refobjid::regclass::text || '.' || d.refobjsubid FROM pg_depend AS d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0))
FROM relation AS c JOIN pg_sequence AS s ON s.seqrelid = c.oid
UNION ALL
SELECT 'statistics', schema.name || '.' || s.stxname, pg_get_statisticsobjdef(s.oid)
FROM pg_statistic_ext AS s JOIN schema ON schema.oid = s.stxnamespace
UNION ALL
SELECT 'function', schema.name || '.' || f.proname, concat_ws(' ', pg_get_userbyid(f.proowner), f.proacl,
    CASE WHEN f.prokind = 'a' THEN pg_get_function_identity_arguments(f.oid) ELSE pg_get_functiondef(f.oid) END)
FROM pg_proc AS f JOIN schema ON schema.oid = f.pronamespace
WHERE NOT EXISTS (SELECT FROM of_extension WHERE classid = 'pg_proc'::regclass AND objid = f.oid)
UNION ALL
SELECT 'type ' || t.typtype::text, schema.name || '.' || t.typname, concat_ws(' ', pg_get_userbyid(t.typowner), t.typacl,
    CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END, CASE WHEN t.typnotnull THEN 'not null' END,
    t.typdefault, (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
    (SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ',' ORDER BY conname) FROM pg_constraint
    WHERE contypid = t.oid))
FROM pg_type AS t JOIN schema ON schema.oid = t.typnamespace
WHERE t.typtype IN ('d', 'e', 'r')
    AND NOT EXISTS (SELECT FROM of_extension WHERE classid = 'pg_type'::regclass AND objid = t.oid)
UNION ALL
SELECT 'extension', extname, extversion FROM pg_extension
UNION ALL
SELECT 'comment', i.identity, i.type || ' ' || d.description
FROM pg_description AS d, pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i WHERE d.objoid >= 16384
UNION ALL
SELECT 'default rights', pg_get_userbyid(defaclrole), concat_ws(' ', defaclnamespace::regnamespace, defaclobjtype, defaclacl)
FROM pg_default_acl
UNION ALL
SELECT 'event trigger', evtname, concat_ws(' ', evtevent, evtfoid::regproc, evtenabled, evttags) FROM pg_event_trigger
UNION ALL
SELECT 'publication', p.pubname, concat_ws(' ', p.puballtables, (SELECT string_agg(prrelid::regclass::text, ',' ORDER BY 1)
    FROM pg_publication_rel WHERE prpubid = p.oid)) FROM pg_publication AS p
ORDER BY 1, 2, 3";

/// The objects, one a line, without those whose `schema.name` begins with one of these.
pub fn schema(client: &mut Client, without: &[&str]) -> String {
    let mut text = String::new();
    for row in rows(client, OBJECTS) {
        let [kind, path, definition] = &row[..] else { panic!("three columns") };
        if !without.iter().any(|start| path.starts_with(start)) {
            text += &format!("{kind} {path}: {}\n", definition.trim().replace('\n', "\n    "));
        }
    }
    text
}

/// The objects, every row of every table, and where the sequences are.
pub fn contents(client: &mut Client) -> String {
    let mut text = schema(client, &[]);
    let relations = "SELECT c.oid::regclass::text, c.relkind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1";
    for relation in rows(client, relations) {
        let [name, kind] = &relation[..] else { panic!("two columns") };
        let all = match kind.as_str() {
            "S" => format!("SELECT last_value || ' ' || is_called FROM {name}"),
            _ => format!("SELECT t::text FROM ONLY {name} AS t ORDER BY 1"),
        };
        for row in rows(client, &all) {
            text += &format!("{name}: {}\n", row.concat());
        }
    }
    text
}

fn rows(client: &mut Client, sql: &str) -> Vec<Vec<String>> {
    // Names as they are in the catalogue, whatever the database sets.
    let sql = format!("SET search_path = pg_catalog; {sql}");
    let messages = client.simple_query(&sql).expect("the catalogue can be read");
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    rows.map(|row| (0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect()).collect()
}
