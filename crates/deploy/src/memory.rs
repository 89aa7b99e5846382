//! How much memory an instance takes, and when that is too much.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    sync::Arc,
};

/// So many looks in a row must be over the limit: a peak that is over before the second is no leak.
const TOO_MUCH_AFTER: u32 = 2;

/// Bytes by process group.
pub(crate) type Samples = Arc<HashMap<u32, u64>>;

/// The looks at one process so far.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    over: u32,
}

/// An instance takes too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// It is replaced in peace.
    Over(u64),
    /// By half of the limit and more: it is killed before it takes the machine with it.
    FarOver(u64),
}

impl Gauge {
    /// Takes one look into account.
    pub(crate) fn judge(&mut self, bytes: u64, limit: u64) -> Option<Excess> {
        if bytes <= limit {
            self.over = 0;
            return None;
        }
        if bytes > limit.saturating_add(limit / 2) {
            return Some(Excess::FarOver(bytes));
        }
        self.over += 1;
        (self.over >= TOO_MUCH_AFTER).then(|| {
            self.over = 0;
            Excess::Over(bytes)
        })
    }
}

/// Memory of whole process groups, in one walk over `proc` (the folder `/proc`). It blocks. Shared pages are counted by
/// share (PSS) where the kernel tells, else whole (RSS). Groups that are gone, or a system without `/proc`, are left out.
pub(crate) fn measure(proc: &Path, groups: &HashSet<u32>) -> HashMap<u32, u64> {
    let mut found = HashMap::new();
    for entry in fs::read_dir(proc).into_iter().flatten().flatten() {
        let folder = entry.path();
        let is_process = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_process {
            continue;
        }
        if let Some(group) = group_of(&folder).filter(|group| groups.contains(group)) {
            *found.entry(group).or_default() += bytes_of(&folder);
        }
    }
    found
}

/// The fifth field of `stat`; the second one is a name that may hold spaces and brackets.
fn group_of(process: &Path) -> Option<u32> {
    let text = fs::read(process.join("stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(2)?.parse().ok()
}

fn bytes_of(process: &Path) -> u64 {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(process.join(file)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    // Both are in KiB, whatever they say. A process that ended meanwhile takes nothing.
    let kibibytes = field("smaps_rollup", "Pss:").or_else(|| field("status", "VmRSS:")).unwrap_or(0);
    kibibytes.saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_looks_over_the_limit_are_too_much_and_half_more_is_at_once() {
        let mut gauge = Gauge::default();
        assert_eq!(gauge.judge(101, 100), None);
        assert_eq!(gauge.judge(100, 100), None);
        assert_eq!(gauge.judge(101, 100), None);
        assert_eq!(gauge.judge(150, 100), Some(Excess::Over(150)));
        assert_eq!(gauge.judge(120, 100), None, "counted anew");
        assert_eq!(gauge.judge(151, 100), Some(Excess::FarOver(151)));
    }

    #[test]
    fn a_group_is_summed_by_share_where_the_kernel_tells() {
        let proc = tempfile::tempdir().unwrap();
        let process = |id: u32, group: u32, files: &[(&str, &str)]| {
            let folder = proc.path().join(id.to_string());
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("stat"), format!("{id} (a) (b c) S 1 {group} 7 0")).unwrap();
            for (name, text) in files {
                fs::write(folder.join(name), text).unwrap();
            }
        };
        process(10, 10, &[("smaps_rollup", "x\nRss: 900 kB\nPss:   100 kB\n"), ("status", "VmRSS: 900 kB\n")]);
        process(11, 10, &[("status", "Name:\ta\nVmRSS:\t  20 kB\n")]);
        process(12, 12, &[("status", "VmRSS: 5 kB\n")]);
        fs::create_dir(proc.path().join("self")).unwrap();
        let found = measure(proc.path(), &HashSet::from([10, 99]));
        assert_eq!(found, HashMap::from([(10, 120 * 1024)]));
    }
}
