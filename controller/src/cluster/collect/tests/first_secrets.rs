//! How long the first Secrets are waited for. Time is paused: what watches say is put in their mouths.

use super::*;
use std::collections::BTreeSet;

/// A collector that waits for so many Secrets, of an API server that does not answer. It tells how long it waited, and
/// what it then knew.
struct Waiting {
    said: mpsc::Sender<Said>,
    batches: mpsc::Receiver<Batch>,
    begin: Instant,
    _wanted: watch::Sender<WantedSecrets>,
    _server: ApiServer,
}

impl Waiting {
    async fn for_secrets(count: usize) -> Self {
        let server = ApiServer::start().await;
        server.stop();
        let clients = server.clients().await;
        let names = (0..count).map(|number| ObjectName { namespace: "shop".into(), name: number.to_string().into() });
        let (wanted, receiver) = watch::channel(Some(Arc::new(names.collect::<BTreeSet<_>>())));
        let (sender, batches) = mpsc::channel(1);
        let mut collector = collector(clients, receiver, sender);
        let said = collector.outlets.said.clone();
        tokio::spawn(async move {
            let _ = collector.first_secrets().await;
            // Its watches go on.
            std::future::pending::<()>().await;
        });
        Self { said, batches, begin: Instant::now(), _wanted: wanted, _server: server }
    }

    /// The watch of this number says that, after a while.
    async fn says(&self, number: u64, what: What, after: Duration) {
        tokio::time::sleep(after).await;
        timeout(PATIENCE, self.said.send(Said { number, what })).await.expect("in time").expect("heard");
    }

    /// For how long they were waited for, in seconds.
    async fn ends(mut self) -> u64 {
        self.batches.recv().await.expect("a batch");
        self.begin.elapsed().as_secs()
    }
}

const ALMOST: Duration = Duration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn each_that_comes_gives_the_next_one_its_time() {
    let waiting = Waiting::for_secrets(4).await;
    waiting.says(1, What::Listed(Vec::new(), "1".into()), ALMOST).await;
    waiting.says(2, What::Fault(Fault::Forbidden("no".into())), ALMOST).await;
    waiting.says(3, What::Listed(Vec::new(), "1".into()), ALMOST).await;
    assert_eq!(waiting.ends().await, 3 * 4 + 5);

    let waiting = Waiting::for_secrets(2).await;
    waiting.says(1, What::Listed(Vec::new(), "1".into()), ALMOST).await;
    waiting.says(2, What::Listed(Vec::new(), "1".into()), ALMOST).await;
    assert_eq!(waiting.ends().await, 2 * 4, "nothing is waited for any more");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_progress_gives_no_time() {
    let waiting = Waiting::for_secrets(2).await;
    waiting.says(1, What::Fault(Fault::other("broken")), ALMOST).await;
    assert_eq!(waiting.ends().await, 5);
    let waiting = Waiting::for_secrets(2).await;
    waiting.says(1, What::Listed(Vec::new(), "1".into()), Duration::ZERO).await;
    waiting.says(1, What::Listed(Vec::new(), "1".into()), ALMOST).await;
    assert_eq!(waiting.ends().await, 5, "it was there already");
}

#[tokio::test(start_paused = true)]
async fn all_of_them_have_a_minute() {
    let waiting = Waiting::for_secrets(100).await;
    for number in 1..=14 {
        waiting.says(number, What::Listed(Vec::new(), "1".into()), ALMOST).await;
    }
    assert_eq!(waiting.ends().await, 60);
}
