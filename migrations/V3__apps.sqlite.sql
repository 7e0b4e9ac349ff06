-- Which apps are installed, and what undoes their migrations: written with the
-- history, in the migrator's transactions.

-- `history` is where the app's history table is, quoted as in SQL. A disabled app's
-- migrations are not expected. Of one that is kept, tables and history were left
-- when it was uninstalled.
CREATE TABLE bustard_app (
    label   TEXT NOT NULL PRIMARY KEY,
    history TEXT NOT NULL,
    state   TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'kept'))
);

-- The record of each applied migration. `body` is the checksum of its text without
-- its dependencies, `needs` the migrations of other apps that it depends on ("forum:1
-- bans:2"), `required_by` those before which it asks to be, `undo` what undoes it, as
-- the text of a migration file, and `obstacle` why that text alone does not, where it
-- does not.
CREATE TABLE bustard_migration (
    app         TEXT NOT NULL,
    version     INTEGER NOT NULL,
    body        TEXT NOT NULL,
    needs       TEXT NOT NULL,
    required_by TEXT NOT NULL,
    undo        TEXT NOT NULL,
    obstacle    TEXT,
    PRIMARY KEY (app, version)
);
