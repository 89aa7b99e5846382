//! Files that are damaged, full, somebody else's, or not what they should be.

use super::*;

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_the_cache_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    process.put(&key("/a"), large(50_000)).await;
    assert!(process.has("/a").await);
    process.end().await;
    // Damaged in the middle: found when it is read.
    let mut bytes = std::fs::read(path(&folder)).unwrap();
    bytes[4_096..].fill(0x5a);
    std::fs::write(path(&folder), &bytes).unwrap();
    let process = Process::start(&folder, LIMIT).await;
    assert!(!process.has("/a").await);
    process.put(&key("/b"), large(50_000)).await;
    process.flush().await;
    if !process.has("/b").await {
        process.put(&key("/b"), large(50_000)).await;
    }
    assert!(process.has("/b").await, "a new one was begun");
    let aside = std::fs::read(format!("{}.damaged", path(&folder).display())).unwrap();
    assert!(aside.ends_with(&[0x5a; 4_096]));
    process.end().await;
}

#[tokio::test]
async fn two_readers_that_find_damage_discard_one_database() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    process.store.tiers().unwrap().found_damage(1);
    process.put(&key("/a"), plain("one")).await;
    process.store.tiers().unwrap().found_damage(1);
    process.flush().await;
    assert!(process.has("/a").await, "it is in the new one");
    process.end().await;
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_left_as_it_is() {
    let another = [0, 1, 7].map(|layout| (somebodys_database(layout), "a database"));
    for (bytes, what) in another.into_iter().chain([(b"text".repeat(999), "text"), (b"x".to_vec(), "a byte")]) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::fs::write(path(&folder), &bytes).unwrap();
        let wal = format!("{}-wal", path(&folder).display());
        std::fs::write(&wal, b"somebody's").unwrap();
        for limit in [0, LIMIT, 0] {
            let process = Process::start(&folder, limit).await;
            put(&process.store, &key("/a"), plain("one"));
            assert_eq!(process.purge(Purge::Url("/a".into())).await, 1, "memory goes on");
            process.store.open_tiers(&settings(&folder, 0), None, &process.control).await;
            process.end().await;
            assert_eq!(std::fs::read(path(&folder)).unwrap(), bytes, "{what}, {limit}");
            assert_eq!(std::fs::read(&wal).unwrap(), b"somebody's", "{what}, {limit}");
            assert_eq!(std::fs::read_dir(folder.path().join("data")).unwrap().count(), 2, "nothing is put beside it");
        }
    }
}

/// What SQLite writes first, of an application without an id.
fn somebodys_database(layout: u32) -> Vec<u8> {
    let mut bytes = b"SQLite format 3\0".to_vec();
    bytes.resize(8_192, 0);
    bytes[60..64].copy_from_slice(&layout.to_be_bytes());
    bytes
}

#[tokio::test]
async fn a_full_disk_takes_no_more_and_still_removes() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    process.put(&key("/a"), plain("one")).await;
    process.store.tiers().unwrap().leave_room(4);
    process.put(&key("/large"), large(200_000)).await;
    assert!(!process.has("/large").await && process.has("/a").await);
    process.put(&key("/b"), plain("two")).await;
    assert!(process.has("/b").await, "what fits is written");
    assert_eq!(process.purge(Purge::Url("/a".into())).await, 1);
    assert!(!process.has("/a").await);
    process.end().await;
}

#[tokio::test]
async fn another_process_has_it_for_now() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder, LIMIT).await;
    first.put(&key("/a"), plain("one")).await;
    let second = Process::start(&folder, LIMIT).await;
    second.put(&key("/b"), plain("two")).await;
    assert!(!second.has("/b").await && !second.has("/a").await);
    second.purge(Purge::Url("/a".into())).await;
    first.end().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        second.put(&key("/b"), plain("two")).await;
        if second.has("/b").await {
            break;
        }
        assert!(std::time::Instant::now() < deadline);
        sleep(Duration::from_millis(200)).await;
    }
    assert!(!second.has("/a").await, "its removals were not in it");
    second.end().await;
}

#[tokio::test]
async fn a_purge_that_the_file_does_not_have_empties_it_at_the_next_start_or_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(&folder, LIMIT).await;
    first.put(&key("/a"), plain("one")).await;
    // It has the file, so that the second cannot open it; neither can it leave word.
    let second = Process::start(&folder, LIMIT).await;
    let word = PathBuf::from(format!("{}.missed", path(&folder).display()));
    std::fs::create_dir(&word).unwrap();
    for order in [Purge::Url("/a".into()), Purge::All(true)] {
        let left = second.store.purge(&order).await.unwrap_err();
        assert!(left.left.contains("after a restart"), "{left}");
    }
    std::fs::remove_dir(&word).unwrap();
    assert_eq!(second.purge(Purge::Url("/a".into())).await, 0);
    assert!(word.is_file());
    second.end().await;
    assert!(first.has("/a").await);
    first.end().await;
    let third = Process::start(&folder, LIMIT).await;
    assert!(!third.has("/a").await && !word.exists());
    third.put(&key("/a"), plain("two")).await;
    third.end().await;
    let fourth = Process::start(&folder, LIMIT).await;
    assert!(fourth.has("/a").await);
    fourth.end().await;
}

#[tokio::test]
async fn emptying_does_not_write_it_all_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder, LIMIT).await;
    for number in 0..60 {
        process.put(&key(&format!("/{number}")), large(100_000)).await;
    }
    assert_eq!(process.purge(Purge::All(true)).await, 60);
    let size = |ending: &str| std::fs::metadata(format!("{}{ending}", path(&folder).display())).unwrap().len();
    assert!(size("") + size("-wal") < 200_000, "{} {}", size(""), size("-wal"));
    put(&process.store, &key("/a"), plain("one"));
    let (all, tag) = (Purge::All(true), Purge::Tag("none".into()));
    let (all, tag) = tokio::join!(process.store.purge(&all), process.store.purge(&tag));
    assert_eq!((all, tag), (Ok(1), Ok(0)));
    put(&process.store, &key("/b"), plain("two"));
    process.flush().await;
    assert!(!process.has("/a").await && process.has("/b").await);
    process.end().await;
    let process = Process::start(&folder, LIMIT).await;
    assert!(!process.has("/a").await && process.has("/b").await);
    process.end().await;
}
