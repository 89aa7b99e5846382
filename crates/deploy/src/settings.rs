//! `[app]`.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use seaworthy_config::{ByteSize, Findings, HumanDuration, SecretRef, Section};
use seaworthy_core::UpstreamAddress;
use serde::{Deserialize, Deserializer, de};

use crate::command::Command;

/// More instances than this on one machine are a typing error.
const MOST_INSTANCES: u16 = 64;
/// No program runs in less; a smaller limit has lost its unit.
const LEAST_MEMORY: u64 = 1_000_000;

/// The app behind Seaworthy: a `command` that we start, or an address (`to`) where it already runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The command that starts the app, without a shell. `$PORT` stands for the port that we chose for it; the app also
    /// gets it as the environment variable `PORT`, and its name (`app-1`) as `SEAWORTHY_INSTANCE`.
    pub command: Option<String>,
    /// Where an app runs that we do not start: `http://HOST:PORT`, `h2c://HOST:PORT` (HTTP/2 without TLS) or
    /// `unix:/path/to.sock`; one, or a list of several that share the requests.
    pub to: Option<Addresses>,
    /// How many processes of `command` share the requests, from 1 to 64, each with a port of its own.
    pub instances: u16,
    /// The most memory that one instance may take, with everything that it starts. Over it at two looks in a row, the
    /// instance is replaced by a new process while it finishes its requests; at one and a half times as much it is killed
    /// at once.
    pub memory_limit: Option<ByteSize>,
    /// Path that answers 2xx or 3xx when the app is well. Without it, an accepted connection will do.
    pub health: Option<String>,
    /// Pause between two health checks of an instance. After two bad answers in a row it gets requests only when no other
    /// instance is well; one good answer ends that. Memory is looked at as often.
    pub health_interval: HumanDuration,
    /// How long the answer to a health check may take.
    pub health_timeout: HumanDuration,
    /// More environment variables for the app. A value may be `env:NAME` or `file:PATH`.
    pub env: BTreeMap<String, SecretRef>,
    /// How long the app may take from its start to its first healthy answer.
    pub start_timeout: HumanDuration,
    /// How long requests in flight may take when an instance is replaced or everything stops, and then the app itself
    /// between SIGTERM and SIGKILL.
    pub stop_timeout: HumanDuration,
}

/// One address or several, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(Vec<String>);

impl Addresses {
    /// Each address, or why the first wrong one is wrong.
    pub fn parse(&self) -> Result<Vec<UpstreamAddress>, seaworthy_core::AddressError> {
        self.0.iter().map(|text| text.parse()).collect()
    }
}

impl From<String> for Addresses {
    fn from(text: String) -> Self {
        Self(vec![text])
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> de::Visitor<'de> for OneOrMore {
            type Value = Addresses;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an address or a list of addresses")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Addresses, E> {
                Ok(Addresses(vec![text.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Addresses, A::Error> {
                let mut addresses = Vec::new();
                while let Some(text) = list.next_element()? {
                    addresses.push(text);
                }
                Ok(Addresses(addresses))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

impl JsonSchema for Addresses {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Addresses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" }, "format": "text or list of texts" })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            command: None,
            to: None,
            instances: 1,
            memory_limit: None,
            health: None,
            health_interval: HumanDuration::seconds(2),
            health_timeout: HumanDuration::seconds(5),
            env: BTreeMap::new(),
            start_timeout: HumanDuration::seconds(60),
            stop_timeout: HumanDuration::seconds(30),
        }
    }
}

impl Section for Settings {
    const KEY: &'static str = "app";

    fn validate(&self, findings: &mut Findings) {
        if self.command.is_some() && self.to.is_some() {
            let help = "keep `command` when Seaworthy shall start the app, `to` when something else does";
            findings.add("app.to", "SEA_CONFIG_CONFLICT", "`command` and `to` exclude each other", help);
        }
        self.validate_addresses(findings);
        if let Some(command) = &self.command
            && let Err(error) = Command::parse(command)
        {
            let help = "write it as you would in a terminal, quotes included";
            findings.add("app.command", "SEA_CONFIG_COMMAND", error.to_string(), help);
        }
        if let Some(path) = &self.health
            && (!path.starts_with('/') || path.contains(|letter: char| letter.is_control() || letter == ' '))
        {
            let message = format!("`{path}` is not a path");
            findings.add("app.health", "SEA_CONFIG_PATH", message, "write for example \"/health\"");
        }
        self.validate_numbers(findings);
        for name in self.env.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
            let message = format!("`{name}` cannot be the name of an environment variable");
            findings.add(format!("app.env.{name}"), "SEA_CONFIG_ENV_NAME", message, "use letters, digits and `_`");
        }
    }
}

impl Settings {
    fn validate_addresses(&self, findings: &mut Findings) {
        let Some(Addresses(list)) = &self.to else { return };
        if list.is_empty() {
            findings.add("app.to", "SEA_CONFIG_EMPTY", "the list of addresses is empty", "name at least one");
        }
        let path = |index: usize| if list.len() == 1 { "app.to".to_owned() } else { format!("app.to.{index}") };
        let mut seen = Vec::new();
        for (index, text) in list.iter().enumerate() {
            match text.parse::<UpstreamAddress>() {
                Err(error) => {
                    let help = "write http://HOST:PORT, h2c://HOST:PORT or unix:/path/to.sock";
                    findings.add(path(index), "SEA_CONFIG_ADDRESS", error.to_string(), help);
                }
                Ok(address) if seen.contains(&address) => {
                    let message = format!("`{text}` is there twice");
                    findings.add(path(index), "SEA_CONFIG_CONFLICT", message, "name each address once");
                }
                Ok(address) => seen.push(address),
            }
        }
    }

    fn validate_numbers(&self, findings: &mut Findings) {
        if !(1..=MOST_INSTANCES).contains(&self.instances) {
            let message = format!("{} instances cannot be run", self.instances);
            findings.add("app.instances", "SEA_CONFIG_RANGE", message, "use 1 to 64; one a core is a good start");
        }
        if self.memory_limit.is_some_and(|limit| limit.0 < LEAST_MEMORY) {
            let help = "write for example \"512MB\"; leave it out for no limit";
            findings.add("app.memory_limit", "SEA_CONFIG_RANGE", "no app runs in less than 1 MB", help);
        }
        let times = [
            ("health_interval", self.health_interval),
            ("health_timeout", self.health_timeout),
            ("start_timeout", self.start_timeout),
        ];
        for (key, _) in times.iter().filter(|(_, time)| time.0.is_zero()) {
            let message = format!("`{key}` must be longer than nothing");
            findings.add(format!("app.{key}"), "SEA_CONFIG_RANGE", message, "write for example \"5s\"");
        }
    }
}

#[cfg(test)]
mod tests {
    use seaworthy_config::Document;

    use super::*;

    fn read(text: &str, variables: &[(&str, &str)]) -> (Settings, Vec<&'static str>) {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut document = Document::parse("seaworthy.toml", text.into(), variables).unwrap();
        let settings = document.section::<Settings>();
        let findings = document.finish().err().map(|error| error.findings).unwrap_or_default();
        (settings, findings.iter().map(|finding| finding.code).collect())
    }

    #[test]
    fn one_address_or_a_list() {
        let addresses = |text: &str, variables: &[(&str, &str)]| {
            let (settings, findings) = read(text, variables);
            assert!(findings.is_empty(), "{findings:?}");
            settings.to.unwrap().parse().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(addresses("[app]\nto = \"http://a:1\"\n", &[]), ["http://a:1"]);
        assert_eq!(addresses("[app]\nto = [\"http://a:1\", \"h2c://b:2\"]\n", &[]), ["http://a:1", "h2c://b:2"]);
        assert_eq!(addresses("", &[("SEAWORTHY_APP__TO", "http://a:1")]), ["http://a:1"]);
    }

    #[test]
    fn every_problem_is_found() {
        let (_, findings) = read(
            "[app]\nto = [\"http://a:1\", \"nowhere\", \"http://a:1\"]\ninstances = 65\nmemory_limit = \"512B\"\n\
             health = \"/a b\"\nhealth_interval = \"0s\"\nhealth_timeout = \"0s\"\nenv = { \"A=B\" = \"1\" }\n",
            &[],
        );
        let expected = [
            "SEA_CONFIG_ADDRESS",
            "SEA_CONFIG_CONFLICT",
            "SEA_CONFIG_PATH",
            "SEA_CONFIG_RANGE",
            "SEA_CONFIG_RANGE",
            "SEA_CONFIG_RANGE",
            "SEA_CONFIG_RANGE",
            "SEA_CONFIG_ENV_NAME",
        ];
        assert_eq!(findings, expected);
        assert_eq!(read("[app]\nto = []\ninstances = 0\n", &[]).1, ["SEA_CONFIG_EMPTY", "SEA_CONFIG_RANGE"]);
        assert_eq!(read("[app]\nto = [7]\n", &[]).1, ["SEA_CONFIG_WRONG_VALUE"]);
        assert!(read("[app]\ncommand = \"a\"\ninstances = 64\nmemory_limit = \"512MB\"\n", &[]).1.is_empty());
    }
}
