//! `bind`: where a block listens, other than at all addresses of the host.

use super::address::BindTo;
use super::item::Item;
use super::print::Printed;
use super::reading::Reading;
use crate::corefile::PlanError;

/// Of a block; more are a mistake, each is a socket for each worker.
const MAX_ADDRESSES: usize = 64;

/// One line of them.
#[derive(Debug, Clone)]
pub(crate) struct Bind {
    /// Without those that are left out by their address; in one line of a block at least there is one.
    pub(crate) to: Vec<BindTo>,
    /// Addresses of the interfaces that are left out.
    pub(crate) except: Vec<BindTo>,
}

impl Bind {
    /// `before`: other lines of the block.
    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, before: &[Self]) -> Result<Self, PlanError> {
        let mut to = read(item, "addresses or interfaces")?;
        if before.iter().map(|bind| bind.to.len()).sum::<usize>() + to.len() > MAX_ADDRESSES {
            return Err(item.error(format!("names more than {MAX_ADDRESSES} addresses")));
        }
        let mut except = Vec::new();
        item.options(reading, |_, option| match option.name() {
            "except" => {
                except = read(option, "addresses or interfaces")?;
                Ok(())
            }
            _ => Err(option.unknown(&["except"])),
        });
        for left_out in to.extract_if(.., |to| except.contains(to)) {
            reading.note(item, format!("{left_out} changes nothing: except leaves it out"));
        }
        Ok(Self { to, except })
    }

    pub(super) fn printed(&self) -> Printed {
        Printed::new("bind").words(&self.to).list("except", &self.except)
    }
}

fn read(item: Item<'_>, what: &str) -> Result<Vec<BindTo>, PlanError> {
    let words = item.some(what)?;
    if words.len() > MAX_ADDRESSES {
        return Err(item.error(format!("names more than {MAX_ADDRESSES} addresses")));
    }
    words.iter().map(|word| BindTo::parse(word.as_str()).map_err(|message| item.error(message))).collect()
}
