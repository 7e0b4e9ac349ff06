//! The advice that the engines share.

/// The advice about what exists already. `{fake}` stands for the action.
pub(crate) const EXISTS: &str = "it exists already: if the database has what the pending migrations create, because it \
    was made by hand or the history was lost, record them without running them: {fake}; otherwise choose another name, or \
    drop the old object first";

/// The advice about a column that does not exist.
pub(crate) const NO_COLUMN: &str = "correct the name of the column, which an earlier migration may have renamed or \
    dropped; write a string in single quotes, because double quotes are for names";
