//! What measurements share: writes to the API server, the time to their effect, what processes use, tables of figures.

mod effect;
pub(crate) mod objects;
mod placement;
mod report;
mod usage;
mod witness;
mod writer;

pub(crate) use effect::Effects;
pub(crate) use placement::place;
pub(crate) use report::{Figure, markdown, median, percentile, table};
pub(crate) use usage::Usage;
pub(crate) use witness::Witness;
pub(crate) use writer::Writer;
