//! SQL that is glued from strings: statements in whose text something is put, where it should be bound.
//!
//! What is put where a value stands (`name = '{name}'`) lets whoever sends the value write the statement. What is put
//! where a name stands (`order by {column}`) may come from a list of the app's own, which a tree does not tell.

mod parts;

use seaworthy_repository::Repository;
use tree_sitter::{Node, Tree};

use crate::{
    code::Code,
    grammar::{Language, Trees},
    shipped::shipped,
};
use parts::{Part, Scope};

/// What was found in a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GluedSql {
    /// Files of the app that were read.
    pub files: usize,
    /// Calls that run a statement, glued or not.
    pub statements: usize,
    /// `path:line what`, where something stands in a value's place.
    pub values: Vec<String>,
    /// The same where it stands in a name's place, or its place is not known.
    pub names: Vec<String>,
    /// So many say in a comment that they were looked at (`nosec`, `noqa: S608`).
    pub meant: usize,
    /// Why not everything was read.
    pub not_whole: Option<String>,
}

/// Calls that run a statement, by their last name.
const RUN: &[&str] = &[
    "execute",
    "executemany",
    "executescript",
    "exec_driver_sql",
    "read_sql",
    "read_sql_query",
    "raw",
    "text",
    "fetch",
    "fetchrow",
    "fetchval",
    "fetch_all",
    "fetch_one",
    "query",
    "query_as",
    "query_scalar",
    "sql_query",
    "$queryRawUnsafe",
    "$executeRawUnsafe",
    "prepare",
    "exec",
    "all",
    "get",
    "run",
    "each",
    "unsafe",
    "Exec",
    "ExecContext",
    "Query",
    "QueryContext",
    "QueryRow",
    "QueryRowContext",
    "Raw",
    "Prepare",
    "Get",
    "Select",
    "find_by_sql",
    "select_all",
    "select_value",
    "select_rows",
    "exec_query",
    "count_by_sql",
    "where",
    "having",
    "order",
    "literal",
    "batch_execute",
    "RawSQL",
    "mogrify",
];
/// Calls of Rails whose text is a part of a statement.
const FRAGMENTS: &[&str] = &["where", "having"];
const MOST_KEPT: usize = 40;

/// Reads the app's own code, tests and tools left out.
pub fn glued_sql(repository: &Repository, control: &str) -> GluedSql {
    let code = Code::of(repository);
    let mut found = GluedSql { not_whole: code.not_whole.clone(), ..GluedSql::default() };
    let mut trees = Trees::new();
    for module in shipped(&code, repository, control) {
        repository.stop().check();
        found.files += 1;
        let Some(text) = repository.tree().text(&module.path) else { continue };
        let lower = text.to_ascii_lowercase();
        // Most files hold no statement: their trees need not be made again.
        if !["select", "insert", "update", "delete", "where"].iter().any(|word| lower.contains(word)) {
            continue;
        }
        match trees.parse(&text, module.language) {
            Some(tree) => found.take(&text, &tree, module.language, &|line| module.at(line)),
            None => found.not_whole = Some(format!("{} takes too long to parse", module.path.display())),
        }
    }
    found
}

impl GluedSql {
    fn take(&mut self, text: &str, tree: &Tree, language: Language, at: &dyn Fn(u32) -> String) {
        let scope = Scope::read(text, tree, language);
        let mut cursor = tree.walk();
        loop {
            let node = cursor.node();
            if matches!(node.kind(), "call" | "call_expression" | "method_call_expression" | "new_expression") {
                self.call(text, node, &scope, at);
            }
            if cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return;
                }
            }
        }
    }

    fn call(&mut self, text: &str, node: Node<'_>, scope: &Scope<'_>, at: &dyn Fn(u32) -> String) {
        let Some(name) = parts::called(text, node) else { return };
        if !RUN.contains(&name) {
            return;
        }
        let Some(arguments) = node.child_by_field_name("arguments").filter(|one| one.kind() != "template_string")
        else {
            return;
        };
        let mut cursor = arguments.walk();
        // The second one in Go, behind the context; more are values.
        let glued = arguments.named_children(&mut cursor).take(2).find_map(|argument| {
            let parts = scope.parts(argument, 0);
            let statement = parts::is_statement(&parts) || (FRAGMENTS.contains(&name) && parts::is_text(&parts));
            statement.then_some(parts)
        });
        let Some(parts) = glued else { return };
        self.statements += 1;
        let inserted = parts::inserted(&parts);
        let Some((value, what)) = inserted.iter().max_by_key(|(value, _)| *value) else { return };
        let line = node.start_position().row;
        let last = node.end_position().row.min(line + 3);
        let meant =
            text.lines().skip(line).take(last - line + 1).any(|line| line.contains("nosec") || line.contains("S608"));
        let shown: String = what.chars().take(60).collect();
        let line = u32::try_from(line + 1).unwrap_or(u32::MAX);
        let said = format!("{} puts {} into the text of a statement", at(line), shown.trim());
        match (meant, value) {
            // `execute(text(…))` is one statement.
            _ if self.values.contains(&said) || self.names.contains(&said) => {}
            (true, _) => self.meant += 1,
            (false, true) if self.values.len() < MOST_KEPT => self.values.push(said),
            (false, false) if self.names.len() < MOST_KEPT => self.names.push(said),
            _ => {}
        }
    }
}

impl Part {
    /// Whether it is text of the program itself.
    fn literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Inserted(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, code: &str) -> GluedSql {
        let folder = tempfile::tempdir().unwrap();
        seaworthy_repository::Sample::of(&[(name, code)]).write(folder.path()).unwrap();
        glued_sql(&Repository::open(folder.path()).unwrap(), "protection.sql-injection")
    }

    #[test]
    fn values_in_statements_are_found_in_every_language() {
        for (name, code) in [
            ("a.py", "def a(db, name):\n    db.execute(f\"select * from users where name = '{name}'\")\n"),
            (
                "a.py",
                "def a(db, name):\n    q = \"select id from users where name = '%s'\" % name\n    db.execute(q)\n",
            ),
            ("a.py", "def a(db, name):\n    db.execute(\"select id from users where id = \" + name)\n"),
            ("a.py", "def a(db, name):\n    db.execute(text(\"delete from users where id = {}\".format(name)))\n"),
            (
                "a.py",
                "def a(db, n):\n    q = 'select id from users'\n    q += f\" where id = {n}\"\n    db.execute(q)\n",
            ),
            ("a.js", "async function a(db, n) { return db.query(`select * from users where name like '%${n}%'`) }\n"),
            ("a.ts", "const a = (n: string) => prisma.$queryRawUnsafe('SELECT id FROM users WHERE id = ' + n)\n"),
            (
                "a.go",
                "package a\nfunc a(db *sql.DB, n string) {\n\tdb.Query(fmt.Sprintf(\"SELECT id FROM users WHERE name = '%s'\", n))\n}\n",
            ),
            (
                "a.go",
                "package a\nfunc a(n string) {\n\tdb.QueryContext(ctx, \"SELECT id FROM users WHERE id = \" + n)\n}\n",
            ),
            ("a.rb", "class A\n  def a(n)\n    User.where(\"name = '#{n}'\")\n  end\nend\n"),
            ("a.rb", "def a(n)\n  User.find_by_sql(\"select * from users where id = #{n}\")\nend\n"),
            (
                "a.rs",
                "async fn a(n: &str) { sqlx::query(&format!(\"select id from users where name = '{n}'\")).fetch(p); }\n",
            ),
        ] {
            let found = of(name, code);
            assert_eq!((found.values.len(), found.names.len()), (1, 0), "{code}{found:?}");
            assert!(found.values[0].starts_with(name), "{found:?}");
        }
    }

    #[test]
    fn bound_values_and_the_programs_own_text_are_well() {
        for (name, code) in [
            ("a.py", "def a(db, n):\n    db.execute(\"select * from users where name = %s\", (n,))\n"),
            (
                "a.py",
                "def a(db, ids):\n    marks = ', '.join('?' for _ in ids)\n    db.execute(f\"select * from users where id = {int(ids[0])}\")\n",
            ),
            ("a.py", "def a(db):\n    db.execute(f\"select * from users where kind = {KIND}\")\n"),
            (
                "a.py",
                "def a(db, n):\n    log.info(f\"select * from users where name = '{n}'\")\n    db.execute('select 1 from users', n)\n",
            ),
            (
                "a.js",
                "const a = (n) => sql`select * from users where name = ${n}`; db.query('select a from users where id = $1', [n])\n",
            ),
            (
                "a.ts",
                "const a = (n: string) => prisma.$queryRaw`SELECT id FROM users WHERE id = ${n}`; db.query('select a from b')\n",
            ),
            ("a.js", "const a = (i, n) => db.query(`select a from users where id = $${i}`, [n])\n"),
            (
                "a.go",
                "package a\nfunc a(n int) {\n\tdb.Query(fmt.Sprintf(\"SELECT id FROM users WHERE id = %d\", n))\n}\n",
            ),
            ("a.rb", "def a(n)\n  User.where(\"name = ?\", n)\n  User.where(name: n)\nend\n"),
            (
                "a.rs",
                "async fn a(n: &str) { sqlx::query(\"select id from users where name = $1\").bind(n).fetch(p); }\n",
            ),
        ] {
            let found = of(name, code);
            assert_eq!((found.values.len(), found.names.len(), found.files), (0, 0, 1), "{code}{found:?}");
        }
        let bound = of("a.py", "def a(db, n):\n    db.execute(\"select * from users where name = %s\", (n,))\n");
        assert_eq!(bound.statements, 1);
    }

    #[test]
    fn what_real_projects_glue_of_their_own_is_no_value() {
        // Shapes from Redmine and Uptime Kuma.
        for (name, code) in [
            ("a.rb", "def a(t)\n  Issue.where(\"id = #{t}.issue_id\")\nend\n"),
            ("a.js", "const a = () => db.exec(`DELETE FROM heartbeat WHERE time < ${Database.sqlHourOffset()}`)\n"),
            ("a.rb", "def a\n  Issue.where(\"id = #{CustomValue.table_name}.issue_id\")\nend\n"),
        ] {
            assert!(of(name, code).values.is_empty(), "{code}");
        }
        let request = of("a.js", "const a = (req) => db.query(`select a from b where id = ${req.params.id}`)\n");
        assert_eq!(request.values.len(), 1);
        let field = of("a.go", "package a\nfunc a(u User) {\n\tdb.Query(\"SELECT a FROM b WHERE id = \" + u.ID)\n}\n");
        assert_eq!(field.values.len(), 1);
    }

    #[test]
    fn names_in_statements_are_told_apart_from_values_and_what_is_meant_is_counted() {
        for code in [
            "def a(db, t):\n    db.execute(f\"select * from {t} where id = 1\")\n",
            "def a(db, ids):\n    m = make(ids)\n    db.execute(f\"select * from users where id in ({m})\", ids)\n",
            "def a(db, c):\n    db.execute(\"select * from users order by \" + c)\n",
        ] {
            let found = of("a.py", code);
            assert_eq!((found.values.len(), found.names.len()), (0, 1), "{code}{found:?}");
        }
        let meant = of("a.py", "def a(db, n):\n    db.execute(f\"select 1 from b where c = '{n}'\")  # noqa: S608\n");
        assert_eq!((meant.values.len(), meant.meant), (0, 1));
        let test = of("tests/test_a.py", "def a(db, n):\n    db.execute(f\"select 1 from b where c = '{n}'\")\n");
        assert_eq!((test.files, test.values.len()), (0, 0));
    }
}
