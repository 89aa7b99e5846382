//! `data.query-optimization`: no query in a loop over rows, and a setting that makes one an error.

use std::{path::Path, sync::LazyLock};

use regex::Regex;
use seaworthy_containers::Runs;
use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting, Source};

use super::stores;

pub(super) struct QueryOptimization;

/// A loop over rows that a query gives: the variable, and its indent.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static PYTHON_LOOP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^(?P<indent>[ \t]*)for\s+(?P<row>\w+)\s+in\s+[\w.]*(?:\.objects\b[^\n]*|\.query\([^\n]*\)\.[^\n]*|\.scalars\([^\n]*)\s*:\s*$").expect("the pattern is valid")
});
/// A loop over what a query gave, in JavaScript.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static JAVASCRIPT_LOOP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?m)^(?P<indent>[ \t]*)for\s*\(\s*(?:const|let|var)\s+(?P<row>\w+)\s+of\s+[^\n]*\{\s*$")
        .expect("the pattern is valid")
});
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static COUNTED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\bassertNumQueries\s*\(|\bdjango_assert_(?:max_)?num_queries\s*\(|\bcount_queries\b|\bassert_num_queries\b|\bqueryCount\b|\bassert_queries_count\b|\bexceed_query_limit\b").expect("the pattern is valid")
});
/// Settings that make every query in a loop an error.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled in every test")]
static REFUSED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\bNPLUSONE_RAISE\s*=\s*True|\bZEAL_RAISE\s*=\s*True|\bBullet\.raise\s*=\s*true|\bstrict_loading_by_default\s*=\s*true").expect("the pattern is valid")
});

impl Inspection for QueryOptimization {
    fn control(&self) -> &'static str {
        "data.query-optimization"
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        let views =
            "def posts():\n    for post in Post.objects.select_related(\"author\"):\n        yield post.author.name\n";
        let settings = "INSTALLED_APPS = [\"zeal\"]\nZEAL_RAISE = True\n";
        Sample::of(&[
            ("requirements.txt", "django\npsycopg\ndjango-zeal\n"),
            ("blog/views.py", views),
            ("blog/settings.py", settings),
        ])
    }

    fn absent(&self) -> Sample {
        let views = "def posts():\n    for post in Post.objects.all():\n        comments = Comment.objects.filter(post_id=post.id)\n        yield post, comments.count()\n";
        Sample::of(&[("requirements.txt", "django\npsycopg\n"), ("blog/views.py", views)])
    }
}

fn look(repository: &Repository) -> Sighting {
    let runs = Runs::read(repository);
    if stores::signs(repository, &runs).is_empty() && !repository.depends_on("python", &["django"]) {
        return stores::without(repository);
    }
    let mut cases = Cases::plan(2);
    let mut loops = 0;
    let mut first = None;
    for (path, source) in repository.sources().iter().filter(|(path, _)| !is_a_task(path)) {
        let (found, seen) = in_loops(path, source);
        loops += seen;
        first = first.or(found);
    }
    cases.note(format!("{loops} loops over rows in {} sources", repository.sources().len()));
    cases.tried(
        first.is_none(),
        first.unwrap_or_else(|| format!("none of {loops} loops over rows asks the database again")),
    );
    let first = |pattern: &Regex| {
        repository.tests().iter().chain(repository.sources()).find_map(|(path, source)| {
            let found = source.matches(pattern).next()?;
            Some(format!("{}:{}", path.display(), source.line(found.get(0)?.start())))
        })
    };
    match (first(&REFUSED), first(&COUNTED), repository.not_whole()) {
        (_, _, Some(why)) => cases.told_nothing(why),
        (Some(place), _, None) => cases.tried(true, format!("{place} makes a query in a loop an error")),
        (None, Some(place), None) => {
            cases.told_nothing(format!(
                "{place} counts statements, as tests of single calls do: of the others only a live run tells"
            ));
        }
        (None, None, None) => {
            cases.told_nothing("no test counts statements: whether their number grows with the rows is only seen live");
        }
    }
    cases
        .sighting(format!("none of {loops} loops over rows asks the database again, and a query in a loop is an error"))
}

/// Commands, tasks and migrations serve no request.
fn is_a_task(path: &Path) -> bool {
    let words = [
        "migrations",
        "versions",
        "management",
        "commands",
        "tasks",
        "scripts",
        "seeds",
        "seeders",
        "fixtures",
        "admin",
        "jobs",
        "cli",
        "workers",
        "signals",
    ];
    let parts = path.iter().filter_map(|part| part.to_str()).flat_map(|part| part.split(['.', '_', '-']));
    stores::is_beside_the_app(path) || parts.into_iter().any(|part| words.contains(&part))
}

/// The first query in a loop over rows that uses the row, and how many such loops there are.
fn in_loops(path: &Path, source: &Source) -> (Option<String>, usize) {
    let python = path.extension().is_some_and(|ending| ending == "py");
    let pattern: &Regex = if python { &PYTHON_LOOP } else { &JAVASCRIPT_LOOP };
    let mut loops = 0;
    for found in source.matches(pattern) {
        let (Some(whole), row) = (found.get(0), &found["row"]) else { continue };
        let body = body(&source.code[whole.end()..], found["indent"].len());
        loops += 1;
        let mut offset = whole.end();
        for line in body.split_inclusive('\n') {
            if asks(line, row, python) && !source.is_text(offset + line.len() - line.trim_start().len()) {
                let query: String = line.trim().chars().take(70).collect();
                return (
                    Some(format!("{}:{}: `{query}` in a loop over rows", path.display(), source.line(offset + 1))),
                    loops,
                );
            }
            offset += line.len();
        }
    }
    (None, loops)
}

/// A line that asks for rows of what the loop's row names.
fn asks(line: &str, row: &str, python: bool) -> bool {
    let asks = match python {
        true => [
            "objects.filter(",
            "objects.get(",
            ".query.filter(",
            ".query.get(",
            ".query.filter_by(",
            "session.query(",
            "session.execute(select(",
            "objects.exclude(",
        ]
        .iter()
        .any(|call| line.contains(call)),
        false => {
            line.contains("await")
                && [
                    ".findOne(",
                    ".findMany(",
                    ".findUnique(",
                    ".findFirst(",
                    ".findByPk(",
                    ".findAll(",
                    ".findById(",
                    ".countDocuments(",
                ]
                .iter()
                .any(|call| line.contains(call))
        }
    };
    let uses_row = line.match_indices(row).any(|(at, _)| {
        let before = line[..at]
            .chars()
            .next_back()
            .is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != '.');
        let after = line[at + row.len()..].chars().next();
        before && after.is_none_or(|letter| ['.', ')', ',', '['].contains(&letter))
    });
    asks && uses_row
}

fn body(rest: &str, indent: usize) -> &str {
    let mut length = 0;
    for (index, line) in rest.split_inclusive('\n').enumerate() {
        let own = line.len() - line.trim_start().len();
        if index > 0 && !line.trim().is_empty() && own <= indent {
            break;
        }
        length += line.len();
    }
    &rest[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_query_that_uses_the_row() {
        assert!(asks("  x = A.objects.get(id=post.a_id)", "post", true));
        assert!(
            !asks("  x = A.objects.get(id=blogpost.id)", "post", true)
                && !asks("  x = A.objects.get(id=1)", "post", true)
        );
        assert!(asks("  const a = await prisma.user.findUnique({ where: { id: row.id } });", "row", false));
        assert!(!asks("  users.push(row.id)", "row", false));
    }
}
