//! `config.no-hardcoded-secrets`: none in the tree, none in any commit.
//!
//! Each look plants a canary among the things it scans and must find it again, so that a scan which silently skipped
//! everything cannot pass.

use std::{collections::BTreeMap, fs, io, path::Path, sync::LazyLock};

use ignore::WalkBuilder;
use regex::bytes::Regex;

use seaworthy_repository::{Cases, Git, Inspection, Repository, Sample, Sighting};

pub(super) struct HardcodedSecrets;

/// Larger files are no source.
const LARGEST: u64 = 16 << 20;

/// Name and pattern of what is a secret by its shape; the last group is the value.
const SHAPES: &[(&str, &str)] = &[
    ("AWS access key", r"\b((?:AKIA|ASIA)[A-Z0-9]{16})\b"),
    ("private key", r"(-----BEGIN (?:RSA |EC |DSA |OPENSSH |PGP |ENCRYPTED )?PRIVATE KEY(?: BLOCK)?-----)"),
    ("GitHub token", r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})\b"),
    ("GitLab token", r"\b(glpat-[A-Za-z0-9_-]{20,})"),
    ("Slack token", r"\b(xox[abposr]-[A-Za-z0-9-]{20,})"),
    ("Stripe key", r"\b([rs]k_live_[A-Za-z0-9]{20,})\b"),
    ("OpenAI or Anthropic key", r"\b(sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{32,})"),
    ("Google API key", r"\b(AIza[A-Za-z0-9_-]{35})\b"),
    ("SendGrid key", r"\b(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})\b"),
    (
        "password in an address",
        r"\b[a-z][a-z0-9+.-]{2,}://[^\s:/@'\x22]{1,64}:([^\s:/@'\x22$\{\}<>]{6,})@[A-Za-z0-9.-]+",
    ),
    (
        "assigned secret",
        r"(?im)^[ \t-]*[a-z0-9_.-]*(?:secret|passw(?:or)?d|passwd|api_?key|auth_?token|access_?token|private_?key)[a-z0-9_]*\s*[:=][ \t]*([^\s'\x22$\{\}<>#(\[,;]{8,})[ \t]*$",
    ),
    (
        "assigned secret",
        r"(?i)(?:token|secret|passw(?:or)?d|passwd|api_?key|auth_?token|access_?token|private_?key)[A-Za-z0-9_]*['\x22]?\s*(?::=|=>|[:=])\s*['\x22]([^'\x22\s$\{\}<>]{8,})['\x22]",
    ),
    (
        "assigned secret",
        r"(?m)^\s*(?:export\s+)?[A-Z0-9_]*(?:SECRET|PASSWORD|API_?KEY|TOKEN|PRIVATE_KEY)[A-Z0-9_]*=([^\s'\x22$\{\}<>#]{8,})\s*$",
    ),
];

/// Words that people write where a secret would stand: as a whole word of the value.
const PLACEHOLDERS: &[&str] = &[
    "example",
    "changeme",
    "change",
    "placeholder",
    "your",
    "dummy",
    "sample",
    "redacted",
    "todo",
    "insert",
    "replace",
    "fixture",
    "test",
    "none",
    "null",
    "undefined",
    "password",
    "secret",
    "postgres",
    "user",
    "here",
];
/// Pieces that make a value code, or a mask, wherever they stand.
const NO_VALUE: &[&str] =
    &["xxxx", "****", "....", "process.env", "os.environ", "getenv", "config.", "settings.", "localhost"];

static RULES: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
    SHAPES.iter().map(|(name, shape)| (*name, Regex::new(shape).expect("the pattern is valid"))).collect()
});

impl Inspection for HardcodedSecrets {
    fn control(&self) -> &'static str {
        "config.no-hardcoded-secrets"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository.root())
    }

    fn present(&self) -> Sample {
        let text = "KEY = os.environ[\"API_KEY\"]\nPASSWORD = \"changeme-please\"\n";
        Sample::of(&[("app.py", text)]).committed()
    }

    fn absent(&self) -> Sample {
        // Committed once and deleted since: only the history still has it.
        let sample = Sample::of(&[("settings.py", &format!("aws = \"{}\"\n", planted()))]).committed();
        sample.with(&[("settings.py", "aws = None\n")]).committed()
    }
}

/// A key of the right shape that opens nothing, put together here so that no scanner finds it in our own source.
fn planted() -> String {
    format!("AKIA{}", "Q3EGRT5XV2KPLW7M")
}

/// A hit: what, where, and enough of the value to recognise it.
struct Hit {
    rule: &'static str,
    place: String,
    shown: String,
}

fn look(repo: &Path) -> Sighting {
    if !repo.is_dir() {
        return Cases::plan(1).gave_up(format!("{} is not a folder", repo.display()));
    }
    let mut cases = Cases::plan(2);
    let (mut hits, files, skipped) = scan_tree(repo);
    if files == 0 {
        return cases.gave_up("there is no file to read");
    }
    cases.note(format!("tree: {files} files read"));
    if canary_is_found() {
        cases.tried(true, format!("a planted key was found in the same way, {files} files read"));
    } else {
        cases.told_nothing("a planted key was not found by the same scan");
    }
    if skipped > 0 {
        cases.told_nothing(format!("{skipped} files could not be read or are larger than {} MiB", LARGEST >> 20));
    }
    let mut history = "no history: not a Git repository".to_owned();
    if repo.join(".git").exists() || Git::open(repo).is_ok() {
        cases.plan_more(1);
        if let Some(why) = Git::open(repo).ok().and_then(|git| git.incomplete()) {
            cases.told_nothing(why);
        }
        match scan_history(repo, &mut hits) {
            Ok(blobs) => {
                history = format!("{blobs} versions in the history");
                cases.note(history.clone());
                cases.tried(true, history.clone());
            }
            Err(why) => cases.told_nothing(format!("the history could not be read: {why}")),
        }
    }
    for hit in &hits {
        cases.note(format!("{}: {} ({})", hit.place, hit.rule, hit.shown));
    }
    let seen = match hits.first() {
        None => "no secret".to_owned(),
        Some(first) => {
            let more = if hits.len() > 1 { format!(", and {} more", hits.len() - 1) } else { String::new() };
            format!("{} in {} ({}){more}", first.rule, first.place, first.shown)
        }
    };
    cases.tried(hits.is_empty(), seen);
    cases.sighting(format!("no secret in {files} files and {history}; a planted key was found"))
}

/// What was found, how many files were read, and how many should have been.
fn scan_tree(repo: &Path) -> (Vec<Hit>, usize, usize) {
    let (mut hits, mut files, mut skipped) = (Vec::new(), 0, 0);
    // Ignored files are not in the repository; `.git` is read as history, and `.seaworthy` is what we wrote ourselves.
    let walk = WalkBuilder::new(repo)
        .hidden(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git" && entry.file_name() != ".seaworthy")
        .build();
    for entry in walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file())) {
        if entry.metadata().is_ok_and(|data| data.len() > LARGEST) {
            skipped += usize::from(is_text(entry.path()));
            continue;
        }
        let Ok(content) = fs::read(entry.path()) else {
            skipped += 1;
            continue;
        };
        files += 1;
        let place = entry.path().strip_prefix(repo).unwrap_or(entry.path()).display().to_string();
        hits.extend(scan(&content, &place));
    }
    (hits, files, skipped)
}

/// Large binaries (images, models) hold no source; large text may.
fn is_text(path: &Path) -> bool {
    let mut start = [0; 8000];
    let read = fs::File::open(path).and_then(|mut file| io::Read::read(&mut file, &mut start));
    read.is_ok_and(|length| !start[..length].contains(&0))
}

/// Plants a key in a folder and scans it the same way: a scan that reads nothing finds nothing.
fn canary_is_found() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let planted = format!("token = \"{}\"\n", planted());
    fs::write(folder.path().join("canary.txt"), planted).is_ok() && scan_tree(folder.path()).0.len() == 1
}

/// Adds what only the history has; a value that is in the tree as well is reported once.
fn scan_history(repo: &Path, hits: &mut Vec<Hit>) -> Result<usize, String> {
    let git = Git::open(repo)?;
    let mut found: BTreeMap<String, Hit> = BTreeMap::new();
    let blobs = git.blobs(LARGEST, |blob| {
        for mut hit in scan(&blob.content, &blob.path) {
            hit.place = format!("{} (history, object {})", hit.place, blob.id.get(..10).unwrap_or(&blob.id));
            found.entry(format!("{}{}", hit.rule, hit.shown)).or_insert(hit);
        }
    })?;
    found.retain(|_, hit| !hits.iter().any(|known| known.rule == hit.rule && known.shown == hit.shown));
    hits.extend(found.into_values());
    Ok(blobs.shown)
}

fn scan(content: &[u8], path: &str) -> Vec<Hit> {
    if content.iter().take(8000).any(|byte| *byte == 0) {
        return Vec::new();
    }
    let made_by_a_tool = is_made_by_a_tool(path);
    let mut hits = Vec::new();
    for (rule, shape) in RULES.iter() {
        for found in shape.captures_iter(content) {
            let Some(value) = found.get(1) else { continue };
            let text = String::from_utf8_lossy(value.as_bytes());
            let by_name = *rule == "assigned secret" || *rule == "password in an address";
            if by_name && (made_by_a_tool || !looks_real(&text)) {
                continue;
            }
            let line = content[..value.start()].iter().filter(|byte| **byte == b'\n').count() + 1;
            hits.push(Hit { rule, place: format!("{path}:{line}"), shown: shortened(&text, by_name) });
        }
    }
    hits.dedup_by(|left, right| left.place == right.place);
    hits
}

/// A value under a telling name is a secret only when it is no word that stands for one and is varied enough.
fn looks_real(value: &str) -> bool {
    let lower = value.to_lowercase();
    let words = || lower.split(|character: char| !character.is_ascii_alphanumeric());
    if NO_VALUE.iter().any(|piece| lower.contains(piece)) || words().any(|word| PLACEHOLDERS.contains(&word)) {
        return false;
    }
    let mut counts = [0_u32; 256];
    value.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let length = value.len() as f64;
    let entropy: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / length)
        .map(|share| -share * share.log2())
        .sum();
    let digits = value.bytes().any(|byte| byte.is_ascii_digit());
    entropy > if digits { 2.7 } else { 3.2 }
}

/// Never the value itself: a report must not leak what it found. A key of a known shape is recognised by its start; of a
/// password even that would be too much.
fn shortened(value: &str, by_name: bool) -> String {
    let start: String = value.chars().take(if by_name { 0 } else { 4 }).collect();
    format!("{start}…, {} characters", value.chars().count())
}

/// Hashes in lock files look like secrets and are none.
fn is_made_by_a_tool(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".lock")
        || name.ends_with("-lock.json")
        || name.ends_with("-lock.yaml")
        || name == "go.sum"
        || name.ends_with(".min.js")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        scan(text.as_bytes(), "file.py").len()
    }

    #[test]
    fn finds_shapes_and_telling_names_and_shows_no_value() {
        let value = format!("{}{}", "s3cr3t", "Zq81LmPx");
        assert_eq!(found(&format!("db_password = \"{value}\"")), 1);
        assert_eq!(found(&format!("API_KEY={value}\n")), 1);
        assert_eq!(found(&format!("  POSTGRES_PASSWORD: {value}\n")), 1);
        assert_eq!(found(&format!("spring.datasource.password={value}\n")), 1);
        assert_eq!(found(&format!("bot_token=\"{value}\"")), 1);
        assert_eq!(found(&format!("url: https://bob:{value}@db.internal/x")), 1);
        assert_eq!(found(&format!("-----BEGIN {} KEY-----", "PRIVATE")), 1);
        let hits = scan(format!("password = '{value}'").as_bytes(), "a");
        assert!(!hits[0].shown.contains("s3cr"), "{}", hits[0].shown);
    }

    #[test]
    fn leaves_placeholders_and_references_alone() {
        for text in [
            "password = \"changeme\"",
            "API_KEY=your-key-here\n",
            "secret_key: \"${SECRET_KEY}\"",
            "password = os.environ[\"PASSWORD\"]",
            "token = \"aaaaaaaaaaaa\"",
            "DATABASE_URL=postgres://user:password@localhost/app",
        ] {
            assert_eq!(found(text), 0, "{text}");
        }
        assert!(scan(b"api_key = \"9f86d081884c7d659a2feaa0c55ad015\"", "poetry.lock").is_empty());
        assert_eq!(
            scan(format!("x = \"{}\"", planted()).as_bytes(), "app.min.js").len(),
            1,
            "a key of a known shape counts anywhere"
        );
    }
}
