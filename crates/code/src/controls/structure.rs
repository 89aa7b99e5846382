//! `ci.code-structure`: modules that can be imported, in folders one finds one's way in, and no file with everything in it.

use std::{collections::BTreeSet, path::Path};

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};

use crate::{
    code::Code,
    grammar::Language,
    module::Module,
    resolve::{Resolver, Target},
    shipped::{is_served, is_tool, shipped},
};

pub(crate) struct Structure;

const CONTROL: &str = "ci.code-structure";
/// Lines of a file that is too large when it is also most of the app.
const GOD_FILE: u32 = 1_500;
/// Sources in one folder without any other.
const CROWDED: usize = 25;

impl Inspection for Structure {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[
            ("app/__init__.py", ""),
            (
                "app/main.py",
                "from .services.orders import total\nfrom app import models\n\nprint(total(models.Order()))\n",
            ),
            ("app/models.py", "class Order:\n    pass\n"),
            ("app/services/__init__.py", ""),
            (
                "app/services/orders.py",
                "from ..models import Order\n\n\ndef total(order: Order) -> int:\n    return 0\n",
            ),
            ("tests/test_orders.py", "from app.services.orders import total\n"),
        ])
    }

    fn absent(&self) -> Sample {
        Sample::of(&[
            ("app/__init__.py", ""),
            ("app/main.py", "from .services.orders import total\n\nprint(total)\n"),
            (
                "app/services/orders.py",
                "from ..model import Order\n\n\ndef total(order: Order) -> int:\n    return 0\n",
            ),
        ])
    }
}

fn look(repository: &Repository) -> Sighting {
    let code = Code::of(repository);
    let modules: Vec<&Module> = shipped(&code, repository, CONTROL).filter(|module| !is_served(&module.path)).collect();
    if code.own().next().is_none() {
        return Sighting::not_applicable("there is no source of a language that is read as a tree");
    }
    let resolver = Resolver::new(&code, repository);
    let mut cases = Cases::plan(3);
    code.unread().for_each(|line| cases.note(format!("not read: {line}")));
    if let Some(why) = &code.not_whole {
        cases.told_nothing(why.clone());
    }
    parses(&mut cases, &modules);
    let imports = imports_lead_somewhere(&mut cases, repository, &code, &resolver);
    note_bare_packages(&mut cases, &code, &resolver);
    let folders: BTreeSet<&Path> = modules.iter().filter_map(|module| module.path.parent()).collect();
    layout(&mut cases, &modules, &folders);
    if !repository.declared.layers.is_empty() {
        cases.plan_more(1);
        let missing: Vec<&String> = repository
            .declared
            .layers
            .iter()
            .filter(|layer| !modules.iter().any(|module| super::architecture::is_in(&module.path, layer)))
            .collect();
        cases.tried(
            missing.is_empty(),
            match missing.first() {
                None => "every declared layer is there".to_owned(),
                Some(first) => format!(
                    "{} of {} declared layers have no file, the first: {first}",
                    missing.len(),
                    repository.declared.layers.len()
                ),
            },
        );
    }
    let lines: u32 = modules.iter().map(|module| module.lines).sum();
    cases.sighting(format!(
        "{} modules with {lines} lines in {} folders: all parse, {imports} imports within the project lead to a file",
        modules.len(),
        folders.len()
    ))
}

/// Python says at its start which file it cannot read; other languages have compilers, and grammars lag behind them.
fn parses(cases: &mut Cases, modules: &[&Module]) {
    let faulty: Vec<String> = modules.iter().filter_map(|module| Some(module.at(module.fault?))).collect();
    faulty.iter().take(20).for_each(|at| cases.note(format!("not understood by the grammar: {at}")));
    let python: Vec<String> = modules
        .iter()
        .filter(|module| module.language == Language::Python)
        .filter_map(|module| Some(module.at(module.fault?)))
        .collect();
    match python.first() {
        None => cases.tried(true, format!("{} modules parse", modules.len())),
        Some(first) => cases.told_nothing(format!(
            "{} Python files do not parse, the first: {first}; `python -m compileall .` tells",
            python.len()
        )),
    }
}

/// How many imports were followed.
fn imports_lead_somewhere(cases: &mut Cases, repository: &Repository, code: &Code, resolver: &Resolver<'_>) -> usize {
    let (mut followed, mut missing, mut perhaps) = (0, Vec::new(), Vec::new());
    for module in shipped(code, repository, CONTROL).filter(|module| !is_served(&module.path)) {
        for import in module.imports.iter().filter(|import| !import.guarded && !import.types_only) {
            match resolver.target(module, import) {
                Target::Elsewhere => continue,
                Target::Missing(path) => {
                    let line = format!("{} imports {}, and {path} is not there", module.at(import.line), import.module);
                    match is_made(repository, Path::new(&path)) {
                        true => perhaps.push(line),
                        false => missing.push(line),
                    }
                }
                _ => {}
            }
            followed += 1;
        }
    }
    missing.iter().chain(&perhaps).take(30).for_each(|line| cases.note(line.clone()));
    if let (Some(first), true) = (perhaps.first(), missing.is_empty()) {
        cases.told_nothing(format!("{first}: it may be made by a build"));
    }
    cases.tried(
        missing.is_empty(),
        match missing.first() {
            None => format!("{followed} imports within the project lead to a file"),
            Some(first) => {
                format!("{} of {followed} imports within the project lead nowhere, the first: {first}", missing.len())
            }
        },
    );
    followed
}

/// Whether a missing file may come from a build: its folder is missing too, or its name says so.
fn is_made(repository: &Repository, path: &Path) -> bool {
    let named = path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy().to_lowercase();
        let marks = [
            "generated",
            "dist",
            "build",
            "version",
            "_pb2",
            "gen.",
            "wasm",
            ".next",
            "types",
            "manifest",
            "locale",
            "lib",
            "out",
        ];
        marks.iter().any(|mark| name.contains(mark))
    });
    named || path.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !repository.has_folder(folder))
}

/// A folder below a package that others import from, and that is none itself: it works, though some packaging leaves it
/// out.
fn note_bare_packages(cases: &mut Cases, code: &Code, resolver: &Resolver<'_>) {
    let mut bare = BTreeSet::new();
    for module in code.own().filter(|module| module.language == Language::Python && !is_tool(&module.path)) {
        for target in module.imports.iter().flat_map(|import| resolver.targets(module, import)) {
            let target = &code.modules[target];
            let Some(folder) = target.path.parent().filter(|folder| module.path.parent() != Some(folder)) else {
                continue;
            };
            let above = folder.parent().is_some_and(|parent| code.at.contains_key(&parent.join("__init__.py")));
            if above && !target.test && !is_tool(&target.path) && !code.at.contains_key(&folder.join("__init__.py")) {
                bare.insert(folder.display().to_string());
            }
        }
    }
    for folder in bare.iter().take(20) {
        cases.note(format!("{folder} has no __init__.py, though it is imported from: some packaging leaves it out"));
    }
}

fn layout(cases: &mut Cases, modules: &[&Module], folders: &BTreeSet<&Path>) {
    let lines: u32 = modules.iter().map(|module| module.lines).sum();
    let Some(largest) = modules.iter().max_by_key(|module| module.lines) else {
        return cases.told_nothing("every source file is a script or a test");
    };
    let share = u64::from(largest.lines) * 100 / u64::from(lines.max(1));
    cases.note(format!("the largest file is {} with {} of {lines} lines", largest.path.display(), largest.lines));
    if largest.lines > GOD_FILE && share >= 40 {
        return cases
            .tried(false, format!("{} has {} lines, {share}% of the app", largest.path.display(), largest.lines));
    }
    let crowded = folders.len() == 1 && modules.len() > CROWDED && largest.language != Language::Go;
    if crowded {
        return cases.tried(false, format!("all {} source files are in one folder", modules.len()));
    }
    // A single file is no structure, good or bad.
    if modules.iter().filter(|module| module.lines > 0).count() < 2 {
        return cases
            .told_nothing(format!("there is one source file, with {} lines: nothing is laid out yet", largest.lines));
    }
    cases.tried(
        true,
        format!("{} modules in {} folders, none above {} lines", modules.len(), folders.len(), largest.lines),
    );
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;
    use crate::controls::seen;

    #[test]
    fn one_file_with_everything_is_found() {
        let large: String = (0..1_600).map(|at| format!("a{at} = {at}\n")).collect();
        let seen = seen(look, &[("app/main.py", &large), ("app/models.py", "x = 1\n")]);
        assert!(
            matches!(&seen.outcome, Outcome::Broken(why) if why.contains("app/main.py has 1600 lines")),
            "{seen:?}"
        );
    }

    #[test]
    fn imports_of_scripts_lead_to_files_however_they_are_written() {
        let app = "import a from './a.js';\nimport b from '@/b';\nimport './style.css';\nconst c = require('./c');\nimport d from './d?raw';\nimport React from 'react';\n";
        let files = [
            ("src/index.ts", app),
            ("src/a.ts", "export default 1;\n"),
            ("src/b/index.tsx", "export default 1;\n"),
            ("src/style.css", ""),
            ("src/c.json", "{}"),
            ("src/d", ""),
            ("tsconfig.json", "{\"compilerOptions\": {\"paths\": {\"@/*\": [\"./src/*\"]}}}"),
        ];
        let whole = seen(look, &files);
        assert_eq!(whole.outcome, Outcome::Holds, "{whole:?}");
        let broken = seen(look, &[("src/a.js", "require('./nowhere');\n"), ("src/b.js", "")]);
        assert!(matches!(broken.outcome, Outcome::Broken(_)), "{broken:?}");
        let made = seen(
            look,
            &[("src/a.js", "require('./generated/client');\nexport const b = 1;\n"), ("src/b.js", "let x;\n")],
        );
        assert!(matches!(made.outcome, Outcome::Unclear(_)), "{made:?}");
    }

    #[test]
    fn a_guarded_import_may_be_missing_and_one_file_is_no_structure() {
        let files = [
            ("app/__init__.py", "try:\n    from .fast import x\nexcept ImportError:\n    x = None\n"),
            ("app/b.py", "y = 1\n"),
        ];
        assert_eq!(seen(look, &files).outcome, Outcome::Holds);
        assert!(matches!(seen(look, &[("app.py", "x = 1\n")]).outcome, Outcome::Unclear(_)));
    }
}
