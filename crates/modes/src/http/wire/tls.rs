//! TLS, if the settings name a certificate. Versions and suites are rustls' defaults: TLS 1.2 and
//! 1.3. Clients that offer it get HTTP/2.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use ai_integration_contract::setting::FilePath;
use ai_integration_contract::{Environment, Setting, SettingError, settings};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

settings! {
    /// The files of TLS.
    pub(crate) struct Settings under "Security" {
        /// Certificate chain in PEM: the server then speaks TLS only. Read again on SIGHUP.
        tls_cert: Option<FilePath> { refuses_empty: true },
        /// The certificate's private key in PEM.
        tls_key: Option<FilePath> { refuses_empty: true },
    }
}

/// The name of HTTP/2 in ALPN (RFC 9113, section 3.2).
const H2: &[u8] = b"h2";

/// The server's side of TLS.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    acceptor: RwLock<TlsAcceptor>,
}

impl Tls {
    /// As the settings have it; none without a certificate.
    pub(crate) fn read(environment: &Environment) -> Result<Option<Arc<Self>>, SettingError> {
        let missing = |setting: &Setting, other: &Setting| {
            setting.invalid("", format!("it is needed beside {}", other.name))
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

    /// Shakes hands with a client. Beside the stream it tells whether they speak HTTP/2.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<(TlsStream<S>, bool)> {
        let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone();
        let stream = acceptor.accept(stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
        Ok((stream, is_http2))
    }

    /// Reads the files again. When they cannot be used, what there was stays.
    pub(crate) fn reload(&self) {
        match load(&self.certificate, &self.key) {
            Ok(acceptor) => {
                *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = acceptor;
                tracing::info!("the certificate has been read again");
            }
            Err(reason) => tracing::error!("the old certificate stays: {reason}"),
        }
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
