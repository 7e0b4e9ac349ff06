//! `target_session_attrs`: which of several servers to connect to, by what each says of
//! itself.

use std::io::ErrorKind;
use std::pin::pin;

use futures_util::future::{Either, select};
use tokio_postgres::SimpleQueryMessage;

use super::attempt::{AttemptFailure, Connection};

/// The kind of session that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// What a server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    standby: bool,
    read_only: bool,
}

impl Wanted {
    pub(super) const NAMES: [(&str, Wanted); 6] = [
        ("any", Wanted::Any),
        ("read-write", Wanted::ReadWrite),
        ("read-only", Wanted::ReadOnly),
        ("primary", Wanted::Primary),
        ("standby", Wanted::Standby),
        ("prefer-standby", Wanted::PreferStandby),
    ];

    /// Returns what to look for among all servers, and what to look for after that.
    pub(super) fn passes(self) -> &'static [Wanted] {
        match self {
            Wanted::Any => &[Wanted::Any],
            Wanted::ReadWrite => &[Wanted::ReadWrite],
            Wanted::ReadOnly => &[Wanted::ReadOnly],
            Wanted::Primary => &[Wanted::Primary],
            Wanted::Standby => &[Wanted::Standby],
            Wanted::PreferStandby => &[Wanted::Standby, Wanted::Any],
        }
    }

    /// Returns what is wrong with a server, if anything.
    pub(super) fn mismatch(self, standing: Option<Standing>) -> Option<&'static str> {
        let standing = standing?;
        match self {
            Wanted::Any | Wanted::PreferStandby => None,
            Wanted::ReadWrite => standing.read_only.then_some("its sessions are read-only"),
            Wanted::ReadOnly => (!standing.read_only).then_some("its sessions can write"),
            Wanted::Primary => standing.standby.then_some("it is a standby"),
            Wanted::Standby => (!standing.standby).then_some("it is not a standby"),
        }
    }
}

impl Standing {
    /// The question. A standby's sessions are read-only, whatever its default is.
    const QUERY: &str =
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')";

    /// Asks over a connection that nothing else drives yet.
    pub(super) async fn ask(
        client: &tokio_postgres::Client,
        connection: &mut Connection,
    ) -> Result<Standing, AttemptFailure> {
        match select(pin!(client.simple_query(Standing::QUERY)), connection).await {
            Either::Left((answer, _)) => Ok(Standing::read(&answer.map_err(AttemptFailure::Driver)?)),
            Either::Right((Err(error), _)) => Err(AttemptFailure::Driver(error)),
            Either::Right((Ok(()), _)) => Err(AttemptFailure::Io(ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Asks with the synchronous driver.
    pub(super) fn ask_sync(client: &mut postgres::Client) -> Result<Standing, tokio_postgres::Error> {
        Ok(Standing::read(&client.simple_query(Standing::QUERY)?))
    }

    fn read(messages: &[SimpleQueryMessage]) -> Standing {
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let says = |i: usize, yes: &str| row.and_then(|row| row.get(i)) == Some(yes);
        Standing { standby: says(0, "t"), read_only: says(1, "on") }
    }
}
