//! An in-toto Statement v1 about the commit and what was released of it, in a DSSE envelope. Keys stay with the caller.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use seaworthy_evidence::Report;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    text,
    validity::{collected, expires, next_expiry},
};

/// What the payload of our envelopes is.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Our own predicate: items, verdicts, expiry.
pub const PREDICATE_TYPE: &str = "https://seaworthy.dev/readiness/v1";

/// Something that was released, by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The image or release.
    pub name: String,
    /// As in-toto names it: `sha256`, `gitCommit`, …
    pub algorithm: String,
    /// Lowercase hexadecimal.
    pub digest: String,
}

/// A signature and the name of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// A hint for whoever verifies; it proves nothing by itself.
    pub key_id: String,
    /// As the key's algorithm makes it.
    pub bytes: Vec<u8>,
}

/// An envelope that is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// It cannot be read.
    #[error("this is no DSSE envelope: {0}; it should be the file that `seaworthy check` wrote, unchanged")]
    Malformed(String),
    /// It holds something else.
    #[error("the envelope holds `{0}` and not an in-toto statement; verify it with the tool that made it")]
    OtherPayload(String),
    /// No signature is of a key that is trusted, or what was signed is not what is there.
    #[error(
        "none of the envelope's {0} signatures is good; it was altered, or signed with a key that is not trusted here"
    )]
    Untrusted(usize),
}

/// The statement. Without artifacts, and without a commit whose files are as committed, its subject is the JSON report itself.
pub fn statement(report: &Report, artifacts: &[Artifact]) -> Value {
    let target = &report.target;
    let clean = target.commit.as_ref().filter(|commit| commit.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let commit = clean.map(|commit| {
        // SHA-256 repositories have longer names; both are what in-toto calls gitCommit.
        json!({ "name": "commit", "digest": { "gitCommit": text::line(commit) } })
    });
    let released = artifacts.iter().map(|artifact| {
        json!({ "name": text::line(&artifact.name), "digest": { &artifact.algorithm: text::line(&artifact.digest) } })
    });
    let mut subjects: Vec<Value> = commit.into_iter().chain(released).collect();
    if subjects.is_empty() {
        let digest: String =
            Sha256::digest(report.json().to_string()).iter().map(|byte| format!("{byte:02x}")).collect();
        subjects.push(json!({ "name": "readiness.json", "digest": { "sha256": digest } }));
    }
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate(report),
    })
}

fn predicate(report: &Report) -> Value {
    let mut target = json!(report.target);
    target["url"] = json!(report.target.url.as_deref().map(text::address));
    target["admin"] = json!(report.target.admin.as_deref().map(text::address));
    let items = report.items.iter().map(|item| {
        let controls: Vec<&String> = item.controls.iter().map(|control| &control.control).collect();
        json!({
            "file": text::line(&item.file),
            "line": item.line,
            "text": text::clean(&item.text),
            "claimed": item.ticked,
            "verdict": item.verdict.word(),
            "reason": text::clean(&item.reason),
            "controls": controls,
        })
    });
    let controls = report.findings.values().map(|finding| {
        json!({
            "control": text::line(&finding.control),
            "verdict": finding.verdict.word(),
            "reason": text::clean(&finding.reason),
            "planned": finding.planned,
            "executed": finding.executed,
            "experimentRight": finding.experiment.as_ref().map(|experiment| experiment.right),
            "expires": expires(finding).map(|time| time.to_string()),
        })
    });
    json!({
        "timeStarted": collected(report).to_string(),
        "expires": next_expiry(report).map(|time| time.to_string()),
        "exitStatus": report.exit_status(),
        "target": target,
        "summary": report.summary(),
        "items": items.collect::<Vec<_>>(),
        "controls": controls.collect::<Vec<_>>(),
    })
}

/// The statement in a DSSE envelope (protocol 1.0) with one signature.
pub fn envelope(statement: &Value, sign: impl FnOnce(&[u8]) -> Signature) -> Value {
    let payload = statement.to_string();
    let signature = sign(&pre_authentication_encoding(PAYLOAD_TYPE, payload.as_bytes()));
    json!({
        "payloadType": PAYLOAD_TYPE,
        "payload": STANDARD.encode(payload),
        "signatures": [{ "keyid": signature.key_id, "sig": STANDARD.encode(signature.bytes) }],
    })
}

/// The statement of an envelope, once `trusted` (key, message, signature) accepts one of its signatures.
///
/// # Errors
///
/// When it cannot be read, holds something else, or no signature is accepted.
pub fn verify(envelope: &[u8], trusted: impl Fn(&str, &[u8], &[u8]) -> bool) -> Result<Value, EnvelopeError> {
    let malformed = |why: &str| EnvelopeError::Malformed(why.to_owned());
    let envelope: Value = serde_json::from_slice(envelope).map_err(|error| malformed(&error.to_string()))?;
    let payload_type = envelope["payloadType"].as_str().ok_or_else(|| malformed("it has no payloadType"))?;
    if payload_type != PAYLOAD_TYPE {
        return Err(EnvelopeError::OtherPayload(text::line(payload_type)));
    }
    let payload = decoded(&envelope["payload"]).ok_or_else(|| malformed("its payload is not base64"))?;
    let signatures = envelope["signatures"].as_array().ok_or_else(|| malformed("it has no signatures"))?;
    let message = pre_authentication_encoding(payload_type, &payload);
    let good = |signature: &Value| {
        let key_id = signature["keyid"].as_str().unwrap_or_default();
        decoded(&signature["sig"]).is_some_and(|bytes| trusted(key_id, &message, &bytes))
    };
    if !signatures.iter().any(good) {
        return Err(EnvelopeError::Untrusted(signatures.len()));
    }
    serde_json::from_slice(&payload).map_err(|error| malformed(&error.to_string()))
}

/// What is signed: type and payload with their lengths, so that neither can be taken for a part of the other.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

/// DSSE allows both alphabets.
fn decoded(value: &Value) -> Option<Vec<u8>> {
    let text = value.as_str()?;
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn sign(message: &[u8]) -> Signature {
        Signature { key_id: "k1".into(), bytes: Sha256::digest(message).to_vec() }
    }

    fn trusted(key_id: &str, message: &[u8], signature: &[u8]) -> bool {
        key_id == "k1" && Sha256::digest(message).as_slice() == signature
    }

    #[test]
    fn the_message_is_the_one_of_the_protocol() {
        let message = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn what_was_signed_is_read_back_and_nothing_else() {
        let statement = statement(&sample::report(), &[]);
        let envelope = envelope(&statement, sign);
        assert_eq!(verify(envelope.to_string().as_bytes(), trusted).unwrap(), statement);

        let altered = |change: &dyn Fn(&mut Value)| {
            let mut other = envelope.clone();
            change(&mut other);
            verify(other.to_string().as_bytes(), trusted).unwrap_err()
        };
        let better = statement.to_string().replacen("\"fail\"", "\"pass\"", 1);
        assert_eq!(altered(&|it| it["payload"] = json!(STANDARD.encode(&better))), EnvelopeError::Untrusted(1));
        assert_eq!(altered(&|it| it["signatures"] = json!([])), EnvelopeError::Untrusted(0));
        assert_eq!(altered(&|it| it["signatures"][0]["keyid"] = json!("k2")), EnvelopeError::Untrusted(1));
        assert_eq!(altered(&|it| it["payloadType"] = json!("text/x")), EnvelopeError::OtherPayload("text/x".into()));
        assert!(matches!(altered(&|it| it["payload"] = json!("!")), EnvelopeError::Malformed(_)));
        assert!(matches!(verify(b"nothing", trusted), Err(EnvelopeError::Malformed(_))));
    }

    #[test]
    fn the_subject_is_what_was_looked_at() {
        let mut report = sample::report();
        let image = Artifact { name: "shop:1".into(), algorithm: "sha256".into(), digest: "ab".into() };
        let subjects = statement(&report, &[image])["subject"].clone();
        assert_eq!(subjects[0]["digest"]["gitCommit"], "9fceb02d0ae598e95dc970b74767f19372d61af8");
        assert_eq!(subjects[1], json!({ "name": "shop:1", "digest": { "sha256": "ab" } }));
        report.target.commit = None;
        assert_eq!(statement(&report, &[])["subject"][0]["digest"]["sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn verdicts_expiry_and_hostile_text_are_there_and_no_password() {
        let statement = statement(&sample::report(), &[]);
        let predicate = &statement["predicate"];
        assert_eq!(predicate["items"].as_array().unwrap().len(), sample::report().items.len());
        assert_eq!(predicate["expires"], "2026-06-12T09:26:53Z");
        assert!(!statement.to_string().contains("hunter2") && !statement.to_string().contains("\\u001b"));
    }
}
