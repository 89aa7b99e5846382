//! A part of the store, under one lock: slots by key, by target and by tag, and who fetches what.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::BuildHasher,
    sync::Arc,
};

use http::HeaderMap;

use crate::{
    fill::Pending,
    key::Key,
    store::{Begun, Found},
    stored::Stored,
};

/// Answers to one address that `Vary` tells apart; of more the oldest goes.
const VARIANTS: usize = 16;
/// So many fetch one answer at once to try whether it can be stored now; others only pass.
const MOST_AT_ONCE: usize = 32;
/// Keys of answers that could not be stored, remembered so that nobody waits for such a one.
const PASSES: usize = 4_096;

#[derive(Default)]
pub(crate) struct Shard {
    index: HashMap<Key, u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    hand: usize,
    by_target: BTreeSet<(u64, u32)>,
    by_tag: BTreeSet<(u64, u32)>,
    /// Those who fetch the answer of a key: one, and several where the last answer could not be stored.
    pending: HashMap<Key, Vec<Arc<Pending>>>,
    /// Their hashes: one that is wrong costs a wait, and not an answer.
    passes: HashSet<u64>,
}

struct Slot {
    key: Key,
    target: u64,
    /// The newest first.
    variants: Vec<Arc<Stored>>,
    /// Since the hand was last here.
    used: bool,
}

impl Slot {
    fn bytes(&self) -> usize {
        self.variants.iter().map(|stored| stored.size() + 2 * self.key.bytes().len()).sum()
    }
}

impl Shard {
    pub(crate) fn find(&mut self, key: &Key, request: &HeaderMap) -> Found {
        let slot = self.index.get(key).and_then(|place| self.slots[*place as usize].as_mut());
        let Some(slot) = slot else { return Found::Nothing };
        slot.used = true;
        match slot.variants.iter().find(|stored| stored.matches(request)) {
            Some(stored) => Found::Answer(stored.clone()),
            None => Found::OtherVariants,
        }
    }

    pub(crate) fn begin(&mut self, key: &Key) -> Begun {
        // Whose answer could not be stored need not say anything of others: all of them try, and nobody waits.
        let pass = self.passes.contains(&self.hash(key));
        let those = self.pending.entry(key.clone()).or_default();
        match those.last() {
            Some(pending) if !pass => Begun::Busy(pending.clone()),
            Some(_) if those.len() >= MOST_AT_ONCE => Begun::Pass,
            _ => {
                let pending = Arc::new(Pending::new(pass));
                those.push(pending.clone());
                Begun::Alone(pending)
            }
        }
    }

    pub(crate) fn end(&mut self, key: &Key, pending: &Arc<Pending>) {
        let Some(those) = self.pending.get_mut(key) else { return };
        those.retain(|known| !Arc::ptr_eq(known, pending));
        if those.is_empty() {
            self.pending.remove(key);
        }
    }

    /// Whether the answer for a key could be stored: nobody waits for one that could not.
    pub(crate) fn remember(&mut self, key: &Key, stored: bool) {
        let hash = self.hash(key);
        if stored {
            self.passes.remove(&hash);
        } else {
            if self.passes.len() >= PASSES {
                self.passes.clear();
            }
            self.passes.insert(hash);
        }
    }

    fn hash(&self, key: &Key) -> u64 {
        self.index.hasher().hash_one(key)
    }

    /// Returns the bytes that came and those that went.
    pub(crate) fn insert(&mut self, key: &Key, target: u64, stored: impl Into<Arc<Stored>>) -> (usize, usize) {
        let stored = stored.into();
        let place = self.index.get(key).copied().unwrap_or_else(|| self.new_slot(key, target));
        self.untag(place);
        let Some(slot) = self.slots[place as usize].as_mut() else { return (0, 0) };
        let before = slot.bytes();
        slot.variants.retain(|older| !stored.replaces(older));
        slot.variants.insert(0, stored);
        slot.variants.truncate(VARIANTS);
        let after = slot.bytes();
        self.tag(place);
        (after, before)
    }

    /// Returns the bytes that went.
    pub(crate) fn remove(&mut self, key: &Key, stored: &Arc<Stored>) -> usize {
        let Some(place) = self.index.get(key).copied() else { return 0 };
        self.untag(place);
        let Some(slot) = self.slots[place as usize].as_mut() else { return 0 };
        let before = slot.bytes();
        slot.variants.retain(|known| !Arc::ptr_eq(known, stored));
        if slot.variants.is_empty() {
            self.take(place);
            return before;
        }
        let after = slot.bytes();
        self.tag(place);
        before - after
    }

    /// Takes out what is at a target; returns how many answers and bytes went.
    pub(crate) fn invalidate(&mut self, target: u64, goes: &dyn Fn(&Key) -> bool) -> (usize, usize) {
        self.spoil(goes);
        let places: Vec<u32> =
            self.by_target.range((target, 0)..=(target, u32::MAX)).map(|(_, place)| *place).collect();
        self.take_those(places, goes)
    }

    /// The same, looking at every key.
    pub(crate) fn sweep(&mut self, goes: &dyn Fn(&Key) -> bool) -> (usize, usize) {
        self.spoil(goes);
        let places: Vec<u32> = self.index.values().copied().collect();
        self.take_those(places, goes)
    }

    /// Takes out what has a tag; what is on its way is not stored, for its tags are not known yet.
    pub(crate) fn remove_tagged(&mut self, tag: u64) -> (usize, usize) {
        self.spoil(&|_| true);
        let places: Vec<u32> = self.by_tag.range((tag, 0)..=(tag, u32::MAX)).map(|(_, place)| *place).collect();
        let (mut count, mut bytes) = (0, 0);
        for place in places {
            self.untag(place);
            let Some(slot) = self.slots[place as usize].as_mut() else { continue };
            let (variants, before) = (slot.variants.len(), slot.bytes());
            slot.variants.retain(|stored| !stored.tags.contains(&tag));
            count += variants - slot.variants.len();
            bytes += before - slot.bytes();
            if slot.variants.is_empty() {
                self.take(place);
            } else {
                self.tag(place);
            }
        }
        (count, bytes)
    }

    /// Gives up one slot; returns its bytes, or `None` when there is none that nobody asked for since the hand was there.
    pub(crate) fn evict(&mut self) -> Option<usize> {
        for _ in 0..self.slots.len() {
            let place = self.hand % self.slots.len();
            self.hand = place + 1;
            match &mut self.slots[place] {
                Some(slot) if slot.used => slot.used = false,
                Some(_) => return self.take(place as u32).map(|slot| slot.bytes()),
                None => {}
            }
        }
        None
    }

    fn spoil(&self, goes: &dyn Fn(&Key) -> bool) {
        let those = self.pending.iter().filter(|(key, _)| goes(key)).flat_map(|(_, those)| those);
        those.for_each(|pending| pending.spoil());
    }

    fn take_those(&mut self, places: Vec<u32>, goes: &dyn Fn(&Key) -> bool) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for place in places {
            if self.slots[place as usize].as_ref().is_some_and(|slot| goes(&slot.key))
                && let Some(slot) = self.take(place)
            {
                count += slot.variants.len();
                bytes += slot.bytes();
            }
        }
        (count, bytes)
    }

    fn new_slot(&mut self, key: &Key, target: u64) -> u32 {
        let slot = Some(Slot { key: key.clone(), target, variants: Vec::new(), used: false });
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place as usize] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(key.clone(), place);
        self.by_target.insert((target, place));
        place
    }

    fn take(&mut self, place: u32) -> Option<Slot> {
        self.untag(place);
        let slot = self.slots[place as usize].take()?;
        self.index.remove(&slot.key);
        self.by_target.remove(&(slot.target, place));
        self.free.push(place);
        Some(slot)
    }

    /// Names a slot under the tags of what is in it.
    fn tag(&mut self, place: u32) {
        let Some(slot) = self.slots[place as usize].as_ref() else { return };
        for tag in slot.variants.iter().flat_map(|stored| &stored.tags) {
            self.by_tag.insert((*tag, place));
        }
    }

    /// The reverse, before what is in it changes.
    fn untag(&mut self, place: u32) {
        let Some(slot) = self.slots[place as usize].as_ref() else { return };
        for tag in slot.variants.iter().flat_map(|stored| &stored.tags) {
            self.by_tag.remove(&(*tag, place));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use http::Request;
    use seaworthy_core::empty_body;

    use super::*;
    use crate::{
        key::tests::context,
        policy::{Partition, Policy},
        stored::tests::{headers, stored},
    };

    pub(crate) fn key(target: &str) -> Key {
        key_at("http://a.test", target)
    }

    pub(crate) fn key_at(site: &str, target: &str) -> Key {
        let request = Request::builder().uri(target).header("host", site.strip_prefix("http://").unwrap());
        Key::of(&request.body(empty_body()).unwrap(), &context(), &Policy::default(), Partition::Everyone, None)
    }

    fn tagged(tags: &[u64]) -> Stored {
        Stored { tags: tags.to_vec(), ..stored(&HeaderMap::new(), HeaderMap::new(), "body") }
    }

    #[test]
    fn variants_stand_beside_each_other_and_the_newer_replaces_the_older() {
        let mut shard = Shard::default();
        let (one, two) = (headers(&[("foo", "1")]), headers(&[("foo", "2")]));
        let vary = || headers(&[("vary", "foo")]);
        shard.insert(&key("/a"), 1, stored(&one, vary(), "one"));
        shard.insert(&key("/a"), 1, stored(&two, vary(), "two"));
        let (_, before) = shard.insert(&key("/a"), 1, stored(&one, vary(), "uno"));
        assert!(before > 0);
        let body = |shard: &mut Shard, request: &HeaderMap| match shard.find(&key("/a"), request) {
            Found::Answer(stored) => stored.body.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((&body(&mut shard, &one)[..], &body(&mut shard, &two)[..]), (&b"uno"[..], &b"two"[..]));
        assert!(matches!(shard.find(&key("/a"), &headers(&[])), Found::OtherVariants));
        for number in 0..100 {
            let other = HeaderMap::from_iter([("foo".parse().unwrap(), number.to_string().parse().unwrap())]);
            shard.insert(&key("/a"), 1, stored(&other, vary(), "x"));
        }
        assert_eq!(shard.slots[0].as_ref().unwrap().variants.len(), VARIANTS);
    }

    #[test]
    fn tags_lead_to_what_has_them_and_nothing_of_them_is_left() {
        let mut shard = Shard::default();
        shard.insert(&key("/a"), 1, tagged(&[7, 8]));
        shard.insert(&key("/b"), 2, tagged(&[8]));
        shard.insert(&key("/a"), 1, tagged(&[9]));
        assert_eq!(shard.remove_tagged(7).0, 0, "it has other tags now");
        assert_eq!(shard.remove_tagged(8).0, 1);
        assert_eq!(shard.remove_tagged(9).0, 1);
        assert!(shard.by_tag.is_empty() && shard.by_target.is_empty() && shard.index.is_empty());
    }

    #[test]
    fn one_fetches_others_wait_and_an_invalidation_spoils_what_is_on_its_way() {
        let mut shard = Shard::default();
        let Begun::Alone(pending) = shard.begin(&key("/a")) else { panic!() };
        assert!(matches!(shard.begin(&key("/a")), Begun::Busy(_)));
        shard.invalidate(1, &|key| key.target() == b"/b");
        assert!(!pending.is_spoilt());
        shard.invalidate(1, &|key| key.target() == b"/a");
        assert!(pending.is_spoilt());
        shard.end(&key("/a"), &pending);
        shard.remember(&key("/a"), false);
        let Begun::Alone(pending) = shard.begin(&key("/a")) else { panic!() };
        let others: Vec<Begun> = (0..MOST_AT_ONCE).map(|_| shard.begin(&key("/a"))).collect();
        assert!(matches!(others[0], Begun::Alone(_)), "the last one could not be stored");
        assert!(matches!(others.last(), Some(Begun::Pass)));
        shard.sweep(&|_| true);
        for one in others {
            if let Begun::Alone(other) = one {
                assert!(other.is_spoilt());
                shard.end(&key("/a"), &other);
            }
        }
        shard.end(&key("/a"), &pending);
        shard.remember(&key("/a"), true);
        let Begun::Alone(_) = shard.begin(&key("/a")) else { panic!() };
        assert!(matches!(shard.begin(&key("/a")), Begun::Busy(_)));
    }

    #[test]
    fn what_was_asked_for_is_spared_once() {
        let mut shard = Shard::default();
        for name in ["/a", "/b", "/c"] {
            shard.insert(&key(name), 1, tagged(&[]));
        }
        shard.find(&key("/a"), &HeaderMap::new());
        shard.evict();
        assert!(!shard.index.contains_key(&key("/b")) && shard.index.contains_key(&key("/a")));
        shard.evict();
        assert!(!shard.index.contains_key(&key("/c")));
        assert!(shard.evict().is_some() && shard.evict().is_none());
    }
}
