//! Label selectors in options, whose words are parts of one.

use super::item::Item;
use crate::corefile::{PlanError, Word};
use config::LabelSelector;

/// The selector of an option.
pub(super) fn read(option: Item<'_>) -> Result<LabelSelector, PlanError> {
    let words: Vec<_> = option.some("a label selector")?.iter().map(Word::as_str).collect();
    words.join(" ").parse().map_err(|message: String| option.error(message))
}
