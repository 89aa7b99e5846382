//! `protection.upload-validation`: files are taken for what they are, not for what they are called.

use std::io;

use seaworthy_evidence::{ProbeKind, SafetyClass};

use crate::{
    probe::{About, Cases, Probe, Sighting, Working},
    subject::{ClaimedUpload, Fixture, Subject},
    uploading::{Fate, Sample, Target, declared, judging, kinds, zip},
};

pub(super) struct UploadValidation;

const PROGRAM: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0";
const PAGE: &[u8] = b"<!doctype html><html><script>alert(document.domain)</script></html>";
const SCRIPTED: &[u8] =
    b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"><script>alert(1)</script></svg>";

impl Probe for UploadValidation {
    fn about(&self) -> About {
        About { control: "protection.upload-validation".into(), kind: ProbeKind::Live, class: SafetyClass::Active }
    }

    fn look<'a>(&'a self, subject: &'a Subject) -> Working<'a, Sighting> {
        Box::pin(look(subject))
    }

    fn present(&self) -> Working<'_, io::Result<Fixture>> {
        Box::pin(async {
            judging(ClaimedUpload::default(), |name, _, content| {
                let whole = content.starts_with(b"\x89PNG") && content.ends_with(b"\xae\x42\x60\x82");
                if whole && name.ends_with(".png") && name.matches('.').count() == 1 { 201 } else { 415 }
            })
        })
    }

    fn absent(&self) -> Working<'_, io::Result<Fixture>> {
        // The common mistake: the type that the client declares is believed.
        Box::pin(async {
            judging(ClaimedUpload::default(), |_, declared, _| if declared == "image/png" { 201 } else { 415 })
        })
    }
}

async fn look(subject: &Subject) -> Sighting {
    let target = match Target::find(subject).await {
        Ok(target) => target,
        Err(sighting) => return sighting,
    };
    let sample = match target.accepted(kinds()).await {
        Ok(sample) => sample,
        Err(sighting) => return sighting,
    };
    let tries = hostile(&sample);
    let mut cases = Cases::plan(tries.len() + 1);
    for (what, name, kind, content) in tries {
        match target.send(&name, kind, &content, true).await {
            Ok(Fate::Refused(status)) => cases.tried(true, format!("{what} → {}", status.as_u16())),
            Ok(Fate::Taken(status)) => {
                cases.tried(false, format!("{} took {what}: {}", target.name(), status.as_u16()))
            }
            Ok(fate) => cases.told_nothing(format!("{what} was answered {}", fate.status())),
            Err(error) => cases.told_nothing(error.to_string()),
        }
    }
    // Whoever refuses everything from now on has validated nothing.
    match target.send_sample(&sample).await {
        Ok(Fate::Taken(_)) => cases.tried(true, format!("a plain .{} is taken", sample.kind)),
        Ok(fate) => cases.told_nothing(format!("the plain .{} was answered {} in the end", sample.kind, fate.status())),
        Err(error) => cases.told_nothing(error.to_string()),
    }
    cases.sighting(format!(
        "{}: a program and a page named .{kind}, a second extension, a scripted SVG{} were refused; a plain .{kind} was taken",
        target.name(),
        if is_binary(&sample) { ", a file that is an archive too" } else { "" },
        kind = sample.kind,
    ))
}

fn is_binary(sample: &Sample) -> bool {
    matches!(sample.kind, "png" | "pdf" | "gif")
}

/// What it is, its name, its declared type, its content.
fn hostile(sample: &Sample) -> Vec<(&'static str, String, &'static str, Vec<u8>)> {
    let (kind, good) = (sample.kind, &sample.content);
    let own = declared(kind);
    let mut all = vec![
        ("a program with the name of a document", format!("sample.{kind}"), own, PROGRAM.to_vec()),
        ("a document with a second extension that is run", format!("sample.{kind}.php"), own, good.clone()),
        ("a scripted SVG", "sample.svg".into(), "image/svg+xml", SCRIPTED.to_vec()),
    ];
    if is_binary(sample) {
        all.push(("a page with the name of a document", format!("sample.{kind}"), own, PAGE.to_vec()));
        all.push((
            "a file that is an archive too",
            format!("sample.{kind}"),
            own,
            [good.as_slice(), &zip("a.class", b"x")].concat(),
        ));
    }
    all
}
