//! Every format for files and machines, by name. The one door for whoever writes reports.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use seaworthy_evidence::Report;
use serde_json::Value;
use thiserror::Error;

use crate::{
    html::html,
    in_toto::{Artifact, Signature, envelope, statement},
    junit::junit,
    oscal::oscal,
    prometheus::prometheus,
    sarif::sarif,
    text,
};

/// A format that a report can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// One self-contained page.
    Html,
    /// Our own JSON, with the schema of [`crate::schema`].
    Json,
    /// JUnit XML: what every CI reads.
    Junit,
    /// SARIF 2.1.0: failures and what stays undecided, at their lines.
    Sarif,
    /// OSCAL assessment results.
    Oscal,
    /// An in-toto Statement v1 in a signed DSSE envelope.
    InToto,
    /// Prometheus text exposition, for a textfile collector.
    Prometheus,
}

/// What some formats need beside the report.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// What was released, where its digest is known: subjects of the in-toto statement beside the commit.
    pub artifacts: &'a [Artifact],
    /// Signs the message of a DSSE envelope.
    pub sign: &'a dyn Fn(&[u8]) -> Signature,
}

/// A name that is no format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no report format; there are {names}", names = Format::ALL.map(Format::name).join(", "))]
pub struct UnknownFormat(String);

/// The whole file.
pub fn write(format: Format, report: &Report, inputs: Inputs<'_>) -> Vec<u8> {
    match format {
        Format::Html => html(report).into_bytes(),
        Format::Json => pretty(&report.json()),
        Format::Junit => junit(report).into_bytes(),
        Format::Sarif => pretty(&sarif(report)),
        Format::Oscal => pretty(&oscal(report)),
        Format::InToto => pretty(&envelope(&statement(report, inputs.artifacts), inputs.sign)),
        Format::Prometheus => prometheus(report).into_bytes(),
    }
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Html, Self::Json, Self::Junit, Self::Sarif, Self::Oscal, Self::InToto, Self::Prometheus];

    /// As in a command line or a config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Sarif => "sarif",
            Self::Oscal => "oscal",
            Self::InToto => "in-toto",
            Self::Prometheus => "prometheus",
        }
    }

    /// Under which it is written; endings are those that other tools look for.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Html => "readiness.html",
            Self::Json => "readiness.json",
            Self::Junit => "readiness.junit.xml",
            Self::Sarif => "readiness.sarif",
            Self::Oscal => "readiness.oscal.json",
            Self::InToto => "readiness.intoto.json",
            Self::Prometheus => "readiness.prom",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// What a terminal or an editor would obey stands escaped; it can only be inside strings, and nothing is lost.
fn pretty(value: &Value) -> Vec<u8> {
    let text = format!("{value:#}\n");
    let mut output = String::with_capacity(text.len());
    for character in text.chars() {
        match u16::try_from(character as u32) {
            Ok(code) if character != '\n' && text::acts(character) => {
                // Writing to a String cannot fail.
                let _ = write!(output, "\\u{code:04x}");
            }
            _ => output.push(character),
        }
    }
    output.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sample;

    #[test]
    fn names_are_read_back_and_an_unknown_one_names_the_others() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!(Format::ALL.map(Format::file_name).into_iter().collect::<BTreeSet<_>>().len(), Format::ALL.len());
        let error = "pdf".parse::<Format>().unwrap_err().to_string();
        assert!(error.contains("`pdf`") && error.contains("html, json, junit"), "{error}");
    }

    #[test]
    fn every_format_is_the_same_twice_and_no_format_lets_control_characters_through() {
        let report = sample::report();
        let sign = |_: &[u8]| Signature { key_id: "k".into(), bytes: vec![1] };
        for format in Format::ALL {
            let inputs = Inputs { artifacts: &[], sign: &sign };
            let text = String::from_utf8(write(format, &report, inputs)).unwrap();
            assert_eq!(text.as_bytes(), write(format, &sample::report(), inputs), "{format}");
            assert!(text.ends_with('\n'), "{format}");
            let harmful = text.chars().find(|character| text::acts(*character) && !['\n', '\t'].contains(character));
            assert_eq!(harmful, None, "{format}");
        }
    }
}
