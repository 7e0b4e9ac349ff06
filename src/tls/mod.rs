//! The files of TLS: trusted root certificates, and a client's certificate with its key.
//!
//! In: paths from the settings. Out: certificates for rustls, or an error of usage that names
//! the setting.

mod identity;
mod roots;

pub(crate) use identity::Identity;
pub(crate) use roots::{from_file, from_system};

/// How the settings that name the files are spelled, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub roots: &'static str,
    /// What the setting of the roots may be instead of a file, for messages.
    pub roots_else: &'static str,
    pub certificate: &'static str,
    pub key: &'static str,
}
