//! A power cut: the process is gone without a word, the next one serves what the directory has.

use crate::LOAD;
use crate::authority::Authority;
use crate::backend::{Backend, Speaks};
use crate::client::Door;
use crate::load::{Load, Method, Route};
use crate::manifests::{Manifests, annotated_service, certificate, ingress};
use crate::program::Program;
use rustix::process::Signal;
use std::sync::Arc;

const HOST: &str = "web.shop.test";

const ROUTES: &[Route] = &[
    Route { host: HOST, path: "/", services: &["web"], method: Method::Get },
    Route { host: HOST, path: "/", services: &["web"], method: Method::Post },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_it_serves_from_the_directory() {
    let _load = LOAD.lock().await;
    let backend = Backend::start("web/1".to_owned(), Speaks::Http1).await;
    let authority = Arc::new(Authority::new());
    let manifests = Manifests::new();
    let web = annotated_service("web", std::iter::once(backend.address));
    manifests.replace("web.yaml", &(web + &ingress("web", 2020, HOST, &[("/", "web")])));
    manifests.replace("certificate.yaml", &certificate(&authority.issue("*.shop.test"), "*.shop.test"));
    let other = ingress("other", 2020, "other.shop.test", &[("/", "web")]);
    manifests.replace("other.yaml", &other);

    let mut program = Program::start(manifests.path(), &[]).await;
    let door = Door { http: program.http, https: program.https, authority };
    let load = Load::start(&door, ROUTES);
    load.passes(300).await;
    program.signal(Signal::KILL);
    assert_eq!(program.ended().await.code(), None);
    // Under load, so what was under way is lost; nothing more is claimed of it.
    load.finish().await;
    // What a power cut leaves of a file that was being written, and of one that was not.
    let (half, _) = other.split_once("namespace").expect("it has one");
    manifests.overwrite("other.yaml", half);
    manifests.overwrite("empty.yaml", "");

    // On the same ports, whatever lingers there.
    let binds = [format!("--http-bind={}", door.http), format!("--https-bind={}", door.https)];
    let program = Program::start(manifests.path(), &binds.each_ref().map(String::as_str)).await;
    assert_eq!((program.http, program.https), (door.http, door.https));
    program.log.until("other.yaml").await;
    let load = Load::start(&door, ROUTES);
    load.passes(300).await;
    manifests.replace("other.yaml", &other);
    crate::eventually("the file is whole again", async || door.look("other.shop.test", "/").await.0 == 200).await;
    let report = load.finish().await;
    assert!(report.failures.is_empty() && report.ended == 0 && report.refused == 0, "{report}");
}
