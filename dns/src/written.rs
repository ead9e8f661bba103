//! What blocks write into the log: lines about answers (`log`) and failures (`errors`). Whoever subscribes to it must
//! take a line without waiting, since those who answer hand it over.

mod errors;
mod queries;

pub(crate) use errors::Errors;
pub(crate) use queries::{Logged, Queries, Question};

const QUERIES: &str = "dns::query";
const ERRORS: &str = "dns::errors";

/// The targets of lines of which clients can make as many as they ask questions.
pub const LOGGED: [&str; 2] = [QUERIES, ERRORS];
