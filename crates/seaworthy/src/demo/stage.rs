//! The two processes of the demo and the folder that they live in.

use std::{
    env, fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use seaworthy_check::{Asked, Client, CommandLauncher, Hints, Progress, Runner, Settings, Subject, Transcript};
use seaworthy_checklist::Checklist;
use seaworthy_core::{SystemClock, UpstreamAddress};
use seaworthy_evidence::{Ledger, Report, SigningKey};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{failure::Failure, terminal};

/// Limits that the demo's list asks for; short, so that a probe can wait for them.
const BODY_LIMIT: u64 = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(2);
const START: Duration = Duration::from_secs(20);

/// Both apps, running.
pub struct Stage {
    folder: TempDir,
    program: PathBuf,
    bare: Child,
    behind: Child,
    bare_address: UpstreamAddress,
    behind_address: UpstreamAddress,
    admin_address: UpstreamAddress,
}

impl Stage {
    /// Starts both.
    pub async fn set(listen: &str) -> Result<Self, Failure> {
        let explain = |error: io::Error| Failure::new("SEA_DEMO_START", &error);
        let folder = tempfile::Builder::new().prefix("seaworthy-demo-").tempdir().map_err(explain)?;
        let program = env::current_exe().map_err(explain)?;
        write_source(folder.path()).map_err(explain)?;
        fs::write(folder.path().join("seaworthy.toml"), config(&program)).map_err(explain)?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(explain)?.port();
        let log = |name: &str| fs::File::create(folder.path().join(name));

        let mut bare = Command::new(&program);
        bare.args(["demo-app", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(log("bare.log").map_err(explain)?);
        let bare = bare.kill_on_drop(true).spawn().map_err(explain)?;

        let mut behind = Command::new(&program);
        behind.args(["run", "--json", "--listen", listen, "--admin", "127.0.0.1:0", "--access-log", "access.log"]);
        behind.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        behind.stderr(log("behind.log").map_err(explain)?);
        let mut behind = behind.kill_on_drop(true).spawn().map_err(explain)?;
        let (behind_address, admin_address) = addresses(&mut behind, folder.path()).await?;

        let bare_address = UpstreamAddress::Tcp { host: "127.0.0.1".into(), port };
        until_it_answers(&bare_address).await?;
        Ok(Self { folder, program, bare, behind, bare_address, behind_address, admin_address })
    }

    /// Checks the same list against both, side by side.
    pub async fn check(&self) -> Result<(Report, Report), Failure> {
        let asked = asked()?;
        let runner = Runner::new(Duration::from_secs(60));
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let program = self.program.display().to_string();
        let launcher = |words, has_admin| CommandLauncher {
            words,
            has_admin,
            folder: self.folder.path().to_owned(),
            start_timeout: START,
            environment: Vec::new(),
        };
        let bare = launcher(words(&[&program, "demo-app", "--port", "{port}"]), false);
        let behind =
            ["run", "--listen", "127.0.0.1:{port}", "--admin", "127.0.0.1:{admin_port}", "--access-log", "off"];
        let behind =
            launcher([&[program.as_str()], &behind[..]].concat().iter().map(|word| (*word).to_owned()).collect(), true);
        let subject = |url: &UpstreamAddress, launcher| Subject {
            url: Some(url.clone().into()),
            repo: Some(self.folder.path().join("source")),
            launcher: Some(Arc::new(launcher)),
            hints: hints(),
            ..Subject::default()
        };
        let bare = subject(&self.bare_address, bare);
        let mut behind = subject(&self.behind_address, behind);
        behind.admin = Some(self.admin_address.clone().into());
        behind.access_log = Some(self.access_log());

        let explain = |error| Failure::new("SEA_DEMO_EVIDENCE", &error);
        let ledger = |name: &str| {
            let key = SigningKey::open(&self.folder.path().join("evidence-key.pem"));
            let key = key.map_err(|error| Failure::new("SEA_DEMO_EVIDENCE", &error))?;
            Ledger::open(&self.folder.path().join(name), key, Duration::from_secs(86_400)).map_err(explain)
        };
        let (mut bare_ledger, mut behind_ledger) = (ledger("evidence-bare.jsonl")?, ledger("evidence-behind.jsonl")?);
        let progress = |side: &'static str| {
            move |step: Progress<'_>| {
                if !step.ended {
                    terminal::progress(&format!("{side} [{}/{}] {}", step.done + 1, step.total, step.control));
                }
            }
        };
        let (bare, behind) = tokio::join!(
            asked.check(&bare, &runner, Some(&mut bare_ledger), &[], &SystemClock, progress("bare")),
            asked.check(&behind, &runner, Some(&mut behind_ledger), &[], &SystemClock, progress("behind")),
        );
        Ok((bare.map_err(explain)?, behind.map_err(explain)?))
    }

    /// Ends both.
    pub async fn strike(mut self) {
        if let Some(id) = self.behind.id().and_then(|id| i32::try_from(id).ok()) {
            // SIGTERM, so that it ends its own app; what is left is killed when it is dropped.
            let _ = Command::new("kill").arg(id.to_string()).stderr(Stdio::null()).status().await;
            let _ = timeout(Duration::from_secs(10), self.behind.wait()).await;
        }
        let _ = self.bare.kill().await;
    }

    /// Address of the bare app.
    pub fn bare_url(&self) -> String {
        self.bare_address.to_string()
    }

    /// Address of the app behind Seaworthy.
    pub fn behind_url(&self) -> String {
        self.behind_address.to_string()
    }

    /// Address of the admin API.
    pub fn admin_url(&self) -> String {
        self.admin_address.to_string()
    }

    /// The access log of the one behind Seaworthy.
    pub fn access_log(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }
}

/// The demo's list.
fn asked() -> Result<Asked, Failure> {
    let bytes = include_bytes!("checklist.md").to_vec();
    let list = Checklist::parse("checklist.md".into(), bytes, true);
    // Nothing is pinned, so that nothing can be pinned wrongly.
    Asked::from_checklists(vec![list], false, &Settings::default())
        .map_err(|error| Failure::new("SEA_DEMO_START", &error))
}

/// What both are measured against.
fn hints() -> Hints {
    Hints {
        slow_path: Some("/slow?seconds={seconds}".into()),
        error_path: Some("/api/report".into()),
        upload_path: Some("/api/documents".into()),
        list_paths: vec!["/api/documents".into()],
        paths: vec!["/health".into()],
        body_limit: Some(BODY_LIMIT),
        first_byte: Some(TIMEOUT),
        request_head: Some(TIMEOUT),
        ..Hints::default()
    }
}

fn config(program: &Path) -> String {
    let command = format!("'{}' demo-app --port $PORT", program.display().to_string().replace('\'', "'\\''"));
    // Values as TOML writes them, whatever is in the path.
    format!(
        "[app]\ncommand = {}\nhealth = \"/health\"\n\n[edge.timeouts]\nfirst_byte = \"2s\"\nrequest_head = \"2s\"\n\n\
         [[route]]\nmatch = \"POST /api/documents\"\nbody_limit = \"1MB\"\n\n[protection]\nbody_limit = \"1MB\"\n\n\
         [protection.cors]\norigins = [\"https://documents.example.com\"]\n",
        toml_text(&command)
    )
}

fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The app's source as a team would have it: one key in the code, no licence.
fn write_source(folder: &Path) -> io::Result<()> {
    let source = folder.join("source");
    fs::create_dir_all(&source)?;
    // Put together here, so that no scanner takes our own source for a leak.
    let key = format!("{}-{}{}", "sk", "proj-9fK2mQx7Lw4Zr8", "Tn3Vb6Yc1Hd5Jg0Ps");
    fs::write(source.join("settings.py"), format!("OPENAI_API_KEY = \"{key}\"\nDEBUG = True\n"))?;
    fs::write(source.join("README.md"), "# Ask your documents\n")?;
    fs::write(source.join(".gitignore"), "node_modules\n")?;
    // Without git on the machine the source stays a plain folder, and the report says so.
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.arg("-C").arg(&source).args(["-c", "user.name=demo", "-c", "user.email=demo@localhost"]);
        let _ = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "--no-gpg-sign", "-m", "first version"]);
    Ok(())
}

/// Reads the line that `run --json` prints once it accepts.
async fn addresses(behind: &mut Child, folder: &Path) -> Result<(UpstreamAddress, UpstreamAddress), Failure> {
    let failed = || {
        let log = fs::read_to_string(folder.join("behind.log")).unwrap_or_default();
        Failure::text("SEA_DEMO_START", format!("`seaworthy run` did not start:\n{log}"))
    };
    let stdout = behind.stdout.take().ok_or_else(failed)?;
    let mut lines = BufReader::new(stdout).lines();
    let line = timeout(START, lines.next_line()).await.ok().and_then(Result::ok).flatten().ok_or_else(failed)?;
    let value: serde_json::Value = serde_json::from_str(&line).map_err(|_| failed())?;
    let address = |key: &str| value[key].as_str().and_then(|text| text.parse().ok());
    address("url").zip(address("admin_url")).ok_or_else(failed)
}

async fn until_it_answers(address: &UpstreamAddress) -> Result<(), Failure> {
    let client = Client::new(address.clone(), Transcript::default()).patience(Duration::from_secs(2));
    for _ in 0..200 {
        if client.get("/health").await.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::text("SEA_DEMO_START", format!("the demo's app does not answer on {address}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_demo_list_means_what_we_meant() {
        let asked = asked().unwrap();
        let controls: Vec<&str> = asked.items().map(|(_, _, found)| found.control.as_deref().unwrap_or("-")).collect();
        let wanted = [
            "edge.security-headers",
            "edge.request-size-limit",
            "config.no-hardcoded-secrets",
            "config.gitignore-env",
            "observability.metrics-secured",
            "edge.api-error-handler",
            "edge.request-timeout",
            "edge.api-pagination",
            "edge.cors",
            "observability.access-logs",
            "observability.request-id",
            "observability.metrics",
            "observability.readiness",
            "deploy.graceful-shutdown",
            "deploy.self-heal",
            "data.restore-test",
            "docs.license",
            "process.team-trained",
        ];
        assert_eq!(controls, wanted);
    }

    #[test]
    fn the_demo_config_is_one_that_run_accepts() {
        let text = config(Path::new("/a b/it's/seaworthy"));
        let table: toml::Table = text.parse().unwrap();
        let command = seaworthy_deploy::Command::parse(table["app"]["command"].as_str().unwrap()).unwrap();
        assert_eq!(command.program(), "/a b/it's/seaworthy");
    }
}
