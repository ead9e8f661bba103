//! A panic in one exchange is that exchange's end: its task may serve others.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// What the future gives; `None` where it panics. The panic's hook has told of it by then, and all that the future held
/// was dropped. It is pinned by the caller: a future that takes another one is twice its size.
pub(super) async fn caught<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    // Of what the future only borrows, the client's side is cut and all else is kept whole by guards.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::pin::pin;
    use std::rc::Rc;
    use std::thread::panicking;
    use tokio::task::yield_now;

    /// Tells whether it was dropped by a panic.
    struct Guard(Rc<Cell<Option<bool>>>);

    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.set(Some(panicking()));
        }
    }

    #[tokio::test]
    async fn a_panic_is_no_more_than_the_end_of_its_future() {
        let dropped = Rc::new(Cell::new(None));
        let guard = Guard(Rc::clone(&dropped));
        let is_fine = Cell::new(true);
        let future = async {
            let _guard = guard;
            yield_now().await;
            assert!(!is_fine.get(), "as it was meant to");
        };
        assert_eq!(caught(pin!(future)).await, None);
        assert_eq!(dropped.get(), Some(true));
        // The task goes on.
        assert_eq!(caught(pin!(async { 5 })).await, Some(5));
    }
}
