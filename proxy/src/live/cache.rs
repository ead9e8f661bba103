//! A worker's own hold on the current view: following it costs one atomic load, keeping it for an exchange an `Rc`.

use super::{Live, Upstream, View};
use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::futures::Notified;

/// The view that an exchange keeps to its end.
#[derive(Debug)]
pub struct HeldView(Arc<View>);

impl Deref for HeldView {
    type Target = View;

    fn deref(&self) -> &View {
        &self.0
    }
}

/// One a worker. It keeps the last view that it was asked for alive, so an idle worker should ask now and then.
#[derive(Debug)]
pub struct ViewCache {
    live: Arc<Live>,
    held: RefCell<Rc<HeldView>>,
}

impl ViewCache {
    /// Starts with the current view.
    #[must_use]
    pub fn new(live: Arc<Live>) -> Self {
        let held = RefCell::new(Rc::new(HeldView(live.view())));
        Self { live, held }
    }

    /// The current view.
    #[must_use]
    pub fn current(&self) -> Rc<HeldView> {
        let mut held = self.held.borrow_mut();
        if held.revision != self.live.revision() {
            *held = Rc::new(HeldView(self.live.view()));
        }
        Rc::clone(&held)
    }

    /// Ready when a view with other endpoints than the current one is there.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.live.changed.notified()
    }

    /// Ready when the newest view names an endpoint no more.
    pub(crate) async fn gone(&self, upstream: Arc<Upstream>) {
        loop {
            let changed = self.changed();
            if !upstream.is_current() {
                return;
            }
            changed.await;
        }
    }
}
