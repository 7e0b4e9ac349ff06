//! The roles that may read and invalidate caches: all roles, unless the configuration lists
//! some.

use std::collections::BTreeSet;

use crate::engine::{Row, Session, Transaction, quote_ident};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Statement;

const FUNCTIONS: &str = "bustard.get_version(pg_catalog.text), bustard.is_valid(pg_catalog.text, bigint), \
    bustard.get_version(pg_catalog.text, pg_catalog.text), bustard.get_version(pg_catalog.text, bigint), \
    bustard.get_version(pg_catalog.text, pg_catalog.uuid), bustard.get_version(pg_catalog.text, pg_catalog.text[]), \
    bustard.is_valid(pg_catalog.text, pg_catalog.text, bigint), bustard.is_valid(pg_catalog.text, bigint, bigint), \
    bustard.is_valid(pg_catalog.text, pg_catalog.uuid, bigint), bustard.is_valid(pg_catalog.text, pg_catalog.text[], bigint), \
    bustard.invalidate_key(pg_catalog.text, pg_catalog.text[]), \
    bustard.invalidate_key(pg_catalog.text, pg_catalog.text, pg_catalog.text[]), \
    bustard.invalidate_key(pg_catalog.text, bigint, bigint[]), \
    bustard.invalidate_key(pg_catalog.text, pg_catalog.uuid, pg_catalog.uuid[]), \
    bustard.invalidate(pg_catalog.text[]), bustard.invalidate_all(), bustard.notify(), \
    bustard.snapshot(bigint, bigint, pg_catalog.text[]), bustard.identity(pg_catalog.text), \
    bustard.identity(pg_catalog.text, pg_catalog.text[]), bustard.this_database(), \
    bustard.missing_triggers(), bustard.install_triggers(), bustard.fold()";

/// Selects the owner of `bustard.invalidate_all()` together with each role that may call
/// the function. PUBLIC has an empty name.
const GRANTEES: &str = "SELECT pg_catalog.pg_get_userbyid(p.proowner), \
    CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee) END \
    FROM pg_catalog.pg_proc p LEFT JOIN LATERAL \
    pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a ON true \
    WHERE p.oid OPERATOR(pg_catalog.=) pg_catalog.to_regprocedure('bustard.invalidate_all()')";

const ROLES: &str = "SELECT rolname FROM pg_catalog.pg_roles";

/// Returns the roles with a grant, without the owner, and the owner. The owner needs no
/// grant.
fn grantees(rows: Vec<Row>) -> (BTreeSet<String>, Option<String>) {
    let owner = rows.first().and_then(|row| row.first().cloned().flatten());
    let granted = rows.into_iter().filter_map(|row| row.into_iter().nth(1).flatten());
    (granted.filter(|role| Some(role) != owner.as_ref()).collect(), owner)
}

/// Returns whether the grants differ from these roles.
pub(super) fn differ(session: &mut dyn Session, roles: &[String]) -> Result<bool> {
    let (granted, owner) = grantees(session.rows(GRANTEES)?);
    Ok(is_different(&granted, owner.as_ref(), roles))
}

fn is_different(granted: &BTreeSet<String>, owner: Option<&String>, roles: &[String]) -> bool {
    *granted != roles.iter().filter(|role| Some(*role) != owner).cloned().collect()
}

/// Grants the use of caches to these roles, and revokes it from all other roles. Returns
/// whether the grants were different before.
pub(super) fn set(transaction: &mut dyn Transaction, roles: &[String]) -> Result<bool> {
    let functions = FUNCTIONS;
    let known: BTreeSet<_> = transaction.rows(ROLES)?.into_iter().filter_map(|mut row| row.pop()?).collect();
    if let Some(unknown) = roles.iter().find(|role| !known.contains(*role)) {
        return Err(Error::new(ErrorKind::Failed, format!("the role {unknown} in `grant` does not exist"))
            .help("create it, or take it out of `grant` (in a configuration, under [registry])"));
    }
    let mut revoked = vec!["PUBLIC".to_owned()];
    let (granted, owner) = grantees(transaction.rows(GRANTEES)?);
    let different = is_different(&granted, owner.as_ref(), roles);
    revoked.extend(granted.iter().filter(|role| !role.is_empty()).map(|role| quote_ident(role)));
    let revoked = revoked.join(", ");
    let mut statements = vec![
        format!("REVOKE EXECUTE ON FUNCTION {functions} FROM {revoked}"),
        format!("REVOKE SELECT ON bustard.caches FROM {revoked}"),
        format!("REVOKE USAGE ON SCHEMA bustard FROM {revoked}"),
    ];
    if !roles.is_empty() {
        let roles = roles.iter().map(|role| quote_ident(role)).collect::<Vec<_>>().join(", ");
        statements.push(format!("GRANT USAGE ON SCHEMA bustard TO {roles}"));
        statements.push(format!("GRANT SELECT ON bustard.caches TO {roles}"));
        statements.push(format!("GRANT EXECUTE ON FUNCTION {functions} TO {roles}"));
    }
    statements.into_iter().try_for_each(|sql| transaction.execute(Statement::generated(sql, None)))?;
    Ok(different)
}
