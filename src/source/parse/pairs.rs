//! Pairs of BEGIN and COMMIT that are left out.
//!
//! In: a pair, and the operations and errors so far. Out: operations without it, no error
//! about it, and a note.

use super::Reader;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{Migration, Operation};

impl Reader<'_> {
    /// Leaves out a pair of BEGIN and COMMIT that has been judged already.
    pub(super) fn leave_out(&mut self, pair: [u64; 2]) {
        for at in pair {
            let Some(n) = self.refused.iter().rposition(|(refused, _)| *refused == at) else { continue };
            let (_, error) = self.refused.remove(n);
            self.refused[n..].iter_mut().for_each(|(_, later)| *later -= 1);
            let error = self.errors.remove(error);
            if self.first_left_out.is_none() {
                self.first_left_out = error.diagnostic.place;
            }
        }
        self.pairs_left_out += 1;
        self.left_out.extend(pair);
    }

    /// Removes the statements that are left out from the operations.
    pub(super) fn remove_left_out(&mut self) {
        if let Some(pair) = self.pairs.end() {
            self.leave_out(pair);
        }
        self.left_out.sort_unstable();
        let Migration { operations, down, .. } = &mut self.migration;
        for operations in [Some(operations), down.as_mut()].into_iter().flatten() {
            operations.retain_mut(|operation| match operation {
                Operation::Sql(sql) => sql.leave_out(&self.left_out),
                Operation::Schema(_)
                | Operation::RegisterCache(_)
                | Operation::ChangeCache(_)
                | Operation::UnregisterCache(_)
                | Operation::Function(_) => true,
            });
        }
    }

    /// Says that pairs of BEGIN and COMMIT are left out.
    pub(super) fn note_left_out(&mut self) {
        let Some(first) = self.first_left_out.take() else { return };
        let pairs = self.pairs_left_out;
        let often = if pairs > 1 { format!(", {pairs} times") } else { String::new() };
        let message = format!("`BEGIN` and `COMMIT` are left out{often}");
        let help = "a migration is applied in a transaction, together with its history";
        let note = Diagnostic::new(Code::SkippedTransaction, message).help(help);
        self.warnings.insert(0, note.at(first));
    }
}
