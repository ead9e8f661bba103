//! What a plan asks for that this version does not do: the one place that says so.

use super::Plan;
use super::block::Block;
use super::kubernetes::Kubernetes;
use crate::corefile::Note;

/// Everything that the plan asks for and the server of this version does not do, in the order of the lines. Empty: the
/// server would do all of it.
#[must_use]
pub fn unserved(plan: &Plan) -> Vec<Note> {
    let mut notes: Vec<Note> = plan.blocks().iter().flat_map(of_block).chain(plan.disagreements()).collect();
    notes.sort();
    notes.dedup();
    notes
}

fn of_block(block: &Block) -> Vec<Note> {
    let mut asked: Vec<(&str, String)> = Vec::new();
    asked.extend(block.kubernetes.iter().flat_map(of_kubernetes).map(|what| ("kubernetes", what)));
    let message = |what: &str| {
        if what.is_empty() { "not served yet".to_owned() } else { format!("not served yet: {what}") }
    };
    asked.into_iter().map(|(plugin, what)| block.note(plugin, message(&what))).collect()
}

fn of_kubernetes(kubernetes: &Kubernetes) -> Vec<String> {
    (!kubernetes.multicluster.is_empty()).then(|| "multicluster".to_owned()).into_iter().collect()
}
