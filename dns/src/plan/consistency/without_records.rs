//! Rules for types that no question of comes to them: those of which no name has records are answered before any part.

use crate::plan::reading::Reading;
use crate::plan::rewrite::{After, Rewrite, RewriteRule};
use crate::plan::{Block, TemplateClass};
use crate::question::{TypeName, refusal};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

/// Tells of rules of `rewrite` and of templates for TKEY, TSIG, MAILB and MAILA, unless a rule makes such a question.
pub(super) fn tell_unasked(block: &Block, reading: &mut Reading<'_>) {
    let mut told = |part: (&str, usize), asked: RecordType| {
        let message = format!("{} gets NOTIMP: no such question comes there", TypeName(asked));
        reading.notes.push(block.note_of(part, message));
    };
    for (nth, rewrite) in block.rewrites.iter().enumerate() {
        let (before, _) = block.rewrites.split_at(nth);
        if let RewriteRule::Type { from, .. } = &rewrite.rule
            && is_refused(*from)
            && !before.iter().any(|rule| rule.after == After::Continue && makes(rule, *from))
        {
            told(("rewrite", nth), *from);
        }
    }
    for (nth, template) in block.templates.iter().enumerate() {
        let asked = template.record_type;
        let is_internet = template.class != TemplateClass::Chaos;
        if is_internet && is_refused(asked) && !block.rewrites.iter().any(|rule| makes(rule, asked)) {
            told(("template", nth), asked);
        }
    }
}

fn is_refused(asked: RecordType) -> bool {
    refusal(asked) == Some(ResponseCode::NotImp)
}

/// Whether a rule makes questions of this type.
fn makes(rewrite: &Rewrite, asked: RecordType) -> bool {
    matches!(rewrite.rule, RewriteRule::Type { to, .. } if to == asked)
}
