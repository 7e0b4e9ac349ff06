//! The width of versions in a history table.
//!
//! In: nothing. Out: the widths, as data.

/// The type of a history table's column `version`; part of refinery's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Int4,
    Int8,
}

impl Width {
    /// The width of new tables, which depends on the feature `int8-versions`.
    pub(crate) const NEW: Width = if cfg!(feature = "int8-versions") { Width::Int8 } else { Width::Int4 };
}
