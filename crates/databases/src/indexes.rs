//! `data.indexes`: every foreign key leads an index, in the schema that migrations make.

use seaworthy_containers::Runs;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use super::{schema::Schema, stores};

pub(super) struct Indexes;

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY);\nCREATE TABLE posts (id bigint PRIMARY KEY, user_id bigint NOT NULL REFERENCES users (id));\n";

impl Inspection for Indexes {
    fn control(&self) -> &'static str {
        "data.indexes"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let index = format!("{USERS}CREATE INDEX posts_user ON posts (user_id);\n");
        Sample::of(&[
            ("migrations/000001_a.up.sql", &index),
            ("migrations/000001_a.down.sql", "DROP TABLE posts;"),
            ("go.mod", "module a\nrequire github.com/lib/pq v1.0.0\n"),
            ("main.go", "package main\n"),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            ("migrations/000001_a.up.sql", USERS),
            ("go.mod", "module a\nrequire github.com/lib/pq v1.0.0\n"),
            ("main.go", "package main\n"),
        ])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    let Some(schema) = Schema::read(repository) else { return no_schema(repository, &runs) };
    let mut cases = Cases::plan(0);
    let services = stores::services(&runs);
    let relational: Vec<_> = services
        .iter()
        .filter(|(_, _, engine)| engine.kind == seaworthy_containers::engines::Kind::Relational)
        .collect();
    let by_itself = schema.indexes_foreign_keys
        || !relational.is_empty() && relational.iter().all(|(_, _, engine)| engine.indexes_foreign_keys);
    let keys = schema.foreign().count();
    cases.note(format!("{}: {} tables, {keys} foreign keys", schema.source, schema.tables.len()));
    if by_itself {
        cases.note("the engine makes an index for each foreign key by itself");
    }
    let mut without: Vec<String> = Vec::new();
    for (name, table, key) in schema.foreign() {
        if !by_itself
            && !table.is_indexed(&key.columns)
            && !repository.is_waived("data.indexes", std::path::Path::new(name))
        {
            without.push(format!("{}: {name}.{} (to {})", key.place, key.columns.join("+"), key.table));
        }
    }
    without.iter().for_each(|one| cases.note(format!("no index: {one}")));
    if keys > 0 {
        cases.plan_more(1);
        let seen = match without.first() {
            Some(first) => format!("{first} has no index, {} of {keys} foreign keys have none", without.len()),
            None => format!("all {keys} foreign keys of {} tables are indexed", schema.tables.len()),
        };
        // What was not read may hold the index.
        match (without.is_empty(), schema.unread.first()) {
            (false, Some(unread)) => cases.told_nothing(format!("{seen}, unless in what was not read ({unread})")),
            (holds, _) => cases.tried(holds, seen),
        }
    } else {
        cases.told_nothing(format!(
            "{} tables and no foreign key: whether frequent queries have indexes is only seen live",
            schema.tables.len()
        ));
    }
    if let Some(unread) = schema.unread.first() {
        cases.told_nothing(format!("not all of the schema could be read: {unread}"));
    }
    cases.sighting(format!(
        "all {keys} foreign keys of {} tables lead an index ({})",
        schema.tables.len(),
        schema.source
    ))
}

/// The answer where no schema is read.
pub(super) fn no_schema(repository: &Repository, runs: &Runs) -> Sighting {
    match stores::signs(repository, runs).is_empty() {
        true => stores::without(repository),
        false => {
            Sighting::unclear("no schema could be read: no migrations, schema.prisma or schema.rb that is understood")
        }
    }
}
