//! What is to be taken out, in words that hold for every tier and every node; and which of it happened lately.

use std::{
    collections::{BTreeSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use seaworthy_core::Purge;
use sha2::{Digest, Sha256};

use super::bytes::{Reader, Writer};
use crate::purge::{Site, tag_hash};

/// The first byte of a removal that is told to other nodes: the version of the layout.
const VERSION: u8 = 1;
/// So many are remembered. What is older than the oldest of them is not believed when it comes from another node.
const REMEMBERED: usize = 4_096;
/// A target that is longer with its site is told by its digest, so that nothing a client sends is too long for the log.
pub(crate) const LONG: usize = 4_096;

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
    /// A target too long to be told, by the digest of it and of its site.
    Long([u8; 32]),
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
            Self::Long(wanted) => is_long(site, target) && *wanted == digest(site, target),
        })
    }

    fn names_answer(&self, site: &[u8], target: &[u8], tags: &[u64]) -> bool {
        self.names(site, target).unwrap_or_else(|| matches!(self, Self::Tag(tag) if tags.contains(tag)))
    }

    /// What other nodes are told of it.
    pub(crate) fn to_tell(&self) -> Self {
        match self {
            Self::Target { site, target } if is_long(site, target) => Self::Long(digest(site, target)),
            other => other.clone(),
        }
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
            Self::Long(digest) => {
                to.byte(5);
                to.text(digest);
            }
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
            5 => Self::Long(from.text()?[..].try_into().ok()?),
            _ => return None,
        };
        from.is_at_its_end().then_some(removal)
    }
}

/// Whether it is told by its digest.
fn is_long(site: &[u8], target: &[u8]) -> bool {
    site.len() + target.len() > LONG
}

fn digest(site: &[u8], target: &[u8]) -> [u8; 32] {
    let length = (site.len() as u64).to_le_bytes();
    Sha256::new().chain_update(length).chain_update(site).chain_update(target).finalize().into()
}

/// A removal in the log, and who told it: by its equal alone another node's could be taken for our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub node: u64,
    /// The number that it has there.
    pub number: u64,
    pub removal: Removal,
}

impl Told {
    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut to = Writer::default();
        to.long(self.node);
        to.long(self.number);
        to.0.extend_from_slice(&self.removal.to_bytes());
        to.0.into()
    }

    /// What is not understood is nobody's, and means everything.
    pub(crate) fn from_bytes(bytes: &Bytes) -> Self {
        let mut from = Reader(bytes.clone());
        let (node, number) = (from.long(), from.long());
        match (node, number) {
            (Some(node), Some(number)) => Self { node, number, removal: Removal::from_bytes(&from.0) },
            _ => Self { node: 0, number: 0, removal: Removal::All },
        }
    }
}

/// The removals of late. An answer that a tier gives back is believed only when none of them names it.
pub(crate) struct Removals {
    /// Who we are in the log: another with every start, and never 0.
    node: u64,
    lately: Mutex<Lately>,
}

impl Default for Removals {
    fn default() -> Self {
        // The standard library's keys are random for each process; a library for one number is not worth it.
        Self { node: RandomState::new().hash_one("node").max(1), lately: Mutex::default() }
    }
}

#[derive(Default)]
struct Lately {
    /// In the order in which they were heard of.
    known: VecDeque<Known>,
    /// The number of the next.
    next: u64,
    /// The numbers of those that are not on the disk yet.
    unwritten: BTreeSet<u64>,
    /// Of smaller numbers some are not known any more: what was looked up since before them is not believed.
    forgotten: u64,
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
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on others share a log.
    pub(crate) fn share(&self) {
        self.lock().shares = true;
    }

    /// Our own, and not in the log yet. Returns its number.
    pub(crate) fn add(&self, removal: Removal) -> u64 {
        self.lock().push(None, removal)
    }

    /// How our own is told.
    pub(crate) fn to_tell(&self, number: u64, removal: &Removal) -> Bytes {
        Told { node: self.node, number, removal: removal.to_tell() }.to_bytes()
    }

    /// One that stands in the log; `None` when it is our own: that was carried out before it was told.
    pub(crate) fn learn(&self, at: u64, told: Told) -> Option<u64> {
        let mut lately = self.lock();
        lately.position = lately.position.max(at);
        if told.node == self.node {
            lately.stands(told.number, at);
            return None;
        }
        Some(lately.push(Some(at), told.removal))
    }

    /// Our own stands in the log now.
    pub(crate) fn stands(&self, number: u64, at: u64) {
        self.lock().stands(number, at);
    }

    /// One that removes everything stands for these of our own, which will not be told themselves. Returns its number.
    pub(crate) fn instead_of(&self, numbers: &BTreeSet<u64>) -> u64 {
        let mut lately = self.lock();
        let number = lately.push(None, Removal::All);
        lately.known.retain(|known| known.at.is_some() || !numbers.contains(&known.number));
        // Theirs are carried out here already, one by one.
        lately.unwritten.remove(&number);
        number
    }

    /// At the start: what other nodes stored up to here is not believed.
    pub(crate) fn forget_before(&self, position: u64) {
        let mut lately = self.lock();
        (lately.position, lately.floor) = (position, position);
    }

    /// Some may have been missed, and the log may have been set back: everything goes. Returns the number of that removal,
    /// and whether we were further than the log is now, so that it has lost some.
    pub(crate) fn begin_again(&self, position: u64) -> (u64, bool) {
        let mut lately = self.lock();
        let before = lately.position;
        lately.floor = lately.floor.max(before).max(position);
        lately.position = position;
        (lately.push(Some(position), Removal::All), before > position)
    }

    /// Up to where the log was read.
    pub(crate) fn position(&self) -> u64 {
        self.lock().position
    }

    /// It is on the disk.
    pub(crate) fn wrote(&self, number: u64) {
        self.lock().unwritten.remove(&number);
    }

    /// All with smaller numbers are on the disk. To be asked before something is read from there.
    pub(crate) fn written(&self) -> u64 {
        self.lock().written()
    }

    /// Whether one that was not on the disk when it was read names the answer.
    pub(crate) fn hit_since(&self, written: u64, (site, target): (&[u8], &[u8]), tags: &[u64]) -> bool {
        let lately = self.lock();
        written < lately.forgotten
            || lately
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

    fn stands(&mut self, number: u64, at: u64) {
        if let Some(ours) = self.known.iter_mut().find(|known| known.number == number) {
            ours.at.get_or_insert(at);
        }
    }

    fn push(&mut self, at: Option<u64>, removal: Removal) -> u64 {
        let number = self.next;
        self.next += 1;
        // A later one says all that an equal one said, unless only that one is still to get its place in the log.
        let equal = |known: &Known| (known.at.is_some() || at.is_none()) && known.removal == removal;
        if let Some(place) = self.known.iter().rposition(equal) {
            self.known.remove(place);
        }
        self.known.push_back(Known { number, at, removal });
        self.unwritten.insert(number);
        self.shorten();
        number
    }

    /// Forgets the oldest that may be: not one that is not on the disk, for it is needed for what is read there, and not one
    /// that is to be told, for nobody knows which answers of other nodes were there before it.
    fn shorten(&mut self) {
        let may_go = |known: &Known| !self.unwritten.contains(&known.number) && (known.at.is_some() || !self.shares);
        if self.known.len() > REMEMBERED
            && let Some(gone) = self.known.iter().position(may_go).and_then(|place| self.known.remove(place))
        {
            self.floor = self.floor.max(gone.at.unwrap_or(self.position + 1));
            self.forgotten = self.forgotten.max(gone.number + 1);
        }
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
            Removal::Target { site: b"http://a.test".to_vec(), target: vec![b'a'; LONG] }.to_tell(),
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

    fn others(removal: Removal) -> Told {
        Told { node: 1, number: 0, removal }
    }

    fn own(removals: &Removals, number: u64, removal: Removal) -> Told {
        Told { node: removals.node, number, removal }
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
        assert!(removals.learn(10, others(of_a())).is_some());
        assert!(removals.hit_shared(11, (A.0, b"/b"), &[]), "of another log");
        removals.learn(99, others(Removal::Tag(1)));
        assert!(
            removals.hit_shared(9, A, &[])
                && !removals.hit_shared(10, A, &[])
                && !removals.hit_shared(9, (A.0, b"/b"), &[])
        );
        // Our own counts before it is in the log, and once it is, by its place there.
        let ours = removals.add(Removal::Tag(7));
        assert!(removals.hit_shared(99, A, &[7]));
        assert!(removals.learn(120, own(&removals, ours, Removal::Tag(7))).is_none());
        assert!(removals.hit_shared(119, A, &[7]) && !removals.hit_shared(120, A, &[7]));
        let number = removals.add(Removal::Tag(9));
        removals.stands(number, 125);
        assert!(removals.learn(125, own(&removals, number, Removal::Tag(9))).is_none(), "whichever is heard first");
        removals.forget_before(130);
        assert!(removals.hit_shared(129, (A.0, b"/b"), &[]) && !removals.hit_shared(130, (A.0, b"/b"), &[]));
        assert_eq!(removals.position(), 130);
    }

    #[test]
    fn what_is_older_than_the_oldest_that_is_known_is_not_believed() {
        let removals = Removals::default();
        removals.share();
        for at in 1..=REMEMBERED as u64 + 5 {
            let number = removals.learn(at, others(Removal::Tag(at))).unwrap();
            removals.wrote(number);
        }
        assert!(removals.hit_shared(4, A, &[]) && !removals.hit_shared(5, A, &[]));
    }

    #[test]
    fn a_look_that_began_before_a_removal_was_written_is_not_believed_after_it_was() {
        for shares in [false, true] {
            let removals = Removals::default();
            removals.lock().shares = shares;
            let number = removals.add(of_a());
            let looking = removals.written();
            removals.wrote(number);
            assert!(removals.hit_since(looking, A, &[]), "{shares}");
            assert!(!removals.hit_since(looking, (A.0, b"/b"), &[]), "{shares}");
            // So many within one look that they are not all known any more.
            for tag in 0..=REMEMBERED as u64 {
                let number = removals.add(Removal::Tag(tag));
                removals.stands(number, tag + 1);
                removals.wrote(number);
            }
            assert!(removals.hit_since(looking, A, &[]), "{shares}");
            assert!(!removals.hit_since(removals.written(), A, &[]), "{shares}");
        }
    }

    #[test]
    fn anothers_removal_is_not_taken_for_our_own() {
        let removals = Removals::default();
        removals.share();
        let ours = removals.add(of_a());
        assert!(removals.learn(10, others(of_a())).is_some(), "it is to be carried out");
        assert!(removals.hit_shared(10, A, &[]), "ours has no place yet");
        assert!(removals.learn(11, own(&removals, ours, of_a())).is_none());
        assert!(removals.hit_shared(10, A, &[]) && !removals.hit_shared(11, A, &[]));
        // What one removal of everything stands for waits for no place.
        let number = removals.add(Removal::Tag(1));
        let all = removals.instead_of(&BTreeSet::from([number]));
        assert!(removals.hit_shared(11, (A.0, b"/b"), &[]));
        removals.stands(all, 12);
        assert!(removals.learn(13, others(Removal::Tag(1))).is_some());
        assert!(!removals.hit_shared(13, A, &[1]));
    }

    #[test]
    fn a_log_that_was_set_back_empties_everything() {
        let removals = Removals::default();
        removals.share();
        removals.learn(10, others(Removal::Tag(1)));
        removals.learn(20, others(Removal::Tag(2)));
        let (number, ahead) = removals.begin_again(10);
        assert!(ahead && removals.hit_since(number, A, &[]));
        assert_eq!(removals.position(), 10);
        removals.learn(30, others(Removal::Tag(3)));
        assert!(removals.hit_shared(19, A, &[]), "of the part that was lost");
        assert!(!removals.hit_shared(20, A, &[]));
        assert!(!removals.begin_again(40).1);
    }

    #[test]
    fn equal_removals_are_remembered_once() {
        let removals = Removals::default();
        removals.share();
        for at in 1..100 {
            removals.learn(at, others(of_a()));
        }
        assert_eq!(removals.lock().known.len(), 1);
        assert!(removals.hit_shared(98, A, &[]) && !removals.hit_shared(99, A, &[]));
        let (_, later) = (removals.add(of_a()), removals.add(of_a()));
        assert_eq!(removals.lock().known.len(), 1);
        removals.learn(100, others(of_a()));
        assert!(removals.hit_shared(100, A, &[]), "ours is still to be told");
        assert!(removals.learn(101, own(&removals, later, of_a())).is_none());
        assert!(!removals.hit_shared(101, A, &[]));
    }

    #[test]
    fn a_long_target_is_told_by_its_digest_and_means_itself_alone() {
        let target = vec![b'a'; 16 << 10];
        let long = Removal::Target { site: A.0.to_vec(), target: target.clone() };
        let told = Told::from_bytes(&Removals::default().to_tell(7, &long));
        assert_eq!((told.number, told.node == 0), (7, false));
        assert!(told.to_bytes().len() < 100);
        assert_eq!(told.removal.names(A.0, &target), Some(true));
        assert_eq!(told.removal.names(A.0, &target[1..]), Some(false));
        assert_eq!(told.removal.names(b"http://b.test", &target), Some(false));
        assert_eq!(Told::from_bytes(&Bytes::from_static(b"short")).removal, Removal::All);
    }
}
