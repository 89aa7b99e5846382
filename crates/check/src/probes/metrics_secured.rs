//! `observability.metrics-secured`: there are metrics, and the public side does not show them.

use std::io;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{self, Server, ServerOptions, answering, reply},
    http::Answer,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct MetricsSecured;

/// Where frameworks and exporters put them, and spellings that have slipped past path rules.
const PATHS: &[&str] = &[
    "/metrics",
    "/metrics/",
    "//metrics",
    "/Metrics",
    "/metrics?x=1",
    "/prometheus",
    "/actuator/prometheus",
    "/api/metrics",
    "/-/metrics",
];

impl Probe for MetricsSecured {
    fn about(&self) -> About {
        About { control: "observability.metrics-secured".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { with_metrics(false) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { with_metrics(true) })
    }
}

fn with_metrics(public: bool) -> io::Result<Fixture> {
    let text = "# TYPE requests_total counter\nrequests_total{status=\"200\"} 1\n";
    let admin = Server::start(answering(move |_| reply(200, &[], text)), ServerOptions::default())?;
    let mut fixture = fixture::public(move |request| match request.uri().path() {
        "/metrics" if public => reply(200, &[], text),
        "/" => reply(200, &[], "home"),
        _ => reply(404, &[], "not found"),
    })?;
    fixture.subject.admin = Some(admin.address.clone());
    Ok(fixture.keep(admin))
}

async fn look(subject: &Subject) -> Sighting {
    let Some(public) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let sample = subject.sample(usize::MAX).await;
    let told = sample.paths().filter(|path| path.contains("metrics") || path.contains("prometheus"));
    let mut paths = PATHS.to_vec();
    paths.extend(told.filter(|path| !PATHS.contains(path)));
    let mut cases = Cases::plan(paths.len() + 1);
    for path in &paths {
        match public.get(path).await {
            Ok(answer) => cases.tried(
                !is_metrics(&answer),
                format!(
                    "{path} on the public side answers {}{}",
                    answer.status.as_u16(),
                    if is_metrics(&answer) { " with metrics" } else { "" }
                ),
            ),
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    // Hiding what does not exist proves nothing.
    match subject.admin_client() {
        None => cases.told_nothing("no metrics are known that could be public: name the admin address with --admin"),
        Some(admin) => match admin.get("/metrics").await {
            Ok(answer) if is_metrics(&answer) => cases.tried(true, "the admin side shows them"),
            Ok(answer) => {
                cases.told_nothing(format!("the admin side has no metrics either ({})", answer.status.as_u16()))
            }
            Err(error) => cases.told_nothing(error.to_string()),
        },
    }
    cases.sighting(format!("{} paths on the public side show none; the admin side does", paths.len()))
}

/// Prometheus' text format or OpenMetrics: typed samples.
fn is_metrics(answer: &Answer) -> bool {
    let text = answer.text();
    answer.status.is_success() && (text.contains("# TYPE ") || text.contains("# HELP "))
}
