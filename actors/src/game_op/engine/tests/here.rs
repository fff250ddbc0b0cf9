//! What is here already: resumed, reused, copied.

use super::*;

/// Proves O6: a stop ends it at a chunk boundary, records what is here, and a resume fetches
/// only the rest.
#[tokio::test(start_paused = true)]
async fn a_stopped_download_resumes_where_it_was() {
    let mut rig = Rig::new(100);
    let source = rig.source_at(1, 5e6, Behaviour::Honest);
    let (_sender, feed) = Rig::feed(&[source]);
    let stopped = {
        let download = rig.run_with(feed);
        tokio::pin!(download);
        let early = tokio::time::timeout(Duration::from_millis(400), &mut download).await;
        early.expect_err("it runs");
        rig.switch.stop(StopReason::Cancel);
        download.await
    };
    assert_eq!(stopped, Ok(Ended::Stopped(StopReason::Cancel)));
    let saved = rig.shelf.saved().expect("progress was saved");
    let recorded = ChunkSet::from_bytes(&saved, 100).expect("of this content");
    assert!((10..60).contains(&recorded.count()), "{recorded:?}");

    let (switch, stop) = StopSwitch::new();
    (rig.switch, rig.stop) = (switch, stop);
    let present = Present { recorded: Some(&recorded), ..Present::default() };
    rig.reuse = ReusePlan::new(&rig.target, present);
    let again = rig.source(2, Behaviour::Honest);
    let account = account(rig.run(std::slice::from_ref(&again)).await);
    rig.check();
    assert_eq!(account.bytes_reused, u64::from(recorded.count()) * 50_000);
    assert_eq!(account.bytes_received, u64::from(100 - recorded.count()) * 50_000);
    assert!(again.chunks_asked().iter().all(|chunk| !recorded.contains(*chunk)));
}

/// Proves R6: what was recorded but is not there any more is fetched again.
#[tokio::test(start_paused = true)]
async fn a_record_is_not_believed() {
    let mut rig = Rig::new(30);
    let recorded = ChunkSet::full(30);
    let present = Present { recorded: Some(&recorded), ..Present::default() };
    rig.reuse = ReusePlan::new(&rig.target, present);
    let mut bytes = rig.content.concat();
    bytes[70_000] ^= 1;
    bytes.truncate(29 * 50_000 + 5);
    bytes.resize(30 * 50_000, 0);
    rig.shelf.put_staged(0, bytes);
    let source = rig.source(1, Behaviour::Honest);
    let account = account(rig.run(std::slice::from_ref(&source)).await);
    rig.check();
    let mut asked = source.chunks_asked();
    asked.sort_unstable();
    assert_eq!(asked, vec![1, 29], "only what is damaged");
    assert_eq!(account.bytes_reused, 28 * 50_000);
}

/// An update: what did not change stays or is copied, and only the rest travels.
#[tokio::test(start_paused = true)]
async fn an_update_fetches_only_what_changed() {
    let (kept, old) = (chunks(2, 10, 50_000), chunks(3, 10, 50_000));
    let mut new = chunks(4, 1, 30_000);
    new.extend(old.clone());
    let mut rig = Rig::of(&[("changed", new), ("kept", kept.clone())]);
    let before = target_of(&[("changed", old.clone()), ("kept", kept.clone())]);
    rig.shelf.put_in_root("changed", old.concat());
    rig.shelf.put_in_root("kept", kept.concat());
    let present = Present { old: Some(&before.manifest), ..Present::default() };
    rig.reuse = ReusePlan::new(&rig.target, present);
    let source = rig.source(1, Behaviour::Honest);
    let account = account(rig.run(std::slice::from_ref(&source)).await);
    rig.check();
    assert_eq!(source.chunks_asked(), vec![0]);
    assert_eq!((account.bytes_received, account.bytes_reused), (30_000, 1_000_000));
    assert_eq!(rig.shelf.bytes_written(), 530_000, "the file that stays is not written");
}

/// Proves R6: a file that stays is not recorded as staged; the next run looks at it again in place.
#[tokio::test(start_paused = true)]
async fn a_file_that_stays_is_not_recorded_as_staged() {
    let (kept, old) = (chunks(2, 10, 50_000), chunks(3, 60, 50_000));
    let mut rig = Rig::of(&[("fresh", old), ("kept", kept.clone())]);
    rig.shelf.put_in_root("kept", kept.concat());
    rig.reuse = ReusePlan::new(&rig.target, Present { strangers: &[1], ..Present::default() });
    let source = rig.source_at(1, 2e6, Behaviour::Honest);
    let (_sender, feed) = Rig::feed(std::slice::from_ref(&source));
    {
        let download = rig.run_with(feed);
        tokio::pin!(download);
        tokio::time::timeout(Duration::from_millis(500), &mut download).await.expect_err("runs");
        rig.switch.stop(StopReason::Park);
        assert_eq!(download.await, Ok(Ended::Stopped(StopReason::Park)));
    }
    let saved = rig.shelf.saved().expect("progress was saved");
    let recorded = ChunkSet::from_bytes(&saved, 70).expect("of this content");
    assert!(recorded.iter().all(|chunk| chunk < 60), "only what is staged: {recorded:?}");
    assert!(!recorded.is_empty());
}

/// A file in place that turns out to be damaged is repaired from its own good parts.
#[tokio::test(start_paused = true)]
async fn a_damaged_file_in_place_is_repaired() {
    let content = chunks(2, 10, 50_000);
    let mut rig = Rig::of(&[("data", content.clone())]);
    let mut damaged = content.concat();
    damaged[260_000] ^= 1;
    rig.shelf.put_in_root("data", damaged);
    rig.reuse = ReusePlan::new(&rig.target, Present { strangers: &[0], ..Present::default() });
    assert_eq!(rig.reuse.in_place, vec![0]);
    let source = rig.source(1, Behaviour::Honest);
    account(rig.run(std::slice::from_ref(&source)).await);
    rig.check();
    assert_eq!(source.chunks_asked(), vec![5]);
}

/// Equal chunks travel once, whatever file they are in.
#[tokio::test(start_paused = true)]
async fn equal_chunks_travel_once() {
    let same = vec![9u8; 50_000];
    let rig = Rig::of(&[
        ("a", vec![same.clone(); 10]),
        ("b", vec![same.clone(), chunks(1, 1, 50_000).remove(0)]),
    ]);
    let source = rig.source(1, Behaviour::Honest);
    let account = account(rig.run(&[source]).await);
    rig.check();
    assert_eq!((account.bytes_received, account.bytes_reused), (100_000, 500_000));
}
