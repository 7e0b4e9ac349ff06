//! The thread that folds continuously.

use postgres::{Client, Error};

use super::Work;

pub struct Folder<'a> {
    work: Work<'a>,
    client: Client,
}

impl<'a> Folder<'a> {
    pub fn new(work: Work<'a>, _number: usize) -> Result<Self, Error> {
        Ok(Folder { work, client: work.connect("postgres")? })
    }

    pub fn fold(&mut self) -> Result<(), Error> {
        let folded: i64 = self.client.query_one("SELECT bustard.fold()", &[])?.get(0);
        if folded > 0 {
            self.work.ledger.folded();
        }
        Ok(())
    }
}
