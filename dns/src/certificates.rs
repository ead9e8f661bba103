//! Certificates and authorities from files, and the system's own.

use crate::file;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The largest file that is read; an authority's own list is a fraction of it. Bytes.
pub(crate) const MOST_OF_FILE: u64 = 4 << 20;

/// The certificates of a file, of which there is one at least.
///
/// # Errors
/// The file cannot be read, or holds none; the message names it.
pub(crate) fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| format!("{path}: {error}"))?;
    if found.is_empty() { Err(format!("{path}: it holds no certificate")) } else { Ok(found) }
}

/// The private key of a file.
///
/// # Errors
/// The file cannot be read, or holds none; the message names it.
pub(crate) fn private_key(path: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| format!("{path}: {error}"))
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    file::read(path, MOST_OF_FILE).map_err(|error| format!("{path}: {error}"))
}

/// Those of a file as authorities, or the system's.
///
/// # Errors
/// There are none that are of use.
pub(crate) fn authorities(path: Option<&str>) -> Result<RootCertStore, String> {
    path.map_or_else(system_authorities, |path| as_authorities(&certificates(path)?, path))
}

/// The certificates of the file at `path` as authorities.
///
/// # Errors
/// One is none that is of use; the message names the file.
pub(crate) fn as_authorities(certificates: &[CertificateDer<'static>], path: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(roots)
}

/// What of the system's store can be read; others than those that are of use are no error.
fn system_authorities() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("the system has no certificate authorities, and tls names no file of them{why}"));
    }
    Ok(roots)
}
