//! A disk that takes no orders, while requests go on to remove.

use super::*;
use crate::tiers::gate;

#[tokio::test]
async fn more_removals_than_may_wait_empty_the_disk_and_nothing_is_written_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    let tiers = process.store.tiers().unwrap();
    for target in ["/a", "/b"] {
        process.put(&key(target), plain("one")).await;
    }
    assert!(process.has("/a").await && process.has("/b").await);
    let held = tiers.hold();
    // Lets the task come to where it waits.
    tokio::task::yield_now().await;
    let removal =
        |number: usize| Removal::Target { site: b"http://a.test".to_vec(), target: format!("/{number}").into() };
    let mut waiting = Vec::new();
    for number in 0..gate::MOST + 2_000 {
        let removal = removal(number);
        let noted = tiers.note(&removal);
        waiting.push(tiers.remove(noted, &removal));
    }
    assert!(tiers.known_removals() <= gate::MOST, "{}", tiers.known_removals());
    assert!(!process.has("/a").await, "it may have been removed: nothing on the disk is believed");
    // Those for which all goes do not wait in vain.
    let began = std::time::Instant::now();
    let last = waiting.pop().unwrap().done(Duration::from_secs(20)).await;
    assert_eq!((last, began.elapsed() < Duration::from_secs(5)), (Err(Left::Disk), true));
    put(&process.store, &key("/late"), plain("not written"));
    drop(held);
    process.flush().await;
    for target in ["/a", "/b", "/late"] {
        assert!(!process.has(target).await, "{target}");
    }
    process.put(&key("/new"), plain("two")).await;
    assert!(process.has("/new").await, "it goes on");
    assert_eq!(process.purge(Purge::Url("http://a.test/new".into())).await, 1);
    process.end().await;
    let process = Process::start(&folder, LIMIT).await;
    assert!(!process.has("/a").await && !process.has("/new").await);
    process.end().await;
}
