//! Whole exchanges with one byte a read and one byte a write: nothing may depend on how bytes are cut into pieces.

use crate::harness::{Client, Ended, field, proxied};

/// What a peer got: heads and bodies, and how the connection ended if it did.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    upstream: (String, Vec<u8>),
    client: Vec<(String, Vec<u8>)>,
    ended: Option<Ended>,
}

/// One exchange: what the client sends and what the upstream answers; both may be cut off at the end.
struct Exchange {
    request: &'static str,
    answer: &'static str,
    /// Heads that the client gets before the final one.
    interim: usize,
    is_cut: bool,
}

const fn whole(request: &'static str, answer: &'static str) -> Exchange {
    Exchange { request, answer, interim: 0, is_cut: false }
}

/// Each answer has a Date, so that none is added.
const EXCHANGES: &[Exchange] = &[
    whole("GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello"),
    whole(
        "GET / HTTP/1.0\r\n",
        "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    whole("HEAD / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n"),
    whole("GET / HTTP/1.1\r\n", "HTTP/1.1 304 Not Modified\r\nDate: x\r\nETag: x\r\n\r\n"),
    whole(
        "POST /%7Ea HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\nDate: x\nTransfer-Encoding: chunked\r\n\r\n1;x\r\nh\r\n0004\r\nello\r\n0\r\nX: y\r\n\r\n",
    ),
    whole(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\nh\r\n0004\r\nello\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
    ),
    Exchange {
        request: "GET / HTTP/1.1\r\n",
        answer: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: y\r\n\r\n\
                 HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello",
        interim: 2,
        is_cut: false,
    },
    Exchange {
        request: "GET / HTTP/1.0\r\n",
        answer: "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        interim: 0,
        is_cut: true,
    },
];

#[tokio::test]
async fn case_2_an_exchange_does_not_depend_on_how_its_bytes_are_cut() {
    for exchange in EXCHANGES {
        let in_one_piece = run(exchange, false).await;
        let bytewise = run(exchange, true).await;
        assert_eq!(bytewise, in_one_piece, "{:?} and {:?}", exchange.request, exchange.answer);
        assert_eq!(in_one_piece.client.len(), exchange.interim + 1);
    }
}

async fn run(exchange: &Exchange, is_bytewise: bool) -> Got {
    let (upstream, proxy) = proxied(|setup| {
        setup.trusted_proxies = vec!["127.0.0.0/8"];
        if is_bytewise {
            (setup.limits.read, setup.limits.output) = (1, 1);
        }
    })
    .await;
    let mut client = proxy.client().await;
    let (head, body) = exchange.request.split_once("\r\n\r\n").unwrap_or((exchange.request.trim_end(), ""));
    // What differs from one run to the next is given.
    let request = format!(
        "{head}\r\nHost: a.test\r\nX-Forwarded-Port: 80\r\nX-Request-ID: fixed\r\nConnection: keep-alive\r\n\r\n{body}"
    );
    let sending = async {
        if is_bytewise {
            client.send_bytewise(request.as_bytes()).await;
        } else {
            client.send(&request).await;
        }
    };
    let receiving = async {
        let mut up = upstream.accept().await;
        let head = up.head().await;
        let body = up.body(&head).await;
        (up, (head, body))
    };
    let ((), (mut up, got)) = tokio::join!(sending, receiving);
    let answering = async {
        if is_bytewise {
            up.send_bytewise(exchange.answer.as_bytes()).await;
        } else {
            up.send(exchange.answer).await;
        }
        if exchange.is_cut {
            drop(up);
            return std::future::pending().await;
        }
        // It stays open: what the client gets ends by its framing.
        std::future::pending::<std::convert::Infallible>().await
    };
    let (client, ended) = tokio::select! {
        got = answers(&mut client, exchange) => got,
        never = answering => match never {},
    };
    let method = exchange.request.split(' ').next().expect("a method");
    let record = proxy.record().await;
    assert!(record.starts_with(&format!("{method} /")) && record.ends_with("cut") == exchange.is_cut, "{record}");
    Got { upstream: got, client, ended }
}

async fn answers(client: &mut Client, exchange: &Exchange) -> (Vec<(String, Vec<u8>)>, Option<Ended>) {
    let mut got = Vec::new();
    for _ in 0..exchange.interim {
        got.push((client.head().await, vec![]));
    }
    let head = client.head().await;
    let is_until_close = field(&head, "connection") == Some("close");
    if is_until_close {
        let (body, ended) = client.rest_and_end().await;
        got.push((head, body.into_bytes()));
        return (got, Some(ended));
    }
    let has_body = !exchange.request.starts_with("HEAD");
    let body = if has_body { client.body(&head).await } else { vec![] };
    got.push((head, body));
    (got, None)
}
