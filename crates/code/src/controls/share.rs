//! A share of public things, by language: what types and documentation have in common.

use std::{collections::BTreeMap, path::Path};

use seaworthy_repository::{Cases, Repository, Sighting};

use crate::{
    code::Code,
    module::Module,
    shipped::{is_asset, shipped},
};

/// Of a language, or of the whole.
#[derive(Debug, Default, Clone)]
pub(crate) struct Share {
    pub(crate) all: usize,
    pub(crate) with: usize,
    /// Where the first ones without are.
    without: Vec<String>,
}

/// Shares by language.
pub(crate) type Shares = BTreeMap<&'static str, Share>;

/// So many of a hundred are enough.
const ENOUGH: usize = 95;
/// Fewer than this in one language do not decide alone.
const FEW: usize = 5;

impl Share {
    pub(crate) fn take(&mut self, has: bool, module: &Module, line: u32, name: &str) {
        self.all += 1;
        self.with += usize::from(has);
        if !has && self.without.len() < 12 {
            self.without.push(format!("{} {name}", module.at(line)));
        }
    }

    fn is_enough(&self) -> bool {
        self.with * 100 >= self.all * ENOUGH
    }

    fn percent(&self) -> usize {
        self.with * 100 / self.all.max(1)
    }
}

/// The modules whose public things others may use: the app's own, neither private by their name nor a browser's assets.
pub(crate) fn offered<'c>(
    code: &'c Code,
    repository: &'c Repository,
    control: &'c str,
) -> impl Iterator<Item = &'c Module> {
    shipped(code, repository, control).filter(|module| !is_private(&module.path) && !is_asset(&module.path))
}

/// A module that Python calls private.
fn is_private(path: &Path) -> bool {
    path.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name.starts_with('_') && !name.starts_with("__")
    })
}

/// Judges the shares: each language with more than a few must have enough, and all together.
pub(crate) fn judge(shares: &Shares, code: &Code, what: &str, of: &str) -> Sighting {
    let total = shares.values().fold(Share::default(), |mut total, share| {
        total.all += share.all;
        total.with += share.with;
        total.without.extend(share.without.iter().cloned());
        total
    });
    if total.all == 0 {
        return match code.own().next() {
            None => Sighting::not_applicable("there is no source of a language that is read as a tree"),
            Some(_) => Sighting::unclear(format!("no {of} found in {} source files", code.own().count())),
        };
    }
    let deciding: Vec<_> = shares.iter().filter(|(_, share)| share.all >= FEW).collect();
    let mut cases = Cases::plan(deciding.len() + 1);
    for (language, share) in deciding {
        let first = share.without.first().map_or(String::new(), |first| format!("; the first without: {first}"));
        let seen = format!(
            "{language}: {} of {} {of} ({}%) {what}, {ENOUGH}% are wanted{first}",
            share.with,
            share.all,
            share.percent()
        );
        cases.tried(share.is_enough(), seen);
    }
    let by_language = |(language, share): (&&str, &Share)| format!("{language} {} of {}", share.with, share.all);
    let list: Vec<String> = shares.iter().map(by_language).collect();
    let list = list.join(", ");
    let summary = format!("{} of {} {of} ({}%) {what} ({list})", total.with, total.all, total.percent());
    let first = total.without.first().map_or(String::new(), |first| format!("; the first without: {first}"));
    cases.tried(total.is_enough(), format!("{summary}, {ENOUGH}% are wanted{first}"));
    total.without.iter().for_each(|line| cases.note(format!("without: {line}")));
    code.unread().for_each(|line| cases.note(format!("not read: {line}")));
    if let Some(why) = &code.not_whole {
        cases.told_nothing(why.clone());
    }
    cases.sighting(summary)
}
