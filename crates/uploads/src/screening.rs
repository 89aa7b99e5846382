//! All files of one request, looked at one by one. Blocking.

use std::{fs::File, sync::Arc, time::SystemTime};

use aws_lc_rs::digest;
use seaworthy_core::{Quarantined, RequestContext};

use crate::{
    archive::{self, Inspection},
    judge::{Claim, judge},
    kinds::Kind,
    multipart::Part,
    problems::{INFECTED, NAME, Refusal, malformed},
    segments::{Segment, Slice},
    settings::UploadPolicy,
    uploads::Joint,
};

/// What is looked at, and for whom.
pub(crate) struct Screening<'a> {
    pub joint: &'a Joint,
    pub policy: &'a UploadPolicy,
    pub route: &'a str,
    pub context: Option<&'a RequestContext>,
}

impl Screening<'_> {
    /// A body that is one file. Its name is part of the address, so it cannot be made safe.
    pub(crate) fn raw(&self, claim: Claim<'_>, file: &Slice) -> Result<(), Refusal> {
        let (_, renamed) = self.one(claim, file)?;
        if renamed.is_some() { Err(Refusal::new(NAME, "The name of a file is refused.")) } else { Ok(()) }
    }

    /// A form in a file: what goes on of it.
    pub(crate) fn form(&self, file: &Arc<File>, length: u64, parts: &[Part]) -> Result<Vec<Segment>, Refusal> {
        let (mut segments, mut at) = (Vec::new(), 0);
        for part in parts {
            let Some(name) = &part.filename else { continue };
            let content = Slice::new(file, part.data.clone());
            if name.is_empty() {
                // What a browser sends for a field of a form where no file was chosen.
                if content.len() > 0 {
                    return malformed("A file has no name.");
                }
                continue;
            }
            let claim = Claim { name: Some(name), declared: part.content_type.as_deref() };
            if let (_, Some(renamed)) = self.one(claim, &content)? {
                segments.push(Segment::File(file.clone(), at..part.filename_at.start));
                segments.push(Segment::Bytes(renamed.into()));
                at = part.filename_at.end;
            }
        }
        segments.push(Segment::File(file.clone(), at..length));
        Ok(segments)
    }

    /// One file; what it is, and its new name, where it gets one.
    pub(crate) fn one(&self, claim: Claim<'_>, file: &Slice) -> Result<(&'static Kind, Option<String>), Refusal> {
        let judged = judge(claim, file, self.policy)?;
        // A route that scans while no scanner is named does not get this far: the config is refused.
        let scanner = self.joint.scanner.as_ref().filter(|_| self.policy.scan);
        let looked = scanner.map_or(Ok(()), |scanner| archive::scan(scanner, &mut file.anew())).and_then(|()| {
            let limits = self.joint.settings.archives;
            Inspection::new(limits, file.len(), scanner, &self.joint.folder, self.policy.active).look(
                judged.kind.content,
                file,
                0,
            )
        });
        match looked {
            Ok(()) => Ok((judged.kind, judged.renamed)),
            Err(refusal) => {
                if refusal.kind == INFECTED {
                    self.infected(claim, file, &refusal.detail);
                }
                Err(refusal)
            }
        }
    }

    /// A security event: somebody sent malware.
    fn infected(&self, claim: Claim<'_>, file: &Slice, found: &str) {
        let context = self.context;
        let principal = context.and_then(|context| context.principal.get());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let about = Quarantined {
            id: String::new(),
            at_ms: u64::try_from(now.as_millis()).unwrap_or_default(),
            name: claim.name.unwrap_or_default().to_owned(),
            size: file.len(),
            sha256: sha256(file).unwrap_or_default(),
            found: found.trim_start_matches("Found: ").trim_end_matches('.').to_owned(),
            route: self.route.to_owned(),
            request_id: context.map(|context| context.id.to_string()).unwrap_or_default(),
            client: context.and_then(|context| context.client).map(|client| client.to_string()),
            principal: principal.map(|principal| principal.details().id.clone()),
        };
        let (request, name, what, digest, client, user) =
            (&about.request_id, &about.name, &about.found, &about.sha256, &about.client, &about.principal);
        tracing::warn!(
            event = "security.malware_upload",
            request,
            route = self.route,
            name,
            found = what,
            sha256 = digest,
            client,
            user,
            "an upload was refused: malware"
        );
        if self.joint.settings.quarantine.0 > 0
            && let Err(error) = self.joint.quarantine.keep(file, about)
        {
            tracing::error!(%error, "an infected file could not be kept in quarantine");
        }
    }
}

pub(crate) fn sha256(file: &Slice) -> std::io::Result<String> {
    let (mut context, mut reader) = (digest::Context::new(&digest::SHA256), file.anew());
    let mut piece = vec![0; 64 << 10];
    loop {
        match std::io::Read::read(&mut reader, &mut piece)? {
            0 => break,
            read => context.update(&piece[..read]),
        }
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
