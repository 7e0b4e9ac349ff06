//! The client's certificate and its key.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Settings;
use crate::error::{Error, Result};
use crate::regular_file;

/// The files of a client's certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub certificate: PathBuf,
    pub key: Option<PathBuf>,
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    ///
    /// Returns an error of usage if a file cannot be used, or the key is missing or can be
    /// read by other users.
    pub(crate) fn load(
        &self,
        settings: &Settings,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let chain = self.chain(settings)?;
        let key = self.key.as_deref().ok_or_else(|| {
            Error::usage(format!("there is no key for the client certificate {}", self.certificate.display()))
                .help(format!("name its file with {}", settings.key))
        })?;
        Ok((chain, read_key(key, settings)?))
    }

    /// Reports that the key is not that of the certificate, or is of no known kind.
    pub(crate) fn misfit(&self, error: &rustls::Error, settings: &Settings) -> Error {
        Error::usage(format!(
            "the client certificate {} cannot be used with its key: {error}",
            self.certificate.display()
        ))
        .help(format!("{} and {} must belong together", settings.certificate, settings.key))
    }

    fn chain(&self, settings: &Settings) -> Result<Vec<CertificateDer<'static>>> {
        let bad = |why: String| {
            Error::usage(format!("the client certificate {} cannot be used: {why}", self.certificate.display()))
                .help(format!("{} names a file with the certificate of this client in PEM form, with the certificates between it and the CA after it", settings.certificate))
        };
        let bytes = regular_file::read(&self.certificate, regular_file::SETTINGS);
        let bytes = bytes.map_err(|refusal| bad(refusal.why()))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        match chain {
            Ok(chain) if chain.is_empty() => Err(bad("there is none".to_owned())),
            Ok(chain) => Ok(chain),
            Err(error) => Err(bad(error.to_string())),
        }
    }
}

/// Reads a key in PEM form, else in DER form, as libpq does.
fn read_key(path: &Path, settings: &Settings) -> Result<PrivateKeyDer<'static>> {
    let bad = |why: &str, help: &str| {
        Error::usage(format!("the key of the client certificate, {}, cannot be used: {why}", path.display()))
            .help(help.to_owned())
    };
    let help = format!(
        "{} names a file with a private key (PKCS#8, PKCS#1 or SEC1) in PEM or DER form",
        settings.key
    );
    let bytes = regular_file::read(path, regular_file::SETTINGS);
    let bytes = bytes.map_err(|refusal| bad(&refusal.why(), &help))?;
    if readable_by_others(path) {
        return Err(bad("other users may read it", "run chmod 600 on it, or chmod 640 if root owns it"));
    }
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("ENCRYPTED") {
        return Err(bad(
            "it is encrypted",
            "decrypt a copy with openssl pkcs8 -topk8 -nocrypt, and protect the file",
        ));
    }
    let key = match text.contains("-----BEGIN") {
        true => PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| error.to_string()),
        false => PrivateKeyDer::try_from(bytes).map_err(str::to_owned),
    };
    key.map_err(|why| bad(&why, &help))
}

/// libpq's rule: only the owner may read a key, or a group if root owns it.
#[cfg(unix)]
fn readable_by_others(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    file.metadata().is_ok_and(|found| {
        let forbidden = if found.uid() == 0 { 0o037 } else { 0o077 };
        found.is_file() && found.mode() & forbidden != 0
    })
}

#[cfg(not(unix))]
fn readable_by_others(_: &Path) -> bool {
    false
}
