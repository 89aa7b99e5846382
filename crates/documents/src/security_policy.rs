//! `docs.security-policy`: where a flaw is reported: a policy with a contact, and a `security.txt` (RFC 9116) that has not expired.

use std::{path::Path, sync::LazyLock};

use jiff::Timestamp;
use regex::Regex;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::document::{Document, Documents};

pub(super) struct SecurityPolicy;

#[expect(clippy::expect_used, reason = "constant patterns, compiled in every test")]
static CONTACT: LazyLock<Regex> = LazyLock::new(|| {
    let mail = r"(?i)[a-z0-9._%+-]+(?:@|\s*\[at\]\s*|\s+at\s+)[a-z0-9-]+(?:(?:\.|\s*\[dot\]\s*)[a-z0-9-]+)+";
    let form =
        r"https?://[^\s)>\]]*(?:security|advisor|vulnerab|report|hackerone|bugcrowd|huntr|intigriti|disclos)[^\s)>\]]*";
    let advisory = r"(?:private vulnerability reporting|security advisor|report a vulnerability|security tab)";
    Regex::new(&format!("{mail}|{form}|{advisory}")).expect("the pattern is valid")
});

/// A contact that somebody forgot to replace.
const PLACEHOLDERS: &[&str] = &[
    "example.com",
    "example.org",
    "example.net",
    "yourdomain",
    "your-domain",
    "your_domain",
    "yourcompany",
    "your-company",
    "yourproject",
    "your-org",
    "@domain",
    "@company.com",
    "placeholder",
    "changeme",
    "todo",
];

impl Inspection for SecurityPolicy {
    fn control(&self) -> &'static str {
        "docs.security-policy"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository, Timestamp::now())
    }

    fn present(&self) -> Sample {
        Sample::of(&[("SECURITY.md", POLICY), ("public/.well-known/security.txt", &text("2999-01-01T00:00:00Z"))])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[("SECURITY.md", POLICY), ("public/.well-known/security.txt", &text("2021-01-01T00:00:00Z"))])
    }
}

const POLICY: &str = "# Reporting a flaw\nWrite to security@orders.invalid; we answer within two working days and tell you what we make of it. Please give us 90 days before you publish it.\n";

fn text(expires: &str) -> String {
    format!("Contact: mailto:security@orders.invalid\nExpires: {expires}\nPreferred-Languages: en\n")
}

fn look(repository: &Repository, now: Timestamp) -> Sighting {
    let mut cases = Cases::plan(2);
    let documents = Documents::read(repository);
    let is_policy = |document: &&Document| {
        let stem = document.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_lowercase();
        let near = document.path.components().count() <= 2;
        near && ["security", "security_policy", "security-policy", "vulnerability", "responsible-disclosure"]
            .contains(&stem.as_str())
    };
    match documents.all.iter().find(is_policy) {
        Some(document) => policy(&mut cases, document),
        None if repository.not_whole().is_some() => cases.told_nothing(repository.not_whole().unwrap_or_default()),
        None => section(&mut cases, &documents),
    }
    let texts: Vec<&Path> = repository.files().filter(|path| path.ends_with("security.txt")).collect();
    match texts.iter().find_map(|path| Some((path, repository.text(path)?))) {
        Some((path, text)) => security_text(&mut cases, path, &text, now),
        None => cases.told_nothing("no security.txt is in the repository: a look at /.well-known/security.txt of the live app would tell whether there is one"),
    }
    cases.sighting("a policy with a contact, and a security.txt that has not expired")
}

fn policy(cases: &mut Cases, document: &Document) {
    let place = document.path.display();
    if let Some(template) = document.template {
        return cases.tried(false, format!("{place} is still {template}"));
    }
    let mut said = String::new();
    for section in &document.sections {
        said.push_str(&section.text);
        said.push('\n');
        section.links.iter().for_each(|link| said.push_str(&format!("{} {}\n", link.target, link.text)));
        section.blocks.iter().for_each(|block| said.push_str(&block.text));
    }
    let lower = said.to_lowercase();
    let mut contacts = CONTACT.find_iter(&lower).map(|contact| contact.as_str().to_owned()).peekable();
    if contacts.peek().is_none() {
        return cases.tried(false, format!("{place} names no address, form or advisory page to report to"));
    }
    let is_real = |contact: &String| !PLACEHOLDERS.iter().any(|word| contact.contains(word));
    match contacts.find(is_real) {
        Some(contact) => cases.tried(true, format!("{place} names {}", contact.chars().take(80).collect::<String>())),
        None => cases.tried(false, format!("the contact in {place} is still a placeholder")),
    }
}

/// A section of the README may say it as well; no file, no section: nobody knows where.
fn section(cases: &mut Cases, documents: &Documents) {
    let titles = [
        "security policy",
        "reporting a vulnerability",
        "reporting security",
        "report a vulnerability",
        "security vulnerabilities",
        "responsible disclosure",
        "security issues",
        "reporting vulnerabilities",
    ];
    for document in documents.own() {
        for section in document
            .sections
            .iter()
            .filter(|section| titles.iter().any(|title| section.title.to_lowercase().contains(title)))
        {
            let lower = section.text.to_lowercase();
            let real = CONTACT
                .find_iter(&lower)
                .any(|contact| !PLACEHOLDERS.iter().any(|word| contact.as_str().contains(word)));
            if real {
                return cases.told_nothing(format!(
                    "{} names a contact, but there is no SECURITY.md, where reporters look first",
                    document.place(section.line)
                ));
            }
        }
    }
    cases.tried(false, "there is no SECURITY.md in the root, .github or docs");
}

fn security_text(cases: &mut Cases, path: &Path, text: &str, now: Timestamp) {
    let field = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(own, _)| own.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .find(|value| !value.is_empty())
    };
    let place = path.display();
    let contact =
        field("Contact").filter(|contact| !PLACEHOLDERS.iter().any(|word| contact.to_lowercase().contains(word)));
    let expires = field("Expires").map(|value| value.to_uppercase().parse::<Timestamp>());
    match (contact, expires) {
        (None, _) => cases.tried(false, format!("{place} has no Contact that is more than a placeholder")),
        (_, None) => cases.tried(false, format!("{place} has no Expires, which RFC 9116 asks for")),
        (_, Some(Err(_))) => cases.tried(false, format!("{place}: Expires is no date as RFC 3339 has it")),
        (_, Some(Ok(when))) if when <= now => cases.tried(false, format!("{place} expired on {when}")),
        (_, Some(Ok(when))) => cases.tried(true, format!("{place} holds until {when}")),
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;

    fn outcome(files: &[(&str, &str)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        Sample::of(files).write(folder.path()).unwrap();
        look(&Repository::open(folder.path()).unwrap(), "2026-01-01T00:00:00Z".parse().unwrap()).outcome
    }

    #[test]
    fn contacts_must_be_real() {
        let good = text("2026-06-01T00:00:00.000z");
        let with = |policy: &str| outcome(&[("SECURITY.md", policy), ("static/.well-known/security.txt", &good)]);
        assert_eq!(with(POLICY), Outcome::Holds);
        assert_eq!(
            with("# Security\nUse [the form](https://github.com/a/b/security/advisories/new).\n"),
            Outcome::Holds
        );
        for bad in [
            "# Security\nMail security@example.com.\n",
            "# Security\nWe take it seriously.\n",
            "# Security Policy\nUse this section to tell people about how to report a vulnerability.\nMail a@b.io\n",
        ] {
            assert!(matches!(with(bad), Outcome::Broken(_)), "{bad}");
        }
        assert!(matches!(outcome(&[("SECURITY.md", POLICY)]), Outcome::Unclear(_)));
        assert!(matches!(outcome(&[("README.md", "x"), ("security.txt", &good)]), Outcome::Broken(_)));
    }
}
