//! What no crate wraps safely: namespaces of a thread's own, and what must be done between fork and exec. The only
//! unsafe code of the crate.

#![expect(unsafe_code, reason = "unshare and pre_exec")]

use rustix::io::{Errno, Result};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Gid, Signal, Uid, set_parent_process_death_signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The kernel knows 41 of them; more are refused and left out.
const CAPABILITIES: u32 = 64;

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) more_groups: Vec<u32>,
    /// The capabilities it or what it starts can ever have.
    pub(crate) bounding: CapabilitySet,
    /// Those it has though it is not root.
    pub(crate) ambient: CapabilitySet,
    pub(crate) no_new_privileges: bool,
}

/// Gives the calling thread namespaces of its own.
///
/// # Errors
/// Where the kernel refuses it.
pub(crate) fn unshare(flags: UnshareFlags) -> Result<()> {
    let flags = flags - UnshareFlags::FILES;
    // SAFETY: all that is unsafe in it is a table of file descriptors of the thread's own, which is left out above.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Has the kernel kill the process when the thread that starts it ends. To be called last: a change of user undoes it.
pub(crate) fn die_with_thread(command: &mut Command) {
    // SAFETY: one system call; no memory is taken and no lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

/// Mounts the `/proc` of the process namespace that the process is the first of; nobody outside can.
pub(crate) fn mount_proc(command: &mut Command) {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    // SAFETY: one system call with constant strings; no memory is taken and no lock.
    unsafe {
        command.pre_exec(move || Ok(mount(c"proc", c"/proc", c"proc", flags, None)?));
    }
}

/// Has the process run as `identity`.
pub(crate) fn become_identity(command: &mut Command, identity: Identity) {
    let groups: Vec<Gid> = identity.more_groups.iter().map(|group| Gid::from_raw(*group)).collect();
    // SAFETY: system calls alone; what they need was made above, so no memory is taken and no lock.
    unsafe {
        command.pre_exec(move || Ok(assume(&identity, &groups)?));
    }
}

fn assume(identity: &Identity, groups: &[Gid]) -> Result<()> {
    for bit in 0..CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if !identity.bounding.contains(capability) {
            known(remove_capability_from_bounding_set(capability))?;
        }
    }
    let (user, group) = (Uid::from_raw(identity.user), Gid::from_raw(identity.group));
    set_keep_capabilities(true)?;
    set_thread_groups(groups)?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    if !user.is_root() {
        let own = identity.ambient;
        set_capabilities(None, CapabilitySets { effective: own, permitted: own, inheritable: own })?;
        for capability in own.iter() {
            configure_capability_in_ambient_set(capability, true)?;
        }
    }
    if identity.no_new_privileges { set_no_new_privs(true) } else { Ok(()) }
}

/// The kernel refuses numbers of capabilities that it does not have.
fn known(outcome: Result<()>) -> Result<()> {
    if outcome == Err(Errno::INVAL) { Ok(()) } else { outcome }
}
