//! How a line of `log` is written: text with placeholders, as CoreDNS has them.

use crate::corefile::PlanError;
use crate::plan::item::{Item, closest};

/// What stands for `{common}`, and is written where there is no format.
const COMMON: &str = "{remote}:{port} - {>id} \"{type} {class} {name} {proto} {size} {>do} {>bufsize}\" {rcode} {>rflags} \
                      {rsize} {duration}";
/// What stands for `{combined}` behind that.
const OPCODE: &str = " \"{>opcode}\"";

/// A format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    /// As it was written.
    text: String,
    pub(crate) pieces: Vec<Piece>,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Field(Field),
    /// What plugins say of a question, where the plugin `metadata` asks them.
    Label(Label),
}

/// Something about a question or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Type,
    Name,
    Class,
    Transport,
    /// The client's address.
    Remote,
    /// The client's port.
    Port,
    /// The address that was asked.
    Local,
    Size,
    Id,
    Opcode,
    DnssecOk,
    /// What the client takes over UDP.
    Payload,
    Code,
    Flags,
    AnswerSize,
    Duration,
}

/// What plugins say; of `kubernetes` most is in the name that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    Kind,
    Namespace,
    Service,
    Endpoint,
    Cluster,
    Zone,
    PortName,
    Protocol,
    ParseError,
    ClientNamespace,
    ClientPod,
    /// Who answered in the end.
    Upstream,
    AnswerType,
    AnswerClass,
    /// There are no views, and so none has a name.
    View,
}

const FIELDS: [(&str, Field); 16] = [
    ("type", Field::Type),
    ("name", Field::Name),
    ("class", Field::Class),
    ("proto", Field::Transport),
    ("remote", Field::Remote),
    ("port", Field::Port),
    ("local", Field::Local),
    ("size", Field::Size),
    (">id", Field::Id),
    (">opcode", Field::Opcode),
    (">do", Field::DnssecOk),
    (">bufsize", Field::Payload),
    ("rcode", Field::Code),
    (">rflags", Field::Flags),
    ("rsize", Field::AnswerSize),
    ("duration", Field::Duration),
];

const LABELS: [(&str, Label); 15] = [
    ("/kubernetes/kind", Label::Kind),
    ("/kubernetes/namespace", Label::Namespace),
    ("/kubernetes/service", Label::Service),
    ("/kubernetes/endpoint", Label::Endpoint),
    ("/kubernetes/cluster", Label::Cluster),
    ("/kubernetes/zone", Label::Zone),
    ("/kubernetes/port-name", Label::PortName),
    ("/kubernetes/protocol", Label::Protocol),
    ("/kubernetes/parse-error", Label::ParseError),
    ("/kubernetes/client-namespace", Label::ClientNamespace),
    ("/kubernetes/client-pod-name", Label::ClientPod),
    ("/forward/upstream", Label::Upstream),
    ("/log/type", Label::AnswerType),
    ("/log/class", Label::AnswerClass),
    ("/view/name", Label::View),
];

impl Label {
    /// Whether it tells of the Pod that asks.
    pub(crate) fn is_of_client(self) -> bool {
        matches!(self, Self::ClientNamespace | Self::ClientPod)
    }
}

impl Format {
    /// `text` as it was written; `None`: there is none.
    pub(super) fn read(item: Item<'_>, text: Option<&str>) -> Result<Self, PlanError> {
        let text = text.unwrap_or("{common}");
        let whole = text.replace("{combined}", &format!("{COMMON}{OPCODE}")).replace("{common}", COMMON);
        let pieces = pieces(&whole).map_err(|message| item.error(message))?;
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// As it is to be written; `None`: it may be left out.
    pub(super) fn printed(&self) -> Option<&str> {
        (self.text != "{common}").then_some(&self.text)
    }

    /// Its labels.
    pub(crate) fn labels(&self) -> impl Iterator<Item = Label> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Label(label) => Some(*label),
            Piece::Text(_) | Piece::Field(_) => None,
        })
    }
}

/// A brace that closes nothing is text, and so is one that opens what cannot be a placeholder: a format may be JSON.
fn pieces(mut rest: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    while let Some(end) = rest.find('}') {
        let (before, after) = rest.split_at(end + 1);
        let start = before.rfind('{');
        let word = start.and_then(|start| before.get(start + 1..end)).filter(|word| is_placeholder(word));
        match (start, word) {
            (Some(start), Some(word)) => {
                text.push_str(before.get(..start).unwrap_or_default());
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(piece(word)?);
            }
            _ => text.push_str(before),
        }
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

fn is_placeholder(word: &str) -> bool {
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '/' | '_' | '.');
    let name = word.strip_prefix('>').unwrap_or(word);
    name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/') && name.chars().all(is_of_word)
}

fn piece(word: &str) -> Result<Piece, String> {
    let field = FIELDS.iter().find(|(name, _)| *name == word).map(|(_, field)| Piece::Field(*field));
    let label = || LABELS.iter().find(|(name, _)| *name == word).map(|(_, label)| Piece::Label(*label));
    field.or_else(label).ok_or_else(|| {
        if word.starts_with("/kubernetes/client-label/") {
            return format!("{{{word}}} is not supported: labels of Pods are not read");
        }
        let known = FIELDS.iter().map(|(name, _)| *name).chain(LABELS.iter().map(|(name, _)| *name));
        match closest(word, known) {
            Some(near) => format!("{{{word}}} is no placeholder; did you mean {{{near}}}?"),
            None => format!("{{{word}}} is no placeholder"),
        }
    })
}
