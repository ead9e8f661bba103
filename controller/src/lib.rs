//! Kubernetes objects in, snapshot and statuses out.
//! A source delivers [`Object`]s, [`Objects`] keeps them, [`translate()`] is the pure function from there to the model.

mod batch;
pub mod certificate;
pub mod cluster;
mod follower;
pub mod object;
pub mod objects;
mod printable;
pub mod run;
mod selection;
pub mod source;
pub mod status;
#[cfg(test)]
mod text_log;
pub mod translate;

pub use batch::{Batch, Change, Trigger};
pub use follower::Follower;
pub use object::Object;
pub use objects::Objects;
pub use printable::Printable;
pub use selection::{NameObjects, Selection};
pub use status::{Problem, Reason, Status, Statuses, Verdict};
pub use translate::{TranslateSettings, Translation, Translator, translate};
