//! Stand-ins for what is read again, in builds that read no text. There are no values of
//! these types.

use std::io::{self, Read};

use super::statement::Statement;
use crate::diagnostic::Place;
use crate::error::Result;
use crate::sql::Dialect;

#[derive(Clone, Debug)]
pub(crate) enum StoredSql {}

impl StoredSql {
    pub(crate) fn leave_out_all(&mut self, _offsets: &[u64]) -> bool {
        match *self {}
    }

    pub(crate) fn place(&self) -> &Place {
        match *self {}
    }

    pub(crate) fn describe(&self) -> String {
        match *self {}
    }

    pub(crate) fn each(
        &self,
        _dialect: &'static dyn Dialect,
        _run: &mut dyn FnMut(Statement) -> Result<()>,
    ) -> Result<()> {
        match *self {}
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredRows {}

impl StoredRows {
    pub(crate) fn read(&self) -> io::Result<Box<dyn Read + Send>> {
        match *self {}
    }

    pub(super) fn append_to(&self, _text: &mut String, _place: Option<&Place>) -> Result<()> {
        match *self {}
    }
}
