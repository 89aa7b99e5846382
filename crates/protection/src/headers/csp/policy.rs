//! A content security policy: read, checked, written. A directive that browsers do not know they ignore, so it is found here.

use std::fmt;

use super::{
    settings::{Directives, Sources},
    sources,
};
use crate::headers::values::Fault;

/// Directives in their order, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy(Vec<(String, Vec<String>)>);

/// What a directive may be followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Sources,
    Ancestors,
    Nothing,
    Words(&'static [&'static str]),
    Names,
    Addresses,
}

/// CSP 3, 6, and what other standards add to it.
const KNOWN: [(&str, Takes); 28] = [
    ("base-uri", Takes::Sources),
    ("child-src", Takes::Sources),
    ("connect-src", Takes::Sources),
    ("default-src", Takes::Sources),
    ("fenced-frame-src", Takes::Sources),
    ("font-src", Takes::Sources),
    ("form-action", Takes::Sources),
    ("frame-ancestors", Takes::Ancestors),
    ("frame-src", Takes::Sources),
    ("img-src", Takes::Sources),
    ("manifest-src", Takes::Sources),
    ("media-src", Takes::Sources),
    ("object-src", Takes::Sources),
    ("prefetch-src", Takes::Sources),
    ("report-to", Takes::Names),
    ("report-uri", Takes::Addresses),
    ("require-trusted-types-for", Takes::Words(&["'script'"])),
    ("sandbox", Takes::Words(&SANDBOX)),
    ("script-src", Takes::Sources),
    ("script-src-attr", Takes::Sources),
    ("script-src-elem", Takes::Sources),
    ("style-src", Takes::Sources),
    ("style-src-attr", Takes::Sources),
    ("style-src-elem", Takes::Sources),
    ("trusted-types", Takes::Names),
    ("upgrade-insecure-requests", Takes::Nothing),
    ("webrtc", Takes::Words(&["'allow'", "'block'"])),
    ("worker-src", Takes::Sources),
];

/// HTML standard, 7.1.5.
const SANDBOX: [&str; 13] = [
    "allow-downloads",
    "allow-forms",
    "allow-modals",
    "allow-orientation-lock",
    "allow-pointer-lock",
    "allow-popups",
    "allow-popups-to-escape-sandbox",
    "allow-presentation",
    "allow-same-origin",
    "allow-scripts",
    "allow-top-navigation",
    "allow-top-navigation-by-user-activation",
    "allow-top-navigation-to-custom-protocols",
];

/// What was a directive once, or nearly.
const GONE: [(&str, &str); 7] = [
    ("block-all-mixed-content", "leave it out: browsers do that by themselves"),
    ("plugin-types", "write object-src 'none'"),
    ("referrer", "set `referrer_policy`"),
    ("reflected-xss", "leave it out"),
    ("navigate-to", "leave it out: no browser has it"),
    ("require-sri-for", "leave it out: no browser has it"),
    ("disown-opener", "set `cross_origin_opener_policy`"),
];

impl Policy {
    /// Right for nearly every app: nothing that pages do for themselves is forbidden.
    pub(super) fn mild() -> Self {
        Self::of(&[("object-src", "'none'"), ("base-uri", "'self'")])
    }

    /// What to learn from: whatever is not the app's own is reported.
    pub(super) fn strict() -> Self {
        let own =
            [("default-src", "'self'"), ("object-src", "'none'"), ("base-uri", "'self'"), ("form-action", "'self'")];
        Self::of(&own)
    }

    fn of(directives: &[(&str, &str)]) -> Self {
        let split = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Self(directives.iter().map(|(name, sources)| ((*name).to_owned(), split(sources))).collect())
    }

    /// The policy, and what is wrong with which of its directives.
    pub(super) fn read(directives: &Directives) -> (Self, Vec<(Option<String>, Fault)>) {
        let mut policy = Self::default();
        let mut faults = Vec::new();
        for (written, sources, whole) in listed(directives) {
            let name = written.to_ascii_lowercase();
            let found = fault(&name, &sources, &whole);
            if policy.find(&name).is_some() {
                // CSP 3, 2.2.1: the second counts for nothing.
                let help = "write all of its sources into one directive";
                faults.push((Some(written), Fault::new(format!("the directive {name} stands there twice"), help)));
                continue;
            }
            match found {
                // Not sent: half of a wrong directive may allow more than was meant, and none of it what was meant.
                Some(fault) => faults.push((Some(written), fault)),
                None => policy.0.push((name, sources)),
            }
        }
        if policy.0.is_empty() && faults.is_empty() {
            let help = "write for example default-src 'self', or \"off\"";
            faults.push((None, Fault::new("a policy without directives allows everything", help)));
        }
        (policy, faults)
    }

    /// The sources of a directive.
    pub(super) fn find(&self, name: &str) -> Option<&[String]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, sources)| sources.as_slice())
    }

    /// Puts a directive in place of one of that name, or at the end.
    pub(super) fn set(&mut self, name: &str, sources: Vec<String>) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = sources,
            None => self.0.push((name.to_owned(), sources)),
        }
    }

    /// Leaves a directive out.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// Every directive with its sources.
    pub(super) fn directives(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(name, sources)| (name.as_str(), sources.as_slice()))
    }

    /// The sources that count for a fetch directive: its own, or those of what it falls back to (CSP 3, 6.8.3).
    pub(super) fn counting(&self, name: &str) -> Option<&[String]> {
        fallbacks(name).iter().find_map(|name| self.find(name))
    }
}

/// A directive and what it falls back to, in order. Only fetch directives fall back.
pub(super) fn fallbacks(name: &str) -> &'static [&'static str] {
    match name {
        "script-src-elem" => &["script-src-elem", "script-src", "default-src"],
        "script-src-attr" => &["script-src-attr", "script-src", "default-src"],
        "script-src" => &["script-src", "default-src"],
        "style-src-elem" => &["style-src-elem", "style-src", "default-src"],
        "style-src-attr" => &["style-src-attr", "style-src", "default-src"],
        "style-src" => &["style-src", "default-src"],
        "worker-src" => &["worker-src", "child-src", "script-src", "default-src"],
        "frame-src" => &["frame-src", "child-src", "default-src"],
        "child-src" => &["child-src", "default-src"],
        "connect-src" => &["connect-src", "default-src"],
        "font-src" => &["font-src", "default-src"],
        "img-src" => &["img-src", "default-src"],
        "manifest-src" => &["manifest-src", "default-src"],
        "media-src" => &["media-src", "default-src"],
        "object-src" => &["object-src", "default-src"],
        "prefetch-src" => &["prefetch-src", "default-src"],
        "base-uri" => &["base-uri"],
        "form-action" => &["form-action"],
        "frame-ancestors" => &["frame-ancestors"],
        _ => &[],
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, sources)) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{name}")?;
            sources.iter().try_for_each(|source| write!(f, " {source}"))?;
        }
        Ok(())
    }
}

/// Name, sources, and the text between them as it was written.
fn listed(directives: &Directives) -> Vec<(String, Vec<String>, String)> {
    let split = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    match directives {
        Directives::Text(text) => text
            .split(';')
            .map(str::trim)
            .filter(|directive| !directive.is_empty())
            .map(|directive| {
                let (name, rest) =
                    directive.split_once(|letter: char| letter.is_ascii_whitespace()).unwrap_or((directive, ""));
                (name.to_owned(), split(rest), rest.to_owned())
            })
            .collect(),
        Directives::Table(table) => table
            .iter()
            .filter(|(_, sources)| **sources != Sources::Flag(false))
            .map(|(name, sources)| match sources {
                Sources::Flag(_) => (name.clone(), Vec::new(), String::new()),
                Sources::Text(text) => (name.clone(), split(text), text.clone()),
                Sources::List(list) => (name.clone(), list.iter().flat_map(|one| split(one)).collect(), list.join(" ")),
            })
            .collect(),
    }
}

/// What is wrong with one directive.
fn fault(name: &str, sources: &[String], whole: &str) -> Option<Fault> {
    if let Some((_, help)) = GONE.iter().find(|(gone, _)| *gone == name) {
        return Some(Fault::new(format!("browsers have given up the directive {name}"), *help));
    }
    let Some((_, takes)) = KNOWN.iter().find(|(known, _)| *known == name) else {
        let closest = KNOWN.iter().map(|(known, _)| (strsim::jaro_winkler(name, known), known));
        let closest = closest.filter(|(likeness, _)| *likeness > 0.75).max_by(|one, two| one.0.total_cmp(&two.0));
        let help = closest.map_or_else(
            || "the directives are those of Content Security Policy, Level 3".to_owned(),
            |(_, known)| format!("did you mean `{known}`?"),
        );
        return Some(Fault::new(format!("`{name}` is no directive"), help));
    };
    if let Some(letter) =
        whole.chars().find(|letter| matches!(letter, ';' | ',') || !(*letter == ' ' || letter.is_ascii_graphic()))
    {
        let help = "write a list with spaces between sources; other characters as %XX or xn--";
        return Some(Fault::new(format!("{letter:?} cannot stand in {name}"), help));
    }
    match takes {
        Takes::Nothing => (!sources.is_empty()).then(|| Fault::new(format!("{name} takes no sources"), "write true")),
        Takes::Words(known) => {
            let wrong = sources.iter().find(|word| !known.contains(&word.as_str()))?;
            Some(Fault::new(format!("`{wrong}` means nothing in {name}"), format!("write one of {}", known.join(", "))))
        }
        Takes::Names => None,
        Takes::Addresses => {
            let wrong = sources.iter().find(|place| !(place.starts_with('/') || place.starts_with("https://")))?;
            Some(Fault::new(
                format!("`{wrong}` is no address for reports"),
                "write a path, or an address with https://",
            ))
        }
        Takes::Sources | Takes::Ancestors if sources.is_empty() => {
            Some(Fault::new(format!("{name} without sources forbids everything"), "write 'none' when that is meant"))
        }
        Takes::Sources => sources::fault(name, sources),
        Takes::Ancestors => sources::fault(name, sources).or_else(|| {
            let wrong =
                sources.iter().find(|one| one.starts_with('\'') && !matches!(one.as_str(), "'self'" | "'none'"))?;
            Some(Fault::new(format!("{wrong} means nothing in {name}"), "write 'self', 'none' or origins"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let (_, faults) = Policy::read(&Directives::Text(text.into()));
        faults.into_iter().map(|(_, fault)| format!("{}; {}", fault.message, fault.help)).collect()
    }

    #[test]
    fn a_right_policy_has_no_faults() {
        for right in [
            "default-src 'self'; img-src 'self' data: https://*.example.com; object-src 'none'",
            "script-src 'nonce-abc' 'strict-dynamic'",
            "sandbox; upgrade-insecure-requests",
            "sandbox allow-scripts allow-forms",
            "require-trusted-types-for 'script'; trusted-types default dompurify 'allow-duplicates'",
            "frame-ancestors 'none'; report-uri /csp; report-to csp",
            " ; default-src\t'none' ; ",
        ] {
            let expected = usize::from(right.contains("nonce-"));
            assert_eq!(faults(right).len(), expected, "{right}: {:?}", faults(right));
        }
    }

    #[test]
    fn what_browsers_would_ignore_is_a_fault_with_a_remedy() {
        for (wrong, said) in [
            ("scrpt-src 'self'", "did you mean `script-src`?"),
            ("default-src self", "'self'"),
            ("default-src 'self', img-src *", "cannot stand"),
            ("default-src 'self'; default-src *", "twice"),
            ("plugin-types a/b", "object-src 'none'"),
            ("upgrade-insecure-requests 1", "takes no sources"),
            ("sandbox allow-everything", "means nothing"),
            ("frame-ancestors 'unsafe-inline'", "means nothing"),
            ("script-src", "forbids everything"),
            ("", "without directives"),
            ("img-src https://bücher.example", "cannot stand"),
        ] {
            let found = faults(wrong);
            assert!(found.len() == 1 && found[0].contains(said), "{wrong}: {found:?}");
        }
    }

    #[test]
    fn a_wrong_directive_is_left_out_and_the_others_stay() {
        let (policy, faults) = Policy::read(&Directives::Text("default-src 'self'; img-src data".into()));
        assert_eq!((policy.to_string().as_str(), faults.len()), ("default-src 'self'", 1));
    }

    /// No text makes it fail otherwise than with a fault, and what it writes it reads again.
    #[test]
    fn random_texts_are_read_or_refused() {
        let mut random = fastrand::Rng::with_seed(5);
        let pieces = [
            "script-src",
            " ",
            ";",
            "'",
            "self",
            "'self'",
            "*",
            ".",
            "://",
            "https:",
            "\u{e9}",
            "\n",
            ",",
            "'none'",
            "x",
        ];
        for _ in 0..20_000 {
            let text: String = (0..random.usize(..12)).map(|_| pieces[random.usize(..pieces.len())]).collect();
            let (policy, faults) = Policy::read(&Directives::Text(text.clone()));
            if faults.is_empty() {
                let again = Policy::read(&Directives::Text(policy.to_string()));
                assert_eq!(again, (policy, Vec::new()), "{text:?}");
            }
        }
    }
}
