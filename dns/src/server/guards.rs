//! What stands between the server and those who ask in the name of others: on for the whole server, whatever its blocks
//! are, and through every change of them.

use super::rate_limit::{RateLimit, RateLimiter};
use crate::cookie::{ClientCookie, Cookies, Malformed, SecretFile, Standing};
use crate::message::Transport;
use crate::metrics::Metrics;
use crate::option;
use crate::question::Head;
use crate::wire::COOKIE;
use config::DnsCompatibility;
use hickory_proto::op::ResponseCode;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// What the server does about those who ask in the name of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protection {
    /// File with the secret of server cookies (RFC 9018), which all replicas share: one or two lines of 32 hexadecimal
    /// digits, of which the first makes new cookies. It is looked at again every 10 s. `None`: a random one.
    pub cookie_secret: Option<PathBuf>,
    /// How many answers one network gets over UDP. `None`: all.
    pub rate_limit: Option<RateLimit>,
}

/// The same at work; nothing by default.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// `None`: cookies are not answered.
    cookies: Option<Arc<Cookies>>,
    secret: Option<Arc<SecretFile>>,
    /// `None`: there is no limit.
    rate_limiter: Option<Box<RateLimiter>>,
}

impl Guards {
    /// Those of a server for which nothing is said. CoreDNS knows no cookies.
    pub(super) fn of(compatibility: DnsCompatibility) -> Self {
        let cookies = match compatibility {
            DnsCompatibility::Standard => Some(Arc::new(Cookies::random())),
            DnsCompatibility::CoreDns => None,
        };
        Self { cookies, ..Self::default() }
    }

    /// # Errors
    /// A file cannot be read, or holds something else; the message names it.
    pub(super) fn protect(&mut self, protection: Protection, metrics: &Metrics) -> io::Result<()> {
        let Protection { cookie_secret, rate_limit } = protection;
        if let (Some(path), Some(cookies)) = (cookie_secret, &mut self.cookies) {
            let secret = SecretFile::open(&path)?;
            *cookies = Arc::clone(&secret.cookies);
            self.secret = Some(Arc::new(secret));
        }
        self.rate_limiter = rate_limit.map(|limit| Box::new(RateLimiter::new(limit, metrics.rate_limit.clone())));
        Ok(())
    }

    /// What goes on behind questions, until it is dropped.
    pub(super) fn watch(&self, runtime: &Handle) -> JoinSet<()> {
        let mut watches = JoinSet::new();
        if let Some(secret) = &self.secret {
            watches.spawn_on(Arc::clone(secret).watch(), runtime);
        }
        watches
    }

    /// What answers that leave like this have to pass.
    pub(super) fn rate_limiter(&self, transport: Transport) -> Option<&RateLimiter> {
        self.rate_limiter.as_deref().filter(|_| transport == Transport::Udp)
    }

    /// Finds out what the COOKIE option of a packet gets, if there is one and cookies are answered.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn answer_cookie(&self, head: &mut Head, packet: &[u8], client: IpAddr) -> Result<(), Malformed> {
        // Most questions have none, and are looked at no further.
        let Some(edns) = head.edns.as_mut().filter(|edns| edns.cookie == ClientCookie::Brought) else { return Ok(()) };
        let Some(cookies) = &self.cookies else { return Ok(()) };
        // Of several the first one counts (RFC 7873 §5.2).
        let content = option::find(COOKIE, packet).ok_or(Malformed)?;
        edns.cookie = ClientCookie::Answered(cookies.answer(content, client)?);
        Ok(())
    }

    /// The same of a packet that has nothing else, and the code that it gets (RFC 7873 §5.4).
    pub(super) fn code_of_cookie(&self, head: &mut Head, packet: &[u8], client: IpAddr) -> ResponseCode {
        let answered = self.answer_cookie(head, packet, client);
        match (answered, head.edns.map(|edns| edns.cookie)) {
            (Ok(()), Some(ClientCookie::Answered(cookie))) => match cookie.standing {
                Standing::New | Standing::Proved => ResponseCode::NoError,
                Standing::Unproved => ResponseCode::BADCOOKIE,
            },
            (Err(Malformed), _) => ResponseCode::FormErr,
            (Ok(()), _) => {
                // Nobody here knows what it is about.
                head.edns = None;
                ResponseCode::FormErr
            }
        }
    }
}
