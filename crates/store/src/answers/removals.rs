//! The log of removals: a stream (Redis 5 and later) whose entries are numbered by the server's clock in microseconds, and
//! name each the one before it. So a reader sees that one is missing, whatever happened: a log that was cut, emptied, evicted
//! or set back to an older state, and one that has begun anew.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use fred::{
    clients::Client,
    error::Error,
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value, scripts::Script},
};
use seaworthy_core::Shutdown;
use tokio::time::sleep;

use super::{Answers, Event};
use crate::connection::{refusal, renew};

/// How long the server keeps a question for the next removal. After it the end of the log is looked at in any case.
pub(super) const WAIT: Duration = Duration::from_secs(1);
/// So many removals are kept, or some more. Who was away for longer forgets everything.
const KEPT: u64 = 10_000;
/// So many are read at once.
const AT_ONCE: usize = 256;
/// Before the log is asked again that did not answer.
const PAUSE: Duration = Duration::from_millis(100);

const KEY: &str = "seaworthy:cache:removals";

/// ARGV[1]: the last number that the caller knows; what is new is greater. A log that is not there begins with an entry that
/// follows none.
const BEGIN: &str = r"
local key, known = KEYS[1], tonumber(ARGV[1])
local function text(number) return string.format('%.0f', number) end
local kind = redis.call('TYPE', key).ok
if kind ~= 'stream' and kind ~= 'none' then redis.call('DEL', key) end
local time = redis.call('TIME')
local now = math.max(time[1] * 1000000 + time[2], known + 1)
local newest = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
local last = newest and tonumber(string.match(newest[1], '^%d+'))
if not last then
  last = now
  redis.call('XADD', key, text(last) .. '-0', 'after', '0', 'event', '')
end";

/// ARGV[2]: what is announced, ARGV[3]: how many are kept. Returns its number.
const ANNOUNCE: &str = r"
local id = text(math.max(now, last + 1))
redis.call('XADD', key, 'MAXLEN', '~', ARGV[3], id .. '-0', 'after', text(last), 'event', ARGV[2])
return id";

/// ARGV[2]: how many are read. Returns the last number of the log, then number, number before and event of each new one.
const READ: &str = r"
local answer = { text(last) }
if known > 0 then
  for _, entry in ipairs(redis.call('XRANGE', key, text(known + 1) .. '-0', '+', 'COUNT', ARGV[2])) do
    answer[#answer + 1] = string.match(entry[1], '^%d+')
    answer[#answer + 1] = entry[2][2] or ''
    answer[#answer + 1] = entry[2][4] or ''
  end
end
return answer";

pub(super) struct Log {
    announce: Script,
    read: Script,
}

impl Default for Log {
    fn default() -> Self {
        let script = |end: &str| Script::from_lua(format!("{BEGIN}{end}"));
        Self { announce: script(ANNOUNCE), read: script(READ) }
    }
}

impl Log {
    pub(super) async fn announce(&self, client: &Client, known: u64, event: Bytes) -> Result<u64, Error> {
        let arguments: Vec<Value> = vec![known.to_string().into(), event.into(), KEPT.to_string().into()];
        self.announce.evalsha_with_reload(client, KEY, arguments).await
    }

    async fn read(&self, client: &Client, known: u64) -> Result<Read, Error> {
        let arguments = vec![known.to_string(), AT_ONCE.to_string()];
        Ok(Read::of(self.read.evalsha_with_reload(client, KEY, arguments).await?))
    }
}

/// What the log says.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// Its last number.
    last: u64,
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    id: u64,
    after: u64,
    event: Bytes,
}

impl Read {
    /// What is no number is 0, which follows nothing: then there is a gap.
    fn of(answer: Vec<Bytes>) -> Self {
        let number = |text: &Bytes| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let entry =
            |entry: &[Bytes]| Entry { id: number(&entry[0]), after: number(&entry[1]), event: entry[2].clone() };
        let entries = answer.get(1..).unwrap_or_default().chunks_exact(3).map(entry).collect();
        Self { last: answer.first().map_or(0, number), entries }
    }

    /// What has happened since a position, and whether there may be more.
    fn events(self, mut position: u64) -> (Vec<Event>, bool) {
        let (last, full) = (self.last, self.entries.len() >= AT_ONCE);
        let mut events = Vec::new();
        if position == 0 {
            return (vec![Event::Gap { id: last }], false);
        }
        for entry in self.entries {
            if entry.after != position || entry.id <= position {
                events.push(Event::Gap { id: last });
                return (events, false);
            }
            position = entry.id;
            events.push(Event::Removal { id: entry.id, bytes: entry.event });
        }
        if !full && position != last {
            events.push(Event::Gap { id: last });
        }
        (events, full)
    }
}

impl Answers {
    /// Reads the log until the end.
    pub(super) async fn listen(&self, mut position: u64, shutdown: &Shutdown) {
        let task = self.0.listening.connect();
        while !shutdown.has_begun() {
            let waited = tokio::select! {
                () = shutdown.ordered() => break,
                waited = self.hear(&mut position) => waited,
            };
            if !waited {
                self.0.hears.store(false, Ordering::Release);
                sleep(PAUSE).await;
            }
        }
        // No farewell: it would wait behind a question that the server keeps.
        task.abort();
    }

    /// Reads to the end, and waits for more. False: the log does not answer.
    async fn hear(&self, position: &mut u64) -> bool {
        let client = &self.0.listening;
        loop {
            if !client.is_connected() {
                return false;
            }
            let read = match self.0.log.read(client, *position).await {
                Ok(read) => read,
                Err(error) => {
                    match refusal(&error) {
                        Some(reason) => self.refused(&reason),
                        None => renew(client, &error).await,
                    }
                    return false;
                }
            };
            let (events, more) = read.events(*position);
            for event in events {
                let (Event::Removal { id, .. } | Event::Gap { id }) = event;
                self.tell(event).await;
                *position = id;
            }
            if !more {
                break;
            }
        }
        self.0.position.store(*position, Ordering::Release);
        self.0.hears.store(true, Ordering::Release);
        self.wait(*position).await
    }

    /// Says it once.
    fn refused(&self, reason: &str) {
        if self.0.hears.load(Ordering::Acquire) || self.position() == 0 {
            tracing::warn!(
                reason,
                "the store keeps the log of removals from us: its users must be allowed streams and scripts"
            );
        }
    }

    /// Until there is something after this, or nothing for a while.
    async fn wait(&self, position: u64) -> bool {
        let arguments: Vec<Value> = [
            "COUNT".to_owned(),
            "1".to_owned(),
            "BLOCK".to_owned(),
            WAIT.as_millis().to_string(),
            "STREAMS".to_owned(),
            KEY.to_owned(),
            format!("{position}-0"),
        ]
        .map(Value::from)
        .into();
        let command = CustomCommand::new_static("XREAD", ClusterHash::Custom(0), true);
        match self.0.listening.custom::<Value, Value>(command, arguments).await {
            Ok(_) => true,
            // The key has become something else: the next look mends that.
            Err(error) if refusal(&error).is_some() => {
                sleep(PAUSE).await;
                true
            }
            Err(error) => {
                renew(&self.0.listening, &error).await;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(last: u64, entries: &[(u64, u64)]) -> Read {
        let entry = |&(id, after)| Entry { id, after, event: Bytes::from_static(b"e") };
        Read { last, entries: entries.iter().map(entry).collect() }
    }

    fn gap(id: u64) -> Event {
        Event::Gap { id }
    }

    fn removal(id: u64) -> Event {
        Event::Removal { id, bytes: Bytes::from_static(b"e") }
    }

    #[test]
    fn what_follows_is_told_once_and_what_is_missing_is_a_gap() {
        assert_eq!(read(7, &[]).events(0), (vec![gap(7)], false), "nobody knows where we were");
        assert_eq!(read(7, &[]).events(7), (vec![], false));
        assert_eq!(read(9, &[(8, 7), (9, 8)]).events(7), (vec![removal(8), removal(9)], false));
        assert_eq!(read(9, &[(9, 8)]).events(7), (vec![gap(9)], false), "8 was cut off");
        assert_eq!(read(5, &[]).events(7), (vec![gap(5)], false), "set back");
        assert_eq!(read(9, &[(8, 5), (9, 8)]).events(7), (vec![gap(9)], false), "set back, and gone on");
        assert_eq!(read(9, &[(9, 0)]).events(7), (vec![gap(9)], false), "begun anew");
        assert_eq!(read(9, &[(8, 7)]).events(7), (vec![removal(8), gap(9)], false));
        let many: Vec<_> = (8..8 + AT_ONCE as u64).map(|id| (id, id - 1)).collect();
        let (events, more) = read(9_999, &many).events(7);
        assert!(more && events.len() == AT_ONCE && !events.contains(&gap(9_999)));
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_a_gap() {
        let strange = ["9", "x", "", "e", "10"].map(Bytes::from_static_str).to_vec();
        assert_eq!(Read::of(strange).events(7), (vec![gap(9)], false));
        assert_eq!(Read::of(Vec::new()).events(7), (vec![gap(0)], false));
    }

    trait FromStaticStr {
        fn from_static_str(text: &'static str) -> Bytes;
    }

    impl FromStaticStr for Bytes {
        fn from_static_str(text: &'static str) -> Bytes {
            Bytes::from_static(text.as_bytes())
        }
    }
}
