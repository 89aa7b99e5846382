//! What `seaworthy check` has to look at: the address, the admin API behind it, and how drills start copies.

use std::{
    env, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use seaworthy_check::{Change, Client, CommandLauncher, Endpoint, Subject, Transcript};
use seaworthy_config::looks_secret;
use seaworthy_evidence::hash;
use serde_json::Value;
use tokio::net::lookup_host;

use crate::{
    cli::CheckArguments,
    config::{Config, ConfigSource},
    failure::Failure,
    prover::ERROR_STATUS,
};

/// Everything that can be known of the target without asking the user more than once.
pub async fn subject(arguments: &CheckArguments, config: &Config) -> Result<Subject, Failure> {
    let mut subject = Subject { hints: config.check.hints(), trust: config.check.trust(), ..Subject::default() };
    let admin = parse(arguments.admin.as_deref().unwrap_or(&config.admin.listen))?;
    let status = admin_status(&admin).await;
    match &arguments.url {
        Some(url) => subject.url = Some(parse(url)?),
        None => {
            // An admin API that somebody named tells where its Seaworthy really serves, flags and all.
            let told = status.as_ref().filter(|_| arguments.admin.is_some()).and_then(Served::told);
            (subject.url, subject.address) =
                told.or_else(|| Served::configured(config)).map(|one| one.at(config)).unzip();
            subject.address = subject.address.filter(|_| !config.edge.hosts.is_empty());
        }
    }
    let serves = match (&status, &subject.url) {
        (Some(status), Some(url)) => serves(status, url, subject.address).await,
        _ => false,
    };
    // Without having been named it counts only when it is the Seaworthy around this very address.
    let status = status.filter(|_| serves || arguments.admin.is_some());
    subject.admin = (status.is_some() || arguments.admin.is_some()).then_some(admin);
    if let Some(status) = &status {
        subject.hints.claim(status);
        subject.access_log = status["access_log"].as_str().filter(|log| log.starts_with('/')).map(PathBuf::from);
        if serves && subject.hints.plain.is_none() {
            subject.hints.plain = plain_beside(subject.url.as_ref(), status);
        }
    }
    if arguments.url.is_none() && status.is_none() && !answers(&subject).await {
        // Nobody named an address and nothing answers at the default one: there is no live target.
        (subject.url, subject.address) = (None, None);
    }
    subject.stores = config.check.stores(&config.app.env);
    subject.outside = config.check.outside(&config.edge.hosts);
    subject.run_code = arguments.run_tests;
    subject.source.declared = config.check.declared();
    for (name, value) in config.app.env.iter().filter(|(name, _)| looks_secret(name)) {
        // One that cannot be resolved here is in no file here either; whoever starts the app will hear of it.
        if let Ok(value) = value.resolve() {
            subject.source.live.add(name, value.expose());
        }
    }
    subject.repo = Some(arguments.repo.clone().unwrap_or_else(|| ".".into()));
    let source = ConfigSource::new(arguments.config.as_deref(), arguments.profile.as_deref());
    subject.config = Some(config_hash(&source, arguments.start.as_deref()));
    subject.release = release(&subject, config.check.release_path.as_deref()).await;
    subject.environment = config.profile.name().map(str::to_owned);
    subject.launcher = launcher(arguments, config)?.map(|launcher| Arc::new(launcher) as _);
    Ok(subject)
}

/// What is tried is the files, what lies over them (variables), and the command that drills start: a change of any is a
/// change of the config. Secrets are masked in it.
fn config_hash(source: &ConfigSource, start: Option<&str>) -> String {
    let mut whole: Vec<Vec<u8>> = source.files().iter().filter_map(|file| fs::read(file).ok()).collect();
    if let Ok(mut document) = source.open() {
        Config::read(&mut document);
        let values = document.effective(false);
        whole.extend(values.iter().map(|value| format!("{}={:?}", value.path(), value.value).into_bytes()));
    }
    whole.push(start.unwrap_or_default().as_bytes().to_vec());
    hash(&whole.join(&0))
}

/// Which release the live app says it is: the answer of the path that the team has named for that, as a hash when it is
/// longer than a name.
async fn release(subject: &Subject, path: Option<&str>) -> Option<String> {
    let answer = subject.client()?.patience(Duration::from_secs(5)).get(path?).await.ok()?;
    let text = answer.text();
    let text = text.trim();
    let short = text.len() <= 80 && !text.is_empty() && text.chars().all(|letter| !letter.is_control());
    answer.status.is_success().then(|| if short { text.to_owned() } else { hash(text.as_bytes()) })
}

fn parse(text: &str) -> Result<Endpoint, Failure> {
    let full = if text.contains(':') && !text.contains("//") && !text.starts_with("unix:") {
        format!("http://{text}")
    } else {
        text.into()
    };
    full.parse::<Endpoint>().map_err(|error| Failure::new("SEA_CHECK_ADDRESS", &error).with_status(ERROR_STATUS))
}

/// The public side of a Seaworthy on this machine: HTTPS where it has that, for then plain HTTP only redirects.
struct Served {
    address: SocketAddr,
    encrypted: bool,
}

impl Served {
    /// As its admin API says.
    fn told(status: &Value) -> Option<Self> {
        Self::first(status["https"].as_str(), status["listen"].as_str())
    }

    /// As its config says.
    fn configured(config: &Config) -> Option<Self> {
        Self::first(config.edge.https_address(), Some(config.edge.plain_address()))
    }

    fn first(https: Option<&str>, plain: Option<&str>) -> Option<Self> {
        let encrypted = https.is_some();
        Some(Self { address: https.or(plain)?.parse().ok()?, encrypted })
    }

    /// What a client asks for, and where that is reached: requests must name a host that is served, and the resolver may
    /// lead another way.
    fn at(&self, config: &Config) -> (Endpoint, IpAddr) {
        let address = match self.address.ip() {
            any if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            address => address,
        };
        let named = config.edge.hosts.iter().find(|host| !host.starts_with('*'));
        let (host, port) = (named.cloned().unwrap_or_else(|| address.to_string()), self.address.port());
        match self.encrypted {
            true => (Endpoint::Https { host, port }, address),
            false => (Endpoint::Http { host, port }, address),
        }
    }
}

async fn admin_status(address: &Endpoint) -> Option<Value> {
    let client = Client::new(address.clone(), Transcript::default()).patience(Duration::from_secs(2));
    let answer = client.get("/status").await.ok().filter(|answer| answer.status.is_success())?;
    answer.json().filter(|status| status["version"].is_string() && status["limits"].is_object())
}

async fn answers(subject: &Subject) -> bool {
    let Some(client) = Subject { transcript: Transcript::default(), ..subject.clone() }.client() else { return false };
    client.patience(Duration::from_secs(2)).get("/").await.is_ok()
}

/// Whether this admin API belongs to the Seaworthy that serves the address: a port alone may be anybody's.
async fn serves(status: &Value, url: &Endpoint, reached_at: Option<IpAddr>) -> bool {
    let listen = match url {
        Endpoint::Http { .. } => status["listen"].as_str(),
        Endpoint::Https { .. } => status["https"].as_str(),
        Endpoint::Unix(_) => None,
    };
    let listen = listen.and_then(|listen| listen.parse::<SocketAddr>().ok());
    let (Some(listen), Some(host), Some(port)) = (listen, url.host(), url.port()) else { return false };
    let addresses = match reached_at {
        Some(address) => vec![address],
        None => addresses(host, port).await,
    };
    let same =
        |address: &IpAddr| *address == listen.ip() || (listen.ip().is_unspecified() && is_of_this_machine(*address));
    listen.port() == port && addresses.iter().any(same)
}

async fn addresses(host: &str, port: u16) -> Vec<IpAddr> {
    if host == "localhost" {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    match host.parse() {
        Ok(address) => vec![address],
        Err(_) => lookup_host((host, port)).await.map(|found| found.map(|one| one.ip()).collect()).unwrap_or_default(),
    }
}

/// Only an address of this machine can be bound on it. Nothing is sent.
fn is_of_this_machine(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// Where the Seaworthy that serves HTTPS at `url` takes plain HTTP.
fn plain_beside(url: Option<&Endpoint>, status: &Value) -> Option<Endpoint> {
    let Some(Endpoint::Https { host, .. }) = url else { return None };
    let port = status["listen"].as_str()?.parse::<SocketAddr>().ok()?.port();
    Some(Endpoint::Http { host: host.clone(), port })
}

/// How drills start copies: the command that was named, else this Seaworthy around the app of the config.
fn launcher(arguments: &CheckArguments, config: &Config) -> Result<Option<CommandLauncher>, Failure> {
    let folder = arguments.repo.clone().unwrap_or_else(|| ".".into());
    let make = |words: Vec<String>, has_admin, folder| CommandLauncher {
        words,
        has_admin,
        folder,
        start_timeout: config.app.start_timeout.0,
        environment: beside_the_original(),
    };
    if let Some(start) = &arguments.start {
        let words = seaworthy_deploy::Command::split(start)
            .map_err(|error| Failure::new("SEA_CHECK_START", &error).with_status(ERROR_STATUS))?;
        return Ok(Some(make(words, false, folder)));
    }
    if config.app.command.is_none() {
        return Ok(None);
    }
    let program =
        env::current_exe().map_err(|error| Failure::new("SEA_CHECK_START", &error).with_status(ERROR_STATUS))?;
    let mut words = vec![program.display().to_string(), "run".into()];
    words.extend(
        ["--listen", "127.0.0.1:{port}", "--admin", "127.0.0.1:{admin_port}", "--access-log", "off"].map(String::from),
    );
    if let Some(file) = &arguments.config {
        words.extend([
            "--config".into(),
            std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string(),
        ]);
    }
    if let Some(profile) = &arguments.profile {
        words.extend(["--profile".into(), profile.clone()]);
    }
    Ok(Some(make(words, true, ".".into())))
}

/// A copy of a Seaworthy has one plain door on a port of its own: HTTPS and the admin socket are the original's, and
/// drills call the copy by its address, which no list of hosts has.
fn beside_the_original() -> Vec<Change> {
    let set = |name: &str, value: &str| Change { name: name.into(), value: Some(value.into()) };
    vec![
        set("SEAWORTHY_EDGE__HTTPS", "off"),
        set("SEAWORTHY_EDGE__HOSTS", "[]"),
        set("SEAWORTHY_ADMIN__SOCKET", ""),
        // Drills send more than any client may: what they look at is behind the limit.
        set("SEAWORTHY_PROTECTION__RATE", "off"),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_command_that_drills_start_is_part_of_the_config() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seaworthy.toml");
        let write = |text: &str| fs::write(&file, text).unwrap();
        let of = |start| config_hash(&ConfigSource::new(Some(&file), None), start);
        write("[app]\ncommand = \"a\"\n");
        let (alone, started) = (of(None), of(Some("b")));
        assert_eq!(alone, of(None));
        assert_ne!(alone, started);
        write("[app]\ncommand = \"c\"\n");
        assert_ne!(alone, of(None));
    }

    #[tokio::test]
    async fn an_admin_api_counts_only_for_the_address_that_it_serves() {
        let serves = async |listen: &str, url: &str| {
            serves(&json!({ "listen": listen, "https": null }), &url.parse().unwrap(), None).await
        };
        assert!(serves("127.0.0.1:8080", "http://127.0.0.1:8080").await);
        assert!(serves("127.0.0.1:8080", "http://localhost:8080").await);
        assert!(serves("0.0.0.0:8080", "http://127.0.0.1:8080").await);
        assert!(!serves("127.0.0.1:8080", "http://127.0.0.2:8080").await, "another address of this machine");
        assert!(!serves("127.0.0.1:8080", "https://127.0.0.1:8080").await, "it has no HTTPS");
        assert!(!serves("0.0.0.0:8080", "http://192.0.2.1:8080").await, "perhaps another machine");
        assert!(!serves("127.0.0.1:8080", "http://127.0.0.1:8081").await);
    }

    #[tokio::test]
    async fn https_is_compared_with_https() {
        let status = json!({ "listen": "127.0.0.1:8080", "https": "127.0.0.1:8443" });
        let serves = async |url: &str, at| serves(&status, &url.parse().unwrap(), at).await;
        assert!(serves("https://localhost:8443", None).await);
        assert!(serves("http://localhost:8080", None).await);
        assert!(!serves("https://localhost:8080", None).await);
        assert!(!serves("http://localhost:8443", None).await);
        assert!(serves("https://app.example.com:8443", Some([127, 0, 0, 1].into())).await);
        let plain = |url: &str| plain_beside(Some(&url.parse().unwrap()), &status).map(|plain| plain.to_string());
        assert_eq!(plain("https://localhost:8443").as_deref(), Some("http://localhost:8080"));
        assert_eq!(plain("http://localhost:8080"), None);
    }

    #[test]
    fn the_default_address_is_https_where_there_is_any() {
        let at = |https, hosts: &[&str]| {
            let mut config = Config::default();
            config.edge.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            let (url, address) = Served::first(https, Some("0.0.0.0:8080")).unwrap().at(&config);
            (url.to_string(), address.to_string())
        };
        let shown = |url: &str| (url.to_owned(), "127.0.0.1".to_owned());
        assert_eq!(at(None, &[]), shown("http://127.0.0.1:8080"));
        assert_eq!(at(Some("[::]:8443"), &[]), shown("https://127.0.0.1:8443"));
        assert_eq!(at(Some("[::]:443"), &["*.a.test", "b.test"]), shown("https://b.test:443"));
    }
}
