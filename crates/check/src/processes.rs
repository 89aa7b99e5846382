//! Ending an instance of the live target: only a process of this machine that is seen to be that instance.

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{Pid, getpgrp},
};

use crate::workers;

/// Whoever can end instances.
pub trait Processes: Send + Sync {
    /// Whether this process is an instance that listens on this port, here and now. The error says what is seen instead.
    fn is_here(&self, process: u32, port: Option<u16>) -> Result<(), String>;

    /// Kills it and everything that it started, without warning (SIGKILL).
    fn kill(&self, process: u32) -> Result<(), String>;

    /// Whether nothing of it runs any more.
    fn is_gone(&self, process: u32) -> bool;
}

/// The processes of this machine, where an instance is a process group with its own leader.
pub(crate) struct ThisMachine;

impl Processes for ThisMachine {
    fn is_here(&self, process: u32, port: Option<u16>) -> Result<(), String> {
        let port = port.ok_or("it listens on no port of this machine")?;
        let group = group(process)?;
        if group == getpgrp() {
            return Err(format!("process {process} is of our own group"));
        }
        // An admin API of another machine names process ids too: they are anybody's here.
        match workers::serves(process, port) {
            true => Ok(()),
            false => Err(format!("process group {process} of this machine does not listen on port {port}")),
        }
    }

    fn kill(&self, process: u32) -> Result<(), String> {
        killpg(group(process)?, Signal::SIGKILL)
            .map_err(|error| format!("cannot kill process group {process}: {error}"))
    }

    fn is_gone(&self, process: u32) -> bool {
        !workers::lives(process)
    }
}

fn group(process: u32) -> Result<Pid, String> {
    match i32::try_from(process) {
        // 0 means our own group, and 1 is the machine's first process.
        Ok(id) if id > 1 => Ok(Pid::from_raw(id)),
        _ => Err(format!("{process} is no process id of an instance")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_instance_of_this_machine_is_not_touched() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = getpgrp().as_raw().unsigned_abs();
        assert!(ThisMachine.is_here(own, Some(port)).is_err_and(|why| why.contains("our own group")));
        assert!(ThisMachine.is_here(own, None).is_err_and(|why| why.contains("no port")));
        for process in [0, 1, u32::MAX] {
            assert!(ThisMachine.is_here(process, Some(port)).is_err());
            assert!(ThisMachine.kill(process).is_err());
        }
        // A group that is there, and listens on nothing of that kind.
        let mut other = std::process::Command::new("sleep");
        let mut other = std::os::unix::process::CommandExt::process_group(other.arg("60"), 0).spawn().unwrap();
        assert!(ThisMachine.is_here(other.id(), Some(port)).is_err_and(|why| why.contains("does not listen")));
        assert!(!ThisMachine.is_gone(other.id()));
        ThisMachine.kill(other.id()).unwrap();
        other.wait().unwrap();
        assert!(ThisMachine.is_gone(other.id()));
    }
}
