//! Secrets that may not be read: said once, and no longer than they are named.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_secret_that_may_not_be_read_is_said_and_nothing_else_waits() {
    let server = ApiServer::start().await;
    server.rule(Rule::new("secrets", Answer::Status(403)));
    server.rule(Rule::new("ingressclasses", Answer::Status(403)));
    let objects = vec![service("web"), ingress("web", "web.example", Some("web")), ingress("b", "b.example", None)];
    let running = Running::watching(server, objects, Watched::default()).await;
    let reader = running.ready().await;
    assert_eq!(hosts(&reader.current()), 2);
    running.until_problem("web", Some(Reason::SecretForbidden)).await;
    running.until_problem("b", None).await;
    running.until_progress(Progress::is_connected).await;
    let name = config::ObjectRef::new(config::Kind::Ingress, "shop", "web");
    let message = running.statuses.borrow().find(&name).problems[0].message.to_string();
    let expected = "Secret shop/web may not be read: grant get, list and watch on Secrets in shop (";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn a_secret_that_may_not_be_read_is_one_warning() {
    let log = crate::text_log::logged(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let server = ApiServer::start().await;
            server.rule(Rule::new("secrets", Answer::Status(403)));
            let objects = vec![service("web"), ingress("web", "web.example", Some("web"))];
            let running = Running::watching(server, objects, Watched::default()).await;
            running.until_problem("web", Some(Reason::SecretForbidden)).await;
        });
    });
    let warnings: Vec<_> =
        log.lines().filter(|line| line.starts_with("WARN") && !line.contains("NoEndpoint")).collect();
    let [warning] = warnings[..] else { panic!("{log}") };
    assert!(warning.contains("Ingress shop/web") && warning.contains("grant get, list and watch"), "{warning}");
}

#[tokio::test]
async fn a_refusal_is_told_once_and_ends_with_the_last_who_names_it() {
    let server = ApiServer::start().await;
    let mut collector = collector(server.clients().await, watch::channel(None).1, mpsc::channel(1).0);
    collector.watched.secret_namespaces = vec!["certificates".into()];
    let mut told = |names: &[&str]| {
        let name = |name: &&str| ObjectName { namespace: "shop".into(), name: (*name).into() };
        let mut batch = Batch::default();
        collector.want(Some(Arc::new(names.iter().map(name).collect())), &mut batch);
        let said = batch.changes.iter().map(|change| match change {
            Change::Refuse(name, _) => format!("refuse {name}"),
            Change::Delete(name) => format!("delete {name}"),
            Change::Apply(object) => panic!("{object:?}"),
        });
        said.collect::<Vec<_>>()
    };
    assert_eq!(told(&["a"]), ["refuse Secret shop/a"]);
    assert_eq!(told(&["a", "b"]), ["refuse Secret shop/b"]);
    assert_eq!(told(&["b"]), ["delete Secret shop/a"]);
    assert_eq!(told(&["b"]), [""; 0]);
}
