//! What measurements share: writes to the API server, the time to their effect, what processes use, tables of figures.

mod effect;
mod report;
mod usage;
mod writer;

pub(crate) use effect::Effects;
pub(crate) use report::{Figure, table};
pub(crate) use usage::Usage;
pub(crate) use writer::Writer;
