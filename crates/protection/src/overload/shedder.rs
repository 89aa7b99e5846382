//! How many requests the app may have at once, learnt from how long its answers take.
//!
//! When more than half of the answers of a window were slower than the target, a queue stands in the app: the limit falls
//! to seven tenths of what was there. When they were not, it grows by a tenth. After a fall one window is not judged,
//! because its answers were let in before it. Only numbers that cores add to: no lock, no task, and the clock is the
//! caller's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{sending::Sending, settings::Priority};

/// No limit was ever needed, or not for long.
const UNLIMITED: usize = usize::MAX;
/// An app that is asked one request at a time is never judged, nor one with a handful.
const LEAST: usize = 4;
/// A limit that has grown so far limits nothing.
const MOST: usize = 10_000;
/// No window is shorter: it would hold too few answers.
const SHORTEST: Duration = Duration::from_millis(100);

/// The state.
#[derive(Debug)]
pub(super) struct Shedder {
    began: Instant,
    /// Requests that wait for the app's answer.
    waiting: AtomicUsize,
    limit: AtomicUsize,
    /// When this window ends, in nanoseconds since the beginning.
    ends: AtomicU64,
    /// Most of them in this window, and how many there were at its beginning.
    peak: AtomicUsize,
    carried: AtomicUsize,
    answers: AtomicUsize,
    slow: AtomicUsize,
    /// 1: the window after a fall.
    settling: AtomicUsize,
}

/// A request that the app has, until it answers or the client has gone.
#[derive(Debug)]
pub(super) struct Admitted {
    shedder: Arc<Shedder>,
    since: Instant,
    target: Duration,
    sending: Option<Sending>,
}

impl Shedder {
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            waiting: AtomicUsize::new(0),
            limit: AtomicUsize::new(UNLIMITED),
            ends: AtomicU64::new(0),
            peak: AtomicUsize::new(0),
            carried: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            slow: AtomicUsize::new(0),
            settling: AtomicUsize::new(0),
        }
    }

    /// Lets a request in, or not.
    pub(super) fn admit(self: &Arc<Self>, priority: Priority, target: Duration, now: Instant) -> Option<Admitted> {
        self.turn(target.max(SHORTEST), now);
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted { shedder: self.clone(), since: now, target, sending: None };
        let limit = self.limit.load(Ordering::Relaxed);
        if limit != UNLIMITED && before >= priority.share(limit) {
            return None;
        }
        self.peak.fetch_max(before + 1, Ordering::Relaxed);
        Some(admitted)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Answers of this window, and how many of them were slow.
    #[cfg(test)]
    pub(super) fn judged(&self) -> (usize, usize) {
        (self.answers.load(Ordering::Relaxed), self.slow.load(Ordering::Relaxed))
    }

    /// At the end of a window one caller judges it.
    fn turn(&self, window: Duration, now: Instant) {
        let now = u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX / 2);
        let ends = self.ends.load(Ordering::Relaxed);
        let next = now + u64::try_from(window.as_nanos()).unwrap_or(u64::MAX / 2);
        if now < ends || self.ends.compare_exchange(ends, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let waiting = self.waiting.load(Ordering::Relaxed);
        let (answers, slow) = (self.answers.swap(0, Ordering::Relaxed), self.slow.swap(0, Ordering::Relaxed));
        let peak = self.peak.swap(waiting, Ordering::Relaxed);
        let carried = self.carried.swap(waiting, Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        // Without any answer, those that were there all the time have waited for a whole window.
        let queue = if answers == 0 { carried >= LEAST } else { slow * 2 > answers };
        let settling = self.settling.swap(0, Ordering::Relaxed) == 1;
        if queue && peak > LEAST {
            if !settling {
                let fallen = (peak.min(limit) * 7 / 10).max(LEAST);
                self.limit.store(fallen, Ordering::Relaxed);
                self.settling.store(1, Ordering::Relaxed);
            }
        } else if limit != UNLIMITED {
            let grown = limit + (limit / 10).max(1);
            self.limit.store(if grown > MOST { UNLIMITED } else { grown }, Ordering::Relaxed);
        }
    }
}

impl Admitted {
    /// The time that its own client takes is not the app's.
    pub(super) fn without(&mut self, sending: Option<Sending>) {
        self.sending = sending;
    }

    /// The app has answered. An error that comes at once says nothing of a queue.
    pub(super) fn answered(self, is_error: bool, now: Instant) {
        self.judge(is_error, now);
    }

    /// The client has gone before the app answered. When it had waited for too long that is a slow answer, or an app that
    /// hangs would look well as soon as nobody waits for it; when it had not, nobody knows.
    pub(super) fn given_up(self, now: Instant) {
        self.judge(true, now);
    }

    fn judge(&self, only_if_slow: bool, now: Instant) {
        let of_client = self.sending.as_ref().map(|sending| sending.waited(now)).unwrap_or_default();
        let is_slow = now.saturating_duration_since(self.since).saturating_sub(of_client) > self.target;
        if is_slow || !only_if_slow {
            self.shedder.answers.fetch_add(1, Ordering::Relaxed);
            self.shedder.slow.fetch_add(usize::from(is_slow), Ordering::Relaxed);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.shedder.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const TARGET: Duration = Duration::from_millis(300);

    /// An app of ten workers that need 100 ms for each request: a hundred a second. Time goes by in steps of 1 ms.
    struct App {
        queue: VecDeque<(Admitted, Priority)>,
        busy: Vec<(Admitted, Priority, u64)>,
    }

    /// What one priority got.
    #[derive(Default)]
    struct Got {
        asked: usize,
        refused: usize,
        latencies: Vec<Duration>,
    }

    impl Got {
        fn percentile(&mut self, part: usize) -> Duration {
            self.latencies.sort();
            self.latencies.get(self.latencies.len().saturating_sub(1) * part / 100).copied().unwrap_or_default()
        }
    }

    /// So many requests a second for so long, in turns of high, normal and low; what came of the last part.
    fn run(shedder: &Arc<Shedder>, start: Instant, rate: u64, seconds: u64, look_from: u64) -> [Got; 3] {
        let mut app = App { queue: VecDeque::new(), busy: Vec::new() };
        let mut got = [Got::default(), Got::default(), Got::default()];
        let mut owed = 0;
        for milli in 0..seconds * 1_000 {
            let now = start + Duration::from_millis(milli);
            owed += rate;
            while owed >= 1_000 {
                owed -= 1_000;
                let asked: usize = got.iter().map(|got| got.asked).sum();
                let priority = [Priority::High, Priority::Normal, Priority::Low][asked % 3];
                let got = &mut got[priority as usize];
                got.asked += 1;
                match shedder.admit(priority, TARGET, now) {
                    Some(admitted) => app.queue.push_back((admitted, priority)),
                    None => got.refused += 1,
                }
            }
            for (admitted, priority, _) in app.busy.extract_if(.., |(_, _, until)| *until <= milli) {
                if milli >= look_from * 1_000 {
                    got[priority as usize].latencies.push(now - admitted.since);
                }
                admitted.answered(false, now);
            }
            while app.busy.len() < 10
                && let Some((admitted, priority)) = app.queue.pop_front()
            {
                app.busy.push((admitted, priority, milli + 100));
            }
        }
        got
    }

    #[test]
    fn what_is_let_in_is_answered_in_time_and_low_priority_goes_first() {
        let start = Instant::now();
        let shedder = Arc::new(Shedder::new(start));
        // Four times what the app can.
        let mut got = run(&shedder, start, 400, 30, 10);
        for got in &mut got {
            assert!(got.percentile(99) < TARGET * 2, "{:?}", got.percentile(99));
        }
        let answered: usize = got.iter().map(|got| got.latencies.len()).sum();
        assert!((1_800..=2_001).contains(&answered), "{answered} of 2000 that the app can do in 20 s");
        let refused = got.each_ref().map(|got| got.refused * 100 / got.asked);
        assert!(refused[0] < 50 && refused[0] < refused[1] && refused[1] <= refused[2], "{refused:?} %");
        assert!(refused[2] > 90, "{refused:?}");
    }

    #[test]
    fn nothing_is_refused_where_there_is_no_queue_and_a_limit_goes_away() {
        let start = Instant::now();
        let shedder = Arc::new(Shedder::new(start));
        let calm = run(&shedder, start, 80, 10, 0);
        assert!(calm.iter().all(|got| got.refused == 0));
        let start = start + Duration::from_secs(10);
        assert!(run(&shedder, start, 400, 10, 0).iter().any(|got| got.refused > 0));
        let start = start + Duration::from_secs(10);
        let calm = run(&shedder, start, 60, 60, 0);
        assert!(calm.iter().all(|got| got.refused * 50 <= got.asked), "{:?}", calm.each_ref().map(|got| got.refused));
        assert_eq!(shedder.limit.load(Ordering::Relaxed), UNLIMITED);
    }

    #[test]
    fn an_app_that_hangs_is_not_given_more_and_one_long_request_is_no_queue() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let shedder = Arc::new(Shedder::new(start));
        let admit = |millis| shedder.admit(Priority::High, TARGET, at(millis));
        let mut held: Vec<Admitted> = (0..3_000).step_by(10).filter_map(admit).collect();
        assert!(held.len() < 200, "{} of 300 wait for an app that does not answer", held.len());
        held.clear();
        let shedder = Arc::new(Shedder::new(start));
        let long = shedder.admit(Priority::Low, TARGET, at(0));
        for millis in (0..5_000).step_by(100) {
            let quick = shedder.admit(Priority::Low, TARGET, at(millis)).unwrap();
            quick.answered(false, at(millis + 5));
        }
        long.unwrap().answered(false, at(5_000));
        assert_eq!(shedder.limit.load(Ordering::Relaxed), UNLIMITED);
        assert_eq!(shedder.waiting.load(Ordering::Relaxed), 0);
    }

    /// Ten requests a second that hang until their clients give up, and one that is answered at once.
    fn hung(give_up_after: u64) -> Arc<Shedder> {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let shedder = Arc::new(Shedder::new(start));
        let mut waiting = VecDeque::new();
        for millis in (0..10_000).step_by(20) {
            while waiting.front().is_some_and(|(since, _)| since + give_up_after <= millis) {
                let (_, gone): (u64, Admitted) = waiting.pop_front().unwrap();
                gone.given_up(at(millis));
            }
            waiting.extend(shedder.admit(Priority::High, TARGET, at(millis)).map(|admitted| (millis, admitted)));
            if millis % 100 == 0
                && let Some(quick) = shedder.admit(Priority::High, TARGET, at(millis))
            {
                quick.answered(false, at(millis + 2));
            }
        }
        waiting.clear();
        assert_eq!(shedder.waiting.load(Ordering::Relaxed), 0);
        shedder
    }

    #[test]
    fn an_app_that_hangs_is_seen_though_its_clients_hang_up() {
        let limit = hung(400).limit.load(Ordering::Relaxed);
        assert!(limit < 10, "{limit}");
    }

    #[test]
    fn clients_that_change_their_minds_say_nothing_of_the_app() {
        assert_eq!(hung(100).limit.load(Ordering::Relaxed), UNLIMITED);
    }
}
