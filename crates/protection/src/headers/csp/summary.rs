//! What reports came to: a bounded table in memory, of what was forbidden where and how often.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use super::report::{Batch, Violation};

/// So many kinds of violation are told apart.
const MOST_KINDS: usize = 300;
/// So many pages and clients are remembered of each.
const MOST_PAGES: usize = 5;
const MOST_CLIENTS: usize = 10;
/// Reports of all clients in a second: more is no crowd of readers.
const MOST_A_SECOND: u32 = 100;

/// What browsers reported to this Seaworthy since it started. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct CspFindings(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    kinds: HashMap<Violation, Count>,
    ignored: u64,
    dropped: u64,
    second: i64,
    in_second: u32,
}

#[derive(Debug, Default)]
struct Count {
    reports: u64,
    first: i64,
    last: i64,
    pages: BTreeSet<String>,
    clients: BTreeSet<IpAddr>,
}

/// One kind of violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// The directive that forbids it.
    pub directive: &'static str,
    /// What it forbids: a source, `inline` or `eval`.
    pub blocked: String,
    /// How often it was reported.
    pub reports: u64,
    /// By how many addresses; more than ten are not counted.
    pub clients: usize,
    /// Some of the pages.
    pub pages: Vec<String>,
    /// Microseconds since 1970.
    pub first_seen: i64,
    /// Microseconds since 1970.
    pub last_seen: i64,
    #[serde(skip)]
    pub(super) violation: Violation,
}

impl CspFindings {
    /// Takes a batch at this time (microseconds since 1970), unless too many come.
    pub(super) fn add(&self, batch: Batch, client: Option<IpAddr>, now: i64) -> bool {
        let mut table = self.table();
        let second = now / 1_000_000;
        if table.second != second {
            (table.second, table.in_second) = (second, 0);
        }
        if table.in_second >= MOST_A_SECOND {
            table.dropped += 1;
            return false;
        }
        table.in_second += 1;
        table.ignored += batch.ignored;
        for (violation, page) in batch.violations {
            table.count(violation, page, client, now);
        }
        true
    }

    /// Every kind, the most frequent first.
    pub fn seen(&self) -> Vec<Seen> {
        let table = self.table();
        let told = |(violation, count): (&Violation, &Count)| Seen {
            directive: violation.directive,
            blocked: violation.blocked.name(),
            reports: count.reports,
            clients: count.clients.len(),
            pages: count.pages.iter().cloned().collect(),
            first_seen: count.first,
            last_seen: count.last,
            violation: violation.clone(),
        };
        let mut seen: Vec<Seen> = table.kinds.iter().map(told).collect();
        drop(table);
        seen.sort_by(|one, two| two.reports.cmp(&one.reports).then_with(|| one.violation.cmp(&two.violation)));
        seen
    }

    /// Reports that were not about our pages, and requests that were too many.
    pub fn left_out(&self) -> (u64, u64) {
        let table = self.table();
        (table.ignored, table.dropped)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn count(&mut self, violation: Violation, page: String, client: Option<IpAddr>, now: i64) {
        if !self.kinds.contains_key(&violation) && self.kinds.len() >= MOST_KINDS {
            self.forget_one();
        }
        let count = self.kinds.entry(violation).or_insert_with(|| Count { first: now, ..Count::default() });
        count.reports += 1;
        count.last = now;
        if count.pages.len() < MOST_PAGES {
            count.pages.insert(page);
        }
        if let Some(client) = client
            && count.clients.len() < MOST_CLIENTS
        {
            count.clients.insert(crate::rate_limit::network(client));
        }
    }

    /// The one that the fewest clients reported, and of those the one not seen for longest: nobody alone can push out what
    /// many see.
    fn forget_one(&mut self) {
        let rarest = self.kinds.iter().min_by_key(|(_, count)| (count.clients.len(), count.last));
        if let Some(rarest) = rarest.map(|(violation, _)| violation.clone()) {
            self.kinds.remove(&rarest);
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::report::Blocked, *};

    fn batch(origin: &str) -> Batch {
        let blocked = Blocked::Origin(format!("https://{origin}.example"));
        Batch { violations: vec![(Violation { directive: "img-src", blocked }, "/a".into())], ignored: 0 }
    }

    fn client(number: u8) -> Option<IpAddr> {
        Some([192, 0, 2, number].into())
    }

    #[test]
    fn kinds_are_counted_by_reports_and_clients() {
        let findings = CspFindings::default();
        for number in 0..30 {
            assert!(findings.add(batch("cdn"), client(number), i64::from(number)));
        }
        findings.add(batch("other"), client(1), 40);
        let seen = findings.seen();
        assert_eq!((seen[0].reports, seen[0].clients, seen[0].blocked.as_str()), (30, 10, "https://cdn.example"));
        assert_eq!((seen[0].first_seen, seen[0].last_seen), (0, 29));
        assert_eq!((seen[1].reports, seen[1].clients), (1, 1));
        for number in 0..20_u16 {
            findings.add(batch("forged"), Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, number].into()), 60 + i64::from(number));
        }
        let forged = findings.seen().into_iter().find(|one| one.blocked == "https://forged.example").unwrap();
        assert_eq!(forged.clients, 1, "whoever has one address of IPv6 has the whole network");
    }

    #[test]
    fn a_flood_of_kinds_pushes_out_nothing_that_many_see() {
        let findings = CspFindings::default();
        findings.add(batch("real"), client(1), 0);
        findings.add(batch("real"), client(2), 1);
        for number in 0..2_000_i64 {
            findings.add(batch(&format!("x{number}")), client(9), number * 1_000_000);
        }
        let seen = findings.seen();
        assert_eq!(seen.len(), MOST_KINDS);
        assert!(seen.iter().any(|one| one.blocked == "https://real.example"));
        assert!(findings.left_out().1 > 0);
    }

    #[test]
    fn more_than_a_hundred_a_second_are_dropped() {
        let findings = CspFindings::default();
        let taken = (0..250).filter(|_| findings.add(batch("a"), client(1), 5_000_000)).count();
        assert_eq!(taken, 100);
        assert!(findings.add(batch("a"), client(1), 6_000_000));
        assert_eq!(findings.left_out(), (0, 150));
    }
}
