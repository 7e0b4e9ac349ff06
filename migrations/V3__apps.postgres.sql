-- Which apps are installed, and what undoes their migrations: written with the
-- history, in the migrator's transactions.

-- `history` is where the app's history table is, quoted as in SQL. A disabled app's
-- migrations are not expected. Of one that is kept, tables and history were left
-- when it was uninstalled.
CREATE TABLE bustard.app (
    label   pg_catalog.text COLLATE pg_catalog."C" NOT NULL PRIMARY KEY,
    history pg_catalog.text NOT NULL,
    state   pg_catalog.text NOT NULL CHECK (state OPERATOR(pg_catalog.=) ANY ('{enabled,disabled,kept}'::pg_catalog.text[]))
);

-- The record of each applied migration. `body` is the checksum of its text without
-- its dependencies, `needs` the migrations of other apps that it depends on ("forum:1
-- bans:2"), `required_by` those before which it asks to be, `undo` what undoes it, as
-- the text of a migration file, and `obstacle` why that text alone does not, where it
-- does not.
CREATE TABLE bustard.migration (
    app         pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
    version     bigint NOT NULL,
    body        pg_catalog.text NOT NULL,
    needs       pg_catalog.text NOT NULL,
    required_by pg_catalog.text NOT NULL,
    undo        pg_catalog.text NOT NULL,
    obstacle    pg_catalog.text,
    PRIMARY KEY (app, version)
);

-- Whoever may look at the history may also see how the apps stand. What undoes a
-- migration is run with the rights of whoever uninstalls: nobody else writes it.
GRANT SELECT ON bustard.app TO PUBLIC;
GRANT SELECT (app, version, body, needs, required_by) ON bustard.migration TO PUBLIC;

-- Whoever applies this: one role owns all of it.
DO $$
DECLARE
    owner pg_catalog.name := (
        SELECT pg_catalog.pg_get_userbyid(k.relowner) FROM pg_catalog.pg_class AS k
        WHERE k.oid OPERATOR(pg_catalog.=) 'bustard.cache'::pg_catalog.regclass::pg_catalog.oid);
BEGIN
    IF owner OPERATOR(pg_catalog.<>) CURRENT_USER THEN
        EXECUTE pg_catalog.format('ALTER TABLE bustard.app OWNER TO %I', owner);
        EXECUTE pg_catalog.format('ALTER TABLE bustard.migration OWNER TO %I', owner);
    END IF;
END
$$;
