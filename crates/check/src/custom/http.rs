//! A custom control that is a request: the answer must be as expected.

use std::{borrow::Cow, io, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use tokio::time::sleep;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use super::{Custom, HttpCheck, example::Example};
use crate::{
    fixture::{Answering, Server, ServerOptions},
    http::{HttpError, full},
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct HttpProbe {
    control: String,
    check: HttpCheck,
    patience: Duration,
}

impl HttpProbe {
    pub(super) fn new(custom: &Custom) -> Option<Self> {
        let check = custom.http.clone()?;
        let longest = check.expect.max_time.map_or(Duration::ZERO, |longest| longest.0 + Duration::from_secs(2));
        let patience = custom.timeout.map_or(Duration::from_secs(30), |timeout| timeout.0).max(longest);
        Some(Self { control: custom.id.clone(), check, patience })
    }
}

impl Probe for HttpProbe {
    fn about(&self) -> About {
        About { control: Cow::Owned(self.control.clone()), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn alone(&self) -> bool {
        self.check.expect.max_time.is_some()
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(self, subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { answers(Example::right(&self.check.expect)) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { answers(Example::wrong(&self.check.expect)) })
    }
}

/// A server that answers this to everything.
fn answers(example: Example) -> io::Result<Fixture> {
    let answering: Answering = Arc::new(move |_| {
        let example = example.clone();
        Box::pin(async move {
            sleep(example.pause).await;
            let mut response = Response::new(Full::from(example.body));
            *response.status_mut() = StatusCode::from_u16(example.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            for (name, value) in example.headers {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        })
    });
    let server = Server::start(answering, ServerOptions::default())?;
    let subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    Ok(Fixture { subject, _keep: vec![Box::new(server)] })
}

async fn look(probe: &HttpProbe, subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let (check, client) = (&probe.check, client.patience(probe.patience));
    let what = format!("{} {}", check.method, check.path);
    let mut cases = Cases::plan(check.expect.count());
    let method = Method::from_bytes(check.method.as_bytes()).unwrap_or(Method::GET);
    let mut request = client.request(method, &check.path);
    for (name, value) in &check.headers {
        let value = match value.resolve() {
            Ok(value) => HeaderValue::from_str(value.expose()),
            Err(error) => return cases.gave_up(format!("the header {name}: {error}")),
        };
        let (Ok(name), Ok(mut value)) = (name.parse::<HeaderName>(), value) else {
            return cases.gave_up(format!("the header {name} cannot be sent as it is"));
        };
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    if let Some(body) = &check.body {
        *request.body_mut() = full(body.clone());
    }
    match client.send(request).await {
        Ok(answer) => check.expect.judge(&answer, &what, &mut cases),
        Err(error @ HttpError::Slow(..)) if check.expect.max_time.is_some() => cases.tried(false, error.to_string()),
        Err(error) => cases.told_nothing(error.to_string()),
    }
    cases.sighting(format!("{what} is answered as expected, in {} respects", check.expect.count()))
}

#[cfg(test)]
mod tests {
    use seaworthy_evidence::Verdict;

    use super::*;
    use crate::{
        custom::settings::tests::read,
        fixture::{self, reply},
        runner::Runner,
    };

    async fn verdict(expect: &str, status: u16, body: &'static str) -> (Verdict, String) {
        let text = format!(
            "[[check.custom]]\nid = \"team.a\"\nhttp = {{ path = \"/a\", headers = {{ x-key = \"k\" }}, expect = {{ {expect} }} }}\n"
        );
        let probe = HttpProbe::new(&read(&text).unwrap().custom[0]).unwrap();
        let fixture = fixture::public(move |request| {
            let known = request.headers().get("x-key").is_some_and(|key| key == "k") || request.uri().path() == "/";
            reply(if known { status } else { 401 }, &[("x-build", "build 7")], body)
        });
        let finding = Runner::new(Duration::from_secs(10)).try_control(&probe, &fixture.unwrap().subject).await;
        assert!(finding.planned > 0);
        (finding.verdict, finding.reason)
    }

    #[tokio::test]
    async fn each_expectation_is_held_and_can_fail() {
        let body = "{\"status\": \"ok\", \"count\": 2, \"list\": [1]}";
        for (right, wrong) in [
            ("status = 200", "status = 204"),
            ("header = { X-Build = \"build\" }", "header = { X-Build = \"build 8\" }"),
            ("body = \"ok\"", "body = \"bad\""),
            ("body_regex = 'count\": \\d+'", "body_regex = '^count'"),
            ("json = { \"/status\" = \"ok\", \"/count\" = 2.0, \"/list/0\" = 1 }", "json = { \"/count\" = \"2\" }"),
            ("json = { \"/list\" = [1] }, body = \"status\"", "json = { \"/none\" = 1 }"),
            ("max_time = \"1s\"", "max_time = \"1s\", status = 418"),
        ] {
            let (verdict_of_right, reason) = verdict(right, 200, body).await;
            assert_eq!(verdict_of_right, Verdict::Pass, "{right}: {reason}");
            let (verdict_of_wrong, reason) = verdict(wrong, 200, body).await;
            assert_eq!(verdict_of_wrong, Verdict::Fail, "{wrong}: {reason}");
        }
    }

    #[tokio::test]
    async fn an_expectation_that_nothing_can_be_made_up_for_is_inconclusive_until_an_example_is_given() {
        let (verdict_alone, reason) = verdict("body = \"a  b\", json = { \"\" = \"x\" }", 200, "\"x\"").await;
        assert_eq!(verdict_alone, Verdict::Inconclusive);
        assert!(reason.contains("could not tell its known subjects apart"), "{reason}");
        let with = "body = \"k\\\": 1\", json = { \"/k\" = 1 }, example = '{\"k\": 1}'";
        assert_eq!(verdict(with, 200, "{\"k\": 1}").await.0, Verdict::Pass);
    }
}
