//! Lock files of Rust, Go, Ruby and PHP.

use super::{Ecosystem, Format, json, toml_packages};

pub(super) const CARGO: Format = Format {
    name: "Cargo.lock",
    ecosystem: Ecosystem::CratesIo,
    read: toml_packages,
    sample: |version| {
        format!(
            "version = 4\n\n[[package]]\nname = \"seaworthy-canary\"\nversion = \"{version}\"\nsource = \"registry+x\"\n"
        )
    },
};
/// `go.sum` also holds what was only looked at; what is used is in `go.mod`.
pub(super) const GO: Format = Format {
    name: "go.mod",
    ecosystem: Ecosystem::Go,
    read: go_mod,
    sample: |version| {
        format!(
            "module example.com/a\n\ngo 1.25\n\nrequire (\n\texample.com/seaworthy-canary v{version} // indirect\n)\n"
        )
    },
};
pub(super) const GEMFILE: Format = Format {
    name: "Gemfile.lock",
    ecosystem: Ecosystem::RubyGems,
    read: gemfile,
    sample: |version| {
        format!(
            "GEM\n  remote: x\n  specs:\n    seaworthy-canary ({version})\n      rake (>= 1)\n\nDEPENDENCIES\n  seaworthy-canary\n"
        )
    },
};
pub(super) const COMPOSER: Format = Format {
    name: "composer.lock",
    ecosystem: Ecosystem::Packagist,
    read: composer,
    sample: |version| {
        format!(
            "{{\"packages\": [{{\"name\": \"seaworthy-canary\", \"version\": \"{version}\"}}], \"packages-dev\": []}}"
        )
    },
};

fn go_mod(text: &str) -> Result<Vec<(String, String)>, String> {
    let of = |line: &str| {
        let mut words =
            line.split("//").next().unwrap_or_default().split_whitespace().skip_while(|word| *word == "require");
        let (name, version) = (words.next()?, words.next()?);
        (words.next().is_none() && name.contains('.') && version.starts_with('v'))
            .then(|| (name.to_owned(), version.to_owned()))
    };
    Ok(text.lines().filter_map(of).collect())
}

/// Specs are four blanks in; what they need is six.
fn gemfile(text: &str) -> Result<Vec<(String, String)>, String> {
    let of = |line: &str| {
        let line = line.strip_prefix("    ").filter(|rest| !rest.starts_with(' '))?;
        let (name, version) = line.trim_end().strip_suffix(')')?.split_once(" (")?;
        // A platform stands behind the version.
        let version = version.split('-').next().unwrap_or(version);
        version.starts_with(|first: char| first.is_ascii_digit()).then(|| (name.to_owned(), version.to_owned()))
    };
    Ok(text.lines().filter_map(of).collect())
}

fn composer(text: &str) -> Result<Vec<(String, String)>, String> {
    let value = json(text)?;
    let all = ["packages", "packages-dev"].into_iter().flat_map(|key| value[key].as_array().into_iter().flatten());
    let of = |own: &serde_json::Value| {
        let version = own["version"].as_str()?.trim_start_matches('v');
        Some((own["name"].as_str()?.to_owned(), version.to_owned()))
    };
    Ok(all.filter_map(of).collect())
}
