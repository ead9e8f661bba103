use super::*;
use crate::text_log::logged;
use config::Kind;

#[test]
fn no_name_makes_a_line_of_its_own() {
    let file: Arc<Path> = Arc::from(Path::new("a\nERROR forged.yaml"));
    let object = ObjectRef::new(Kind::Ingress, "shop\u{1b}[2J", "web\u{202e}");
    let finding = Finding {
        file: Arc::clone(&file),
        line: Some(3),
        severity: Severity::Warning,
        object: Some(object.clone()),
        message: "unknown field spec.\r\u{2028}x".to_owned(),
    };
    for (notice, expected) in [
        (
            Notice::Found(finding.clone()),
            "WARN message=unknown field spec.\\r\\u{2028}x location=a\\nERROR forged.yaml:3 object=Ingress \
             shop\\u{1b}[2J/web\\u{202e}\n",
        ),
        (Notice::Recovered { file: Arc::clone(&file) }, "INFO message=recovered location=a\\nERROR forged.yaml\n"),
        (
            Notice::Removed { file: Arc::clone(&file) },
            "INFO message=gone, and what was wrong with it location=a\\nERROR forged.yaml\n",
        ),
        (
            Notice::Resolved { object, file },
            "INFO message=no longer described twice location=a\\nERROR forged.yaml object=Ingress \
             shop\\u{1b}[2J/web\\u{202e}\n",
        ),
    ] {
        assert_eq!(logged(|| notice.log()), expected);
    }
    let plain =
        Finding { file: Arc::from(Path::new("caf\u{e9} 1.yaml")), object: None, message: "x".to_owned(), ..finding };
    assert_eq!(logged(|| Notice::Found(plain).log()), "WARN message=x location=caf\u{e9} 1.yaml:3\n");
}
