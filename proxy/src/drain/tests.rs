use super::*;
use crate::balance::Random;
use std::rc::Rc;
use tokio::time::Instant;

const SETTINGS: DrainSettings = DrainSettings { delay: Duration::from_secs(5), timeout: Duration::from_secs(25) };

fn worker(drain: &Drain) -> (Rc<WorkerDrain>, DrainWatch) {
    let watch = drain.watch();
    (WorkerDrain::new(&watch), watch)
}

#[tokio::test(start_paused = true)]
async fn phases_come_at_their_times() {
    let drain = Drain::new(SETTINGS);
    let mut watch = drain.watch();
    let start = Instant::now();
    let watching = async {
        let mut times = Vec::new();
        for phase in [DrainPhase::Closing, DrainPhase::Stopping, DrainPhase::Deadline, DrainPhase::Over] {
            watch.reached(phase).await;
            assert_eq!(watch.phase(), phase);
            times.push(start.elapsed().as_secs());
        }
        times
    };
    let (ended, times) = tokio::join!(drain.run(), watching);
    assert_eq!(ended, Drained::TimedOut);
    assert_eq!(times, [0, 5, 28, 30]);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_last_watch_is_dropped() {
    let drain = Drain::new(SETTINGS);
    let [mut first, mut second] = [drain.watch(), drain.watch()];
    let start = Instant::now();
    let watching = async {
        first.reached(DrainPhase::Stopping).await;
        drop(first);
        sleep(Duration::from_secs(3)).await;
        second.reached(DrainPhase::Stopping).await;
        drop(second);
    };
    let (ended, ()) = tokio::join!(drain.run(), watching);
    assert_eq!(ended, Drained::Empty);
    assert_eq!(start.elapsed().as_secs(), 8);
}

#[tokio::test(start_paused = true)]
async fn phases_never_go_back() {
    let drain = Drain::new(SETTINGS);
    let watch = drain.watch();
    drain.advance(DrainPhase::Stopping);
    drain.advance(DrainPhase::Closing);
    assert_eq!(watch.phase(), DrainPhase::Stopping);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_drain_may_end_everything_at_once() {
    let drain = Drain::new(SETTINGS);
    let mut watch = drain.watch();
    let start = Instant::now();
    assert!(timeout(Duration::from_secs(2), drain.run()).await.is_err());
    drain.advance(DrainPhase::Over);
    watch.reached(DrainPhase::Over).await;
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_its_owner_everything_ends() {
    let drain = Drain::new(SETTINGS);
    let (worker, watch) = worker(&drain);
    let over = worker.reached(DrainPhase::Over);
    drop(drain);
    tokio::join!(worker.follow(watch), over);
    assert_eq!(worker.phase(), DrainPhase::Over);
}

#[tokio::test(start_paused = true)]
async fn connections_of_a_worker_wake_at_their_phase() {
    let drain = Drain::new(SETTINGS);
    let (worker, watch) = worker(&drain);
    let start = Instant::now();
    let after = async |phase| {
        worker.reached(phase).await;
        start.elapsed().as_secs()
    };
    let times =
        async { tokio::join!(after(DrainPhase::Running), after(DrainPhase::Closing), after(DrainPhase::Stopping)) };
    let (ended, (), times) = tokio::join!(drain.run(), worker.follow(watch), times);
    assert_eq!(ended, Drained::TimedOut);
    assert_eq!(times, (0, 0, 5));
    assert!(worker.is_closing());
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_came_before_the_worker_follows_is_not_missed() {
    let drain = Drain::new(SETTINGS);
    let (worker, mut watch) = worker(&drain);
    let test = async {
        let closing = tokio::task::spawn_local(worker.reached(DrainPhase::Closing));
        tokio::task::yield_now().await;
        drain.advance(DrainPhase::Closing);
        watch.reached(DrainPhase::Closing).await;
        tokio::select! {
            woken = closing => woken.expect("no panic"),
            () = worker.follow(watch) => unreachable!("the deadline did not come"),
            () = sleep(Duration::from_secs(1)) => panic!("nobody woke it"),
        }
    };
    tokio::task::LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_drained_when_its_last_guard_is_dropped() {
    let drain = Drain::new(SETTINGS);
    let (worker, watch) = worker(&drain);
    let start = Instant::now();
    let working = async {
        let guards = [worker.guard(), worker.guard()];
        for guard in guards {
            assert!(timeout(Duration::from_secs(1), worker.emptied()).await.is_err());
            drop(guard);
        }
        assert_eq!(worker.guards(), 0);
        worker.emptied().await;
    };
    tokio::select! {
        () = working => {}
        () = worker.follow(watch) => unreachable!("the deadline did not come"),
    }
    drain.drained().await;
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_guard_wakes_who_waits() {
    let drain = Drain::new(SETTINGS);
    let (worker, _watch) = worker(&drain);
    let guard = worker.guard();
    let dropping = async {
        sleep(Duration::from_secs(1)).await;
        drop(guard);
    };
    tokio::join!(worker.emptied(), worker.emptied(), dropping);
    assert_eq!(worker.guards(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_stopped_waiting_takes_no_room() {
    let drain = Drain::new(SETTINGS);
    let (worker, _watch) = worker(&drain);
    for _ in 0..100 {
        let mut waiting = [worker.reached(DrainPhase::Stopping), worker.reached(DrainPhase::Stopping)];
        for future in &mut waiting {
            assert!(timeout(Duration::ZERO, &mut *future).await.is_err());
            assert!(timeout(Duration::ZERO, future).await.is_err());
        }
    }
    assert_eq!(worker.slots(), 2);
}

#[test]
fn idle_connections_close_one_by_one() {
    for (timeout, patience, spread) in [(25, 12_500, 10_000), (60, 30_000, 10_000), (10, 5_000, 4_000), (0, 0, 0)] {
        let drain = Drain::new(DrainSettings { timeout: Duration::from_secs(timeout), ..SETTINGS });
        let (worker, watch) = worker(&drain);
        assert_eq!((watch.patience().as_millis(), watch.spread().as_millis()), (patience, spread));
        let random = Random::seeded(9);
        let mut tenths = [0; 10];
        for _ in 0..1000 {
            let before = patience - worker.close_after(&random).as_millis();
            assert!(before <= spread);
            tenths[(before * 10 / spread.max(1)).min(9) as usize] += 1;
        }
        assert!(spread == 0 || tenths.iter().all(|count| (60..=140).contains(count)), "{tenths:?}");
    }
}
