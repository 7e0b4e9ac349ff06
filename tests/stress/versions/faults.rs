//! The stress test finds what it is there to find: each way in which versions
//! could lie is put into a database of its own.

use super::ledger::Fault;
use super::stress::{Until, run};

const CACHES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What the checker says of the first such fault, after these changes.
#[track_caller]
fn finding(fault: Fault, change: &str) -> String {
    let _alone = crate::alone();
    let (database, mut client) = super::with_caches(&CACHES);
    super::run(&mut client, change);
    let ledger = run(&database, &Until::Found(fault));
    let report = ledger.report();
    ledger.findings(fault).into_iter().next().unwrap_or_else(|| panic!("no {fault:?}, but:\n{report}"))
}

/// Another way to count: `version` is made of a cache's id, `wanted`.
fn counted(version: &str) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION bustard.get_version(name text) RETURNS bigint
         LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
         DECLARE wanted integer := (SELECT c.id FROM bustard.cache AS c WHERE c.name = $1);
         BEGIN RETURN coalesce(({version}), 0); END $$;
         CREATE OR REPLACE VIEW bustard.caches AS
         SELECT c.name::text AS name, c.app, bustard.get_version(c.name) AS version, c.registered_at
         FROM bustard.cache AS c WHERE c.active;"
    )
}

/// Another way to invalidate: `statement` is given the caches' `ids`.
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

/// Folding writes row 0 of the base last: this is what else it does then.
fn folding_also(statement: &str) -> String {
    format!(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement}; RETURN new; END $$;
         CREATE TRIGGER meddle BEFORE UPDATE ON bustard.base FOR EACH ROW EXECUTE FUNCTION meddle();"
    )
}

/// The highest id commits before a lower one does.
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
    assert!(found.contains(" is of "), "{found}");
}

/// Without the base, folding takes invalidations away.
#[test]
fn versions_by_the_number_of_events() {
    let found = finding(
        Fault::WentBack,
        &counted("SELECT count(*) << 23 FROM bustard.event AS e WHERE e.cache_id IN (1, wanted)"),
    );
    assert!(found.contains(" back to "), "{found}");
}

/// Without the nonce, what was rolled back comes again.
#[test]
fn versions_without_an_identity() {
    let found = finding(
        Fault::TwoStates,
        &counted(
            "SELECT sum(s.n)::bigint << 23 FROM (
                 SELECT b.cache_id, b.n FROM bustard.base AS b UNION ALL SELECT e.cache_id, 1 FROM bustard.event AS e
             ) AS s WHERE s.cache_id IN (1, wanted)",
        ),
    );
    assert!(found.contains("rolled back") || found.contains("None"), "{found}");
}

/// Everybody waits for everybody.
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

/// A snapshot of its own within the statement that reads the data.
#[test]
fn a_volatile_get_version() {
    finding(Fault::TwoStates, "ALTER FUNCTION bustard.get_version(text) VOLATILE");
}

/// The horizon passes over transactions that have not committed yet.
#[test]
fn a_fold_that_forgets_who_was_running() {
    finding(Fault::Miscounted, &folding_also("IF new.cache_id = 0 THEN new.unfinished := '{}'; END IF"));
}

/// The nonces do not add up.
#[test]
fn a_fold_that_everybody_sees() {
    finding(Fault::TwoVersions, &folding_also("new.nonce := new.nonce # 1"));
}

/// An entry survives the first invalidation.
#[test]
fn a_forgiving_is_valid() {
    let found = finding(
        Fault::Stale,
        "CREATE OR REPLACE FUNCTION bustard.is_valid(name text, version bigint) RETURNS boolean
         LANGUAGE sql STABLE AS $$ SELECT (bustard.get_version($1) >> 23) - ($2 >> 23) < 2 $$",
    );
    assert!(found.contains("valid under"), "{found}");
}
