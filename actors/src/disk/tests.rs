//! The disk with real threads: fencing at a barrier, bounds of the pool, deaths.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use ractor::concurrency::JoinHandle;

use super::*;
use crate::{
    addr::Slot,
    limits::disk::{DISK_DRAIN_DEADLINE, DISK_WORKERS_PER_LEASE_MAX},
};

struct Rig {
    disk: DiskHandle,
    actor: ActorRef<DiskMsg>,
    joined: JoinHandle<()>,
    _slot: Slot<DiskMsg>,
}

async fn rig() -> Rig {
    let (slot, addr) = Slot::new();
    let args = DiskArgs { ports_view: Addr::nobody(), disk: addr.clone() };
    let (actor, joined) = Actor::spawn(None, Disk, args).await.unwrap();
    slot.publish(Some(actor.clone()));
    Rig { disk: DiskHandle::new(addr), actor, joined, _slot: slot }
}

fn game(id: &str) -> GameId {
    GameId::parse(id).unwrap()
}

/// A blocking job that says when it runs and waits until it is let on.
fn gate() -> (mpsc::Sender<()>, mpsc::Receiver<()>) {
    mpsc::channel()
}

async fn seen(flag: &mut tokio::sync::mpsc::Receiver<&'static str>) -> &'static str {
    tokio::time::timeout(Duration::from_secs(10), flag.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_job_answers_with_its_result_or_its_panic() {
    let rig = rig().await;
    let lease = rig.disk.acquire(&game("quake"), "install").await.unwrap();
    assert_eq!(rig.disk.run(&lease, "count", |guard| guard.check().is_ok()).await, Ok(true));
    let failed = rig.disk.run(&lease, "unpack", |_| panic!("no such luck")).await;
    let text = "no such luck".to_owned();
    assert_eq!(failed, Err::<(), _>(DiskError::Panicked { step: "unpack", text }));
    assert_eq!(rig.disk.run_unleased("read", || 7).await, Ok(7), "the pool survives a panic");
}

/// Proves O1 on disk: a second owner is refused and told by whom.
#[tokio::test]
async fn a_second_owner_is_refused_by_name() {
    let rig = rig().await;
    let first = rig.disk.acquire(&game("quake"), "install").await.unwrap();
    let by = "install".to_owned();
    let refused = rig.disk.acquire(&game("quake"), "remove").await.unwrap_err();
    assert_eq!(refused, DiskError::Busy { game: game("quake"), by });
    rig.disk.acquire(&game("doom"), "install").await.unwrap();
    drop(first);
    rig.disk.acquire(&game("quake"), "remove").await.unwrap();
}

/// Proves F4 and F7: the ghost of a killed operation writes nothing more, and its successor starts
/// only when the ghost has ended.
#[tokio::test]
async fn a_ghost_is_fenced_at_the_barrier_and_awaited() {
    let rig = rig().await;
    let (say, mut heard) = tokio::sync::mpsc::channel(4);
    let (let_on, barrier) = gate();
    let lease = rig.disk.acquire(&game("quake"), "update").await.unwrap();
    let mut killed = tokio::task::JoinSet::from_iter([{
        let disk = rig.disk.clone();
        let say = say.clone();
        async move {
            disk.run(&lease, "promote", move |guard| {
                say.blocking_send("inside").unwrap();
                barrier.recv().unwrap();
                // What a transaction does before each change.
                let wrote = guard.check().is_ok();
                say.blocking_send(if wrote { "wrote" } else { "fenced" }).unwrap();
            })
            .await
            .ok();
        }
    }]);
    assert_eq!(seen(&mut heard).await, "inside");
    // As the death of its actor does: the lease is dropped, the thread goes on.
    killed.shutdown().await;

    let id = game("quake");
    let mut next = std::pin::pin!(rig.disk.acquire(&id, "recover"));
    let early = tokio::time::timeout(Duration::from_millis(50), &mut next).await;
    assert!(early.is_err(), "the ghost is still inside");
    let_on.send(()).unwrap();
    assert_eq!(seen(&mut heard).await, "fenced");
    let lease = next.await.unwrap();
    assert_eq!(rig.disk.run(&lease, "recover", |guard| guard.check().is_ok()).await, Ok(true));
}

/// Proves the fence of a living holder: it is told so, its worker is awaited, its lease is dead.
#[tokio::test]
async fn a_fence_takes_a_lease_away() {
    let rig = rig().await;
    let (say, mut heard) = tokio::sync::mpsc::channel(4);
    let (let_on, barrier) = gate();
    let lease = Arc::new(rig.disk.acquire(&game("quake"), "download").await.unwrap());
    let mut running = tokio::task::JoinSet::from_iter([{
        let (disk, lease) = (rig.disk.clone(), lease.clone());
        async move {
            disk.run(&lease, "write", move |guard| {
                say.blocking_send("inside").unwrap();
                barrier.recv().unwrap();
                guard.check().is_ok()
            })
            .await
        }
    }]);
    assert_eq!(seen(&mut heard).await, "inside");
    let (disk, id) = (rig.disk.clone(), game("quake"));
    let mut fence = std::pin::pin!(disk.fence(&id));
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut fence).await.is_err());
    let_on.send(()).unwrap();
    fence.await.unwrap();
    assert_eq!(running.join_next().await.unwrap().unwrap(), Ok(false), "it saw the fence");
    let refused = rig.disk.run(&lease, "write", |_| ()).await.unwrap_err();
    assert_eq!(refused, DiskError::Fenced { game: game("quake"), step: "write" });

    let next = rig.disk.acquire(&game("quake"), "recover").await.unwrap();
    drop(lease); // late: must not free what the successor holds
    let busy = rig.disk.acquire(&game("quake"), "third").await.unwrap_err();
    assert!(matches!(busy, DiskError::Busy { by, .. } if by == "recover"));
    drop(next);
}

/// Proves F5: a folder that hangs takes some workers, not all, and only its own game is stuck.
#[tokio::test]
async fn a_hanging_folder_leaves_workers_for_others() {
    let rig = rig().await;
    let inside = Arc::new(AtomicUsize::new(0));
    let (say, mut heard) = tokio::sync::mpsc::channel(64);
    let (let_on, barrier) = gate();
    let barrier = Arc::new(std::sync::Mutex::new(barrier));
    let hung = Arc::new(rig.disk.acquire(&game("hung"), "install").await.unwrap());
    let mut hanging = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (disk, lease, inside) = (rig.disk.clone(), hung.clone(), inside.clone());
        let (say, barrier) = (say.clone(), barrier.clone());
        hanging.spawn(async move {
            disk.run(&lease, "hang", move |_| {
                inside.fetch_add(1, Ordering::SeqCst);
                say.blocking_send("inside").unwrap();
                barrier.lock().unwrap().recv().unwrap();
            })
            .await
        });
    }
    for _ in 0..DISK_WORKERS_PER_LEASE_MAX {
        seen(&mut heard).await;
    }
    let other = rig.disk.acquire(&game("other"), "install").await.unwrap();
    assert_eq!(rig.disk.run(&other, "write", |_| 1).await, Ok(1));
    assert_eq!(rig.disk.run_unleased("read", || 2).await, Ok(2));
    assert_eq!(inside.load(Ordering::SeqCst), DISK_WORKERS_PER_LEASE_MAX);
    for _ in 0..20 {
        let_on.send(()).unwrap();
    }
    while let Some(ended) = hanging.join_next().await {
        ended.unwrap().unwrap();
    }
    assert!(rig.disk.flush(Duration::from_secs(5)).await);
}

/// Proves F5: a disk that never answers makes its game busy after a deadline, not for ever.
#[tokio::test(start_paused = true)]
async fn a_disk_that_never_answers_is_an_error_after_the_deadline() {
    let rig = rig().await;
    let (let_on, barrier) = gate();
    let (say, mut heard) = tokio::sync::mpsc::channel(1);
    let lease = rig.disk.acquire(&game("quake"), "install").await.unwrap();
    let stuck = tokio::task::JoinSet::from_iter([{
        let disk = rig.disk.clone();
        async move {
            let job = move |_: &LeaseGuard| {
                say.blocking_send("inside").unwrap();
                barrier.recv().ok();
            };
            disk.run(&lease, "hang", job).await.ok();
        }
    }]);
    assert_eq!(heard.recv().await, Some("inside"));
    drop(stuck);
    let waiting = tokio::task::JoinSet::from_iter([{
        let disk = rig.disk.clone();
        async move { disk.acquire(&game("quake"), "recover").await.map(drop) }
    }]);
    tokio::task::yield_now().await;
    tokio::time::advance(DISK_DRAIN_DEADLINE + Duration::from_secs(1)).await;
    let answers = waiting.join_all().await;
    assert_eq!(answers, [Err(DiskError::Draining { game: game("quake") })]);
    let_on.send(()).unwrap();
}

/// Proves that the death of `Disk` stops its ghosts: nobody could fence them later.
#[tokio::test]
async fn the_death_of_the_disk_fences_every_lease() {
    let rig = rig().await;
    let (say, mut heard) = tokio::sync::mpsc::channel(4);
    let (let_on, barrier) = gate();
    let lease = rig.disk.acquire(&game("quake"), "install").await.unwrap();
    let job = rig.disk.run(&lease, "promote", move |guard| {
        say.blocking_send("inside").unwrap();
        barrier.recv().unwrap();
        say.blocking_send(if guard.check().is_ok() { "wrote" } else { "fenced" }).unwrap();
    });
    let mut job = std::pin::pin!(job);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut job).await.is_err());
    assert_eq!(seen(&mut heard).await, "inside");
    rig.actor.kill();
    rig.joined.await.unwrap();
    let_on.send(()).unwrap();
    assert_eq!(seen(&mut heard).await, "fenced");
    drop(rig.actor);
    let gone = rig.disk.acquire(&game("doom"), "install").await.unwrap_err();
    assert_eq!(gone, DiskError::Gone);
}
