//! Who has begun how many resumable uploads, and how large they will be. In memory, so that to look and to reserve is one
//! step, however many begin at once.

use std::{cmp::Reverse, collections::HashMap};

use super::store::Description;

/// Uploads at a time, those included whose answers are kept: the smallest one takes files too. An answer goes before
/// anybody is refused.
pub(super) const MOST: usize = 10_000;
/// Of one client, those included whose answers are kept; the oldest of its answers goes first.
const MOST_EACH: usize = 1_000;

/// What may be begun and not yet complete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The sum of all lengths.
    pub room: u64,
    /// The same of one client.
    pub room_each: u64,
    /// The most of one client.
    pub each: usize,
}

/// Why another one may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    All,
    /// There are too many that are not complete, of all clients.
    Number,
    /// This client alone has too many.
    Client,
}

#[derive(Debug)]
struct Counted {
    client: String,
    length: u64,
    complete: bool,
    expires_ms: u64,
}

/// All uploads that are on the disk, and those that are about to be.
#[derive(Debug, Default)]
pub(super) struct Ledger(HashMap<String, Counted>);

impl Ledger {
    pub(super) fn of(all: impl Iterator<Item = Description>) -> Self {
        let mut ledger = Self::default();
        all.for_each(|one| ledger.add(&one));
        ledger
    }

    fn add(&mut self, one: &Description) {
        let (client, complete) = (one.client().to_owned(), one.answer.is_some());
        let counted = Counted { client, length: one.length, complete, expires_ms: one.expires_ms };
        self.0.insert(one.id.clone(), counted);
    }

    /// Counts one that is about to begin, or says why it may not. What is given back are complete ones that make
    /// place for it.
    pub(super) fn reserve(&mut self, one: &Description, limits: Limits) -> Result<Vec<String>, Full> {
        let (mut begun, mut sum, mut sum_each, mut kept) = (0, 0_u64, 0_u64, Vec::new());
        // Whose address nobody knows is not one client.
        let is_known = !one.client().is_empty();
        for (id, counted) in &self.0 {
            let its = is_known && counted.client == one.client();
            if counted.complete {
                kept.extend(its.then_some((counted.expires_ms, id)));
                continue;
            }
            sum = sum.saturating_add(counted.length);
            if its {
                begun += 1;
                sum_each = sum_each.saturating_add(counted.length);
            }
        }
        if is_known && (begun >= limits.each || sum_each.saturating_add(one.length) > limits.room_each) {
            return Err(Full::Client);
        }
        let too_many = (begun + kept.len() + 1).saturating_sub(MOST_EACH);
        kept.sort_unstable();
        let mut gone: Vec<String> = kept.into_iter().take(too_many).map(|(_, id)| id.clone()).collect();
        if sum.saturating_add(one.length) > limits.room {
            return Err(Full::All);
        }
        while self.0.len() >= MOST + gone.len() {
            gone.push(self.oldest_of_the_most(&gone).ok_or(Full::Number)?);
        }
        for id in &gone {
            self.0.remove(id);
        }
        self.add(one);
        Ok(gone)
    }

    /// The oldest complete one of the client that has most of them: few clients cannot take the place of all, whoever asks.
    fn oldest_of_the_most(&self, gone: &[String]) -> Option<String> {
        type Kept<'a> = (usize, Reverse<(u64, &'a String)>);
        let mut clients: HashMap<&str, Kept<'_>> = HashMap::new();
        for (id, counted) in self.0.iter().filter(|(id, counted)| counted.complete && !gone.contains(id)) {
            let age = Reverse((counted.expires_ms, id));
            let (number, oldest) = clients.entry(&counted.client).or_insert((0, age));
            *number += 1;
            *oldest = age.max(*oldest);
        }
        clients.into_values().max().map(|(_, Reverse((_, id)))| id.clone())
    }

    pub(super) fn complete(&mut self, id: &str) {
        if let Some(counted) = self.0.get_mut(id) {
            counted.complete = true;
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.0.remove(id);
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(number: usize, client: &str, length: u64) -> Description {
        Description {
            id: format!("{client}-{number:05}"),
            client: Some(client.into()),
            length,
            expires_ms: number as u64,
            ..Description::default()
        }
    }

    const LIMITS: Limits = Limits { room: 1000, room_each: 400, each: 3 };

    #[test]
    fn no_client_takes_what_is_there_for_all() {
        let mut ledger = Ledger::default();
        for number in 0..3 {
            assert_eq!(ledger.reserve(&one(number, "a", 10), LIMITS), Ok(vec![]));
        }
        assert_eq!(ledger.reserve(&one(3, "a", 0), LIMITS), Err(Full::Client), "too many");
        assert_eq!(ledger.reserve(&one(0, "b", 401), LIMITS), Err(Full::Client), "too large");
        assert_eq!(ledger.reserve(&one(0, "b", 400), LIMITS), Ok(vec![]));
        assert_eq!(ledger.reserve(&one(0, "c", 400), LIMITS), Ok(vec![]));
        assert_eq!(ledger.reserve(&one(0, "d", 171), LIMITS), Err(Full::All));
        ledger.complete("a-00000");
        assert_eq!(ledger.reserve(&one(3, "a", 10), LIMITS), Ok(vec![]), "what is complete is not counted");
        assert_eq!(ledger.reserve(&one(0, "", 100), LIMITS), Ok(vec![]));
        assert_eq!(ledger.reserve(&one(1, "", 40), LIMITS), Ok(vec![]), "unknown ones share nothing");
        ledger.remove("-00000");
        ledger.remove("-00001");
        ledger.remove("a-00003");
        assert_eq!(ledger.reserve(&one(4, "a", 10), LIMITS), Ok(vec![]));
    }

    #[test]
    fn answers_that_are_kept_are_bounded_too() {
        let mut ledger = Ledger::default();
        for number in 0..MOST_EACH {
            let one = one(number, "a", 10);
            ledger.add(&one);
            ledger.complete(&one.id);
        }
        assert_eq!(ledger.reserve(&one(2000, "a", 10), LIMITS), Ok(vec!["a-00000".into()]), "the oldest goes");
        for number in 0..MOST - MOST_EACH {
            let one = one(0, &format!("{number}"), 0);
            ledger.add(&one);
            ledger.complete(&one.id);
        }
        assert_eq!(ledger.reserve(&one(0, "z", 1001), LIMITS), Err(Full::Client), "who is refused takes no place");
        let made = ledger.reserve(&one(0, "z", 0), LIMITS);
        assert_eq!(made, Ok(vec!["a-00001".into()]), "the oldest of who has most, whoever asks");
        assert_eq!(ledger.reserve(&one(1, "z", 0), LIMITS), Ok(vec!["a-00002".into()]));
        assert!(ledger.knows("0-00000") && !ledger.knows("a-00002"));
        assert_eq!(ledger.0.len(), MOST);
    }

    #[test]
    fn only_open_ones_close_it_for_all() {
        let mut ledger = Ledger::default();
        for number in 0..MOST {
            ledger.add(&one(0, &format!("{number}"), 0));
        }
        assert_eq!(ledger.reserve(&one(0, "z", 0), LIMITS), Err(Full::Number));
        ledger.complete("7-00000");
        assert_eq!(ledger.reserve(&one(0, "z", 0), LIMITS), Ok(vec!["7-00000".into()]));
        assert_eq!(ledger.reserve(&one(1, "z", 0), LIMITS), Err(Full::Number));
    }
}
