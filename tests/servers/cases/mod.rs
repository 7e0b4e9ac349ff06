//! Tests inputs that once failed. The name of a test begins with the number of its input.

mod advice;
mod connection;
mod copies;
mod dumps;
mod history;
mod judged;
mod output;
mod rights;
mod session;
mod streams;
mod text;
mod text_settings;
mod values;
