//! A server for tests that only begins a connection. It answers with or without TLS, and
//! then sends an error or stays silent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The behaviour of the server.
#[derive(Clone)]
pub(super) enum Manner {
    /// Accepts connections and stays silent.
    Silent,
    /// Closes the connection at once.
    Closing,
    /// Has no TLS.
    Plain,
    /// Has no TLS, accepts every user, and closes at the first statement.
    Dying,
    /// Has no TLS, accepts every user, sends this message, and then stays silent.
    Saying(&'static [u8]),
    /// Has TLS with this certificate.
    Tls(Arc<ServerConfig>),
}

/// A running server. It ends with the process.
pub(super) struct Fake {
    pub port: u16,
}

/// Fields of an error, by their letters in PostgreSQL's protocol.
pub(super) type Fields = &'static [(char, &'static str)];

/// The error for an absent database, as a server sends it after the start-up message.
pub(super) const NO_DATABASE: Fields =
    &[('S', "FATAL"), ('V', "FATAL"), ('C', "3D000"), ('M', "database \"d\" does not exist")];

impl Fake {
    /// Starts a server that answers every start-up message with an error.
    pub(super) fn start(manner: Manner, error: Fields) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().flatten() {
                match manner.clone() {
                    Manner::Silent => open.push(stream),
                    Manner::Closing => drop(stream),
                    manner => {
                        // An error here does not fail the test, because in some tests the
                        // client closes the connection early.
                        let _ = converse(stream, manner, error);
                    }
                }
            }
        });
        Fake { port }
    }
}

fn converse(mut stream: TcpStream, manner: Manner, error: Fields) -> std::io::Result<()> {
    let mut message = read_message(&mut stream)?;
    if message == TLS_REQUEST {
        if let Manner::Tls(config) = &manner {
            stream.write_all(b"S")?;
            let tls = ServerConnection::new(Arc::clone(config)).expect("the configuration is good");
            let mut stream = StreamOwned::new(tls, stream);
            read_message(&mut stream)?;
            return stream.write_all(&error_response(error));
        }
        stream.write_all(b"N")?;
        message = read_message(&mut stream)?;
    }
    assert_ne!(message, TLS_REQUEST);
    // AuthenticationOk, ReadyForQuery.
    const WELCOME: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    match manner {
        Manner::Dying => {
            stream.write_all(WELCOME)?;
            stream.read_exact(&mut [0])
        }
        Manner::Saying(words) => {
            stream.write_all(&[WELCOME, words].concat())?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        }
        _ => stream.write_all(&error_response(error)),
    }
}

/// The request code for TLS, sent in place of a protocol version.
const TLS_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// Reads a message without a type: its length, then its content.
fn read_message(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut message)?;
    Ok(message)
}

pub(super) fn error_response(fields: Fields) -> Vec<u8> {
    let mut body = Vec::new();
    for (letter, text) in fields {
        body.push(*letter as u8);
        body.extend(text.bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).expect("the message is short");
    [b"E".as_slice(), &length.to_be_bytes(), &body].concat()
}

/// Configures TLS with this certificate and a key, which may belong to another
/// certificate.
pub(super) fn tls(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> Manner {
    let provider = rustls::crypto::ring::default_provider();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key");
    let key = provider.key_provider.load_private_key(key).expect("ring supports this kind of key");
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    Manner::Tls(Arc::new(config))
}
