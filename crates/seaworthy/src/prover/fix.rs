//! `seaworthy check --fix`: the lines of config that close what failed, as a diff to approve.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::LazyLock};

use seaworthy_config::Document;
use seaworthy_evidence::{Report, Verdict};
use serde::Deserialize;
use similar::TextDiff;
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use crate::config::{Config, ConfigSource};

/// What closes a control by our config.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fix {
    control: String,
    because: String,
    /// Seaworthy does it anyway, once it is around the app.
    #[serde(default)]
    on: bool,
    /// Only where nothing is said of it: what a team has chosen here is not for us to replace.
    #[serde(default)]
    keep: bool,
    /// Keys and their values.
    #[serde(default)]
    set: BTreeMap<String, toml::Value>,
}

#[derive(Debug, Deserialize)]
struct Fixes {
    fix: Vec<Fix>,
}

static FIXES: LazyLock<Vec<Fix>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "compiled into the binary and read in every test")]
    toml::from_str::<Fixes>(include_str!("fixes.toml")).map(|fixes| fixes.fix).expect("the fixes are valid")
});

/// What would close some of what failed.
#[derive(Debug)]
pub struct Proposal {
    /// The config file.
    pub file: PathBuf,
    /// What it would say.
    pub text: String,
    /// The change, as `patch` and `git apply` read it; empty when the config need not change.
    pub diff: String,
    /// For each control, why.
    pub notes: Vec<String>,
}

/// Adds to the advice of what failed the lines of config that provide it, where there are some.
pub fn advise(report: &mut Report, behind: bool) {
    let url = report.target.url.clone().unwrap_or_default();
    for control in report.items.iter_mut().flat_map(|item| &mut item.controls) {
        let Some(fix) = FIXES.iter().find(|fix| control.verdict == Verdict::Fail && fix.control == control.control)
        else {
            continue;
        };
        let lines = fix.set.iter().filter_map(|(key, value)| Some(format!("{key} = {}", fitting(value, &url)?)));
        let lines: Vec<String> = lines.collect();
        let ours = match (lines.is_empty(), behind) {
            (false, _) => format!(" In seaworthy.toml: {} (--fix writes it).", lines.join(", ")),
            (true, false) if fix.on => " Seaworthy around the app does it: seaworthy run.".to_owned(),
            (true, _) => continue,
        };
        let advice = control.advice.take().unwrap_or_default();
        control.advice = Some(format!("{}{ours}", advice.trim_end()));
    }
}

/// What the config must say for what failed to hold. `behind` is false when no Seaworthy is around the app yet.
pub fn propose(report: &Report, source: &ConfigSource, behind: bool) -> Proposal {
    let file = source.files().into_iter().next().unwrap_or_default();
    let before = fs::read_to_string(&file).unwrap_or_default();
    let url = report.target.url.as_deref().unwrap_or_default();
    let mut proposal = Proposal { file, text: before.clone(), diff: String::new(), notes: Vec::new() };
    // A file that cannot be read is mended by hand first.
    let Ok(mut document) = before.parse::<DocumentMut>() else { return proposal };
    if !behind && document.get("app").is_none() && url.starts_with("http://") {
        set(document.as_table_mut(), &["app", "to"], Value::from(url));
        proposal.notes.push(
            "app.to: the app as it runs now; or name the command that starts it, so that it can be restarted".into(),
        );
    }
    for fix in FIXES.iter().filter(|fix| failed(report, &fix.control)) {
        let mut tried = document.clone();
        for (key, value) in &fix.set {
            let Some(value) = fitting(value, url).filter(|_| !(fix.keep && is_set(&document, key))) else { continue };
            set(tried.as_table_mut(), &key.split('.').collect::<Vec<_>>(), value);
        }
        let changes = tried.to_string() != document.to_string();
        let valid = is_valid(&tried.to_string());
        match (changes && valid, fix.on || !fix.set.is_empty()) {
            (true, _) => {
                document = tried;
                proposal.notes.push(format!("{}: {}", fix.control, fix.because));
            }
            (false, true) if !behind => {
                proposal
                    .notes
                    .push(format!("{}: {} (by default, once Seaworthy is around the app)", fix.control, fix.because));
            }
            _ => {}
        }
    }
    proposal.text = document.to_string();
    if proposal.text != before {
        // As `patch -p1` and `git apply` take it, from the folder where this was called.
        let here = std::env::current_dir().and_then(|folder| folder.canonicalize()).unwrap_or_default();
        let whole = proposal.file.canonicalize().unwrap_or_else(|_| proposal.file.clone());
        let name = whole.strip_prefix(&here).unwrap_or(&proposal.file).display().to_string();
        let old = if before.is_empty() { "/dev/null".to_owned() } else { format!("a/{name}") };
        let diff = TextDiff::from_lines(&before, &proposal.text);
        proposal.diff = diff.unified_diff().context_radius(3).header(&old, &format!("b/{name}")).to_string();
    }
    proposal
}

fn failed(report: &Report, control: &str) -> bool {
    report.findings.get(control).is_some_and(|finding| finding.verdict == Verdict::Fail)
}

/// Whether the file says something of a key.
fn is_set(document: &DocumentMut, key: &str) -> bool {
    let mut item = Some(document.as_item());
    for part in key.split('.') {
        item = item.and_then(|item| item.get(part));
    }
    item.is_some()
}

/// The value with the host of the checked address filled in; `None` where that is none that the world could ask for.
fn fitting(value: &toml::Value, url: &str) -> Option<Value> {
    let text = value.to_string();
    if text.contains("{host}") {
        let host = url.split("//").nth(1)?.split(['/', ':']).next()?;
        let is_public = host.contains('.') && host.chars().any(|letter| letter.is_ascii_alphabetic());
        return if is_public { text.replace("{host}", host).parse().ok() } else { None };
    }
    text.parse().ok()
}

/// Sets a key, in the tables that are there or in new ones; what says so already stays as it is written.
fn set(table: &mut dyn TableLike, path: &[&str], value: Value) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        let same = table.get(key).and_then(Item::as_value).is_some_and(|there| plain(there) == plain(&value));
        if !same {
            table.insert(key, Item::Value(value));
        }
        return;
    }
    let inner = table.entry(key).or_insert_with(|| {
        let mut inner = Table::new();
        inner.set_implicit(true);
        Item::Table(inner)
    });
    if let Some(inner) = inner.as_table_like_mut() {
        set(inner, rest, value);
    }
}

/// A value without the spaces and comments around it.
fn plain(value: &Value) -> String {
    let mut value = value.clone();
    value.decor_mut().clear();
    value.to_string()
}

/// Whether the config with this text would be taken.
fn is_valid(text: &str) -> bool {
    Document::parse("seaworthy.toml", text.into(), std::iter::empty()).is_ok_and(|mut document| {
        Config::read(&mut document);
        document.finish().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seaworthy_checklist::Catalogue;
    use seaworthy_evidence::{Finding, Target};

    use super::*;

    fn report(url: &str, failed: &[&str]) -> Report {
        let finding = |control: &&str| {
            (control.to_string(), Finding { verdict: Verdict::Fail, ..Finding::not_run(control, "seen") })
        };
        let findings: BTreeMap<_, _> = failed.iter().map(finding).collect();
        Report { items: Vec::new(), findings, target: Target { url: Some(url.into()), ..Target::default() } }
    }

    #[test]
    fn every_fix_is_of_a_known_control_and_a_valid_config_that_changes_something() {
        for fix in FIXES.iter() {
            assert!(Catalogue::built_in().find(&fix.control).is_some(), "{}", fix.control);
            assert!(fix.on == fix.set.is_empty(), "{} does one of both", fix.control);
            let mut document = DocumentMut::new();
            set(document.as_table_mut(), &["app", "command"], Value::from("node server.js"));
            for (key, value) in &fix.set {
                let value = fitting(value, "http://app.example.com").unwrap();
                set(document.as_table_mut(), &key.split('.').collect::<Vec<_>>(), value);
            }
            assert!(is_valid(&document.to_string()), "{}: {document}", fix.control);
        }
    }

    #[test]
    fn comments_and_order_stay_and_what_is_there_is_not_said_twice() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seaworthy.toml");
        let before = "# ours\n[app]\ncommand = \"node server.js\" # the app\n\n[edge]\nerrors = \"pass\"\n";
        fs::write(&file, before).unwrap();
        let source = ConfigSource { file: Some(file), ..ConfigSource::default() };
        let failed = ["edge.load-balancing", "deploy.multi-worker", "edge.request-timeout", "edge.https-only"];
        let proposal = propose(&report("http://127.0.0.1:8080", &failed), &source, true);
        assert!(proposal.text.contains("command = \"node server.js\" # the app"), "{}", proposal.text);
        assert_eq!(proposal.text.matches("instances = 2").count(), 1);
        assert!(proposal.text.contains("[edge.timeouts]") && !proposal.text.contains("hosts"), "{}", proposal.text);
        assert!(proposal.diff.contains("+instances = 2") && !proposal.diff.contains("-#"), "{}", proposal.diff);
        assert!(is_valid(&proposal.text));
        // Nothing failed: nothing changes.
        assert!(propose(&report("http://127.0.0.1:8080", &[]), &source, true).diff.is_empty());
    }

    #[test]
    fn without_a_config_there_is_a_first_one_and_a_public_name_brings_https() {
        let folder = tempfile::tempdir().unwrap();
        let source = ConfigSource { file: Some(folder.path().join("seaworthy.toml")), ..ConfigSource::default() };
        let proposal =
            propose(&report("http://app.example.com", &["edge.https-only", "observability.metrics"]), &source, false);
        assert!(proposal.diff.starts_with("--- /dev/null"), "{}", proposal.diff);
        assert!(
            proposal.text.contains("hosts = [\"app.example.com\"]") && proposal.text.contains("to = "),
            "{}",
            proposal.text
        );
        assert!(proposal.notes.iter().any(|note| note.contains("observability.metrics")), "{:?}", proposal.notes);
        assert!(is_valid(&proposal.text));
    }

    #[test]
    fn what_a_team_has_chosen_stays_and_what_it_has_not_is_proposed() {
        let text = |before: &str, control: &str, url: &str| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("seaworthy.toml");
            fs::write(&file, before).unwrap();
            let source = ConfigSource { file: Some(file), ..ConfigSource::default() };
            propose(&report(url, &[control]), &source, true)
        };
        let (app, url) = ("[app]\ncommand = \"node server.js\"\n", "https://app.example.com");
        // Nothing is said of it: proposed.
        assert!(text(app, "protection.rate-limit", url).text.contains("rate = \"300/min\""));
        assert!(text(app, "edge.cors", url).text.contains("origins = [\"https://app.example.com\"]"));
        // Something is, in whatever way it is written: it stays, and so does the file.
        for chosen in [
            "[protection]\nrate = \"5000/min\"\n",
            "protection = { rate = \"off\" }\n",
            "[protection]\nrate = \"off\" # ours\n",
        ] {
            let before = if chosen.starts_with('[') { format!("{app}\n{chosen}") } else { format!("{chosen}\n{app}") };
            let proposal = text(&before, "protection.rate-limit", url);
            assert_eq!((proposal.text.as_str(), proposal.diff.as_str()), (before.as_str(), ""), "{chosen}");
        }
        let before = format!("{app}\n[protection.cors]\norigins = [\"https://other.example.com\"]\n");
        assert_eq!(text(&before, "edge.cors", url).text, before);
        // Another key of the same table is no word on this one.
        let before = format!("{app}\n[protection]\nbody_limit = \"1MB\"\n");
        assert!(text(&before, "protection.rate-limit", url).text.contains("rate = \"300/min\""));
        // Without `keep` what closes the control is what the control needs.
        let before = format!("{app}\n[protection.headers]\nenabled = false\n");
        assert!(text(&before, "edge.security-headers", url).text.contains("enabled = true"));
    }

    #[test]
    fn each_choice_that_is_a_teams_to_make_is_proposed_once_and_then_kept() {
        let chosen = [
            ("protection.rate-limit", "rate = \"300/min\"", "[protection]\nrate = \"off\"\n"),
            (
                "edge.cors",
                "origins = [\"https://app.example.com\"]",
                "[protection.cors]\norigins = [\"https://b.example\"]\n",
            ),
            ("edge.csp", "nonces = true", "[protection.headers.csp]\nnonces = false\n"),
            ("edge.compression", "compression = true", "[cache]\ncompression = false\n"),
            ("cache.etag", "etags = \"1MiB\"", "[cache]\netags = \"10KiB\"\n"),
            ("cache.response", "policy = true", "[cache]\npolicy = false\n"),
        ];
        let kept: Vec<&str> = FIXES.iter().filter(|fix| fix.keep).map(|fix| fix.control.as_str()).collect();
        assert_eq!(kept, chosen.map(|(control, ..)| control), "each of them is tried here");
        let app = "[app]\ncommand = \"node server.js\"\n";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seaworthy.toml");
        let propose = |before: &str, control: &str| {
            fs::write(&file, before).unwrap();
            let source = ConfigSource { file: Some(file.clone()), ..ConfigSource::default() };
            propose(&report("https://app.example.com", &[control]), &source, true)
        };
        for (control, line, chosen) in chosen {
            let proposal = propose(app, control);
            assert!(proposal.text.contains(line) && is_valid(&proposal.text), "{control}: {}", proposal.text);
            let before = format!("{app}\n{chosen}");
            let proposal = propose(&before, control);
            assert_eq!((proposal.text.as_str(), proposal.diff.as_str()), (before.as_str(), ""), "{control}");
        }
    }
}
