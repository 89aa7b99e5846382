//! The processes that serve, as the system tells it and not the app: which of a process group listen.

use std::{collections::HashSet, fs, path::Path};

/// A process that takes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The instance that it belongs to.
    pub instance: String,
    /// Its process id.
    pub process: u32,
}

struct Process {
    id: u32,
    parent: u32,
    group: u32,
}

/// The workers of a process group that serve this port. A group whose port nobody of it listens on counts as one.
pub(crate) fn of(instance: &str, group: u32, port: Option<u16>) -> Vec<Worker> {
    let members: Vec<Process> = processes().into_iter().filter(|process| process.group == group).collect();
    let sockets = port.map(listening).unwrap_or_default();
    let holders: Vec<&Process> = members.iter().filter(|process| holds(process.id, &sockets)).collect();
    let has_child = |id| holders.iter().any(|holder| holder.parent == id);
    let mut ids: Vec<u32> = holders.iter().map(|holder| holder.id).filter(|id| !has_child(*id)).collect();
    if let [only] = ids[..] {
        // A parent may accept for its children, and hand them connections: they run the same program.
        let program = |id: u32| fs::read_link(format!("/proc/{id}/exe")).ok();
        let own = program(only);
        let children: Vec<u32> = members.iter().filter(|one| one.parent == only).map(|one| one.id).collect();
        let children: Vec<u32> = children.into_iter().filter(|id| own.is_some() && program(*id) == own).collect();
        if !children.is_empty() {
            ids = children;
        }
    }
    if ids.is_empty() && !members.is_empty() {
        ids.push(group);
    }
    ids.into_iter().map(|process| Worker { instance: instance.to_owned(), process }).collect()
}

/// Whether the process leads a group of which somebody listens on this port.
pub(crate) fn serves(leader: u32, port: u16) -> bool {
    let sockets = listening(port);
    let members: Vec<Process> = processes().into_iter().filter(|process| process.group == leader).collect();
    members.iter().any(|process| process.id == leader) && members.iter().any(|process| holds(process.id, &sockets))
}

/// Whether anything of a process group still runs.
pub(crate) fn lives(group: u32) -> bool {
    processes().iter().any(|process| process.group == group)
}

/// What a process was given under this name when it started; `None` when that is nothing or cannot be read.
pub(crate) fn variable(process: u32, name: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/{process}/environ")).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything, parentheses too.
            let mut fields = text.rsplit_once(')')?.1.split_whitespace();
            let state = fields.next()?;
            let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (state != "Z").then_some(Process { id, parent, group })
        })
        .collect()
}

/// The sockets that listen on a port.
fn listening(port: u16) -> HashSet<String> {
    const LISTEN: &str = "0A";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let of_port = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ours = fields.get(1)?.ends_with(&of_port) && *fields.get(3)? == LISTEN;
        ours.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]"))).flatten()
    };
    tables.iter().flat_map(|table| table.lines().filter_map(inode)).collect()
}

fn holds(process: u32, sockets: &HashSet<String>) -> bool {
    let Ok(open) = fs::read_dir(Path::new("/proc").join(process.to_string()).join("fd")) else { return false };
    open.filter_map(Result::ok)
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| target.to_str().is_some_and(|target| sockets.contains(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_the_holder_of_its_own_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sockets = listening(port);
        assert_eq!(sockets.len(), 1);
        assert!(holds(std::process::id(), &sockets));
        drop(listener);
        assert!(!holds(std::process::id(), &sockets));
    }

    #[test]
    fn a_variable_is_what_the_process_started_with() {
        let name = std::env::vars().next().unwrap().0;
        assert_eq!(variable(std::process::id(), &name), std::env::var(&name).ok());
        assert_eq!(variable(std::process::id(), "SEAWORTHY_NO_SUCH_VARIABLE"), None);
    }
}
