//! `edge.firewall`: from the internet nothing answers but what is declared.
//!
//! Ports where data stores and apps usually listen are tried on the public name, from this machine. On the machine of the
//! app itself that is no view from outside: there only what listens on every address can be read, and it proves nothing.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::Known;
use crate::{
    endpoint::Endpoint,
    fixture::{self, reply},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct Firewall;

/// Stores and their consoles: nobody means them to be open.
const STORES: &[(u16, &str)] = &[
    (1433, "SQL Server"),
    (1521, "Oracle"),
    (2375, "Docker"),
    (2379, "etcd"),
    (3306, "MySQL"),
    (4369, "Erlang"),
    (5432, "PostgreSQL"),
    (5672, "RabbitMQ"),
    (5984, "CouchDB"),
    (6333, "Qdrant"),
    (6379, "Redis"),
    (6432, "PgBouncer"),
    (7474, "Neo4j"),
    (7687, "Neo4j"),
    (8086, "InfluxDB"),
    (8500, "Consul"),
    (9042, "Cassandra"),
    (9092, "Kafka"),
    (9200, "Elasticsearch"),
    (9300, "Elasticsearch"),
    (10250, "the kubelet"),
    (11211, "memcached"),
    (15672, "RabbitMQ"),
    (19530, "Milvus"),
    (26379, "Sentinel"),
    (27017, "MongoDB"),
];
/// Where apps and their tools listen, and remote logins: some mean them to be open.
const OTHERS: &[u16] = &[
    21, 22, 23, 25, 111, 135, 139, 445, 2049, 3000, 3001, 3389, 4000, 5000, 5173, 5601, 5900, 8000, 8001, 8080, 8081,
    8443, 8888, 9000, 9001, 9090, 9091, 9093, 9100, 9443,
];
const PATIENCE: Duration = Duration::from_secs(2);
const AT_ONCE: usize = 8;

impl Probe for Firewall {
    fn about(&self) -> About {
        About { control: "edge.firewall".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { machine(false) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: a composition publishes the port of its store to the world.
        Box::pin(async { machine(true) })
    }
}

/// A machine with an app, and a store that is open to all or not.
fn machine(open: bool) -> io::Result<Fixture> {
    let mut app = fixture::public(|_| reply(200, &[], "app"))?;
    let at = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let port = app.subject.url.as_ref().and_then(Endpoint::port).unwrap_or(80);
    let store = TcpListener::bind((at, 0))?;
    let closed = store.local_addr()?.port();
    app.subject.url = Some(Endpoint::Http { host: "app.example.com".into(), port });
    app.subject.address = Some(at);
    app.subject.outside.known = Some(Known { at, ports: vec![closed, port] });
    Ok(if open { app.keep(store) } else { app })
}

async fn look(subject: &Subject) -> Sighting {
    let (Some(host), Some(own)) = (subject.public_host(), subject.url.as_ref().and_then(Endpoint::port)) else {
        return Sighting::not_tried("no public name is known: name it with --url https://app.example.com");
    };
    let addresses = match &subject.outside.known {
        Some(known) => vec![known.at],
        None => match timeout(PATIENCE * 3, lookup_host((host, own))).await {
            Ok(Ok(found)) => found.map(|one| one.ip()).collect(),
            _ => return Cases::plan(1).gave_up(format!("{host} has no address here")),
        },
    };
    let (here, there): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.into_iter().partition(|address| subject.outside.known.is_none() && !is_elsewhere(*address));
    // Without IPv6 here all its ports would look closed.
    let Some(address) = there.iter().find(|address| address.is_ipv4()).or(there.first()) else {
        return Cases::plan(1).gave_up(format!(
            "{host} is on this machine or network ({}), from which there is no view from outside: check from another \
             place; {}",
            here.first().map(IpAddr::to_string).unwrap_or_default(),
            listening()
        ));
    };
    scan(subject, *address, own).await
}

async fn scan(subject: &Subject, address: IpAddr, own: u16) -> Sighting {
    let mut declared = vec![80, 443, own];
    declared.extend(&subject.outside.open_ports);
    let ports: Vec<(u16, &str)> = match &subject.outside.known {
        Some(known) => known.ports.iter().map(|port| (*port, "a store")).collect(),
        None => STORES.iter().copied().chain(OTHERS.iter().map(|port| (*port, ""))).collect(),
    };
    let mut cases = Cases::plan(ports.len());
    // The scan must be able to see an open port at all.
    if !is_open(address, own).await {
        return cases
            .gave_up(format!("{address} does not answer on port {own} from here: closed ports would tell nothing"));
    }
    // Something in between may accept every connection.
    let (one, other) = (fastrand::u16(40_000..50_000), fastrand::u16(50_000..60_000));
    if is_open(address, one).await && is_open(address, other).await {
        return cases
            .gave_up(format!("{address} seems to answer on every port ({one} and {other} too): that tells nothing"));
    }
    let asking = ports.iter().map(|(port, _)| is_open(address, *port)).collect::<Vec<_>>();
    let open: Vec<bool> = stream::iter(asking).buffered(AT_ONCE).collect().await;
    let tried: Vec<(u16, &str, bool)> =
        ports.iter().zip(open).map(|((port, what), open)| (*port, *what, open)).collect();
    for (port, what, open) in &tried {
        match (open, declared.contains(port), *what) {
            (false, ..) => cases.tried(true, format!("{port} is closed")),
            (true, true, _) => cases.tried(true, format!("{port} is declared")),
            (true, false, "") => cases.told_nothing(format!(
                "{address} answers on port {port}: where that is meant, declare it in [check] open_ports"
            )),
            (true, false, what) => {
                cases.tried(false, format!("{address} answers on port {port}, as {what} does, and nobody declared it"))
            }
        }
    }
    cases.sighting(format!(
        "of {} ports of stores, apps and logins on {address} only declared ones are open, seen from this machine; other ports \
         were not tried",
        tried.len()
    ))
}

async fn is_open(address: IpAddr, port: u16) -> bool {
    timeout(PATIENCE, TcpStream::connect((address, port))).await.is_ok_and(|connected| connected.is_ok())
}

/// Whether an address is one of the internet, and not of this machine: only an address of this machine can be bound on it.
fn is_elsewhere(address: IpAddr) -> bool {
    let private = match address {
        IpAddr::V4(four) => four.is_private() || four.is_link_local() || four.is_loopback() || four.is_unspecified(),
        IpAddr::V6(six) => {
            six.is_loopback() || six.is_unspecified() || six.is_unique_local() || six.is_unicast_link_local()
        }
    };
    !private && UdpSocket::bind((address, 0)).is_err()
}

/// What listens on every address of this machine, where stores usually do.
fn listening() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let found = open_to_all(&format!("{}{}", read("/proc/net/tcp"), read("/proc/net/tcp6")));
    match found.is_empty() {
        true => "no store listens on every address of this machine".to_owned(),
        false => format!("on every address of this machine listen {}", found.join(", ")),
    }
}

/// Lines of `/proc/net/tcp` that listen (state `0A`) on no address in particular.
fn open_to_all(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((address, port)) = words.get(1).and_then(|local| local.split_once(':')) else { continue };
        let Ok(port) = u16::from_str_radix(port, 16) else { continue };
        let any = !address.is_empty() && address.bytes().all(|byte| byte == b'0');
        if words.get(3) == Some(&"0A")
            && any
            && let Some((_, what)) = STORES.iter().find(|(own, _)| *own == port)
        {
            let said = format!("{what} ({port})");
            if !found.contains(&said) {
                found.push(said);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn an_address_of_this_machine_gives_no_view_from_outside() {
        assert!(!is_elsewhere(Ipv4Addr::LOCALHOST.into()) && !is_elsewhere("10.1.2.3".parse().unwrap()));
        assert!(is_elsewhere("192.0.2.1".parse().unwrap()));
        let here = fixture::public(|_| reply(200, &[], "")).unwrap();
        assert!(matches!(look(&here.subject).await.outcome, Outcome::NotTried(_)));
    }

    #[tokio::test]
    async fn a_declared_port_may_be_open() {
        let mut machine = machine(true).unwrap();
        let port = machine.subject.outside.known.as_ref().unwrap().ports[0];
        machine.subject.outside.open_ports = vec![port];
        let seen = look(&machine.subject).await;
        assert_eq!(seen.outcome, Outcome::Holds, "{seen:?}");
    }

    #[test]
    fn what_listens_on_every_address_is_read() {
        let text = "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:1538 00000000:0000 0A 0\n   1: 00000000:18EB 00000000:0000 0A 0\n\
                    2: 00000000000000000000000000000000:18EB 0:0 0A 0\n   3: 00000000:1F90 00000000:0000 0A 0\n   4: 00000000:1538 00000000:0000 01 0\n";
        assert_eq!(open_to_all(text), ["Redis (6379)"]);
    }
}
