//! `protection.upload-size-limit`: one byte over the limit of a file is refused, announced or not; exactly the limit passes.

use std::{io, time::Duration};

use http::StatusCode;
use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{ClaimedUpload, Fixture, Subject},
    uploading::{self, Fate, Target, declared, judging, kinds},
};

pub(super) struct UploadSize;

/// A larger limit would take too long to fill three times.
const LARGEST: u64 = 64 << 20;

impl Probe for UploadSize {
    fn about(&self) -> About {
        About { control: "protection.upload-size-limit".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { limited(2000) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: the limit of the server in front, which is far above what is claimed.
        Box::pin(async { limited(100_000) })
    }
}

fn limited(limit: usize) -> io::Result<Fixture> {
    let route = ClaimedUpload { max: Some(2000), ..ClaimedUpload::default() };
    judging(route, move |_, _, content| if content.len() > limit { 413 } else { 201 })
}

async fn look(subject: &Subject) -> Sighting {
    let target = match Target::find(subject).await {
        Ok(target) => target,
        Err(sighting) => return sighting,
    };
    let Some(limit) = target.route.max else {
        return Sighting::not_tried("no limit on files is claimed that could be tried: [check] upload_max = \"10MB\"");
    };
    if !(1000..=LARGEST).contains(&limit) {
        return Sighting::not_tried(format!("a limit of {limit} bytes is not filled by a probe (1000 to {LARGEST})"));
    }
    let sample = match target.accepted(kinds()).await {
        Ok(sample) => sample,
        Err(sighting) => return sighting,
    };
    let mut cases = Cases::plan(3);
    let limit = limit as usize;
    for (length, announced, refused) in [(limit + 1, true, true), (limit + 1, false, true), (limit, true, false)] {
        let how = if announced { "with Content-Length" } else { "chunked" };
        let Some(file) = uploading::sample(sample.kind, length) else {
            return cases.gave_up(format!("a .{} of {length} bytes cannot be made", sample.kind));
        };
        match target.send(&format!("sample.{}", file.kind), declared(file.kind), &file.content, announced).await {
            Ok(fate) => {
                let seen = format!("a file of {length} bytes {how} → {}", fate.status());
                let holds = match fate {
                    Fate::Refused(status) => refused && status == StatusCode::PAYLOAD_TOO_LARGE,
                    Fate::Taken(_) => !refused,
                    Fate::Other(_) => {
                        cases.told_nothing(seen);
                        continue;
                    }
                };
                cases.tried(holds, seen);
            }
            // A server may close while we still send (RFC 9110, 15.5.14); what it thinks is then not known.
            Err(error) => cases.told_nothing(error.to_string()),
        }
        // Three large files in a row are a load that nobody asked for.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cases.sighting(format!(
        "{}: {} bytes: 413 with Content-Length and chunked; exactly {limit}: taken",
        target.name(),
        limit + 1
    ))
}
