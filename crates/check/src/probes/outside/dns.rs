//! `edge.dns`: the public names lead to this deployment, whoever asks.
//!
//! Two DNS servers that do not belong together are asked for each name. Each address that they give must answer for that
//! name as the target itself does; where the access log is at hand, a request with a number of this run must be in it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket},
    time::Duration,
};

use http::StatusCode;
use seaworthy_evidence::{ProbeKind, SafetyClass};
use tokio::{net::UdpSocket, time::timeout};

use super::message::{self, A, AAAA, Answer};
use crate::{
    endpoint::Endpoint,
    fixture::{self, reply},
    http::HttpError,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct Dns;

const PATIENCE: Duration = Duration::from_secs(2);
/// A datagram may get lost.
const TRIES: u32 = 3;
const HOSTS: usize = 8;
const ADDRESSES: usize = 4;

impl Probe for Dns {
    fn about(&self) -> About {
        About { control: "edge.dns".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { named([true, true]) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: the record is there for some, and has not been there for the others.
        Box::pin(async { named([true, false]) })
    }
}

/// An app with a name, and two DNS servers that know it or not.
fn named(know: [bool; 2]) -> io::Result<Fixture> {
    let mut app = fixture::public(|_| reply(200, &[], "app"))?;
    let at = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let port = app.subject.url.as_ref().and_then(Endpoint::port).unwrap_or(80);
    app.subject.url = Some(Endpoint::Http { host: "app.example.com".into(), port });
    app.subject.address = Some(at);
    app.subject.outside.hosts = vec!["app.example.com".into()];
    for knows in know {
        let (server, serving) = server(knows)?;
        app.subject.outside.resolvers.push(server);
        app = app.keep(serving);
    }
    Ok(app)
}

/// Ends when it is dropped.
struct Serving(seaworthy_core::Shutdown);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.begin();
    }
}

/// A DNS server for one name, which leads to this machine.
fn server(knows: bool) -> io::Result<(SocketAddr, Serving)> {
    let socket = StdUdpSocket::bind(("127.0.0.1", 0))?;
    socket.set_nonblocking(true)?;
    let at = socket.local_addr()?;
    let socket = UdpSocket::from_std(socket)?;
    let serving = seaworthy_core::Shutdown::new();
    let ended = serving.clone();
    serving.spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let received = tokio::select! {
                () = ended.ordered() => return,
                received = socket.recv_from(&mut buffer) => received,
            };
            let Ok((length, from)) = received else { continue };
            if length < 16 {
                continue;
            }
            let mut answer = buffer[..length].to_vec();
            let for_four = answer[length - 3] == 1;
            (answer[2], answer[3]) = (0x81, if knows { 0x80 } else { 0x83 });
            if knows && for_four {
                answer[7] = 1;
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            // Whoever asked asks again.
            let _ = socket.send_to(&answer, from).await;
        }
    });
    Ok((at, Serving(serving)))
}

async fn look(subject: &Subject) -> Sighting {
    let mut hosts: Vec<&str> =
        subject.outside.hosts.iter().map(String::as_str).filter(|host| super::is_public(host)).collect();
    if hosts.is_empty() {
        hosts.extend(subject.public_host());
    }
    if hosts.is_empty() || subject.outside.resolvers.is_empty() {
        return Sighting::not_tried("no public name is known: [edge] hosts, or --url https://app.example.com");
    }
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let mut cases = Cases::plan(0);
    let own = match client.get("/").await {
        Ok(answer) => answer.status,
        Err(error) => return Cases::plan(1).gave_up(error.to_string()),
    };
    let mut served = 0;
    for host in hosts.iter().take(HOSTS) {
        let Some(addresses) = resolved(subject, host, &mut cases).await else { continue };
        for address in addresses.iter().take(ADDRESSES) {
            cases.plan_more(1);
            match serves(subject, host, *address, own).await {
                Ok((well, seen)) => {
                    served += usize::from(well);
                    cases.tried(well, seen);
                }
                Err(why) => cases.told_nothing(why),
            }
        }
    }
    cases.sighting(format!(
        "{} resolvers know {}, and {served} addresses serve this deployment under it",
        subject.outside.resolvers.len(),
        hosts.join(", ")
    ))
}

/// The addresses of a name by all resolvers, when each of them gave some.
async fn resolved(subject: &Subject, host: &str, cases: &mut Cases) -> Option<Vec<IpAddr>> {
    let mut all: Vec<IpAddr> = Vec::new();
    let mut whole = true;
    for resolver in &subject.outside.resolvers {
        cases.plan_more(1);
        match addresses(*resolver, host).await {
            Ok(Some(found)) if !found.is_empty() => {
                let shown: Vec<String> = found.iter().map(IpAddr::to_string).collect();
                cases.tried(true, format!("{resolver}: {host} is {}", shown.join(", ")));
                subject.transcript.note(format!("{resolver}: {host} is {}", shown.join(", ")));
                all.extend(found);
            }
            Ok(_) => {
                whole = false;
                cases.tried(false, format!("{resolver} knows no address of {host}"));
            }
            Err(why) => {
                whole = false;
                cases.told_nothing(format!("{resolver} was not heard of {host}: {why}"));
            }
        }
    }
    all.sort();
    all.dedup();
    whole.then_some(all)
}

/// The addresses that a server gives; nothing when there is no such name.
async fn addresses(resolver: SocketAddr, host: &str) -> Result<Option<Vec<IpAddr>>, String> {
    let mut found = Vec::new();
    for kind in [A, AAAA] {
        match ask(resolver, host, kind).await? {
            Answer::Addresses(more) => found.extend(more),
            Answer::NoSuchName => return Ok(None),
            Answer::Refused(code) => return Err(format!("it answers with the code {code}")),
        }
    }
    Ok(Some(found))
}

async fn ask(resolver: SocketAddr, host: &str, kind: u16) -> Result<Answer, String> {
    let question = message::question(fastrand::u16(..), host, kind).ok_or_else(|| format!("{host} is no name"))?;
    let any: SocketAddr = if resolver.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let asking = async || {
        let socket = UdpSocket::bind(any).await?;
        // Connected, the socket takes nobody else's datagrams.
        socket.connect(resolver).await?;
        socket.send(&question).await?;
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if let Some(answer) = message::answer(&question, &buffer[..length]) {
                return Ok::<_, io::Error>(answer);
            }
        }
    };
    for _ in 0..TRIES {
        if let Ok(answer) = timeout(PATIENCE, asking()).await {
            return answer.map_err(|error| error.to_string());
        }
    }
    Err(format!("no answer within {:?}", PATIENCE * TRIES))
}

/// Whether an address answers for a name as the target does; an error where that cannot be told from here.
async fn serves(subject: &Subject, host: &str, address: IpAddr, own: StatusCode) -> Result<(bool, String), String> {
    let there = match &subject.url {
        Some(Endpoint::Https { port, .. }) => Endpoint::Https { host: host.to_owned(), port: *port },
        Some(Endpoint::Http { port, .. }) => Endpoint::Http { host: host.to_owned(), port: *port },
        _ => return Err("the target is a socket, which has no name".into()),
    };
    let Some(client) = subject.client() else { return Err("no address is known".into()) };
    let client = client.at(there).reached_at(Some(address));
    let number = format!("/?seaworthy-check={:016x}", fastrand::u64(..));
    let answer = match client.get("/").await {
        Ok(answer) => answer,
        // From behind the same router an address may be out of reach that all others reach, and IPv6 altogether.
        Err(error @ (HttpError::Connect(..) | HttpError::Slow(..))) => {
            return Err(format!("{host} at {address} is not reached from here: {error}"));
        }
        Err(error) => return Ok((false, format!("{host} at {address} does not serve this deployment: {error}"))),
    };
    let (seen, wanted) = (answer.status.as_u16(), own.as_u16());
    // Other names of the same app may redirect to the first.
    if answer.status != own && !answer.status.is_redirection() {
        let limited = [429, 503].contains(&seen);
        let why = format!("{host} at {address} answers {seen}, and the target itself {wanted}");
        return if limited { Err(why) } else { Ok((false, why)) };
    }
    if let Some(log) = subject.access_log.clone()
        && client.get(&number).await.is_ok()
    {
        return match logged(&log, &number[2..]).await {
            true => Ok((true, format!("{host} at {address} serves this deployment: its request is in the access log"))),
            false => Err(format!("{host} at {address} answers {seen}, and its request is not in the access log")),
        };
    }
    Ok((true, format!("{host} at {address} answers {seen} as the target does")))
}

/// Whether a text comes to stand in a log; it is written in batches.
async fn logged(log: &std::path::Path, text: &str) -> bool {
    for _ in 0..20 {
        let read = tokio::fs::read(log).await.unwrap_or_default();
        // What was just written is at the end.
        let end = &read[read.len().saturating_sub(1 << 20)..];
        if String::from_utf8_lossy(end).contains(text) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn a_name_that_leads_to_another_app_is_broken() {
        let mut app = named([true, true]).unwrap();
        // The target is one app; where the name leads there is another one.
        let port = app.subject.url.as_ref().and_then(Endpoint::port).unwrap();
        let own = StatusCode::NOT_FOUND;
        let (well, seen) = serves(&app.subject, "app.example.com", [127, 0, 0, 1].into(), own).await.unwrap();
        assert!(!well && seen.contains("answers 200, and the target itself 404"), "{seen} {port}");
        app.subject.outside.resolvers = vec![([127, 0, 0, 1], 9).into()];
        let seen = look(&app.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Unclear(_)), "{seen:?}");
    }

    #[tokio::test]
    async fn without_a_public_name_it_is_not_tried() {
        let here = fixture::public(|_| reply(200, &[], "")).unwrap();
        assert!(matches!(look(&here.subject).await.outcome, Outcome::NotTried(_)));
    }

    #[tokio::test]
    async fn what_the_log_must_show_is_looked_for() {
        let mut app = named([true, true]).unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        app.subject.access_log = Some(log.path().to_owned());
        let seen = look(&app.subject).await;
        assert!(matches!(&seen.outcome, Outcome::Unclear(why) if why.contains("access log")), "{seen:?}");
    }
}
