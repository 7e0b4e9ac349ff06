//! TLS to Redis servers. Their certificates are always verified.
//!
//! In: the files that the settings name. Out: a configuration of rustls.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::error::{Error, Result};
use crate::tls::{self, Identity, Settings};

const SETTINGS: Settings =
    Settings { roots: "tls_ca", roots_else: "", certificate: "tls_certificate", key: "tls_key" };

/// The files of TLS: all are optional.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    /// The certificates of the CA of the servers, instead of those of the system.
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    pub(super) fn is_empty(&self) -> bool {
        self.ca.is_none() && self.certificate.is_none() && self.key.is_none()
    }

    pub(super) fn read(&self) -> Result<Arc<ClientConfig>> {
        let roots = match &self.ca {
            Some(path) => tls::from_file(path, &SETTINGS)?,
            None => tls::from_system(&SETTINGS)?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::usage("TLS cannot be set up").caused_by(error))?
            .with_root_certificates(roots);
        let Some(certificate) = self.certificate.clone() else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let identity = Identity { certificate, key: self.key.clone() };
        let (chain, key) = identity.load(&SETTINGS)?;
        let config = builder.with_client_auth_cert(chain, key);
        Ok(Arc::new(config.map_err(|error| identity.misfit(&error, &SETTINGS))?))
    }
}
