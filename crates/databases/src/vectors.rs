//! `data.vector-*`: batches of embeddings, the volume of the vector store, and the decision who runs it.

use std::sync::LazyLock;

use regex::Regex;
use seaworthy_containers::{
    Runs, Service,
    engines::{Engine, Engines, Kind},
};
use seaworthy_repository::{
    Cases, Inspection, Repository, Sample, Sighting,
    records::{Document, decision, measurement},
};

use super::stores;

pub(super) struct BatchSize;
pub(super) struct Managed;
pub(super) struct Persistence;

#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static SIZE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:\w*embed\w*_?batch_?size|batch_?size|chunk_?size_?embed\w*|embed_batch_size|\w*_BATCH_SIZE)\b\s*(?::\s*\w+\s*)?[=:]").expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static EMBEDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\.embeddings\.create\s*\(|\.encode\s*\(|\.embed_documents\s*\(|\.embedDocuments\s*\(|\bembedMany\s*\(|\.embed_query\s*\(|\bSentenceTransformer\s*\(|\.upsert\s*\(|\.add_texts\s*\(").expect("the pattern is valid")
});

impl Inspection for BatchSize {
    fn control(&self) -> &'static str {
        "data.vector-batch"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        batch(repository)
    }

    fn present(&self) -> Sample {
        let code = "import os\nEMBEDDING_BATCH_SIZE = int(os.environ.get(\"EMBEDDING_BATCH_SIZE\", \"64\"))\nvectors = model.encode(texts, batch_size=EMBEDDING_BATCH_SIZE)\n";
        let sweep = "# Embedding sweep, 2026-02-03\n\n| batch size | docs/s |\n|---|---|\n| 16 | 210 |\n| 64 | 540 |\n| 256 | 545 |\n";
        Sample::of(&[
            ("requirements.txt", "qdrant-client\nsentence-transformers\n"),
            ("embed.py", code),
            ("docs/embedding-sweep.md", sweep),
        ])
    }

    fn absent(&self) -> Sample {
        let code = "# embeddings\nembedder = SentenceTransformer(name)\nfor text in texts:\n    vector = embedder.encode(text)\n    client.upsert(\"docs\", [vector])\n";
        Sample::of(&[("requirements.txt", "qdrant-client\nsentence-transformers\n"), ("embed.py", code)])
    }
}

impl Inspection for Managed {
    fn control(&self) -> &'static str {
        "data.vector-managed"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        managed(repository)
    }

    fn present(&self) -> Sample {
        let record = "# 9. Managed vector database\n\nStatus: accepted\nDate: 2026-03-04\nDeciders: Ada Example\n\nWe weighed self-hosted Qdrant against Qdrant Cloud and take the service.\n";
        Sample::of(&[
            ("requirements.txt", "qdrant-client\n"),
            ("app.py", "x = 1\n"),
            ("docs/adr/0009-vector-database.md", record),
        ])
    }

    fn absent(&self) -> Sample {
        let record = "# Vector database decision\n\nStatus: proposed\nDate: YYYY-MM-DD\nDeciders:\n";
        Sample::of(&[
            ("requirements.txt", "qdrant-client\n"),
            ("app.py", "x = 1\n"),
            ("docs/adr/0009-vector-database.md", record),
        ])
    }
}

impl Inspection for Persistence {
    fn control(&self) -> &'static str {
        "data.vector-persistence"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        persistence(repository)
    }

    fn present(&self) -> Sample {
        with_volume("    volumes: [\"vectors:/qdrant/storage\"]\n")
    }

    fn absent(&self) -> Sample {
        with_volume("")
    }
}

fn with_volume(volume: &str) -> Sample {
    let compose = format!("services:\n  qdrant:\n    image: qdrant/qdrant:v1.15.1\n{volume}volumes:\n  vectors:\n");
    let backup = "#!/bin/sh\ncurl -X POST http://qdrant:6333/collections/docs/snapshots\n";
    Sample::of(&[
        ("compose.yml", &compose),
        ("requirements.txt", "qdrant-client\n"),
        ("app.py", "x = 1\n"),
        ("scripts/backup-qdrant.sh", backup),
    ])
}

/// Vector stores that the project uses.
fn vector_stores(repository: &Repository, runs: &Runs) -> Vec<&'static Engine> {
    let mut found: Vec<&'static Engine> = Engines::built_in()
        .of_drivers(repository)
        .filter(|engine| engine.kind == Kind::Vector)
        .filter_map(|engine| Engines::built_in().named(&engine.name))
        .collect();
    found.extend(
        stores::services(runs).into_iter().map(|(_, _, engine)| engine).filter(|engine| engine.kind == Kind::Vector),
    );
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found.dedup_by(|left, right| left.name == right.name);
    found
}

fn none(repository: &Repository) -> Sighting {
    match repository.not_whole() {
        Some(why) => Sighting::unclear(why),
        None if repository.manifests().all.is_empty() => {
            Sighting::unclear("no manifest names what the project depends on")
        }
        None => Sighting::not_applicable("no vector store is among the dependencies, and no service is one"),
    }
}

fn batch(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    if vector_stores(repository, &runs).is_empty() {
        return none(repository);
    }
    let mut cases = Cases::plan(2);
    let first = |pattern: &Regex, needs: Option<&Regex>| {
        repository
            .sources()
            .iter()
            .filter(|(path, source)| {
                !stores::is_beside_the_app(path)
                    && needs.is_none_or(|needs| needs.is_match(&source.code))
                    && source.code.to_lowercase().contains("embed")
            })
            .find_map(|(path, source)| {
                let found = source.matches(pattern).next()?;
                Some(format!("{}:{}", path.display(), source.line(found.get(0)?.start())))
            })
    };
    let embeds = first(&EMBEDS, None);
    let size = first(&SIZE, Some(&EMBEDS)).or_else(|| {
        let variables = &repository.variables().all;
        variables
            .iter()
            .find(|(name, _)| name.contains("BATCH") && name.contains("EMBED"))
            .map(|(name, _)| format!("the variable {name}"))
    });
    match (&size, embeds) {
        (Some(place), _) => cases.tried(true, format!("{place} sets the batch size")),
        (None, Some(place)) => cases.tried(false, format!("{place} embeds or stores, and no batch size is set")),
        (None, None) => cases.told_nothing("no code that computes or stores embeddings is seen"),
    }
    match measurement(repository, &["batch"], &["/s", "throughput", "docs", "seconds", "ms", "time"]) {
        Some(place) => cases.tried(true, format!("{place} records a sweep")),
        None => cases.told_nothing("no measurement of at least three batch sizes is on file"),
    }
    cases.sighting(format!("{} sets the batch size, and a sweep is on file", size.unwrap_or_default()))
}

fn managed(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let stores = vector_stores(repository, &runs);
    if stores.is_empty() {
        return none(repository);
    }
    let mut cases = Cases::plan(1);
    let record =
        decision(repository, &[&["vector", "pinecone", "qdrant", "weaviate", "milvus", "chroma", "embedding"]]);
    match record {
        None => super::plans::nothing(
            repository,
            cases,
            Document::all(repository).len(),
            &format!("a decision about the vector store ({})", stores[0].name),
        ),
        Some(record) => {
            let signed = record.is_signed() && record.blank().is_none();
            cases.tried(
                signed,
                format!(
                    "{} {}",
                    record.path,
                    if signed { "is dated and signed" } else { "is not filled in, dated and signed" }
                ),
            );
            cases
                .sighting(format!(
                    "{} is a dated decision with a name; that it still stands a person says",
                    record.path
                ))
                .for_a_person()
        }
    }
}

fn persistence(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let used = vector_stores(repository, &runs);
    if used.is_empty() {
        return none(repository);
    }
    let mut cases = Cases::plan(0);
    let services: Vec<_> =
        stores::services(&runs).into_iter().filter(|(_, _, engine)| engine.kind == Kind::Vector).collect();
    for (_, service, engine) in &services {
        cases.plan_more(1);
        on_a_volume(&mut cases, service, engine);
    }
    if services.is_empty() {
        return elsewhere(used[0]);
    }
    if cases.is_broken() {
        return cases.sighting("");
    }
    cases.plan_more(1);
    let names: Vec<String> = used.iter().map(|engine| engine.name.to_lowercase()).collect();
    let saved = runs.all.iter().find(|run| {
        let text = run.text.to_lowercase();
        (text.contains("snapshot") || text.contains("backup") || run.of.to_lowercase().contains("backup"))
            && (names.iter().any(|name| text.contains(name)) || text.contains("vector"))
    });
    match saved {
        Some(run) => cases.tried(true, format!("{} saves it", run.place)),
        None => cases.told_nothing("no backup of the vector store is seen in the repository"),
    }
    cases.sighting(format!("{} vector stores on volumes, and part of a backup", services.len()))
}

fn on_a_volume(cases: &mut Cases, service: &Service, engine: &Engine) {
    let mounts = service.mounts();
    let kept = mounts.iter().find(|mount| {
        mount.source.is_some()
            && !mount.memory
            && engine.data.iter().any(|folder| mount.target.starts_with(folder.as_str()))
    });
    let elsewhere =
        mounts.iter().any(|mount| mount.source.is_some() && !mount.memory && !mount.target.contains("config"));
    match (kept, elsewhere) {
        (Some(mount), _) => cases.tried(
            true,
            format!("{}: {} is kept in {}", service.place, mount.target, mount.source.as_deref().unwrap_or_default()),
        ),
        (None, true) => cases.told_nothing(format!(
            "{}: service {} has a volume, not where {} keeps its data by default",
            service.place, service.name, engine.name
        )),
        (None, false) => cases.tried(
            false,
            format!("{}: service {} has no volume for {}", service.place, service.name, engine.data.join(" or ")),
        ),
    }
}

/// The answer where no service of a compose file is the store.
fn elsewhere(engine: &Engine) -> Sighting {
    let name = &engine.name;
    Sighting::unclear(match () {
        () if engine.always_managed => {
            format!("{name} is a service: that collections survive is its provider's part, backups are not seen")
        }
        () if engine.in_database => {
            "vectors are in the app's own database: see the controls of its volume and backups".to_owned()
        }
        () if engine.in_process => {
            format!("{name} writes files in the app's own process; whether they are on a volume is not seen")
        }
        () => format!("where {name} runs is not in the repository"),
    })
}
