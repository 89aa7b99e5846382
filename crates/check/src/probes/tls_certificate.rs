//! `edge.tls-certificate`: a certificate that clients trust for this name, with time left, and no TLS that is too old.

use std::{io, time::Duration};

use jiff::Timestamp;
use tokio::{net::TcpStream, time::timeout};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    endpoint::Endpoint,
    fixture::{self, Authority, Server, ServerOptions, answering, reply},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
    tls::{self, Facts, HandshakeError, Old, Shown, Trust},
};

pub(super) struct TlsCertificate;

/// So much of its life a certificate must have left, so that a person can still act when its renewal fails.
const DAYS_LEFT: f64 = 14.0;
/// Of a certificate that is short-lived on purpose, this part.
const PART_LEFT: f64 = 0.25;
const PATIENCE: Duration = Duration::from_secs(10);
const DAY: f64 = 86_400.0;

impl Probe for TlsCertificate {
    fn about(&self) -> About {
        About { control: "edge.tls-certificate".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            let authority = Authority::new()?;
            serving(authority.trust(), authority.server(&["127.0.0.1", "localhost"], (-1, 90))?)
        })
    }

    // The common mistake: it encrypts, with a certificate that says so of itself.
    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { serving(Authority::new()?.trust(), fixture::self_signed(&["127.0.0.1"])?) })
    }
}

fn serving(trust: Trust, config: std::sync::Arc<rustls::ServerConfig>) -> io::Result<Fixture> {
    let options = ServerOptions { tls: Some(config), ..ServerOptions::default() };
    let server = Server::start(answering(|_| reply(200, &[], "page")), options)?;
    let subject = Subject { url: Some(server.address.clone()), trust, ..Subject::default() };
    Ok(Fixture { subject, _keep: Vec::new() }.keep(server))
}

async fn look(subject: &Subject) -> Sighting {
    let (host, port) = match &subject.url {
        None => return Sighting::not_tried("name the app's address with --url https://…"),
        Some(Endpoint::Https { host, port }) => (host.as_str(), *port),
        // It may well stand behind something that has one.
        Some(other) => {
            return Sighting::not_tried(format!(
                "{other} has no certificate: name the address that has, --url https://…"
            ));
        }
    };
    let mut cases = Cases::plan(5);
    let reached = subject.address.map_or_else(|| host.to_owned(), |address| address.to_string());
    let at = (reached.as_str(), port);
    let shown = match shake(host, at, &subject.trust).await {
        Ok(shown) => shown,
        Err(why) => return cases.gave_up(why),
    };
    // The end of the handshake proves that the server has the key of the certificate that it shows.
    cases.tried(true, format!("{}, and the key is the certificate's", shown.version));
    subject.transcript.note(format!("TLS with {host}:{port}: {}, {} certificates", shown.version, shown.chain.len()));
    let summary = judge(&shown, host, Timestamp::now().as_second(), &mut cases);
    for old in [Old::Tls10, Old::Tls11] {
        match tls::offer(old, host, at, PATIENCE).await {
            Ok(taken) => {
                let seen = format!("{} is {}", old.name(), if taken { "taken" } else { "refused" });
                subject.transcript.note(seen.clone());
                cases.tried(!taken, seen);
            }
            Err(why) => cases.told_nothing(why),
        }
    }
    cases.sighting(format!("{summary}; {}, TLS 1.0 and 1.1 refused", shown.version))
}

async fn shake(host: &str, at: (&str, u16), trust: &Trust) -> Result<Shown, String> {
    let port = at.1;
    let shaking = async {
        let stream = TcpStream::connect(at).await.map_err(|error| error.to_string())?;
        match tls::handshake(stream, host, trust, true).await {
            Ok((_, shown)) => Ok(shown),
            Err(HandshakeError::Untrusted(why) | HandshakeError::Failed(why)) => {
                Err(format!("no TLS with {host}:{port}: {why}"))
            }
        }
    };
    timeout(PATIENCE, shaking).await.unwrap_or_else(|_| Err(format!("no TLS with {host}:{port} within {PATIENCE:?}")))
}

/// Trust and time; what was seen in one line.
fn judge(shown: &Shown, host: &str, now: i64, cases: &mut Cases) -> String {
    let Some(facts) = shown.chain.first().and_then(Facts::read) else {
        cases.told_nothing("the certificate cannot be read");
        return String::new();
    };
    let (names, more) = (facts.names.iter().take(5).cloned().collect::<Vec<_>>().join(", "), facts.names.len());
    let signer = if facts.self_signed { "itself".to_owned() } else { facts.issuer.clone() };
    let what = format!("a certificate for {more} names ({names}), signed by {signer}");
    match &shown.distrust {
        None => cases.tried(!facts.self_signed, format!("{host} shows {what}, valid for it")),
        Some(why) => cases.tried(false, format!("{host} shows {what}: {why}")),
    }
    let days = |seconds: i64| seconds as f64 / DAY;
    let left = days(facts.not_after - now);
    let needed = DAYS_LEFT.min(days(facts.not_after - facts.not_before) * PART_LEFT);
    cases.tried(left >= needed, format!("it has {left:.0} days left; {needed:.0} are needed to act in time"));
    format!("{what}, trusted for {host}, {left:.0} days left")
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::probe::Outcome;

    async fn outcome(names: &[&str], days: (i64, i64)) -> Outcome {
        let authority = Authority::new().unwrap();
        let fixture = serving(authority.trust(), authority.server(names, days).unwrap()).unwrap();
        look(&fixture.subject).await.outcome
    }

    #[tokio::test]
    async fn each_kind_of_bad_certificate_has_its_reason() {
        let broken = async |names, days| match outcome(names, days).await {
            Outcome::Broken(why) => why,
            other => panic!("{other:?}"),
        };
        let expired = broken(&["127.0.0.1"], (-90, -2)).await;
        assert!(expired.contains("expired") && expired.contains("fixture authority"), "{expired}");
        let other = broken(&["example.test"], (-1, 90)).await;
        assert!(other.contains("other names") && other.contains("example.test"), "{other}");
        let early = broken(&["127.0.0.1"], (2, 90)).await;
        assert!(early.contains("not valid yet"), "{early}");
        let late = broken(&["127.0.0.1"], (-80, 10)).await;
        assert!(late.contains("days left"), "{late}");
    }

    #[tokio::test]
    async fn a_short_lived_certificate_needs_only_its_part() {
        assert_eq!(outcome(&["127.0.0.1"], (-1, 6)).await, Outcome::Holds);
    }

    #[tokio::test]
    async fn a_server_that_takes_old_versions_is_heard() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 11];
            stream.read_exact(&mut hello).await.unwrap();
            let version = [hello[9], hello[10]];
            stream.write_all(&[22, 3, 1, 0, 80, 2, 0, 0, 76, version[0], version[1]]).await.unwrap();
            stream
        };
        let (taken, _stream) =
            tokio::join!(tls::offer(Old::Tls11, "127.0.0.1", ("127.0.0.1", port), PATIENCE), serving);
        assert_eq!(taken, Ok(true));
    }
}
