//! The allocator, told to give memory back soon: a large directory is read once and served for weeks.
//! The one module with `unsafe`: no crate wraps mimalloc's settings.

use libmimalloc_sys::{mi_collect, mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's header: milliseconds for which freed pages are kept.
const PURGE_DELAY: mi_option_t = 15;
/// Long enough that the buffers of one body serve the next; mimalloc's own second is longer than what follows a start.
const MILLISECONDS: std::ffi::c_long = 10;

/// Sets the allocator up. To be called first.
pub(crate) fn prepare() {
    // SAFETY: the option exists in the linked version, which the test below holds it to, and may be set at any time;
    // the function takes two integers and keeps nothing.
    unsafe { mi_option_set(PURGE_DELAY, MILLISECONDS) }
}

/// Gives all back that this thread has freed, and does not wait until it allocates again, as it else would.
pub(crate) fn give_back() {
    // SAFETY: takes a flag, and touches nothing that is in use.
    unsafe { mi_collect(true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number is that of the option: its default is a second, as of no other option.
    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: reads an integer.
        let before = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(before, 1000);
        prepare();
        // SAFETY: reads an integer.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) }, MILLISECONDS);
    }
}
