use super::ledger::SMALL;
use std::task::Waker;

use super::*;

#[test]
fn the_last_eighth_is_for_small_reservations() {
    let budget = Budget::new(SMALL * 16);
    let (mut large, mut small) = (budget.reserve(None), budget.reserve(None));
    assert!(large.grow_to(SMALL * 14) && !large.grow_to(SMALL * 14 + 1));
    assert!(small.grow_to(SMALL) && !small.grow_to(SMALL + 1));
}

#[test]
fn a_budget_is_never_exceeded_and_gets_everything_back() {
    let budget = Budget::new(10);
    let (mut one, mut other) = (budget.reserve(None), budget.reserve(None));
    assert!(one.grow_to(6) && other.grow_to(4) && one.grow_to(2));
    assert!(!other.grow_to(5) && !one.grow_to(usize::MAX));
    assert_eq!(budget.taken(), 10);
    drop(one);
    assert!(other.add(6) && !other.add(1) && !other.add(usize::MAX));
    drop(other);
    assert_eq!(budget.taken(), 0);
    let (mut one, mut other) = (budget.reserve(None), budget.reserve(None));
    one.force(20);
    assert!(!other.add(1) && other.add(0));
    drop(one);
    assert!(other.add(1));
}

#[test]
fn a_split_reservation_is_returned_by_itself() {
    let budget = Budget::new(10);
    let mut whole = budget.reserve(None);
    assert!(whole.grow_to(8));
    let (mut one, rest) = (whole.split(3), whole.split(usize::MAX));
    assert_eq!(budget.taken(), 8);
    assert!(one.grow_to(5) && !whole.add(1));
    drop((whole, rest));
    assert_eq!(budget.taken(), 5);
    drop(one);
    assert_eq!(budget.taken(), 0);
}

const ONE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
const OTHER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

fn coming(budget: &Budget, holder: Option<IpAddr>, bytes: usize) -> Reservation {
    let mut reservation = budget.reserve(holder);
    reservation.receive();
    assert!(reservation.grow_to(bytes));
    reservation
}

fn has_given_way(reservation: &Reservation) -> bool {
    reservation.poll_gives_way(&mut Context::from_waker(Waker::noop())).is_ready()
}

async fn pass(milliseconds: u64) {
    tokio::time::advance(Duration::from_millis(milliseconds)).await;
}

#[test]
fn the_last_sixteenth_is_for_clients_with_little_memory() {
    let budget = Budget::new(SMALL * 16);
    let parts = || (0..15).map(|_| budget.reserve(ONE));
    let mut taken: Vec<Reservation> = parts().collect();
    assert!(taken.iter_mut().all(|part| part.grow_to(SMALL)));
    assert!(!budget.reserve(ONE).grow_to(1));
    assert!(budget.reserve(OTHER).grow_to(SMALL));
    drop(taken);
    assert!(budget.reserve(ONE).grow_to(SMALL * 14));
}

#[tokio::test(start_paused = true)]
async fn the_slowest_body_gives_way_first_and_a_complete_one_never_does() {
    let budget = Budget::new(SMALL * 16);
    let mut whole = coming(&budget, ONE, SMALL * 4);
    assert!(whole.settle(SMALL * 3));
    let slowest = coming(&budget, ONE, SMALL * 4);
    pass(100).await;
    let slow = coming(&budget, ONE, SMALL * 4);
    pass(700).await;
    let lively = coming(&budget, ONE, SMALL * 2);
    pass(100).await;
    let mut asking = budget.reserve(ONE);
    assert!(!asking.grow_to(SMALL * 10) && !has_given_way(&slowest), "nobody gives way in vain");
    assert!(asking.grow_to(SMALL * 2));
    assert!(has_given_way(&slowest) && !has_given_way(&slow) && !has_given_way(&lively));
    assert_eq!(budget.taken(), SMALL * 11);
    drop(slowest);
    assert_eq!(budget.taken(), SMALL * 11);
    assert!(!asking.grow_to(SMALL * 10));
    drop((whole, slow, lively, asking));
    assert_eq!(budget.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn small_requests_and_clients_with_little_memory_do_not_wait_for_slow_bodies() {
    let budget = Budget::new(SMALL * 16);
    let first = coming(&budget, ONE, SMALL * 7);
    let second = coming(&budget, ONE, SMALL * 7);
    assert!(!budget.reserve(ONE).grow_to(SMALL * 2));
    let mut asking = budget.reserve(OTHER);
    assert!(asking.grow_to(SMALL * 2));
    assert!(!has_given_way(&first) && has_given_way(&second), "the oldest is spared");
    let mut rest = budget.reserve(OTHER);
    rest.force(SMALL * 7);
    assert!(budget.reserve(None).grow_to(100));
    assert!(has_given_way(&first));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_several_growing_bodies_is_completed_first() {
    let budget = Budget::new(SMALL * 8);
    let grow = |part: usize| {
        let mut reservation = coming(&budget, ONE, SMALL);
        async move {
            for megabytes in 2..=4 {
                if !reservation.grow(SMALL * megabytes).await {
                    return None;
                }
                tokio::task::yield_now().await;
            }
            reservation.settle(SMALL * 4).then_some(part)
        }
    };
    let begun: Vec<_> = (0..5).map(grow).collect();
    let begin = Instant::now();
    let ended: Vec<usize> =
        futures_util::future::join_all(begun).await.into_iter().flatten().collect();
    assert_eq!(ended.first(), Some(&0));
    assert!(begin.elapsed() < MAX_WAIT * 4);
    assert_eq!(budget.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_waiting_reservations_is_limited() {
    let budget = Budget::new(SMALL);
    let mut held = budget.reserve(None);
    assert!(held.grow_to(SMALL));
    let waiting = (0..100).map(|_| {
        let mut reservation = budget.reserve(None);
        async move { reservation.grow(1000).await }
    });
    let begin = Instant::now();
    let give_back = async {
        sleep(Duration::from_millis(500)).await;
        drop(held);
    };
    let (got, ()) = tokio::join!(futures_util::future::join_all(waiting), give_back);
    assert_eq!(got.into_iter().filter(|got| *got).count(), 64);
    assert!(begin.elapsed() < MAX_WAIT);
    assert_eq!(budget.taken(), 0);
}
