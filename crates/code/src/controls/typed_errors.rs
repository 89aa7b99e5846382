//! `frontend.typed-errors`: calls that can fail give values that the caller must handle, and no promise is left alone.

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{
    code::Code,
    habits::has_module,
    module::{Fate, Module, Promise},
    shipped::{front_ends, is_page_code, no_front_end, shipped},
};

pub(crate) struct TypedErrors;

const CONTROL: &str = "frontend.typed-errors";
/// Libraries whose results are a success or a failure.
const LIBRARIES: &[&str] = &[
    "neverthrow",
    "effect",
    "@effect/platform",
    "fp-ts",
    "ts-results",
    "ts-results-es",
    "oxide.ts",
    "purify-ts",
    "true-myth",
    "@badrap/result",
    "@swan-io/boxed",
    "option-t",
    "typescript-result",
    "@sweet-monads/either",
    "@praha/byethrow",
    "resultix",
    "better-result",
];

impl Inspection for TypedErrors {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[
            ("package.json", "{\"dependencies\": {\"react\": \"19\", \"neverthrow\": \"8\"}}"),
            (
                "src/api.ts",
                "import { ResultAsync } from 'neverthrow';\n\nexport const orders = () => ResultAsync.fromPromise(fetch('/orders'), () => ({ kind: 'offline' as const }));\n",
            ),
            (
                "src/App.tsx",
                "import { orders } from './api';\n\nexport const App = () => { void orders().match(() => 1, (error) => error.kind); return <p/>; };\n",
            ),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            ("package.json", "{\"dependencies\": {\"react\": \"19\", \"neverthrow\": \"8\"}}"),
            (
                "src/api.ts",
                "export const orders = async () => { const answer = await fetch('/orders'); return answer.json(); };\n",
            ),
        ])
    }
}

#[derive(Default)]
struct Found {
    files: usize,
    using: Vec<String>,
    own: Vec<String>,
    typed: usize,
    untyped: Vec<String>,
    floating: Vec<String>,
}

fn look(repository: &Repository) -> Sighting {
    let code = Code::of(repository);
    let fronts = front_ends(repository);
    if fronts.is_empty() {
        return no_front_end(&code);
    }
    let in_front = |module: &&Module| fronts.iter().any(|folder| is_page_code(module, folder));
    let modules: Vec<&Module> = shipped(&code, repository, CONTROL).filter(in_front).collect();
    let results: Vec<&str> = modules.iter().flat_map(|module| &module.results).map(String::as_str).collect();
    let mut found = Found::default();
    modules.iter().for_each(|module| found.take(module, &results));
    let installed: Vec<&&str> = LIBRARIES.iter().filter(|name| repository.depends_on("javascript", &[name])).collect();
    let mut cases = Cases::plan(3);
    if let Some(why) = &code.not_whole {
        cases.told_nothing(why.clone());
    }
    found.floating.iter().chain(&found.untyped).take(40).for_each(|line| cases.note(line.clone()));
    cases.note(format!(
        "libraries installed: {installed:?}; used in {} of {} files; types of success or failure: {}",
        found.using.len(),
        found.files,
        found.own.join(", ")
    ));
    let calls = found.typed + found.untyped.len() + found.floating.len();
    let uses = !found.using.is_empty() || !found.own.is_empty();
    let means = match (uses, installed.first()) {
        (true, _) => {
            format!("a typed result is used in {} of {} files", found.using.len().max(found.own.len()), found.files)
        }
        (false, Some(name)) => format!("{name} is installed and used in none of {} files", found.files),
        (false, None) => {
            format!("no library of typed errors and no type of success or failure in {} files", found.files)
        }
    };
    if calls == 0 && installed.is_empty() && !uses {
        return cases.gave_up(format!(
            "{means}, and no call that can fail (fetch, axios, …) was recognised: nothing to type yet"
        ));
    }
    cases.tried(uses, means.clone());
    cases.tried(
        found.floating.is_empty(),
        said(&found.floating, "promises whose failure nobody handles", "no promise is left alone"),
    );
    calls_are_typed(&mut cases, &found, calls, &means);
    cases.sighting(format!(
        "{means}; {} of {calls} calls that can fail give a typed failure, no promise is left alone",
        found.typed
    ))
}

fn calls_are_typed(cases: &mut Cases, found: &Found, calls: usize, means: &str) {
    match found.untyped.first() {
        None if found.typed == 0 => cases
            .told_nothing(format!("{means}, but no call that can fail (fetch, axios, …) was recognised to see it at")),
        None => cases.tried(true, format!("{} calls that can fail give a typed failure", found.typed)),
        // A thrown error is no typed one; a few may be caught where that is enough.
        Some(first) if found.untyped.len() * 20 > calls => {
            cases.tried(
                false,
                format!(
                    "{} of {calls} calls that can fail give no typed failure, the first: {first}",
                    found.untyped.len()
                ),
            );
        }
        Some(_) => cases.tried(true, format!("{} of {calls} calls that can fail give a typed failure", found.typed)),
    }
}

fn said(list: &[String], what: &str, none: &str) -> String {
    list.first().map_or(none.to_owned(), |first| format!("{} {what}, the first: {first}", list.len()))
}

impl Found {
    fn take(&mut self, module: &Module, results: &[&str]) {
        self.files += 1;
        let library: Vec<String> = LIBRARIES.iter().map(|name| (*name).to_owned()).collect();
        let imports = module.imports.iter().filter(|import| has_module(&library, &import.module));
        let mut names: Vec<&str> = imports.flat_map(|import| &import.names).map(|(_, here)| here.as_str()).collect();
        if !names.is_empty() {
            self.using.push(module.path.display().to_string());
        }
        self.own.extend(module.results.iter().cloned());
        let imported = module.imports.iter().flat_map(|import| &import.names).map(|(_, here)| here.as_str());
        names.extend(imported.chain(module.results.iter().map(String::as_str)).filter(|name| results.contains(name)));
        let mut lines: Vec<u32> = Vec::new();
        for promise in &module.promises {
            if lines.contains(&promise.line) {
                continue;
            }
            lines.push(promise.line);
            let line = format!("{} {}", module.at(promise.line), promise.name);
            match promise.fate {
                Fate::Floating => self.floating.push(line),
                _ if is_typed(module, promise, &names) => self.typed += 1,
                _ => self.untyped.push(line),
            }
        }
    }
}

/// Whether the failure becomes a value: in the library's hands, or caught by a function that gives a typed result.
fn is_typed(module: &Module, promise: &Promise, names: &[&str]) -> bool {
    let uses = |name: &String| names.contains(&name.as_str());
    promise.fate == Fate::Typed || module.around(promise.function).any(|function| function.uses.iter().any(uses))
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;
    use crate::controls::seen;

    const PAGE: (&str, &str) = ("package.json", "{\"dependencies\": {\"react\": \"19\"}}");

    #[test]
    fn a_type_of_ones_own_counts_where_it_is_given() {
        let own = "export type ApiResult<T> = { ok: true; data: T } | { ok: false; error: string };\n\
                   export async function load(): Promise<ApiResult<string>> {\n  try {\n    const answer = await fetch('/a');\n    return { ok: true, data: await answer.text() };\n  } catch {\n    return { ok: false, error: 'offline' };\n  }\n}\n";
        assert_eq!(seen(look, &[PAGE, ("src/api.ts", own)]).outcome, Outcome::Holds);
        let other = (
            "src/b.ts",
            "export async function b() { try { return await fetch('/b'); } catch (e) { console.error(e); } }\n",
        );
        assert!(matches!(seen(look, &[PAGE, ("src/api.ts", own), other]).outcome, Outcome::Broken(_)));
    }

    #[test]
    fn a_promise_that_is_left_alone_is_found() {
        for text in [
            "fetch('/a').then((b) => b);\n",
            "import axios from 'axios';\nexport const a = () => { axios.post('/a'); };\n",
            "load().then((b) => b);\n",
        ] {
            let seen = seen(look, &[PAGE, ("src/a.ts", text)]);
            assert!(matches!(seen.outcome, Outcome::Broken(_)), "{text} {seen:?}");
            assert!(seen.observed.contains("nobody handles"), "{text} {seen:?}");
        }
    }

    #[test]
    fn nothing_that_can_fail_tells_nothing() {
        assert!(matches!(
            seen(look, &[PAGE, ("src/a.tsx", "export const A = () => <p/>;\n")]).outcome,
            Outcome::Unclear(_)
        ));
        assert!(matches!(seen(look, &[("a.py", "x = 1\n")]).outcome, Outcome::NotApplicable(_)));
    }
}
