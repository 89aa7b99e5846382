//! `frontend.type-safety`: the front end is TypeScript under strict rules, with few ways out of them.

use std::path::{Path, PathBuf};

use seaworthy_repository::{Cases, Inspection, Repository, Sample, Sighting};
use serde_json::Value;

use crate::{
    code::Code,
    module::Module,
    shipped::{front_ends, is_page_code, no_front_end, shipped},
    tsconfig::{Options, options_of, read, references},
};

pub(crate) struct TypeSafety;

const CONTROL: &str = "frontend.type-safety";
/// Of a thousand places that say a type: so many may be ways out, and from so many on it is not strict in earnest.
const FEW: u64 = 10;
const MANY: u64 = 50;
/// Of a hundred files, so many are TypeScript.
const ENOUGH: usize = 95;

impl Inspection for TypeSafety {
    fn control(&self) -> &'static str {
        CONTROL
    }

    fn look(&self, repository: &Repository) -> Sighting {
        look(repository)
    }

    fn present(&self) -> Sample {
        Sample::of(&[
            (
                "package.json",
                "{\"dependencies\": {\"react\": \"19\"}, \"devDependencies\": {\"typescript\": \"~5.9\"}}",
            ),
            ("tsconfig.json", "{\n  \"extends\": \"./tsconfig.base.json\", // shared\n  \"include\": [\"src\"],\n}"),
            ("tsconfig.base.json", "{\"compilerOptions\": {\"strict\": true}}"),
            ("src/App.tsx", "export const App = ({ name }: { name: string }) => <p>{name}</p>;\n"),
        ])
    }

    fn absent(&self) -> Sample {
        self.present().with(&[(
            "tsconfig.json",
            "{\n  \"extends\": \"./tsconfig.base.json\",\n  \"compilerOptions\": {\"strict\": false}\n}",
        )])
    }
}

fn look(repository: &Repository) -> Sighting {
    let code = Code::of(repository);
    let fronts = front_ends(repository);
    if fronts.is_empty() {
        return no_front_end(&code);
    }
    let mut cases = Cases::plan(0);
    if let Some(why) = &code.not_whole {
        cases.told_nothing(why.clone());
    }
    code.unread().for_each(|line| cases.note(format!("not read: {line}")));
    let mut summaries = Vec::new();
    for folder in &fronts {
        // An inner front end is looked at by itself.
        let inner = |path: &Path| {
            fronts.iter().any(|other| other != folder && other.starts_with(folder) && path.starts_with(other))
        };
        let in_folder = |module: &&Module| is_page_code(module, folder) && !inner(&module.path);
        let modules: Vec<&Module> =
            shipped(&code, repository, CONTROL).filter(in_folder).filter(|module| module.lines > 0).collect();
        if !modules.is_empty() {
            summaries.push(front_end(&mut cases, repository, folder, &modules));
        }
    }
    if summaries.is_empty() {
        return cases.gave_up("the front end has no source file that is read as a tree");
    }
    cases.sighting(summaries.join("; "))
}

fn front_end(cases: &mut Cases, repository: &Repository, folder: &Path, modules: &[&Module]) -> String {
    let name = if folder.as_os_str().is_empty() { String::new() } else { format!("{}: ", folder.display()) };
    let checks = configs(repository, folder)
        .iter()
        .any(|config| options_of(repository, config).is_some_and(|options| options.has("checkJs") == Some(true)));
    let is_typed = |module: &&&Module| module.language.is_typescript() || checks;
    let typed = modules.iter().filter(is_typed).count();
    cases.plan_more(3);
    let plain = modules.iter().find(|module| !is_typed(module));
    let first = plain.map_or(String::new(), |module| format!("; not {}", module.path.display()));
    let share = format!(
        "{typed} of {} files are TypeScript{}",
        modules.len(),
        if checks { ", or JavaScript that it checks" } else { "" }
    );
    cases.tried(typed * 100 >= modules.len() * ENOUGH, format!("{name}{share}{first}"));
    strict(cases, repository, folder, &name);
    let sum = |of: fn(&Module) -> u32| modules.iter().map(|module| u64::from(of(module))).sum::<u64>();
    let said = sum(|module| module.types.said).max(1);
    let (any, ignored) = (sum(|module| module.types.any), sum(|module| module.types.ignored));
    let unchecked = sum(|module| u32::from(module.types.unchecked_file));
    let ways_out = any + ignored;
    let counted = format!("{any} any and {ignored} @ts-ignore beside {said} types");
    let worst = modules.iter().filter(|module| module.types.any > 0).max_by_key(|module| module.types.any);
    let worst = worst.map_or(String::new(), |module| format!(", the most in {}", module.at(module.types.first)));
    // A few ways out are a habit only in what is large.
    match () {
        () if unchecked > 0 => cases.tried(false, format!("{name}{unchecked} files say @ts-nocheck")),
        () if ways_out <= 2 || ways_out * 1_000 <= said * FEW => cases.tried(true, format!("{name}{counted}")),
        () if ways_out * 1_000 > said * MANY => cases.tried(false, format!("{name}{counted}{worst}")),
        () => cases.told_nothing(format!(
            "{name}{counted}{worst}: more than 1% and less than 5%; whether they grow cannot be told from one state"
        )),
    }
    let (non_null, expected) = (sum(|module| module.types.non_null), sum(|module| module.types.expected_errors));
    cases.note(format!("{name}{counted}; {non_null} non-null assertions, {expected} @ts-expect-error"));
    format!("{name}strict, {share}, {counted}")
}

/// Files of settings that the front end's sources are compiled with.
fn configs(repository: &Repository, folder: &Path) -> Vec<PathBuf> {
    let root = folder.join("tsconfig.json");
    let names = ["tsconfig.app.json", "tsconfig.web.json"];
    if !repository.has(&root) {
        return names.iter().map(|name| folder.join(name)).filter(|path| repository.has(path)).collect();
    }
    let referred = references(repository, &root);
    let own =
        read(repository, &root).is_some_and(|config| config["files"].as_array().is_none_or(|files| !files.is_empty()));
    // What compiles the build's own configuration is not the app's.
    let tools =
        ["tsconfig.node.json", "tsconfig.vitest.json", "tsconfig.test.json", "tsconfig.spec.json", "tsconfig.e2e.json"];
    let is_tool =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| tools.contains(&name));
    let apps: Vec<PathBuf> = referred.into_iter().filter(|path| !is_tool(path) && path.starts_with(folder)).collect();
    if own || apps.is_empty() { vec![root] } else { apps }
}

fn strict(cases: &mut Cases, repository: &Repository, folder: &Path, name: &str) {
    let configs = configs(repository, folder);
    if configs.is_empty() {
        return cases.tried(false, format!("{name}there is no tsconfig.json"));
    }
    let by_default = default_is_strict(repository, folder);
    for config in &configs {
        let Some(options) = options_of(repository, config) else {
            return cases.told_nothing(format!("{} cannot be read", config.display()));
        };
        let off = ["noImplicitAny", "strictNullChecks", "strictFunctionTypes"]
            .iter()
            .find(|option| options.has(option) == Some(false));
        let is_strict = options.has("strict").unwrap_or(by_default);
        match (is_strict, off, &options.unknown) {
            (true, None, _) => {}
            (_, Some(off), _) => return cases.tried(false, format!("{}: {off} is off", config.display())),
            (false, _, Some(base)) if options.has("strict").is_none() => {
                return cases.told_nothing(format!(
                    "{} extends {base}, which is not there to be read: run `tsc --showConfig`",
                    config.display()
                ));
            }
            _ => return cases.tried(false, format!("{}: strict is {}", config.display(), said(&options))),
        }
    }
    let ignored = ["next.config.js", "next.config.mjs", "next.config.ts"].iter().find(|file| {
        let source = repository.sources().get(&folder.join(file));
        source.is_some_and(|source| source.code.replace([' ', '\n'], "").contains("ignoreBuildErrors:true"))
    });
    let said: Vec<String> = configs.iter().map(|config| config.display().to_string()).collect();
    cases.tried(
        ignored.is_none(),
        match ignored {
            Some(file) => {
                format!("{}: ignoreBuildErrors lets the build pass with type errors", folder.join(file).display())
            }
            None => format!("{}: strict", said.join(", ")),
        },
    );
}

fn said(options: &Options) -> &'static str {
    if options.has("strict").is_some() { "off" } else { "not set" }
}

/// From its sixth version on TypeScript is strict when nothing is said.
fn default_is_strict(repository: &Repository, folder: &Path) -> bool {
    let manifest = repository.text(folder.join("package.json"));
    let manifest: Value = manifest.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let version =
        manifest["devDependencies"]["typescript"].as_str().or_else(|| manifest["dependencies"]["typescript"].as_str());
    let version = version.unwrap_or_default().trim_start_matches(['^', '~', '=', 'v', '>', ' ']);
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 6)
}

#[cfg(test)]
mod tests {
    use seaworthy_repository::Outcome;

    use super::*;
    use crate::controls::seen;

    const PAGE: (&str, &str) = ("package.json", "{\"dependencies\": {\"vue\": \"3\"}}");
    const APP: (&str, &str) = ("src/a.ts", "export const a = (b: string): string => b;\n");

    #[test]
    fn the_effective_settings_count() {
        let solution = (
            "tsconfig.json",
            "{\"files\": [], \"references\": [{\"path\": \"./tsconfig.app.json\"}, {\"path\": \"./tsconfig.node.json\"}]}",
        );
        let app = ("tsconfig.app.json", "{\"extends\": \"@vue/tsconfig/tsconfig.dom.json\", \"include\": [\"src\"]}");
        let node = ("tsconfig.node.json", "{}");
        assert_eq!(seen(look, &[PAGE, APP, solution, app, node]).outcome, Outcome::Holds);
        let loose = ("tsconfig.app.json", "{\"compilerOptions\": {\"strict\": true, \"noImplicitAny\": false}}");
        assert!(matches!(seen(look, &[PAGE, APP, solution, loose, node]).outcome, Outcome::Broken(_)));
        let unknown = ("tsconfig.json", "{\"extends\": \"@acme/tsconfig\"}");
        assert!(matches!(seen(look, &[PAGE, APP, unknown]).outcome, Outcome::Unclear(_)));
        assert!(matches!(seen(look, &[PAGE, APP]).outcome, Outcome::Broken(_)));
        let six = ("package.json", "{\"dependencies\": {\"vue\": \"3\", \"typescript\": \"^6.0.2\"}}");
        assert_eq!(seen(look, &[six, APP, ("tsconfig.json", "{}")]).outcome, Outcome::Holds);
    }

    #[test]
    fn ways_out_and_plain_scripts_count() {
        let strict = ("tsconfig.json", "{\"compilerOptions\": {\"strict\": true}}");
        let any = ("src/b.ts", "export const a = (b: any, c: any) => (b as any).d as any;\n");
        assert!(matches!(seen(look, &[PAGE, strict, APP, any]).outcome, Outcome::Broken(_)));
        assert!(matches!(seen(look, &[PAGE, strict, APP, ("src/b.js", "let a;\n")]).outcome, Outcome::Broken(_)));
        assert!(matches!(
            seen(look, &[PAGE, strict, ("src/a.ts", "// @ts-nocheck\nlet a = 1;\n")]).outcome,
            Outcome::Broken(_)
        ));
        let words = ("src/b.ts", "const any = 'as any'; // any: any\nexport const b: string = any;\n");
        assert_eq!(seen(look, &[PAGE, strict, APP, words]).outcome, Outcome::Holds);
        assert!(matches!(seen(look, &[("app.py", "x = 1\n")]).outcome, Outcome::NotApplicable(_)));
    }
}
