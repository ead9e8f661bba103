//! What a client of a load speaks, and its exchanges on a connection that it keeps or makes anew.

use crate::client::{Answer, Door, Http1, Http2, Trouble};
use crate::tally::Tally;

/// What a client speaks, and whether it makes a connection for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    Http1 { is_tls: bool, is_kept: bool },
    Http2 { is_tls: bool },
}

pub(crate) enum Connection {
    Http1(Http1),
    Http2(Http2),
}

impl Speech {
    pub(crate) async fn connect(self, door: &Door, host: &'static str) -> Result<Connection, Trouble> {
        Ok(match self {
            Self::Http1 { is_tls, .. } => Connection::Http1(door.h1(host, is_tls).await?),
            Self::Http2 { is_tls } => Connection::Http2(door.h2(host, is_tls).await?),
        })
    }

    /// Makes one exchange on `running`, with `body` as a POST and else as a GET; the connection too, if it can be used
    /// again.
    pub(crate) async fn exchange(
        self,
        mut running: Connection,
        (host, path): (&'static str, &'static str),
        body: Option<&'static str>,
        tally: &Tally,
    ) -> Result<(Answer, Option<Connection>), Trouble> {
        let answer = match &mut running {
            Connection::Http1(client) => client.exchange(host, path, body).await?,
            Connection::Http2(client) => client.exchange(host, path, body).await?,
        };
        if answer.closes {
            tally.end();
        }
        let is_kept = !answer.closes && !matches!(self, Self::Http1 { is_kept: false, .. });
        Ok((answer, is_kept.then_some(running)))
    }
}
