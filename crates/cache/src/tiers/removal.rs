//! What is to be taken out, in words that hold for every tier and every node; and which of it happened lately.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use seaworthy_core::Purge;

use super::bytes::{Reader, Writer};
use crate::purge::{Site, tag_hash};

/// The first byte of a removal that is told to other nodes: the version of the layout.
const VERSION: u8 = 1;
/// So many are remembered. What is older than the oldest of them is not believed when it comes from another node.
const REMEMBERED: usize = 4_096;

/// Which answers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removal {
    /// One target on exactly this site: a request has changed it.
    Target {
        site: Vec<u8>,
        target: Vec<u8>,
    },
    Url(Site, Vec<u8>),
    Prefix(Site, Vec<u8>),
    /// The hash of a tag.
    Tag(u64),
    All,
}

impl Removal {
    /// The meaning of an order; `None` where it is for nothing.
    pub(crate) fn of(order: &Purge) -> Option<Self> {
        Some(match order {
            Purge::Url(url) => {
                let (site, target) = Site::of(url)?;
                Self::Url(site, if target.is_empty() { b"/".to_vec() } else { target.as_bytes().to_vec() })
            }
            Purge::Prefix(prefix) => {
                let (site, start) = Site::of(prefix)?;
                Self::Prefix(site, start.as_bytes().to_vec())
            }
            Purge::Tag(tag) => Self::Tag(tag_hash(tag.trim().as_bytes())),
            Purge::All(true) => Self::All,
            Purge::All(false) => return None,
        })
    }

    /// Whether it names what is at this target, or `None` where its tags decide.
    pub(crate) fn names(&self, site: &[u8], target: &[u8]) -> Option<bool> {
        Some(match self {
            Self::Target { site: wanted, target: exact } => site == &wanted[..] && target == &exact[..],
            Self::Url(wanted, exact) => target == &exact[..] && wanted.is(site),
            Self::Prefix(wanted, start) => target.starts_with(start) && wanted.is(site),
            Self::Tag(_) => return None,
            Self::All => true,
        })
    }

    fn names_answer(&self, site: &[u8], target: &[u8], tags: &[u64]) -> bool {
        self.names(site, target).unwrap_or_else(|| matches!(self, Self::Tag(tag) if tags.contains(tag)))
    }

    /// As other nodes are told.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut to = Writer::default();
        to.byte(VERSION);
        match self {
            Self::Target { site, target } => {
                to.byte(0);
                to.text(site);
                to.text(target);
            }
            Self::Url(site, text) | Self::Prefix(site, text) => {
                to.byte(if matches!(self, Self::Url(..)) { 1 } else { 2 });
                let (scheme, host) = site.parts().unwrap_or_default();
                to.text(scheme.as_bytes());
                to.text(host.as_bytes());
                to.text(text);
            }
            Self::Tag(tag) => {
                to.byte(3);
                to.long(*tag);
            }
            Self::All => to.byte(4),
        }
        to.0.into()
    }

    /// What another node told. What is not understood may mean everything, so that it does.
    pub(crate) fn from_bytes(bytes: &Bytes) -> Self {
        Self::read(Reader(bytes.clone())).unwrap_or(Self::All)
    }

    fn read(mut from: Reader) -> Option<Self> {
        if from.byte()? != VERSION {
            return None;
        }
        let kind = from.byte()?;
        let removal = match kind {
            0 => Self::Target { site: from.text()?.to_vec(), target: from.text()?.to_vec() },
            1 | 2 => {
                let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).ok();
                let site = Site::from_parts(text(from.text()?)?, text(from.text()?)?);
                let rest = from.text()?.to_vec();
                if kind == 1 { Self::Url(site, rest) } else { Self::Prefix(site, rest) }
            }
            3 => Self::Tag(from.long()?),
            4 => Self::All,
            _ => return None,
        };
        from.is_at_its_end().then_some(removal)
    }
}

/// The removals of late. An answer that a tier gives back is believed only when none of them names it.
#[derive(Default)]
pub(crate) struct Removals(Mutex<Lately>);

#[derive(Default)]
struct Lately {
    /// In the order in which they were heard of.
    known: VecDeque<Known>,
    /// The number of the next.
    next: u64,
    /// The numbers of those that are not on the disk yet.
    unwritten: BTreeSet<u64>,
    /// Answers of other nodes whose fetch began before this are not believed: who knows what was removed since.
    floor: u64,
    /// Up to where the log was read.
    position: u64,
    /// Others share the log, so that removals are remembered.
    shares: bool,
}

struct Known {
    number: u64,
    /// Where it stands in the log; `None` for our own that has not come back from there.
    at: Option<u64>,
    removal: Removal,
}

impl Removals {
    fn lock(&self) -> MutexGuard<'_, Lately> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on others share a log.
    pub(crate) fn share(&self) {
        self.lock().shares = true;
    }

    /// Our own, and not in the log yet. Returns its number.
    pub(crate) fn add(&self, removal: Removal) -> u64 {
        self.lock().push(None, removal)
    }

    /// One that stands in the log; `None` when it is our own that was added before.
    pub(crate) fn learn(&self, at: u64, removal: Removal) -> Option<u64> {
        let mut lately = self.lock();
        lately.position = lately.position.max(at);
        if lately.known.iter().any(|known| known.at == Some(at)) {
            return None;
        }
        match lately.known.iter_mut().find(|known| known.at.is_none() && known.removal == removal) {
            Some(ours) => {
                ours.at = Some(at);
                None
            }
            None => Some(lately.push(Some(at), removal)),
        }
    }

    /// Our own stands in the log now.
    pub(crate) fn stands(&self, number: u64, at: u64) {
        if let Some(ours) = self.lock().known.iter_mut().find(|known| known.number == number) {
            ours.at.get_or_insert(at);
        }
    }

    /// Some may have been missed: what other nodes stored up to here is not believed. The log may have been set back.
    pub(crate) fn forget_before(&self, position: u64) {
        let mut lately = self.lock();
        (lately.position, lately.floor) = (position, position);
    }

    /// Up to where the log was read.
    pub(crate) fn position(&self) -> u64 {
        self.lock().position
    }

    /// It is on the disk.
    pub(crate) fn wrote(&self, number: u64) {
        let mut lately = self.lock();
        lately.unwritten.remove(&number);
        if !lately.shares {
            let written = lately.written();
            lately.known.retain(|known| known.number >= written);
        }
    }

    /// All with smaller numbers are on the disk. To be asked before something is read from there.
    pub(crate) fn written(&self) -> u64 {
        self.lock().written()
    }

    /// Whether one that was not on the disk when it was read names the answer.
    pub(crate) fn hit_since(&self, written: u64, (site, target): (&[u8], &[u8]), tags: &[u64]) -> bool {
        let lately = self.lock();
        lately
            .known
            .iter()
            .rev()
            .take_while(|known| known.number >= written)
            .any(|known| known.removal.names_answer(site, target, tags))
    }

    /// Whether an answer of another node, whose fetch began at that position, must not be believed.
    pub(crate) fn hit_shared(&self, since: u64, (site, target): (&[u8], &[u8]), tags: &[u64]) -> bool {
        let lately = self.lock();
        since < lately.floor
            // Later than all that is known here: of a log that was set back.
            || since > lately.position
            || since == 0
            || lately
                .known
                .iter()
                .any(|known| known.at.is_none_or(|at| at > since) && known.removal.names_answer(site, target, tags))
    }
}

impl Lately {
    fn written(&self) -> u64 {
        self.unwritten.first().copied().unwrap_or(self.next)
    }

    fn push(&mut self, at: Option<u64>, removal: Removal) -> u64 {
        let number = self.next;
        self.next += 1;
        self.known.push_back(Known { number, at, removal });
        self.unwritten.insert(number);
        // One that is not on the disk is needed for what is read there.
        if self.known.len() > REMEMBERED
            && let Some(oldest) = self.known.pop_front_if(|oldest| !self.unwritten.contains(&oldest.number))
        {
            // Of one that is not in the log nobody knows which answers were there before it.
            self.floor = self.floor.max(oldest.at.unwrap_or(self.position));
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removals() -> Vec<Removal> {
        vec![
            Removal::Target { site: b"http://a.test b.test".to_vec(), target: b"/a\xff".to_vec() },
            Removal::of(&Purge::Url("/a".into())).unwrap(),
            Removal::of(&Purge::Url("https://A.test".into())).unwrap(),
            Removal::of(&Purge::Prefix("http://a.test/a".into())).unwrap(),
            Removal::of(&Purge::Tag(" t ".into())).unwrap(),
            Removal::All,
        ]
    }

    #[test]
    fn other_nodes_understand_what_they_are_told_and_forget_all_when_they_do_not() {
        for removal in removals() {
            let bytes = removal.to_bytes();
            assert_eq!(Removal::from_bytes(&bytes), removal);
            for length in 0..bytes.len() {
                assert_eq!(Removal::from_bytes(&bytes.slice(..length)), Removal::All, "{removal:?} {length}");
            }
            assert_eq!(Removal::from_bytes(&[&bytes[..], b"x"].concat().into()), Removal::All);
        }
        assert_eq!(Removal::of(&Purge::All(false)), None);
    }

    const A: (&[u8], &[u8]) = (b"http://a.test", b"/a");

    fn of_a() -> Removal {
        Removal::of(&Purge::Url("/a".into())).unwrap()
    }

    #[test]
    fn what_was_read_before_a_removal_was_written_is_not_believed() {
        let removals = Removals::default();
        let before = removals.written();
        let number = removals.add(of_a());
        assert!(removals.hit_since(before, A, &[]) && !removals.hit_since(before, (A.0, b"/b"), &[]));
        removals.wrote(number);
        assert!(!removals.hit_since(removals.written(), A, &[]));
        let second = removals.add(Removal::Tag(7));
        assert!(removals.hit_since(second, A, &[7]) && !removals.hit_since(second, A, &[8]));
        // Whichever is written first.
        let third = removals.add(of_a());
        removals.wrote(third);
        assert_eq!(removals.written(), second);
        removals.wrote(second);
        assert_eq!(removals.written(), third + 1);
    }

    #[test]
    fn what_others_stored_is_believed_only_when_nothing_removed_it_since() {
        let removals = Removals::default();
        removals.share();
        assert!(removals.learn(10, of_a()).is_some());
        assert!(removals.hit_shared(11, (A.0, b"/b"), &[]), "of another log");
        removals.learn(99, Removal::Tag(1));
        assert!(
            removals.hit_shared(9, A, &[])
                && !removals.hit_shared(10, A, &[])
                && !removals.hit_shared(9, (A.0, b"/b"), &[])
        );
        // Our own counts before it is in the log, and once it is, by its place there.
        removals.add(Removal::Tag(7));
        assert!(removals.hit_shared(99, A, &[7]));
        assert!(removals.learn(120, Removal::Tag(7)).is_none());
        assert!(removals.hit_shared(119, A, &[7]) && !removals.hit_shared(120, A, &[7]));
        let number = removals.add(Removal::Tag(9));
        removals.stands(number, 125);
        assert!(removals.learn(125, Removal::Tag(9)).is_none(), "whichever is heard first");
        removals.forget_before(130);
        assert!(removals.hit_shared(129, (A.0, b"/b"), &[]) && !removals.hit_shared(130, (A.0, b"/b"), &[]));
        assert_eq!(removals.position(), 130);
    }

    #[test]
    fn what_is_older_than_the_oldest_that_is_known_is_not_believed() {
        let removals = Removals::default();
        removals.share();
        for at in 1..=REMEMBERED as u64 + 5 {
            let number = removals.learn(at, Removal::Tag(7)).unwrap();
            removals.wrote(number);
        }
        assert!(removals.hit_shared(4, A, &[]) && !removals.hit_shared(5, A, &[]));
    }
}
