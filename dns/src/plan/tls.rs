//! Certificates and keys in files: of the server (`tls`), and of the forwarder as a client.

use super::item::{Item, name_of};
use super::print::Printed;
use super::reading::Reading;
use super::unsupported;
use crate::corefile::PlanError;
use config::DomainName;

/// What `tls://` and `https://` blocks show, and ask of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerTls {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// Whose client certificates are good; `None`: those of the system's authorities.
    pub(crate) authorities: Option<String>,
    pub(crate) client: ClientAuth,
}

/// What is asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    Nothing,
    Request,
    Require,
    VerifyIfGiven,
    RequireAndVerify,
}

const CLIENT_AUTHS: [(&str, ClientAuth); 5] = [
    ("nocert", ClientAuth::Nothing),
    ("request", ClientAuth::Request),
    ("require", ClientAuth::Require),
    ("verify_if_given", ClientAuth::VerifyIfGiven),
    ("require_and_verify", ClientAuth::RequireAndVerify),
];

/// How upstreams over TLS are verified.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientTls {
    /// The certificate and key that are shown; `None`: none are.
    pub(crate) own: Option<(String, String)>,
    /// `None`: the system's.
    pub(crate) authorities: Option<String>,
    /// Whom certificates must name; `None`: the address.
    pub(crate) server_name: Option<DomainName>,
}

impl ClientAuth {
    /// Whether certificates of clients are verified, for which authorities are needed.
    pub(crate) fn is_verified(self) -> bool {
        match self {
            Self::Nothing | Self::Request => false,
            Self::Require | Self::VerifyIfGiven | Self::RequireAndVerify => true,
        }
    }
}

impl ServerTls {
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>) -> Result<Self, PlanError> {
        let (certificate, key, authorities) = match item.arguments() {
            [certificate, key] => (certificate, key, None),
            [certificate, key, authorities] => (certificate, key, Some(authorities)),
            [] if item.body().iter().any(|line| line.name.as_str() == "acme") => {
                return Err(item.error(format!("acme is not supported: {}", unsupported::CERTIFICATES)));
            }
            _ => return Err(item.error("takes the files of a certificate and a key and, if need be, of authorities")),
        };
        let path = |word: &crate::corefile::Word| word.as_str().to_owned();
        let authorities = authorities.map(path);
        let mut tls = Self { certificate: path(certificate), key: path(key), authorities, client: ClientAuth::Nothing };
        item.options(reading, |reading, option| match option.name() {
            "client_auth" => {
                tls.client = option.choice(option.one("what is asked of clients")?, &CLIENT_AUTHS)?;
                if tls.client == ClientAuth::Request {
                    reading.note(option, "request changes nothing: what nobody verifies is not asked for");
                }
                Ok(())
            }
            _ => Err(option.unknown(&["client_auth"])),
        });
        if let Some(file) = tls.authorities.as_ref().filter(|_| !tls.client.is_verified()) {
            reading.note(item, format!("the authorities in {file} change nothing: no client_auth verifies clients"));
        }
        Ok(tls)
    }

    pub(super) fn printed(&self) -> Printed {
        let printed = Printed::new("tls").word(&self.certificate).word(&self.key).words(&self.authorities);
        printed.option(Printed::new("client_auth").word(name_of(&self.client, &CLIENT_AUTHS)))
    }
}

impl ClientTls {
    /// Reads `tls [CERT KEY] [CA]`.
    pub(super) fn read_files(&mut self, option: Item<'_>) -> Result<(), PlanError> {
        let path = |word: &crate::corefile::Word| word.as_str().to_owned();
        (self.own, self.authorities) = match option.arguments() {
            [] => (None, None),
            [authorities] => (None, Some(path(authorities))),
            [certificate, key] => (Some((path(certificate), path(key))), None),
            [certificate, key, authorities] => (Some((path(certificate), path(key))), Some(path(authorities))),
            _ => return Err(option.error("takes at most a certificate, a key and authorities")),
        };
        Ok(())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &String> {
        let own = self.own.iter().flat_map(|(certificate, key)| [certificate, key]);
        own.chain(&self.authorities)
    }
}
