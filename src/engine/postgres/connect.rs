use crate::engine::Failure;
use crate::error::{ErrorKind, Said};
pub(crate) fn failure(error: &tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(db) => Failure {
            kind: ErrorKind::Database,
            said: Said { message: db.message().into(), code: Some(db.code().code().into()), detail: db.detail().map(Into::into), hint: db.hint().map(Into::into) },
            offset: match db.position() { Some(tokio_postgres::error::ErrorPosition::Original(p)) => Some(*p as usize - 1), _ => None },
        },
        None => Failure { kind: ErrorKind::Connection, said: Said { message: error.to_string(), ..Said::default() }, offset: None },
    }
}
