//! The answer on its way to the client, event by event.

use super::{Answer, End, Transfer};
use crate::down::{DownError, HeadOptions};
use crate::exchange::Exchange;
use crate::exchange::trailers::without_framing;
use crate::live::Picked;
use crate::metrics::{ConnectionKind, Level};
use crate::record::{Phase, Reason, Version};
use crate::response::{AnswerBody, UpstreamHead};
use crate::up::{Download, UpError};
use http::HeaderMap;
use std::task::Context;

impl Exchange<'_> {
    pub(super) fn on_download(
        &mut self,
        cx: &mut Context<'_>,
        transfer: &mut Transfer,
        picked: &mut Picked,
        event: Download,
    ) -> Result<(), End> {
        let gone = |_: DownError| End::ClientGone(Reason::ClientGone);
        match event {
            Download::Interim(head) => self.on_interim(transfer, &head),
            Download::Final(head) => {
                picked.succeeded();
                if let Some(terms) = &mut self.terms
                    && terms.retries(head.status)
                {
                    terms.held = Some(head);
                    return Err(End::HeldBack);
                }
                self.on_final(transfer, &head).map_err(gone)
            }
            Download::Upgraded(head) => {
                picked.succeeded();
                self.on_upgrade(transfer, &head).map_err(gone)
            }
            Download::Data(data) => {
                self.draft.set(|record| record.bytes_out += data.len() as u64);
                self.down.data(cx, data).map_err(gone)?;
                if transfer.up.is_done() {
                    self.end_answer(transfer, None);
                }
                Ok(())
            }
            Download::End(trailers) => {
                self.end_answer(transfer, trailers);
                Ok(())
            }
        }
    }

    /// At most one 100 reaches a client, and only one that waits for it.
    fn on_interim(&mut self, transfer: &mut Transfer, head: &UpstreamHead) -> Result<(), End> {
        transfer.interim_heads += 1;
        if transfer.interim_heads > self.worker.settings.limits.interim_heads {
            return Err(End::Failed(UpError::Protocol));
        }
        if head.status == 100 {
            if !self.request.expects_continue || self.upload.was_continued {
                return Ok(());
            }
            self.upload.was_continued = true;
        } else {
            // What the client has seen of this attempt cannot be taken back.
            self.upload.overflow();
        }
        self.down.interim(head).map_err(|_| End::ClientGone(Reason::ClientGone))
    }

    pub(super) fn on_final(&mut self, transfer: &mut Transfer, head: &UpstreamHead) -> Result<(), DownError> {
        self.upload.overflow();
        let body = head.answer_body(self.request.method);
        transfer.keep = self.keeps_after(head, body);
        self.note_head(head, Phase::Stream);
        let worker = self.worker;
        self.down.head(head, HeadOptions { body, keep: transfer.keep, date: &|| worker.date() })?;
        transfer.answer = Answer::Streaming;
        if transfer.up.is_done() || matches!(body, AnswerBody::Absent(_) | AnswerBody::Length(0)) {
            self.end_answer(transfer, None);
        }
        Ok(())
    }

    fn on_upgrade(&mut self, transfer: &mut Transfer, head: &UpstreamHead) -> Result<(), DownError> {
        self.note_head(head, Phase::Tunnel);
        let worker = self.worker;
        self.down.tunnel(head, HeadOptions { body: AnswerBody::Stream, keep: false, date: &|| worker.date() })?;
        transfer.answer = Answer::Streaming;
        transfer.is_tunnel = true;
        // A tunnel has its own.
        self.terms = None;
        self.upload.begin_tunnel();
        transfer.tunnel = Some(self.worker.metrics.hold(Level::Connection(ConnectionKind::Tunnel)));
        Ok(())
    }

    fn note_head(&mut self, head: &UpstreamHead, phase: Phase) {
        let first_byte = self.draft.elapsed();
        self.draft.reached(phase);
        self.draft.set(|record| {
            record.status = head.status;
            record.upstream_status = Some(head.status);
            record.first_byte = Some(first_byte);
        });
    }

    /// Whether the connection can serve another request after this answer, as far as its head can tell: not where it is
    /// the connection's end that ends the answer, nor where much of the upload would have to be thrown away.
    fn keeps_after(&self, head: &UpstreamHead, body: AnswerBody) -> bool {
        // After a 2xx both go on; the end will tell.
        let is_undecided = (200..300).contains(&head.status) && !self.awaits_continue();
        let upload_fits = is_undecided || self.upload_rest_fits();
        let is_delimited = body != AnswerBody::Stream || self.request.version != Version::Http10;
        self.may_keep && !self.worker.drain.is_closing() && upload_fits && is_delimited
    }

    pub(super) fn end_answer(&mut self, transfer: &mut Transfer, trailers: Option<HeaderMap>) {
        if transfer.answer != Answer::Ended {
            transfer.answer = Answer::Ended;
            self.down.end(trailers.map(without_framing));
        }
    }
}
