//! Listening sockets: one per core on the same port, and never a port that somebody else serves.

use std::{
    env, fs,
    fs::{DirBuilder, File, TryLockError},
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::AsFd,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
};

use nix::{fcntl::OFlag, unistd::geteuid};
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use thiserror::Error;

/// Connections that wait to be accepted, per socket. Linux cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why we cannot serve where we were told to.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody else serves there.
    #[error("{0} is already in use; stop the other program or choose another address with --listen")]
    InUse(SocketAddr),
    /// Ports under 1024 belong to root.
    #[error("not allowed to listen on {0}; ports under 1024 need root or the capability CAP_NET_BIND_SERVICE")]
    NotAllowed(SocketAddr),
    /// Not an address of this machine, or the system refused for another reason.
    #[error("cannot listen on {address}: {source}; check that the address belongs to this machine")]
    Failed {
        /// As asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// Sockets of one address, as many as cores serve it.
///
/// `SO_REUSEPORT` lets the kernel spread connections, and hides a conflict: a second Seaworthy would take half of the
/// first one's traffic. So the port is first bound alone, under a lock that is held for as long as we serve.
#[derive(Debug)]
pub struct Listeners {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
    _port_lock: Option<File>,
}

impl Listeners {
    /// Binds `count` sockets; port 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken, not allowed, or the address is not ours. `[::]` falls back to `0.0.0.0` on a machine without
    /// IPv6.
    pub fn bind(address: SocketAddr, count: usize) -> Result<Self, ListenError> {
        match Self::bind_exactly(address, count) {
            Err(ListenError::Failed { .. }) if address.ip() == Ipv6Addr::UNSPECIFIED => {
                Self::bind_exactly((Ipv4Addr::UNSPECIFIED, address.port()).into(), count)
            }
            bound => bound,
        }
    }

    fn bind_exactly(address: SocketAddr, count: usize) -> Result<Self, ListenError> {
        let explain = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse(address),
            io::ErrorKind::PermissionDenied => ListenError::NotAllowed(address),
            _ => ListenError::Failed { address, source },
        };
        let port_lock = match address.port() {
            0 => None,
            _ => lock_port(address).map_err(|()| ListenError::InUse(address))?,
        };
        if address.port() != 0 {
            // Fails when anyone listens there, with or without SO_REUSEPORT; closed again before it accepts anything.
            drop(socket(address, false).map_err(explain)?);
        }
        let first = socket(address, true).map_err(explain)?;
        let address = first.local_addr().map_err(explain)?;
        let mut sockets = vec![first];
        for _ in 1..count.max(1) {
            sockets.push(socket(address, true).map_err(explain)?);
        }
        Ok(Self { address, sockets, _port_lock: port_lock })
    }

    /// The address with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn split(self) -> (Vec<TcpListener>, Option<File>) {
        (self.sockets, self._port_lock)
    }
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// From now on no handshake begins with this listener, and those that have begun may still end. A listener that is closed
/// resets the connections that the kernel makes for it up to the last moment; one to which no client speaks any more has
/// none. A client whose first packet is dropped sends it again a second later, to whoever listens then.
pub(crate) fn take_no_more(listener: &impl AsFd) -> io::Result<()> {
    /// The flags of a TCP header, and what the first packet of a connection has of SYN and ACK (RFC 9293, 3.1).
    const FLAGS: u32 = 13;
    const SYN_AND_ACK: u32 = 0x12;
    const SYN: u32 = 0x02;
    // Classic BPF: load the byte, mask it, drop the packet when SYN alone is left, else keep it whole.
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(0x30, 0, 0, FLAGS),
        SockFilter::new(0x54, 0, 0, SYN_AND_ACK),
        SockFilter::new(0x15, 0, 1, SYN),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ])
}

/// Locks the address among Seaworthys of this machine; `Ok(None)` where no lock file can be made (then the trial bind alone
/// must do).
fn lock_port(address: SocketAddr) -> Result<Option<File>, ()> {
    let user = geteuid().as_raw();
    let folder = env::temp_dir().join(format!("seaworthy-ports-{user}"));
    let made = DirBuilder::new().mode(0o700).recursive(true).create(&folder);
    // Somebody else's folder, or a link in its place, is left alone: what lies there is not ours to open.
    let ours = fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir() && found.uid() == user);
    if made.is_err() || !ours {
        return Ok(None);
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(false).custom_flags(OFlag::O_NOFOLLOW.bits());
    let Ok(file) = options.open(folder.join(address.to_string())) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(()),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_on_the_same_port_is_refused_even_though_ports_are_shared() {
        let first = Listeners::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        assert_eq!(first.sockets.len(), 2);
        let second = Listeners::bind(first.address(), 2);
        assert!(matches!(second, Err(ListenError::InUse(_))), "{second:?}");
        let address = first.address();
        drop(first);
        Listeners::bind(address, 1).unwrap();
    }

    #[test]
    fn a_listener_that_takes_no_more_still_has_what_it_took() {
        let listener: TcpListener = socket("127.0.0.1:0".parse().unwrap(), true).unwrap();
        let address = listener.local_addr().unwrap();
        let _before = std::net::TcpStream::connect(address).unwrap();
        take_no_more(&listener).unwrap();
        let after = std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200));
        assert_eq!(after.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(listener.accept().is_ok());
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_address_of_another_machine_is_explained() {
        let error = Listeners::bind("192.0.2.1:0".parse().unwrap(), 1).unwrap_err();
        assert!(error.to_string().contains("belongs to this machine"), "{error}");
    }
}
