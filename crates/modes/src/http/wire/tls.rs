//! Adds TLS if the settings name a certificate. The versions and cipher suites are the defaults of
//! rustls: TLS 1.2 and 1.3. A client that supports HTTP/2 gets it.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use ai_integration_contract::setting::FilePath;
use ai_integration_contract::{Environment, Setting, SettingError, settings};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, SignatureScheme,
    StreamOwned,
};
use tokio_rustls::server::TlsStream;

settings! {
    /// The certificate and its key.
    pub(crate) struct Settings under "Security" {
        /// Certificate chain in PEM. If it is set, the server speaks TLS only. Reloaded on SIGHUP.
        tls_cert: Option<FilePath> { refuses_empty: true },
        /// The certificate's private key in PEM.
        tls_key: Option<FilePath> { refuses_empty: true },
    }
}

/// The name of HTTP/2 in ALPN (RFC 9113, section 3.2).
const H2: &[u8] = b"h2";

/// The server's side of TLS, with a certificate that can be reloaded.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    acceptor: RwLock<TlsAcceptor>,
}

impl Tls {
    /// Loads the files that the settings name. Returns `None` if no certificate is set.
    pub(crate) fn read(environment: &Environment) -> Result<Option<Arc<Self>>, SettingError> {
        let missing = |setting: &Setting, other: &Setting| {
            setting.invalid("", format!("{} is set and needs this setting too", other.name))
        };
        let Settings { tls_cert, tls_key } = Settings::read(environment)?;
        let (certificate, key) = match (tls_cert, tls_key) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(missing(Settings::tls_key(), Settings::tls_cert())),
            (None, Some(_)) => return Err(missing(Settings::tls_cert(), Settings::tls_key())),
            (Some(certificate), Some(key)) => (certificate, key),
        };
        let acceptor = load(&certificate, &key).map_err(|reason| {
            Settings::tls_cert().invalid(&certificate.display().to_string(), reason)
        })?;
        Ok(Some(Arc::new(Tls { certificate, key, acceptor: RwLock::new(acceptor) })))
    }

    /// Performs the TLS handshake. Returns the stream, and true if the client chose HTTP/2.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<(TlsStream<S>, bool)> {
        let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stream = acceptor.accept(stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        Ok((stream, is_http2))
    }

    /// Loads the files again. If they cannot be used, the old certificate stays in use.
    pub(crate) fn reload(&self) {
        match load(&self.certificate, &self.key) {
            Ok(acceptor) => {
                *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
                tracing::info!("the certificate was reloaded");
            }
            Err(reason) => {
                tracing::error!("the old certificate stays in use: {reason}");
            }
        }
    }
}

/// Returns true if the server speaks TLS.
pub(crate) fn is_set(environment: &Environment) -> Result<bool, SettingError> {
    Ok(Settings::read(environment)?.tls_cert.is_some())
}

/// Begins TLS as a client of this machine's own server, whose certificate names another machine and is
/// not checked. No secret is sent.
pub(crate) fn connect<S: Read + Write>(stream: S) -> io::Result<StreamOwned<ClientConnection, S>> {
    let provider = Arc::new(ring::default_provider());
    let trusting = Arc::new(Trusting(provider.signature_verification_algorithms));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(trusting)
        .with_no_client_auth();
    let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Accepts every certificate whose key the server has.
#[derive(Debug)]
struct Trusting(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn load(certificate: &PathBuf, key: &PathBuf) -> Result<TlsAcceptor, String> {
    let unusable = |what: &str, error: &dyn Display| format!("the {what} cannot be used: {error}");
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable("certificate", &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("key", &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("cryptography", &error))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unusable("certificate with this key", &error))?;
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
