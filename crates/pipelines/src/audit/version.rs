//! Versions, compared by the rules of their ecosystem.

use std::{cmp::Ordering, str::FromStr};

use semver::Version;

use super::super::lock_files::Ecosystem;

/// Which of two versions is newer; nothing when one of them is none.
pub(super) fn compare(ecosystem: Ecosystem, left: &str, right: &str) -> Option<Ordering> {
    match ecosystem {
        Ecosystem::CratesIo | Ecosystem::Go | Ecosystem::Npm => Some(semver(left)?.cmp_precedence(&semver(right)?)),
        Ecosystem::PyPi => {
            let left = pep440_rs::Version::from_str(left).ok()?;
            Some(left.cmp(&pep440_rs::Version::from_str(right).ok()?))
        }
        Ecosystem::Packagist | Ecosystem::RubyGems => parts(left, right),
    }
}

/// A version as semver has it; missing numbers are zero.
pub(super) fn semver(text: &str) -> Option<Version> {
    let text = text.trim().trim_start_matches(['v', '=']);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let mut numbers: Vec<&str> = numbers.split('.').collect();
    while numbers.len() < 3 {
        numbers.push("0");
    }
    numbers.truncate(3);
    Version::parse(&format!("{}{rest}", numbers.join("."))).ok()
}

/// As RubyGems and Composer compare: numbers by value, and words before any number.
fn parts(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (split(left)?, split(right)?);
    for index in 0..left.len().max(right.len()) {
        let zero = Part::Number(0);
        let (a, b) = (left.get(index).unwrap_or(&zero), right.get(index).unwrap_or(&zero));
        match a.cmp(b) {
            Ordering::Equal => {}
            other => return Some(other),
        }
    }
    Some(Ordering::Equal)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Word(String),
    Number(u64),
}

fn split(text: &str) -> Option<Vec<Part>> {
    let text = text.trim().trim_start_matches('v');
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_digit = first.is_ascii_digit();
        let end = rest
            .find(|letter: char| letter.is_ascii_digit() != is_digit || !letter.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        if end == 0 {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        found.push(match is_digit {
            true => Part::Number(rest[..end].parse().ok()?),
            false => Part::Word(rest[..end].to_ascii_lowercase()),
        });
        rest = &rest[end..];
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ecosystem_has_its_own_order() {
        let less = |ecosystem, left: &str, right: &str| compare(ecosystem, left, right) == Some(Ordering::Less);
        assert!(less(Ecosystem::Npm, "1.2.3-beta.2", "1.2.3-beta.10") && less(Ecosystem::Npm, "1.9.0", "1.10.0"));
        assert!(less(Ecosystem::Go, "v0.0.0-2024", "v0.1") && less(Ecosystem::PyPi, "1.0rc1", "1.0"));
        assert!(less(Ecosystem::PyPi, "1.0", "1.0.post1") && less(Ecosystem::PyPi, "2!0.1", "2!1"));
        assert!(less(Ecosystem::RubyGems, "7.0.0.rc1", "7.0.0") && less(Ecosystem::RubyGems, "7.0.8", "7.0.8.1"));
        assert!(less(Ecosystem::Packagist, "5.4.0-BETA1", "5.4.0") && less(Ecosystem::Packagist, "5.4.9", "5.4.10"));
        assert_eq!(compare(Ecosystem::Npm, "file:x", "1.0.0"), None);
        assert_eq!(compare(Ecosystem::PyPi, "dev", "1"), None);
    }
}
