//! `observability.metrics`: requests are counted, exactly, by status.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::StatusCode;
use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, Server, ServerOptions, answering, reply},
    http::Client,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct Metrics;

const REQUESTS: usize = 50;

impl Probe for Metrics {
    fn about(&self) -> About {
        About { control: "observability.metrics".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    // It counts every request that is answered meanwhile.
    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { counting(1) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // Counts with a metric that stands still.
        Box::pin(async { counting(0) })
    }
}

fn counting(step: usize) -> io::Result<Fixture> {
    let counts: Arc<[AtomicUsize; 2]> = Arc::default();
    let seen = counts.clone();
    let admin = answering(move |_| {
        let [found, missing] = [&counts[0], &counts[1]].map(|count| count.load(Ordering::Relaxed));
        let text = format!(
            "# TYPE http_requests_total counter\nhttp_requests_total{{status=\"200\"}} {found}\nhttp_requests_total{{status=\"404\"}} {missing}\n"
        );
        reply(200, &[], text)
    });
    let admin = Server::start(admin, ServerOptions::default())?;
    let mut fixture = fixture::public(move |request| {
        let found = request.uri().path() == "/";
        seen[usize::from(!found)].fetch_add(step, Ordering::Relaxed);
        reply(if found { 200 } else { 404 }, &[], "ok")
    })?;
    fixture.subject.admin = Some(admin.address.clone());
    Ok(fixture.keep(admin))
}

async fn look(subject: &Subject) -> Sighting {
    let Some(public) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let mut cases = Cases::plan(2);
    let source = match source(subject, &public).await {
        Ok(Some(source)) => source,
        Ok(None) => {
            cases.tried(false, "no metrics were found: neither an admin address nor /metrics of the app shows any");
            return cases.sighting("");
        }
        Err(why) => {
            return cases.gave_up(why);
        }
    };
    for path in ["/", "/seaworthy-check/no-such-page"] {
        match count(&public, &source, path).await {
            Ok((status, Some(delta))) if delta == REQUESTS as f64 => {
                cases.tried(true, format!("{REQUESTS} × GET {path} ({status}): counter +{delta}"));
            }
            Ok((status, Some(delta))) if delta > REQUESTS as f64 => {
                cases.told_nothing(format!(
                    "{REQUESTS} × GET {path} ({status}): counter +{delta}: other traffic at the same time"
                ));
            }
            Ok((status, delta)) => {
                let delta = delta.unwrap_or(0.0);
                cases.tried(false, format!("{REQUESTS} × GET {path} ({status}): no counter of that status rose by {REQUESTS} (at most {delta})"));
            }
            Err(why) => cases.told_nothing(why),
        }
    }
    cases.sighting(format!(
        "2 × {REQUESTS} known requests: the counters of their statuses rose by exactly {REQUESTS} each"
    ))
}

/// The admin side, or the app's own public metrics.
async fn source(subject: &Subject, public: &Client) -> Result<Option<Client>, String> {
    let mut error = None;
    for client in subject.admin_client().into_iter().chain([public.clone()]) {
        match client.get("/metrics").await {
            Ok(answer) if answer.status.is_success() && answer.text().contains("# TYPE ") => return Ok(Some(client)),
            Ok(_) => {}
            Err(why) => error = Some(why.to_string()),
        }
    }
    error.map_or(Ok(None), Err)
}

/// Status of the path, and by how much the best counter of that status rose.
async fn count(public: &Client, source: &Client, path: &str) -> Result<(u16, Option<f64>), String> {
    let explain = |error: crate::http::HttpError| error.to_string();
    let status = public.get(path).await.map_err(explain)?.status.as_u16();
    if status == StatusCode::TOO_MANY_REQUESTS.as_u16() {
        return Err(format!("GET {path} → 429: the rate limit came first"));
    }
    let before = counters(&source.get("/metrics").await.map_err(explain)?.text(), status);
    for sent in 0..REQUESTS {
        let answered = public.get(path).await.map_err(explain)?.status.as_u16();
        // A limit that was reached on the way, an app that fell over: other counters rise then, and rightly so.
        if answered != status {
            return Err(format!(
                "GET {path} → {status}, and {answered} after {sent} more: not {REQUESTS} of one status"
            ));
        }
    }
    let after = counters(&source.get("/metrics").await.map_err(explain)?.text(), status);
    let deltas: Vec<f64> = after.iter().map(|(name, value)| value - before.get(name).unwrap_or(&0.0)).collect();
    let exact = deltas.iter().copied().find(|delta| *delta == REQUESTS as f64);
    Ok((status, exact.or_else(|| deltas.into_iter().reduce(f64::max))))
}

/// Counters by series, of the samples whose labels name this status.
fn counters(text: &str, status: u16) -> HashMap<String, f64> {
    let (exact, class) = (format!("\"{status}\""), format!("\"{}xx\"", status / 100));
    let mut sums = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let Some((labels, value)) = rest.rsplit_once('}') else { continue };
        let counts = name.ends_with("_total") || name.ends_with("_count");
        if counts && (labels.contains(&exact) || labels.contains(&class)) {
            // A series of its own for each set of labels: sums would mix in whoever else is counted under that status.
            let name = format!("{name}{{{labels}}}");
            let value: f64 = value.trim().split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0);
            *sums.entry(name).or_insert(0.0) += value;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::probe::Outcome;

    #[tokio::test]
    async fn a_limit_on_the_way_tells_nothing() {
        let asked = Arc::new(AtomicU64::new(0));
        let fixture = fixture::public(move |request| match request.uri().path() {
            "/metrics" => reply(200, &[], "# TYPE a_total counter\na_total{status=\"200\"} 0\n"),
            _ if asked.fetch_add(1, Ordering::Relaxed) < 9 => reply(200, &[], "ok"),
            _ => reply(429, &[], ""),
        });
        let outcome = look(&fixture.unwrap().subject).await.outcome;
        assert!(matches!(&outcome, Outcome::Unclear(why) if why.contains("429 after 8 more")), "{outcome:?}");
    }

    #[test]
    fn takes_each_series_of_the_status() {
        let text = "# TYPE a_total counter\na_total{status=\"200\",m=\"x\"} 3\na_total{status=\"200\",m=\"y\"} 4 1700\n\
                    a_total{status=\"404\"} 9\nb_bucket{code=\"200\"} 5\nc_total{code=\"2xx\"} 2\n";
        let sums = counters(text, 200);
        assert_eq!(sums["a_total{status=\"200\",m=\"x\"}"], 3.0);
        assert_eq!(sums["a_total{status=\"200\",m=\"y\"}"], 4.0);
        assert_eq!(sums["c_total{code=\"2xx\"}"], 2.0);
        assert_eq!(sums.len(), 3);
    }
}
