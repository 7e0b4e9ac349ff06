//! TLS for PostgreSQL: configures rustls to verify what each `sslmode` requires, and
//! explains a failed handshake.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, Result};
use crate::tls::{self, Identity, Settings};

/// libpq's names.
const SETTINGS: Settings =
    Settings { roots: "sslrootcert", roots_else: ", or is `system`", certificate: "sslcert", key: "sslkey" };

/// The required level of TLS. `allow` is left out: it would send a password in plaintext
/// to any server that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    pub(super) const NAMES: [&str; 5] = ["disable", "prefer", "require", "verify-ca", "verify-full"];

    pub(super) fn from_name(name: &str) -> Option<SslMode> {
        use SslMode::*;
        let position = SslMode::NAMES.iter().position(|known| *known == name)?;
        Some([Disable, Prefer, Require, VerifyCa, VerifyFull][position])
    }
}

/// The trusted root certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// The certificates of the operating system.
    System,
    /// A file of certificates in PEM form.
    File(PathBuf),
}

/// A version of TLS. There is none before 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TlsVersion {
    V12,
    V13,
}

/// What the settings say of TLS.
///
/// `roots` are the certificates that they name. With `require` and `prefer` they cause
/// the chain to be verified, as in libpq; without them these modes verify nothing. The
/// other two modes fall back on the system's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TlsSettings {
    pub mode: SslMode,
    pub roots: Option<Roots>,
    /// The client's certificate.
    pub identity: Option<Identity>,
    /// Whether to tell the server the host's name.
    pub sni: bool,
    pub oldest: TlsVersion,
    pub newest: TlsVersion,
    /// Whether TLS begins without a request in the clear.
    pub direct: bool,
}

/// The TLS of a connection.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(super) settings: TlsSettings,
    connector: MakeRustlsConnect,
}

impl Tls {
    /// Reads the files that the mode needs.
    pub(super) fn new(settings: TlsSettings) -> Result<Tls> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions: Vec<_> = [(TlsVersion::V13, &TLS13), (TlsVersion::V12, &TLS12)]
            .into_iter()
            .filter(|(version, _)| (settings.oldest..=settings.newest).contains(version))
            .map(|(_, version)| version)
            .collect();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
            .map_err(|error| Error::usage("TLS cannot be set up").caused_by(error))?;
        let roots = match (settings.mode, &settings.roots) {
            (SslMode::Disable, _) => None,
            (SslMode::VerifyCa | SslMode::VerifyFull, None) => Some(&Roots::System),
            (_, roots) => roots.as_ref(),
        };
        let roots = roots.map(load).transpose()?;
        let builder = match roots {
            Some(roots) if settings.mode == SslMode::VerifyFull => builder.with_root_certificates(roots),
            roots => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName { provider, roots }))
            }
        };
        let mut config = match &settings.identity {
            Some(identity) if settings.mode != SslMode::Disable => {
                let (chain, key) = identity.load(&SETTINGS)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| identity.misfit(&error, &SETTINGS))?
            }
            _ => builder.with_no_client_auth(),
        };
        config.enable_sni = settings.sni;
        if settings.direct {
            // The server demands it, so that no other protocol can be spoken to it.
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(Tls { settings, connector: MakeRustlsConnect::new(config) })
    }

    /// Returns the driver's connector, for connecting and for cancelling.
    pub(crate) fn connector(&self) -> MakeRustlsConnect {
        self.connector.clone()
    }

    /// Returns the mode for the driver, which only decides whether to use TLS. The
    /// connector verifies the server.
    pub(super) fn driver_mode(&self) -> tokio_postgres::config::SslMode {
        match self.settings.mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            _ => tokio_postgres::config::SslMode::Require,
        }
    }
}

fn load(roots: &Roots) -> Result<RootCertStore> {
    match roots {
        Roots::System => tls::from_system(&SETTINGS),
        Roots::File(path) => tls::from_file(path, &SETTINGS),
    }
}

/// A verifier that checks the chain, if there are roots, and does not check names.
///
/// Always verifies the signature of the handshake. Without this check, any server that
/// presents a copy of the certificate could pretend to be its owner, and channel binding
/// would prove nothing.
#[derive(Debug)]
struct AnyName {
    provider: Arc<CryptoProvider>,
    roots: Option<RootCertStore>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Explains why a handshake failed, with advice.
pub(super) fn explain(error: &rustls::Error, host: &str) -> (String, String) {
    use CertificateError::*;

    let rustls::Error::InvalidCertificate(certificate) = error else {
        let help = match error {
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
                "the server asks for a client certificate: name it with sslcert=FILE and sslkey=FILE"
            }
            rustls::Error::AlertReceived(_) => {
                "the server's log says why; it may not accept the client certificate (sslcert), or this version of TLS"
            }
            _ => "does a PostgreSQL server with TLS 1.2 or later answer there?",
        };
        return (format!("TLS failed: {error}"), help.to_owned());
    };
    match certificate {
        NotValidForName | NotValidForNameContext { .. } => (
            format!("the server's certificate is not for {host}{}", presented(certificate)),
            "connect by a name that is in the certificate (host=NAME&hostaddr=ADDRESS to say where it is), \
             have the name added to its subjectAltName, or accept any name of this CA with sslmode=verify-ca"
                .to_owned(),
        ),
        UnknownIssuer => (
            "the server's certificate is signed by a CA that is not trusted here".to_owned(),
            "name the certificate of its CA with sslrootcert=FILE, if you trust it".to_owned(),
        ),
        // Either the signature of the CA on the certificate or the signature of the server
        // on the handshake is wrong.
        BadSignature => (
            "a signature of the server's certificate is wrong".to_owned(),
            "a CA that was recreated under its old name has another key: is sslrootcert its present certificate? \
             otherwise another machine may be posing as the server"
                .to_owned(),
        ),
        Expired | ExpiredContext { .. } => (
            "the server's certificate has expired".to_owned(),
            "renew it on the server, or set this machine's clock".to_owned(),
        ),
        NotValidYet | NotValidYetContext { .. } => (
            "the server's certificate is not valid yet".to_owned(),
            "correct the clock of this machine or of the machine that issued the certificate".to_owned(),
        ),
        Other(OtherError(other)) => explain_other(&other.to_string()),
        other => unusable(&other.to_string()),
    }
}

/// Explains errors of webpki for which rustls has no variant.
fn explain_other(error: &str) -> (String, String) {
    match error {
        // `openssl req -x509` creates such a certificate.
        "CaUsedAsEndEntity" => (
            "the server's certificate is that of a CA".to_owned(),
            "make a certificate for the server that is signed by the CA, with basicConstraints CA:FALSE"
                .to_owned(),
        ),
        // `openssl x509 -req` creates such a certificate if it is given no extensions.
        "UnsupportedCertVersion" => unusable("it is X.509 version 1"),
        other => unusable(other),
    }
}

fn unusable(why: &str) -> (String, String) {
    (
        format!("the server's certificate cannot be used: {why}"),
        "have it reissued: X.509 version 3 with a subjectAltName, signed with SHA-256 or better".to_owned(),
    )
}

/// Lists the names in a certificate. If there are none, the certificate has only a common
/// name, which does not count as a host name since RFC 6125.
fn presented(error: &CertificateError) -> String {
    match error {
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            ": it has no subjectAltName".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            format!(" but for {}", names.join(", "))
        }
        _ => String::new(),
    }
}

/// Reads a name. rustls gives it in its Debug form: `DnsName("db.example")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}
