//! The documents of a file, each with the number of its first line (YAML 1.2 §9.1, §9.2).

/// The text of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct DocumentText<'t> {
    /// Counted from 1; a `---` belongs to the document that it begins.
    pub(in crate::source) first_line: u32,
    pub(in crate::source) text: &'t str,
}

/// Splits a file at `---` and after `...`. Documents of nothing but comments are left out. O(n), allocates the list.
pub(in crate::source) fn split(file: &str) -> Vec<DocumentText<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut first_line) = (0, 1);
    let mut end = |start: usize, end: usize, first_line: u32| {
        if let Some(text) = file.get(start..end)
            && !is_empty(text)
        {
            documents.push(DocumentText { first_line, text });
        }
    };
    let (mut at, mut number) = (0, 1u32);
    for line in file.split_inclusive('\n') {
        let next = at + line.len();
        if is_marker(line, "---") {
            end(start, at, first_line);
            (start, first_line) = (at, number);
        } else if is_marker(line, "...") {
            end(start, next, first_line);
            (start, first_line) = (next, number.saturating_add(1));
        }
        (at, number) = (next, number.saturating_add(1));
    }
    end(start, at, first_line);
    documents
}

/// At the start of a line, and not of a longer word: `-----BEGIN` is text.
fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_empty(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').lines().all(|line| {
        let marker = ["---", "..."].into_iter().find(|marker| is_marker(line, marker));
        let line = marker.and_then(|marker| line.strip_prefix(marker)).unwrap_or(line);
        let line = line.trim();
        line.is_empty() || line.starts_with(['#', '%'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_their_first_line() {
        for (file, expected) in [
            ("a: 1\n", vec![(1, "a: 1\n")]),
            ("a: 1\n---\nb: 2\n", vec![(1, "a: 1\n"), (2, "---\nb: 2\n")]),
            ("---\na: 1\n--- # note\nb: 2", vec![(1, "---\na: 1\n"), (3, "--- # note\nb: 2")]),
            ("--- {a: 1}\n--- {b: 2}\n", vec![(1, "--- {a: 1}\n"), (2, "--- {b: 2}\n")]),
            ("a: 1\r\n---\r\nb: 2\r\n", vec![(1, "a: 1\r\n"), (2, "---\r\nb: 2\r\n")]),
            ("a: 1\n...\n# x\nb: 2\n", vec![(1, "a: 1\n...\n"), (3, "# x\nb: 2\n")]),
            ("# only\n---\n\n---\n%YAML 1.2\n---\na: 1\n", vec![(6, "---\na: 1\n")]),
            ("\u{feff}---\na: 1\n", vec![(1, "\u{feff}---\na: 1\n")]),
            ("", vec![]),
        ] {
            let documents: Vec<_> = split(file).iter().map(|document| (document.first_line, document.text)).collect();
            assert_eq!(documents, expected, "{file:?}");
        }
    }

    #[test]
    fn dashes_within_a_document_split_nothing() {
        for file in ["a: |\n  ---\n  b\n", "a: |\n  -----BEGIN\n", "-----BEGIN\n", "----\n", "a: \"x\n ---\n y\"\n"] {
            assert_eq!(split(file), [DocumentText { first_line: 1, text: file }], "{file:?}");
        }
    }
}
