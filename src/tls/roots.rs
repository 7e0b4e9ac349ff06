//! The trusted root certificates.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::Settings;
use crate::error::{Error, Result};
use crate::regular_file;

/// Reads the root certificates of the operating system.
///
/// # Errors
///
/// Returns an error of usage if there are none.
pub(crate) fn from_system(settings: &Settings) -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        log::warn!("a root certificate of the system was not read: {error}");
    }
    collect(found.certs).ok_or_else(|| {
        Error::usage("the system has no root certificates to verify the server with").help(format!(
            "install them (Debian: ca-certificates), or name the server's CA with {}=FILE",
            settings.roots
        ))
    })
}

/// Reads root certificates in PEM form.
///
/// # Errors
///
/// Returns an error of usage if the file cannot be read, or has no certificates.
pub(crate) fn from_file(path: &Path, settings: &Settings) -> Result<RootCertStore> {
    let bad = |why: String| {
        Error::usage(format!("the root certificates in {} cannot be used: {why}", path.display())).help(
            format!(
                "{} names a file with the certificate of the server's CA in PEM form{}",
                settings.roots, settings.roots_else
            ),
        )
    };
    let bytes = regular_file::read(path, regular_file::SETTINGS);
    let bytes = bytes.map_err(|refusal| bad(refusal.why()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    collect(certificates.map_err(|error| bad(error.to_string()))?)
        .ok_or_else(|| bad("there is none".to_owned()))
}

/// Returns the certificates that can be read, if any. Bundles may contain invalid
/// certificates, which are skipped.
fn collect(certificates: Vec<CertificateDer<'static>>) -> Option<RootCertStore> {
    let mut store = RootCertStore::empty();
    let (added, _ignored) = store.add_parsable_certificates(certificates);
    (added > 0).then_some(store)
}
