//! Kubernetes objects in, snapshot and statuses out.
//! A source delivers [`Object`]s, [`Objects`] keeps them, [`translate()`] is the pure function from there to the model.

pub mod certificate;
pub mod object;
pub mod objects;
pub mod run;
pub mod source;
pub mod status;
pub mod translate;

pub use object::Object;
pub use objects::Objects;
pub use status::{Problem, Reason, Status, Statuses, Verdict};
pub use translate::{TranslateSettings, Translation, Translator, translate};
