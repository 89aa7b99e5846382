//! The schema that migrations or models make: tables, columns, keys, indexes, constraints.

mod alembic;
mod calls;
mod django;
mod prisma;
mod rails;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use seaworthy_repository::{Repository, Source};

use super::migration_tools::{self, History};

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    /// By name, in small letters and without a schema's name before it.
    pub tables: BTreeMap<String, Table>,
    /// Tables with a policy for rows.
    pub policies: BTreeSet<String>,
    /// What could not be read: then nothing that says *every* can hold.
    pub unread: Vec<String>,
    /// What it was read from.
    pub source: String,
    /// The database makes an index for each foreign key by itself.
    pub indexes_foreign_keys: bool,
}

/// One table.
#[derive(Debug, Default, Clone)]
pub(crate) struct Table {
    pub place: String,
    pub columns: Vec<Column>,
    pub primary: Vec<String>,
    pub unique: Vec<Vec<String>>,
    pub indexes: Vec<Vec<String>>,
    pub foreign: Vec<Foreign>,
    pub checks: usize,
    /// Row-level security is on.
    pub secured: bool,
}

/// One column.
#[derive(Debug, Default, Clone)]
pub(crate) struct Column {
    pub name: String,
    pub not_null: bool,
}

/// A foreign key.
#[derive(Debug, Default, Clone)]
pub(crate) struct Foreign {
    pub columns: Vec<String>,
    pub table: String,
    pub place: String,
}

impl Schema {
    /// Reads the schema of a repository from the first source that tells it whole.
    pub fn read(repository: &Repository) -> Option<Self> {
        if let Some(schema) = prisma::read(repository).or_else(|| rails::read(repository)) {
            return Some(schema);
        }
        let histories = migration_tools::histories(repository);
        let mut schema = Self::default();
        for history in &histories {
            if !history.problems.is_empty() {
                schema.unread.push(format!("{}: {}", history.tool, history.problems[0]));
            }
            read_history(repository, history, &mut schema);
        }
        let tools: BTreeSet<&str> = histories.iter().map(|history| history.tool.as_str()).collect();
        schema.source = tools.into_iter().collect::<Vec<_>>().join(", ");
        (!schema.tables.is_empty()).then_some(schema)
    }

    pub fn table(&mut self, name: &str) -> Option<&mut Table> {
        self.tables.get_mut(&plain(name))
    }

    /// Every foreign key with its table.
    pub fn foreign(&self) -> impl Iterator<Item = (&String, &Table, &Foreign)> {
        self.tables.iter().flat_map(|(name, table)| table.foreign.iter().map(move |key| (name, table, key)))
    }
}

impl Table {
    /// Whether an index begins with these columns.
    pub fn is_indexed(&self, columns: &[String]) -> bool {
        let leads = |index: &Vec<String>| {
            index.len() >= columns.len() && index.iter().take(columns.len()).all(|own| columns.contains(own))
        };
        leads(&self.primary) || self.indexes.iter().any(leads) || self.unique.iter().any(leads)
    }

    pub fn column(&mut self, name: &str) -> Option<&mut Column> {
        let name = plain(name);
        self.columns.iter_mut().find(|column| column.name == name)
    }

    pub fn drop_column(&mut self, name: &str) {
        let name = plain(name);
        self.columns.retain(|column| column.name != name);
        self.foreign.retain(|key| !key.columns.contains(&name));
        self.indexes.retain(|index| !index.contains(&name));
        self.unique.retain(|index| !index.contains(&name));
    }
}

/// A name without quotes, in small letters, without what is before a point.
pub(super) fn plain(name: &str) -> String {
    let name = name.trim().trim_matches(['"', '`', '\'', '[', ']']);
    name.rsplit('.').next().unwrap_or(name).trim_matches(['"', '`', '[', ']']).to_lowercase()
}

fn read_history(repository: &Repository, history: &History, schema: &mut Schema) {
    let python = repository.knowledge().languages.get("python").map(|language| language.tokens.as_slice());
    for step in &history.steps {
        let Some(text) = repository.text(&step.path) else { continue };
        // Comments stand between arguments too.
        let tokens = python.filter(|_| step.path.extension().is_some_and(|ending| ending == "py"));
        let text = tokens.map_or_else(|| text.to_string(), |tokens| Source::new(&text, tokens).code);
        let place = step.path.display().to_string();
        match history.reader.as_str() {
            "alembic" => alembic::read(&text, &place, schema),
            "django" => django::read(&text, &place, step.app.as_deref().unwrap_or_default(), schema),
            "sql" => sql::read(up_of(&text), &place, schema),
            "typeorm" => alembic::read_queries(&text, &place, schema),
            _ => {
                if schema.unread.is_empty() {
                    schema.unread.push(format!("migrations of {} are not read here", history.tool));
                }
            }
        }
    }
}

/// What goes forwards in a file that holds both ways.
fn up_of(text: &str) -> &str {
    let marks = ["-- +goose Down", "-- +migrate Down", "-- migrate:down", "--//@UNDO", "-- !Downs"];
    let end = marks.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_must_lead_with_the_columns() {
        let table = Table {
            primary: vec!["a".into(), "b".into()],
            indexes: vec![vec!["c".into(), "d".into()]],
            ..Table::default()
        };
        let is = |columns: &[&str]| table.is_indexed(&columns.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert!(is(&["a"]) && is(&["b", "a"]) && is(&["c"]) && !is(&["b"]) && !is(&["d"]));
        assert_eq!(plain("\"public\".\"Users\""), "users");
    }
}
