//! Proves that the stress test finds faults: each fault of versions is put into a database
//! of its own.

use super::ledger::Fault;
use super::stress::{Until, run};

const CACHES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Runs the stress with these changes, and returns the checker's first finding of
/// this fault.
#[track_caller]
fn finding(fault: Fault, change: &str) -> String {
    let _alone = crate::alone();
    let (database, mut client) = super::with_caches(&CACHES);
    super::run(&mut client, change);
    let ledger = run(&database, &Until::Found(fault));
    let report = ledger.report();
    ledger.findings(fault).into_iter().next().unwrap_or_else(|| panic!("no {fault:?}, but:\n{report}"))
}

/// Replaces the function that counts. `version` is an expression that contains the id of a
/// cache, `wanted`.
fn counted(version: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION bustard.get_version(name text) RETURNS bigint
         LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
         DECLARE wanted integer := (SELECT c.id FROM bustard.cache AS c WHERE c.name = $1);
         BEGIN RETURN coalesce(({version}), 0); END $$;
         CREATE OR REPLACE VIEW bustard.caches AS
         SELECT c.name::text AS name, c.app, bustard.get_version(c.name) AS version, c.registered_at, '{{}}'::text[] COLLATE \"C\" AS tables
         FROM bustard.cache AS c WHERE c.active;"
    )
}

/// Replaces the invalidation. `statement` can use `ids`, the ids of the caches.
fn invalidated(statement: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION bustard.invalidate(VARIADIC names text[]) RETURNS void
         LANGUAGE plpgsql SECURITY DEFINER AS $$
         DECLARE ids integer[] := ARRAY(SELECT c.id FROM bustard.cache AS c WHERE c.name = ANY ($1));
         BEGIN {statement}; END $$;
         CREATE OR REPLACE FUNCTION bustard.invalidate_all() RETURNS void
         LANGUAGE plpgsql SECURITY DEFINER AS $$
         DECLARE ids integer[] := '{{1}}';
         BEGIN {statement}; END $$;"
    )
}

/// Adds a statement to folding, before the write of row 0 of the base, which is the last
/// write.
fn folding_also(statement: &str) -> String {
    format!(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement}; RETURN new; END $$;
         CREATE TRIGGER meddle BEFORE UPDATE ON bustard.base FOR EACH ROW EXECUTE FUNCTION meddle();"
    )
}

/// In this fault, the version is the highest id of an event. An event with a higher id may
/// commit before an event with a lower id.
#[test]
fn versions_by_the_highest_id() {
    let found = finding(
        Fault::TwoStates,
        &[
            "CREATE TABLE log (id bigserial PRIMARY KEY, cache_id integer NOT NULL);
           CREATE INDEX ON log (cache_id, id);"
                .to_owned(),
            invalidated("INSERT INTO public.log (cache_id) SELECT unnest(ids)"),
            counted("SELECT max(l.id) FROM public.log AS l WHERE l.cache_id IN (1, wanted)"),
        ]
        .concat(),
    );
    assert!(found.contains(" belongs to "), "{found}");
}

/// In this fault, versions do not include the base, so folding removes invalidations.
#[test]
fn versions_by_the_number_of_events() {
    let found = finding(
        Fault::WentBack,
        &counted("SELECT count(*) << 23 FROM bustard.event AS e WHERE e.cell >> 12 IN (1, wanted)"),
    );
    assert!(found.contains(" back to "), "{found}");
}

/// In this fault, versions have no nonce, so a version that was rolled back occurs again.
#[test]
fn versions_without_an_identity() {
    let found = finding(
        Fault::TwoStates,
        &counted(
            "SELECT sum(s.n)::bigint << 23 FROM (
                 SELECT b.cell, b.n FROM bustard.base AS b UNION ALL SELECT e.cell, 1 FROM bustard.event AS e
             ) AS s WHERE s.cell >> 12 IN (1, wanted)",
        ),
    );
    assert!(found.contains("rolled back") || found.contains("None"), "{found}");
}

/// In this fault, all writers wait for each other.
#[test]
fn one_counter_row_for_each_cache() {
    let found = finding(
        Fault::Refused,
        &["CREATE TABLE counter AS SELECT id, 1::bigint AS n FROM bustard.cache;".to_owned(),
            invalidated(
                "FOR i IN 1..cardinality(ids) LOOP UPDATE public.counter SET n = n + 1 WHERE id = ids[i]; END LOOP",
            ),
            counted("SELECT sum(c.n)::bigint << 23 FROM public.counter AS c WHERE c.id IN (1, wanted)"),
        ]
        .concat(),
    );
    assert!(found.contains("40001") || found.contains("40P01"), "{found}");
}

/// In this fault, the function takes a snapshot of its own within the statement that reads
/// the data.
#[test]
fn a_volatile_get_version() {
    finding(Fault::TwoStates, "ALTER FUNCTION bustard.get_version(text) VOLATILE");
}

/// In this fault, the horizon skips transactions that have not committed yet.
#[test]
fn a_fold_that_forgets_running_transactions() {
    finding(Fault::Miscounted, &folding_also("IF new.cell = 0 THEN new.unfinished := '{}'; END IF"));
}

/// In this fault, a fold changes the XOR of the nonces.
#[test]
fn a_fold_that_changes_versions() {
    finding(Fault::TwoVersions, &folding_also("new.nonce := new.nonce # 1"));
}

/// In this fault, an entry stays valid after the first invalidation.
#[test]
fn an_is_valid_that_tolerates_one_invalidation() {
    let found = finding(
        Fault::Stale,
        "CREATE OR REPLACE FUNCTION bustard.is_valid(name text, version bigint) RETURNS boolean
         LANGUAGE sql STABLE AS $$ SELECT (bustard.get_version($1) >> 23) - ($2 >> 23) < 2 $$",
    );
    assert!(found.contains("valid under"), "{found}");
}
