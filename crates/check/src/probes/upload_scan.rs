//! `protection.upload-virus-scan`: the harmless test virus (EICAR) is refused, alone, in archives, and in files so large that a
//! scanner may skip them.

use std::io;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{ClaimedUpload, Fixture, Subject},
    uploading::{Fate, Target, declared, judging, zip},
};

pub(super) struct UploadScan;

/// Scanners' usual limits are below this.
const LARGE: u64 = 30 << 20;

impl Probe for UploadScan {
    fn about(&self) -> About {
        About { control: "protection.upload-virus-scan".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async { scanning(usize::MAX) })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: what is larger than the scanner reads passes as clean.
        Box::pin(async { scanning(10_000) })
    }
}

fn scanning(limit: usize) -> io::Result<Fixture> {
    let virus = virus();
    let route = ClaimedUpload { max: Some(100_000), ..ClaimedUpload::default() };
    judging(route, move |_, _, content| {
        let found = content.len() <= limit && content.windows(virus.len()).any(|window| window == virus);
        if found { 422 } else { 201 }
    })
}

async fn look(subject: &Subject) -> Sighting {
    let target = match Target::find(subject).await {
        Ok(target) => target,
        Err(sighting) => return sighting,
    };
    // In a picture the test virus would be refused for being none: that says nothing of a scanner.
    let text = target.accepted(&["txt"]).await.ok();
    let archive = target.accepted(&["zip"]).await.ok();
    if text.is_none() && archive.is_none() {
        return Sighting::not_tried(format!(
            "{} takes neither .txt nor .zip, and elsewhere the test virus would be refused for its type: name a route that takes \
             one, [check] upload",
            target.name()
        ));
    }
    let large = target.route.max.unwrap_or(LARGE).min(LARGE) as usize;
    let tries = infected(text.is_some(), archive.is_some(), large);
    let mut cases = Cases::plan(tries.len() + 1);
    let mut seen = Vec::new();
    for (what, kind, content) in tries {
        match target.send(&format!("sample.{kind}"), declared(kind), &content, true).await {
            Ok(Fate::Refused(status)) => {
                seen.push(format!("{what} → {}", status.as_u16()));
                cases.tried(true, format!("{what} → {}", status.as_u16()));
            }
            Ok(Fate::Taken(status)) => {
                cases.tried(false, format!("{} took the test virus {what}: {}", target.name(), status.as_u16()))
            }
            Ok(fate) => cases.told_nothing(format!("the test virus {what} was answered {}", fate.status())),
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    // The same size and shape without the virus: else everything large might be refused.
    let clean = if text.is_some() { ("txt", vec![b' '; large.min(1 << 20)]) } else { ("zip", zip("a.txt", b"clean")) };
    match target.send(&format!("sample.{}", clean.0), declared(clean.0), &clean.1, true).await {
        Ok(Fate::Taken(_)) => cases.tried(true, "its clean twin is taken"),
        Ok(fate) => cases.told_nothing(format!("the clean twin was answered {}", fate.status())),
        Err(error) => cases.told_nothing(error.to_string()),
    }
    cases
        .note("whether uploads are refused while the scanner is down was not tried: nothing of the target was stopped");
    cases.sighting(format!("the test virus at {}: {}; its clean twin was taken", target.name(), seen.join(", ")))
}

/// How it is sent, as which kind, and the file.
fn infected(text: bool, archive: bool, large: usize) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let virus = virus();
    let padded = [virus.as_slice(), &vec![b' '; large.saturating_sub(virus.len())]].concat();
    let mut all = Vec::new();
    if text {
        all.push(("plain", "txt", virus.clone()));
        all.push(("padded", "txt", padded));
    } else {
        let around = zip("a.txt", b"").len();
        all.push((
            "padded in an archive",
            "zip",
            zip("a.txt", &padded[..large.saturating_sub(around).max(virus.len())]),
        ));
    }
    if archive {
        all.push(("in an archive", "zip", zip("a.txt", &virus)));
        all.push(("in an archive in an archive", "zip", zip("b.zip", &zip("a.txt", &virus))));
    }
    all
}

/// Written backwards: else scanners would find our own program.
fn virus() -> Vec<u8> {
    b"*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$}7)CC7)^P(45XZP\\4[PA@%P!O5X".iter().rev().copied().collect()
}
