//! Questions that another one leads to, answered as this server answers them to the same client: by the block that their
//! names are in, with all its parts.

use super::after::{After, Complete};
use super::resolve::{Asking, code};
use super::respond::{Responder, Response};
use super::through::finally;
use crate::answer::MAX_ALIASES;
use crate::metrics::Source;
use crate::name::LowerName;
use crate::part::alias::Alias;
use crate::question::{Asked, CLASS_IN, Query};
use crate::serving::Block;
use std::sync::Arc;

impl Responder {
    /// Answers what a question to `block` has led to; by that block itself where no other one is for the name.
    pub(super) fn respond_led(&self, block: &Arc<Block>, asking: &Asking<'_>, out: &mut Vec<u8>) -> Response {
        let own = asking.site.find(asking.name).map_or(block, |served| &served.block);
        self.led((block, own), asking);
        self.respond_in(own, asking, out)
    }

    /// Goes on where CNAMEs lead that `out` has. They are the answer where they are too many, and where nobody can tell.
    pub(super) fn follow(
        &self,
        target: &[u8],
        (block, source): (&Arc<Block>, Source),
        asking: &Asking<'_>,
        out: &mut Vec<u8>,
    ) -> Response {
        let Asking { query, .. } = *asking;
        let record_type = query.asked.record_type;
        let alias = Alias::read(target, record_type, out).filter(|_| query.head.class == CLASS_IN);
        let led = alias.zip(LowerName::read(target)).map(|(alias, name)| (asking.led + alias.count(), alias, name));
        match led.filter(|(led, ..)| *led <= MAX_ALIASES) {
            Some((led, alias, name)) => {
                let left = Query { head: query.head, asked: Asked { wire: alias.question(), record_type } };
                let left = Asking { query: left, name: &name, led, ..*asking };
                let response = self.respond_led(block, &left, out);
                finally(response, asking, out, || After::Complete(Box::new(Complete::new(alias, &query))))
            }
            None => asking.answered(source, code(out)),
        }
    }
}
