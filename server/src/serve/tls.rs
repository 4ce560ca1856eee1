//! TLS: the server's certificate, and who its callers are by theirs.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::ServeError;
use super::config::{ConfigError, Tls};
use super::listen::Protocol;

/// What the server shows and asks for at handshakes, and can be read anew.
pub(crate) struct Handshakes {
    files: Tls,
    current: ArcSwap<ServerConfig>,
}

/// A caller as its certificate names it. The certificate was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// DNS names and URIs.
    pub(crate) names: Vec<String>,
}

impl Handshakes {
    pub(crate) fn new(files: &Tls) -> Result<Self, ServeError> {
        Ok(Self { files: files.clone(), current: ArcSwap::from_pointee(read(files)?) })
    }

    /// For the next handshake.
    pub(crate) fn acceptor(&self, protocol: Protocol) -> TlsAcceptor {
        let current = self.current.load_full();
        match protocol {
            Protocol::Http1 => TlsAcceptor::from(current),
            Protocol::Http2 => {
                let mut config = ServerConfig::clone(&current);
                config.alpn_protocols = vec![b"h2".to_vec()];
                TlsAcceptor::from(Arc::new(config))
            }
        }
    }

    /// Reads the files again. When anything is wrong with them, those before go on being used.
    pub(crate) fn reload(&self) -> Result<(), ServeError> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }
}

/// Who is on the other side, if it showed a certificate.
pub(crate) fn peer(connection: &ServerConnection) -> Option<Peer> {
    let certificate = connection.peer_certificates()?.first()?;
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    let alternatives = certificate.subject_alternative_name().ok().flatten()?;
    let named = alternatives.value.general_names.iter().filter_map(|name| {
        let (GeneralName::DNSName(name) | GeneralName::URI(name)) = name else { return None };
        Some((*name).to_owned())
    });
    Some(Peer { names: named.collect() })
}

fn read(files: &Tls) -> Result<ServerConfig, ServeError> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| {
        ServeError::from(ConfigError(format!("cannot use {}: {error}", path.display())))
    };
    let certificates = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&files.certificate, &error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in self::certificates(path)? {
                roots.add(certificate).map_err(|error| wrong(path, &error))?;
            }
            // A token may say who somebody is just as well: who shows no certificate is let in, to show that.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| wrong(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(certificates, key).map_err(|error| wrong(&files.certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let wrong =
        |error: &dyn std::fmt::Display| ConfigError(format!("cannot use {}: {error}", path.display()));
    let all = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
    if all.is_empty() { Err(wrong(&"it holds no certificate")) } else { Ok(all) }
}
