//! Certificates for tests of TLS, created for each test so that none expires.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// The certificate and the key of a server, and the certificate of the authority that
/// signed it, all in PEM form.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The certificate of the authority, for `sslrootcert`.
    pub authority: String,
    pub certificate: String,
    pub key: String,
    /// A certificate of the same authority for the role `client`.
    pub client_certificate: String,
    pub client_key: String,
}

impl Certificates {
    /// Creates a certificate for these names or addresses, signed by a new authority.
    pub fn for_names(names: &[&str]) -> Certificates {
        let mut authority = CertificateParams::new([]).expect("no names are no bad names");
        // The authority has a name of its own, because OpenSSL considers a certificate
        // self-signed if its issuer has the same name.
        authority.distinguished_name.push(DnType::CommonName, "Bustard's test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, new_key()).expect("the authority signs itself");
        let key = new_key();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names)
            .and_then(|parameters| parameters.signed_by(&key, &authority))
            .expect("the certificate is signed");
        let client_key = new_key();
        let mut client = CertificateParams::new([]).expect("no names are no bad names");
        client.distinguished_name.remove(DnType::CommonName);
        client.distinguished_name.push(DnType::CommonName, "client");
        let client = client.signed_by(&client_key, &authority).expect("the certificate is signed");
        Certificates {
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            client_certificate: client.pem(),
            client_key: client_key.serialize_pem(),
        }
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}
