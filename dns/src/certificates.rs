//! Certificates and authorities from files, and the system's own.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificates of a file, of which there is one at least.
///
/// # Errors
/// The file cannot be read, or holds none; the message names it.
pub(crate) fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error| format!("{path}: {error}");
    let found: Vec<_> = CertificateDer::pem_file_iter(path).map_err(wrong)?.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() { Err(format!("{path}: it holds no certificate")) } else { Ok(found) }
}

/// Those of a file as authorities, or the system's.
///
/// # Errors
/// There are none that are of use.
pub(crate) fn authorities(path: Option<&str>) -> Result<RootCertStore, String> {
    path.map_or_else(system_authorities, authorities_in)
}

fn authorities_in(path: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{path}: {error}"))?;
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
