//! Who owns Bustard's objects and the histories, and what other roles have put on them.
//!
//! In: the trusted roles and the history tables. Out: SQL on the catalogue, and
//! diagnostics from its rows.
//!
//! Code on a table runs with the rights of the role that writes to the table, or, for a
//! view or a policy, of the role that reads it. A run writes with the rights of the role
//! that migrates. So a guard comes before the first statement that reads one of these
//! objects, in the same message: it fails if one of them belongs to an untrusted role.

use std::collections::BTreeMap;

use super::literal::literal;
use crate::diagnostic::{Action, Advice, Code, Diagnostic};
use crate::engine::Row;
use crate::error::{Error, ErrorKind};

/// The SQLSTATE of a guard that fails: division by zero.
pub(super) const REFUSED: &str = "22012";

/// The name of the guard's column.
pub(super) const GUARD: &str = "bustard_objects_belong_to_trusted_roles";

/// The roles that are trusted beside the current role, superusers and the database's owner.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    trust: Vec<String>,
}

impl Rights {
    pub(super) fn new(trust: &[String]) -> Self {
        Rights { trust: trust.to_vec() }
    }

    /// Returns an expression that fails with [`REFUSED`] if there is a finding. The tables
    /// are names of histories as SQL would look them up.
    pub(super) fn guard<'t>(&self, tables: impl IntoIterator<Item = &'t str>) -> String {
        let findings = self.findings(tables);
        format!(
            "(SELECT 1 OPERATOR(pg_catalog./) CASE WHEN EXISTS ({findings}) THEN 0 ELSE 1 END) AS {GUARD}"
        )
    }

    /// Returns the query for all findings: kind, object, role, current role, detail.
    pub(super) fn findings<'t>(&self, tables: impl IntoIterator<Item = &'t str>) -> String {
        self.fill(FINDINGS, tables)
    }

    /// Returns the query for the rights to change these objects that other roles have:
    /// object, role, the rights.
    pub(super) fn grants<'t>(&self, tables: impl IntoIterator<Item = &'t str>) -> String {
        self.fill(GRANTS, tables)
    }

    /// Puts the names into a query, and qualifies its operators, because the search path may
    /// put another role's schema before `pg_catalog`.
    fn fill<'t>(&self, query: &str, tables: impl IntoIterator<Item = &'t str>) -> String {
        let names = self.trust.iter().map(|role| literal(role)).collect::<Vec<_>>().join(",");
        let tables = tables.into_iter().map(|table| format!("pg_catalog.to_regclass({})", literal(table)));
        let tables = tables.collect::<Vec<_>>().join(",");
        let piece = |piece: &str| match piece {
            "names" => names.clone(),
            "tables" => tables.clone(),
            sql => sql
                .replace(" == ", " OPERATOR(pg_catalog.=) ")
                .replace(" != ", " OPERATOR(pg_catalog.<>) ")
                .replace(" > ", " OPERATOR(pg_catalog.>) "),
        };
        RELATIONS.split('$').chain(query.split('$')).map(piece).collect()
    }
}

/// The start of each query: `trusted` has the trusted roles and those of them that are
/// named, `inside` has what is in our schema (from the dependencies, because the catalogue
/// has no index by schema), and `relation` has our tables and views, and the histories.
///
/// A superuser has the rights of every role, so memberships are followed in the catalogue.
/// Before PostgreSQL 15 a role could grant itself to another one. Such a membership does
/// not count, because the member did not ask for it.
const RELATIONS: &str = "WITH RECURSIVE mine (oid) AS ( \
        SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname == CURRENT_USER \
        UNION SELECT m.roleid FROM mine AS o JOIN pg_catalog.pg_auth_members AS m ON m.member == o.oid \
        WHERE m.grantor != m.roleid \
    ), named AS MATERIALIZED (SELECT ARRAY(SELECT r.oid FROM pg_catalog.pg_roles AS r \
        WHERE r.rolname == ANY (ARRAY[$names$]::pg_catalog.name[])) AS roles \
    ), trusted AS MATERIALIZED (SELECT n.roles OPERATOR(pg_catalog.||) ARRAY( \
        SELECT o.oid FROM mine AS o \
        UNION ALL SELECT r.oid FROM pg_catalog.pg_roles AS r \
            WHERE r.rolsuper OR r.rolname == 'pg_database_owner'::pg_catalog.name \
        UNION ALL SELECT d.datdba FROM pg_catalog.pg_database AS d \
            WHERE d.datname == pg_catalog.current_database()) AS roles, n.roles AS named FROM named AS n \
    ), inside AS MATERIALIZED (SELECT d.classid, d.objid \
        FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_depend AS d ON d.refobjid == n.oid \
        WHERE n.nspname == 'bustard'::pg_catalog.name \
            AND d.refclassid == 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid \
    ), relation AS MATERIALIZED (SELECT c.oid, c.relkind, c.relowner, c.relacl, c.relrowsecurity, \
        pg_catalog.format('%I.%I', n.nspname, c.relname) AS object, \
        c.oid == ANY (ARRAY[$tables$]::pg_catalog.oid[]) AS is_history \
        FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid == c.relnamespace \
        WHERE c.oid == ANY (ARRAY[$tables$]::pg_catalog.oid[] OPERATOR(pg_catalog.||) ARRAY( \
            SELECT i.objid FROM inside AS i \
            WHERE i.classid == 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid)))";

const FINDINGS: &str = " SELECT f.kind, f.object, f.role, CURRENT_USER::pg_catalog.text, f.detail FROM ( \
    SELECT 1 AS i, 'schema' AS kind, pg_catalog.quote_ident(n.nspname) AS object, \
        pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text AS role, '' AS detail \
        FROM pg_catalog.pg_namespace AS n, trusted AS t \
        WHERE n.nspname == 'bustard'::pg_catalog.name AND n.nspowner != ALL (t.roles) \
    UNION ALL SELECT 2, CASE c.relkind WHEN 'v'::pg_catalog.\"char\" THEN 'view' ELSE 'table' END, \
        c.object, pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text, '' \
        FROM relation AS c, trusted AS t WHERE c.relowner != ALL (t.roles) \
    UNION ALL SELECT 3, 'function', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, \
        pg_catalog.pg_get_function_identity_arguments(p.oid)), pg_catalog.pg_get_userbyid(p.proowner)::pg_catalog.text, '' \
        FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid == p.pronamespace, trusted AS t \
        WHERE p.oid == ANY (ARRAY(SELECT i.objid FROM inside AS i \
            WHERE i.classid == 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid)) AND p.proowner != ALL (t.roles) \
    UNION ALL SELECT 4, 'no table', c.object, NULL, '' FROM relation AS c \
        WHERE c.is_history AND c.relkind != ALL ('{r,p}'::pg_catalog.\"char\"[]) \
    UNION ALL SELECT 5, 'trigger', c.object, pg_catalog.pg_get_userbyid(p.proowner)::pg_catalog.text, \
        pg_catalog.format('%I, which calls %s,', g.tgname, g.tgfoid::pg_catalog.regprocedure) \
        FROM relation AS c JOIN pg_catalog.pg_trigger AS g ON g.tgrelid == c.oid \
            JOIN pg_catalog.pg_proc AS p ON p.oid == g.tgfoid \
            JOIN pg_catalog.pg_namespace AS n ON n.oid == p.pronamespace, trusted AS t \
        WHERE NOT g.tgisinternal AND p.proowner != ALL (t.named) \
            AND NOT (n.nspname == 'bustard'::pg_catalog.name \
                AND pg_catalog.starts_with(p.proname::pg_catalog.text, 'changed_')) \
    UNION ALL SELECT 6, 'rule', c.object, NULL, pg_catalog.quote_ident(w.rulename) \
        FROM relation AS c JOIN pg_catalog.pg_rewrite AS w ON w.ev_class == c.oid \
        WHERE w.rulename != '_RETURN'::pg_catalog.name \
    UNION ALL SELECT 7, 'row security policy', c.object, NULL, pg_catalog.quote_ident(y.polname) \
        FROM relation AS c JOIN pg_catalog.pg_policy AS y ON y.polrelid == c.oid \
    UNION ALL SELECT 8, 'row security', c.object, NULL, '' FROM relation AS c \
        WHERE c.relrowsecurity AND pg_catalog.row_security_active(c.oid) \
    UNION ALL SELECT 9, 'generated column', c.object, NULL, pg_catalog.quote_ident(a.attname) \
        FROM relation AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid == c.oid \
        WHERE a.attnum > 0::pg_catalog.int2 AND a.attgenerated != ''::pg_catalog.\"char\" AND NOT a.attisdropped \
    ) AS f ORDER BY f.i, f.object, f.detail";

const GRANTS: &str = " SELECT g.object, CASE WHEN g.grantee == 0::pg_catalog.oid THEN 'PUBLIC' \
        ELSE pg_catalog.pg_get_userbyid(g.grantee)::pg_catalog.text END, \
        pg_catalog.string_agg(DISTINCT g.privilege, ', ') FROM ( \
    SELECT c.object, a.grantee, a.privilege_type AS privilege FROM relation AS c, \
        LATERAL pg_catalog.aclexplode(c.relacl) AS a WHERE a.grantee != c.relowner \
    UNION ALL SELECT c.object, a.grantee, a.privilege_type FROM relation AS c \
        JOIN pg_catalog.pg_attribute AS k ON k.attrelid == c.oid, \
        LATERAL pg_catalog.aclexplode(k.attacl) AS a WHERE a.grantee != c.relowner AND NOT k.attisdropped \
    UNION ALL SELECT pg_catalog.format('the schema %I', n.nspname), a.grantee, a.privilege_type \
        FROM pg_catalog.pg_namespace AS n, LATERAL pg_catalog.aclexplode(n.nspacl) AS a \
        WHERE n.nspname == 'bustard'::pg_catalog.name AND a.grantee != n.nspowner \
    ) AS g, trusted AS t \
    WHERE g.grantee != ALL (t.roles) AND g.privilege != ALL ('{SELECT,USAGE}'::pg_catalog.text[]) \
    GROUP BY g.object, g.grantee ORDER BY 1, 2";

/// Builds the error from the answer to [`Rights::findings`]; `None` if it is empty. It
/// names the first objects of each owner, and counts the others.
pub(crate) fn refused(rows: Vec<Row>) -> Option<Error> {
    let mut found = Vec::new();
    let mut owned: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        if let [Some(kind), _, Some(role), ..] = row.as_slice()
            && OWNED.contains(&kind.as_str())
        {
            let count = owned.entry(role.clone()).or_default();
            *count += 1;
            if *count > NAMED {
                continue;
            }
        }
        found.push(finding(row));
    }
    for (role, count) in owned.into_iter().filter(|(_, count)| *count > NAMED) {
        let message = format!("{} more objects of Bustard belong to the role {role}", count - NAMED);
        let trust =
            Advice::text("if this is how it should be, trust the role: ").then(Action::Trust { role });
        found.push(Diagnostic::new(Code::UntrustedOwner, message).help(trust));
    }
    (!found.is_empty()).then(|| Error::from_diagnostics(ErrorKind::Failed, found))
}

/// The kinds of objects that have an owner.
const OWNED: [&str; 4] = ["schema", "table", "view", "function"];

/// The number of objects of one owner that an error names.
const NAMED: usize = 3;

fn finding(row: Row) -> Diagnostic {
    let mut columns = row.into_iter().map(Option::unwrap_or_default);
    let mut next = || columns.next().unwrap_or_default();
    let (kind, object, role, me, detail) = (next(), next(), next(), next(), next());
    let trust = Action::Trust { role: role.clone() };
    match kind.as_str() {
        kind if OWNED.contains(&kind) => {
            let message = format!("the {kind} {object} belongs to the role {role}, which is not trusted");
            let advice = format!(
                "its owner could run code with the rights of {me}; if {role} should not own it, drop it, or look at what is \
                 there and give it to {me} (ALTER … OWNER TO); otherwise trust the role: "
            );
            Diagnostic::new(Code::UntrustedOwner, message).help(Advice::text(advice).then(trust))
        }
        "no table" => Diagnostic::new(Code::UntrustedCode, format!("the history {object} is not a table"))
            .help("rename it; or give the app another table with `history = \"…\"`"),
        "trigger" => {
            let message = format!("the table {object} has the trigger {detail} of the role {role}");
            let advice = format!("it would run with the rights of {me}: drop it; or trust the role: ");
            Diagnostic::new(Code::UntrustedCode, message).help(Advice::text(advice).then(trust))
        }
        "row security" => {
            let message = format!("the table {object} has row security, which hides rows from the role {me}");
            Diagnostic::new(Code::UntrustedCode, message)
                .help("migrate as the owner of the table, or ALTER TABLE … DISABLE ROW LEVEL SECURITY")
        }
        _ => {
            let message = format!("the table {object} has the {kind} {detail}, which Bustard did not make");
            Diagnostic::new(Code::UntrustedCode, message)
                .help(format!("it changes what {me} reads or writes there: drop it"))
        }
    }
}

/// Builds the warnings from the answer to [`Rights::grants`].
pub(crate) fn foreign_grants(rows: Vec<Row>) -> Vec<Diagnostic> {
    let one = |row: Row| {
        let [object, role, rights] = <[_; 3]>::try_from(row).ok()?.map(Option::unwrap_or_default);
        let message = format!("the role {role} has rights to change {object}: {rights}");
        let advice = match role.as_str() {
            "PUBLIC" => Advice::text("every role has them: REVOKE them"),
            _ => Advice::text("REVOKE them; or, if it may change what runs do, trust the role: ")
                .then(Action::Trust { role }),
        };
        Some(Diagnostic::new(Code::ForeignGrant, message).help(advice))
    };
    rows.into_iter().filter_map(one).collect()
}

/// Builds the error for an object that another role has put in the place of one that this
/// transaction was about to create.
pub(super) fn taken_meanwhile(error: Error) -> Error {
    error
        .with_message("another role has just created one of the objects that this run was about to create")
        .help("nothing was changed: run again, and the message names the object and the role")
}
