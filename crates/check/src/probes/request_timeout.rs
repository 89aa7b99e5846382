//! `edge.request-timeout`: a slow app ends in a 504 at the claimed limit, a slow client is cut off, and just under the
//! limit passes.

use std::{
    io,
    time::{Duration, Instant},
};

use seaworthy_config::HumanDuration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    time::{sleep, timeout},
};

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    fixture::{Answering, Server, ServerOptions, reply},
    http::Client,
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{Fixture, Subject},
};

pub(super) struct RequestTimeout;

/// Longer limits are not waited for.
const LONGEST: Duration = Duration::from_secs(20);
/// What scheduling, the network and a coarse clock may add: connections are looked at every second or so.
const SLACK: Duration = Duration::from_millis(1200);

impl Probe for RequestTimeout {
    fn about(&self) -> About {
        About { control: "edge.request-timeout".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    // It measures time.
    fn alone(&self) -> bool {
        true
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { slow(true) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { slow(false) })
    }
}

fn slow(limited: bool) -> io::Result<Fixture> {
    const LIMIT: Duration = Duration::from_millis(1000);
    let answering: Answering = std::sync::Arc::new(move |request| {
        let seconds = request.uri().query().and_then(|query| query.strip_prefix("seconds=")?.parse::<f64>().ok());
        let wanted = Duration::from_secs_f64(seconds.unwrap_or(0.0).clamp(0.0, 60.0));
        Box::pin(async move {
            let late = limited && wanted > LIMIT;
            sleep(if late { LIMIT } else { wanted }).await;
            reply(if late { 504 } else { 200 }, &[], "")
        })
    });
    let head_timeout = limited.then_some(LIMIT);
    let server = Server::start(answering, ServerOptions { head_timeout, ..ServerOptions::default() })?;
    let mut subject = Subject { url: Some(server.address.clone()), ..Subject::default() };
    subject.hints.slow_path = Some("/slow?seconds={seconds}".into());
    subject.hints.first_byte = Some(LIMIT);
    subject.hints.request_head = Some(LIMIT);
    Ok(Fixture { subject, _keep: vec![Box::new(server)] })
}

async fn look(subject: &Subject) -> Sighting {
    let Some(client) = subject.client() else { return Sighting::not_tried("name the app's address with --url") };
    let hints = &subject.hints;
    let (Some(limit), Some(head)) = (hints.first_byte, hints.request_head) else {
        return Sighting::not_tried(
            "no limits are claimed that could be tried: [check] first_byte = \"5s\", request_head = \"5s\"",
        );
    };
    if let Some(why) = too_long(limit, head) {
        return Sighting::not_tried(why);
    }
    let mut cases = Cases::plan(3);
    let patience = limit.mul_f64(2.0) + Duration::from_secs(2);
    let client = client.patience(patience);
    let (under, over) = (hints.slow(limit.as_secs_f64() * 0.5), hints.slow(limit.as_secs_f64() * 1.8));
    match (under, over) {
        (Some(under), Some(over)) => {
            try_slow(&client, &under, &over, limit, &mut cases).await;
        }
        _ => cases.told_nothing("no slow path is known: [check] slow_path = \"/slow?seconds={seconds}\""),
    }
    match cut_off(&client, head + SLACK + Duration::from_secs(1)).await {
        Ok(Some(after)) => cases.tried(
            after <= head.mul_f64(1.1) + SLACK && after >= head.mul_f64(0.4),
            format!("a client that never ends its head is cut off after {:.1} s", after.as_secs_f64()),
        ),
        Ok(None) => cases.tried(
            false,
            format!("a client that never ends its head is still connected after {:.1} s", (head + SLACK).as_secs_f64()),
        ),
        Err(why) => cases.told_nothing(why),
    }
    cases.sighting(format!(
        "504 at the limit of {:.1} s, just under it 200, a client that never ends its head is cut off",
        limit.as_secs_f64()
    ))
}

/// Which limits are not waited for, and the lines that would change that.
fn too_long(first_byte: Duration, request_head: Duration) -> Option<String> {
    let all = [("first_byte", first_byte), ("request_head", request_head)];
    let long: Vec<_> = all.into_iter().filter(|(_, limit)| *limit > LONGEST).collect();
    let shown = |limit| HumanDuration(limit).to_string();
    let claimed =
        long.iter().map(|(key, limit)| format!("{key} ({})", shown(*limit))).collect::<Vec<_>>().join(" and ");
    let lines = long.iter().map(|(key, _)| format!("{key} = \"{}\"", shown(LONGEST))).collect::<Vec<_>>().join(", ");
    (!long.is_empty()).then(|| {
        let longest = shown(LONGEST);
        format!("{claimed}: longer than a probe waits ({longest}); {lines} under [edge.timeouts] makes it provable")
    })
}

async fn try_slow(client: &Client, under: &str, over: &str, limit: Duration, cases: &mut Cases) {
    match client.get(under).await {
        Ok(answer) => cases.tried(answer.status.is_success(), format!("GET {under} → {}", answer.status.as_u16())),
        Err(error) => cases.told_nothing(error.to_string()),
    }
    match client.get(over).await {
        Ok(answer) => {
            let seconds = answer.elapsed.as_secs_f64();
            let in_time = answer.elapsed >= limit.mul_f64(0.9) && answer.elapsed <= limit.mul_f64(1.1) + SLACK;
            let right = answer.status == 504 && in_time;
            cases.tried(
                right,
                format!(
                    "GET {over} → {} after {seconds:.1} s; the limit is {:.1} s",
                    answer.status.as_u16(),
                    limit.as_secs_f64()
                ),
            );
        }
        Err(error) => cases.tried(false, format!("{error}; the limit is {:.1} s", limit.as_secs_f64())),
    }
}

/// Sends half a head and waits: after how long the server ends the connection, or `None` when it does not in time.
async fn cut_off(client: &Client, patience: Duration) -> Result<Option<Duration>, String> {
    let stream = client.connect().await.map_err(|error| error.to_string())?;
    let started = Instant::now();
    let (mut reader, mut writer) = split(stream);
    let host = client.address().authority();
    let half = format!("GET / HTTP/1.1\r\nhost: {host}\r\nx-slow: ");
    writer.write_all(half.as_bytes()).await.map_err(|error| error.to_string())?;
    writer.flush().await.map_err(|error| error.to_string())?;
    let pause = patience.div_f64(20.0);
    let reading = async {
        let mut rest = [0; 1024];
        // A 408 may come first; the end of the connection is what counts.
        while reader.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    };
    // A byte now and then keeps every idle timeout happy: only a limit on the whole head helps.
    let trickling = async {
        loop {
            sleep(pause).await;
            let _ = writer.write_all(b"x").await;
            let _ = writer.flush().await;
        }
    };
    let reading = async {
        tokio::select! {
            () = reading => {}
            () = trickling => {}
        }
    };
    Ok(timeout(patience, reading).await.ok().map(|()| started.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_not_waited_for_names_the_line_that_makes_it_provable() {
        let why = too_long(Duration::from_secs(60), Duration::from_secs(10)).unwrap();
        assert!(why.contains("first_byte (1m)") && !why.contains("request_head"), "{why}");
        assert!(why.contains("first_byte = \"20s\" under [edge.timeouts]"), "{why}");
        assert_eq!(too_long(LONGEST, LONGEST), None);
    }
}
