//! Inputs that once failed, by the rows of their list: each test begins with its row.

mod connection;
mod history;
mod judged;
mod output;
mod rights;
mod session;
mod text;
