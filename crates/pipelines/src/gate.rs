//! Whether a pipeline runs a kind of tool where its failure counts.

use seaworthy_repository::{
    Repository,
    pipeline::{Event, Failure, Occasions, Pipelines, Purpose, Run, Truth},
};

/// What is asked for.
pub(crate) struct Wanted<'w> {
    /// The kind of tool.
    pub(crate) purpose: Purpose,
    /// As people call it: `tests`.
    pub(crate) name: &'w str,
    /// When it must run.
    pub(crate) when: fn(&Occasions) -> Truth,
    /// How `when` is said: `on each proposed change`.
    pub(crate) when_name: &'w str,
    /// Words that a command or file has which may hide such a tool; empty for any.
    pub(crate) hints: &'w [&'w str],
    /// Words of what hides none.
    pub(crate) others: &'w [&'w str],
}

/// What is found.
pub(crate) enum Gate<'p> {
    /// These count.
    Holds(Vec<Run<'p>>),
    /// It is not there, or does not count.
    Broken(String),
    /// It cannot be told.
    Unclear(String),
}

/// Whether any tool of a kind counts.
pub(crate) fn gate<'p>(repository: &'p Repository, wanted: &Wanted<'_>) -> Gate<'p> {
    let pipelines = repository.pipelines();
    let runs = pipelines.runs(wanted.purpose);
    let counts = |run: &Run<'_>| (wanted.when)(&run.placed.occasions()) == Truth::Yes && holds_back(pipelines, run);
    let (effective, others): (Vec<_>, Vec<_>) = runs.into_iter().partition(counts);
    if !effective.is_empty() {
        return Gate::Holds(effective);
    }
    let open = |run: &&Run<'_>| {
        (wanted.when)(&run.placed.occasions()) >= Truth::Maybe && !matches!(run.failure(), Failure::Ignored(_))
    };
    if let Some(run) = others.iter().find(open) {
        let filter = path_filter(repository, run).filter(|_| (wanted.when)(&run.placed.occasions()) == Truth::Maybe);
        return Gate::Unclear(match filter {
            Some(filter) => format!("{}: {filter}", described(run)),
            None => format!("{}: {}", described(run), reason(run, wanted)),
        });
    }
    let hinted = |text: &str| {
        let text = text.to_lowercase();
        let has = |list: &[&str]| list.iter().any(|hint| text.contains(hint));
        (wanted.hints.is_empty() || has(wanted.hints)) && !has(wanted.others)
    };
    let hidden = pipelines.opaque().into_iter().filter(|(_, occasions)| (wanted.when)(occasions) >= Truth::Maybe);
    if let Some((what, _)) = hidden.into_iter().find(|(what, _)| hinted(what)) {
        return Gate::Unclear(format!("nothing that can be seen runs {}, but this may: {what}", wanted.name));
    }
    let why = match others.first() {
        // What comes closest is named: it runs when it should, or at least often.
        Some(first) => {
            let closest =
                others.iter().find(|run| (wanted.when)(&run.placed.occasions()) == Truth::Yes).unwrap_or(first);
            format!("{}: {}", described(closest), reason(closest, wanted))
        }
        None => nothing(pipelines, wanted),
    };
    match repository.not_whole() {
        Some(cut) => Gate::Unclear(format!("{why}; {cut}")),
        None => Gate::Broken(why),
    }
}

/// How the file of a run keeps it to changes of some paths, when it does.
pub(crate) fn path_filter(repository: &Repository, run: &Run<'_>) -> Option<String> {
    let text = repository.text(&run.placed.pipeline.file)?;
    let line = text.lines().map(|line| line.trim_start_matches([' ', '-']));
    let key = line.filter_map(|line| line.split_once(':')).map(|(key, _)| key);
    let key = key.into_iter().find(|key| ["paths", "paths-ignore", "changes"].contains(key))?;
    Some(format!("its file filters by `{key}`: a change to other files may not be checked"))
}

/// Whether its failure counts: its own, or that of the place that it reports to.
fn holds_back(pipelines: &Pipelines, run: &Run<'_>) -> bool {
    if run.failure() == Failure::Stops {
        return true;
    }
    // Code scanning refuses a change by itself when a report says so.
    run.placed.failure() == Failure::Stops && run.tool.lenient(run.placed.command).is_some() && uploads(pipelines, run)
}

/// Whether its job uploads a report to code scanning.
fn uploads(pipelines: &Pipelines, run: &Run<'_>) -> bool {
    let of_job = pipelines.commands().filter(|placed| std::ptr::eq(placed.job, run.placed.job));
    of_job.into_iter().any(|placed| {
        placed.command.words.first().is_some_and(|word| word == "github/codeql-action/upload-sarif")
            && placed.failure() == Failure::Stops
    })
}

fn described(run: &Run<'_>) -> String {
    format!("{} at {}", run.placed.name(), run.placed.place())
}

/// Why a run does not count.
pub(crate) fn reason(run: &Run<'_>, wanted: &Wanted<'_>) -> String {
    match run.failure() {
        Failure::Ignored(why) | Failure::Unsure(why) => return why,
        Failure::Stops => {}
    }
    let occasions = run.placed.occasions();
    let on = |event| occasions.on(event) == Truth::Yes;
    let when = match () {
        () if occasions.ever() == Truth::No => "it never runs",
        () if (wanted.when)(&occasions) == Truth::Maybe => "whether it runs there is not in the files",
        () if on(Event::DefaultBranch) => "it runs only when the change is merged already",
        () if on(Event::Schedule) => "it runs only by the clock",
        () if on(Event::Tag) => "it runs only on tags",
        () if on(Event::Manual) => "it runs only by hand",
        () => "it runs only on some branches",
    };
    format!("{when}, not {}", wanted.when_name)
}

fn nothing(pipelines: &Pipelines, wanted: &Wanted<'_>) -> String {
    let count = pipelines.commands().count();
    match pipelines.all.len() {
        0 if pipelines.unreadable.is_empty() => format!("there is no pipeline, so none that runs {}", wanted.name),
        0 => pipelines.unreadable.join("; "),
        files => format!(
            "none of the {count} commands in {files} pipeline file{} runs {}",
            if files == 1 { "" } else { "s" },
            wanted.name
        ),
    }
}

/// Runs as a line: each tool once, with its first place.
pub(crate) fn listed(runs: &[Run<'_>]) -> String {
    let mut seen: Vec<(&str, String)> = Vec::new();
    for run in runs {
        let name = run.tool.name_in(run.placed.command);
        if !seen.iter().any(|(seen, _)| *seen == name) {
            seen.push((name, run.placed.place()));
        }
    }
    let named = seen.iter().take(5).map(|(name, place)| format!("{name} at {place}"));
    let more = seen.len().saturating_sub(5);
    let mut text = named.collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
