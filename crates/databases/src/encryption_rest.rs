//! `data.encryption-rest`: storage of databases is encrypted, where infrastructure is written as code.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_containers::Runs;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::stores;

pub(super) struct EncryptionRest;

/// Resources of Terraform that hold data: the kind, the argument that encrypts, and whether that is on when it is not said.
const RESOURCES: &[(&str, &str, bool)] = &[
    ("aws_db_instance", "storage_encrypted", false),
    ("aws_rds_cluster", "storage_encrypted", false),
    ("aws_docdb_cluster", "storage_encrypted", false),
    ("aws_neptune_cluster", "storage_encrypted", false),
    ("aws_elasticache_replication_group", "at_rest_encryption_enabled", false),
    ("aws_ebs_volume", "encrypted", false),
    ("aws_efs_file_system", "encrypted", false),
    ("aws_redshift_cluster", "encrypted", false),
    ("google_sql_database_instance", "encryption_key_name", true),
    ("google_alloydb_cluster", "encryption_config", true),
    ("azurerm_postgresql_flexible_server", "customer_managed_key", true),
    ("azurerm_mysql_flexible_server", "customer_managed_key", true),
    ("azurerm_mssql_database", "transparent_data_encryption_enabled", true),
    ("digitalocean_database_cluster", "", true),
    ("aws_dynamodb_table", "server_side_encryption", true),
];

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static RESOURCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?m)^\s*resource\s+"(\w+)"\s+"([\w-]+)"\s*\{"#).expect("the pattern is valid"));

impl Inspection for EncryptionRest {
    fn control(&self) -> &'static str {
        "data.encryption-rest"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[
            (
                "infra/main.tf",
                "resource \"aws_db_instance\" \"main\" {\n  engine            = \"postgres\"\n  storage_encrypted = true\n}\n",
            ),
            ("app.py", "x = 1\n"),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            (
                "infra/main.tf",
                "resource \"aws_db_instance\" \"main\" {\n  engine = \"postgres\"\n  # storage_encrypted = true\n}\n",
            ),
            ("app.py", "x = 1\n"),
        ])
    }
}

fn look(repository: &Repository) -> Sighting {
    let mut cases = Cases::plan(0);
    let mut seen = 0;
    for path in repository.ending(&["tf"]) {
        let text = repository.text(path).map(|text| without_comments(&text)).unwrap_or_default();
        for found in RESOURCE.captures_iter(&text) {
            let Some((kind, argument, default)) = RESOURCES.iter().find(|(kind, _, _)| *kind == &found[1]) else {
                continue;
            };
            let Some(whole) = found.get(0) else { continue };
            let place = format!("{}:{}", path.display(), 1 + text[..whole.end()].matches('\n').count());
            seen += 1;
            cases.plan_more(1);
            let value = argument_of(&text[whole.end()..], argument);
            match (value.as_deref(), default) {
                (Some("true"), _) => cases.tried(true, format!("{place}: {kind} is encrypted")),
                (Some("false"), _) => {
                    cases.tried(false, format!("{place}: {kind} is not encrypted ({argument} = false)"))
                }
                (None, false) => {
                    cases.tried(false, format!("{place}: {kind} does not set {argument}, which is off by default"))
                }
                (None, true) => cases.tried(true, format!("{place}: {kind} is always encrypted")),
                (Some(_), true) => cases.tried(true, format!("{place}: {kind} is encrypted with a key of its own")),
                (Some(_), false) => cases.told_nothing(format!("{place}: {argument} is a variable")),
            }
        }
    }
    if seen == 0 {
        let runs = Runs::read(repository);
        return match stores::signs(repository, &runs).is_empty() {
            true => stores::without(repository),
            false => Sighting::unclear(
                "no infrastructure of the database is written here: whether its disk is encrypted is only seen on the host, or said by a person",
            ),
        };
    }
    cases.sighting(format!("all {seen} resources that hold data are encrypted at rest"))
}

fn without_comments(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| if line.trim_start().starts_with('#') || line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// The value of an argument in the block that begins a text; a block of that name counts as set.
fn argument_of(text: &str, argument: &str) -> Option<String> {
    let mut depth = 1_i64;
    for line in text.lines() {
        let word = line.trim().strip_prefix(argument).filter(|_| depth == 1 && !argument.is_empty());
        if let Some(rest) = word {
            let rest = rest.trim_start();
            if let Some(value) = rest.strip_prefix('=') {
                return Some(value.split('#').next().unwrap_or_default().trim().to_owned());
            }
            if rest.starts_with('{') {
                return Some("a block".into());
            }
        }
        depth += line.matches('{').count() as i64 - line.matches('}').count() as i64;
        if depth <= 0 {
            return None;
        }
    }
    None
}
