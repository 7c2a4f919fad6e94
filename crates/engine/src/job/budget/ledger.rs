//! The accounts of a budget: the bytes that each client holds, and the order in which reservations
//! give way to others.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

/// Reservations up to this size may use the last eighth of a budget, so that a few large, slow
/// bodies cannot block all other requests. Half of this eighth is for holders with at most a
/// quarter of the budget.
pub(super) const SMALL: usize = 1 << 20;
/// A reservation up to this size makes larger bodies that are being received give way, because it
/// is for a body that is complete as soon as it arrives.
pub(super) const TINY: usize = 8 * 1024;
/// A body that has not grown for this time is slow.
const SLOW: Duration = Duration::from_millis(750);
/// The limit of reservations that wait at a time: each of them retries many times.
const MOST_WAITING: usize = 64;

/// The accounts of a budget.
#[derive(Debug)]
pub(super) struct Ledger {
    most: usize,
    taken: usize,
    /// The number of bytes that each client holds.
    holders: BTreeMap<IpAddr, usize>,
    /// The bodies that are being received, by number. An earlier body has a lower number.
    incoming: BTreeMap<u64, Incoming>,
    next: u64,
    waiting: usize,
}

/// The reservation of a body that is being received.
#[derive(Debug)]
struct Incoming {
    holder: Option<IpAddr>,
    bytes: usize,
    /// The time when the reservation last grew, or began or stopped waiting for memory.
    grown: Instant,
    /// True while the reservation waits for memory, so that the client is not to blame for the
    /// pause.
    waits: bool,
    waker: Option<Waker>,
}

/// A reservation that asks to grow.
pub(super) struct Asker {
    /// Its number, if its body is being received.
    pub(super) number: Option<u64>,
    pub(super) holder: Option<IpAddr>,
    /// The size that it asks for.
    pub(super) bytes: usize,
    /// The difference between `bytes` and its present size.
    pub(super) more: usize,
    /// False if the bytes are not counted for the holder.
    pub(super) is_counted: bool,
    /// True if it has waited long enough to revoke reservations that wait as well.
    pub(super) may_preempt: bool,
}

/// The order in which bodies give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// First the bodies that are slow, that are larger than a tiny asker, or whose holder has more
    /// than its share. The body that has not grown for the longest time goes first.
    Slowest(Instant),
    /// Then the bodies that wait for memory as well. The body that began last goes first.
    Latest(Reverse<u64>),
}

impl Ledger {
    pub(super) fn new(most: usize) -> Self {
        let (holders, incoming) = (BTreeMap::new(), BTreeMap::new());
        Ledger { most, taken: 0, holders, incoming, next: 0, waiting: 0 }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn allows(&self, bytes: usize) -> bool {
        bytes <= self.most - self.kept_from(bytes, self.is_over_share(bytes))
    }

    pub(super) fn take(&mut self, holder: Option<IpAddr>, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes);
        if let Some(holder) = holder {
            *self.holders.entry(holder).or_default() += bytes;
        }
    }

    pub(super) fn give_back(&mut self, holder: Option<IpAddr>, bytes: usize) {
        self.taken = self.taken.saturating_sub(bytes);
        if let Some(holder) = holder
            && let Some(held) = self.holders.get_mut(&holder)
        {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                self.holders.remove(&holder);
            }
        }
    }

    /// Grants the bytes that the asker asks for, if there is memory or others give way. Returns
    /// true if they are granted.
    pub(super) fn ask(&mut self, asker: &Asker) -> bool {
        if asker.number.is_some_and(|number| !self.has(number)) {
            return false;
        }
        let missing = self.missing(asker);
        if missing > 0 && !self.make_room(asker, missing) {
            return false;
        }
        self.take(asker.holder.filter(|_| asker.is_counted), asker.more);
        if let Some(incoming) = asker.number.and_then(|number| self.incoming.get_mut(&number)) {
            incoming.bytes += asker.more;
            incoming.grown = Instant::now();
        }
        true
    }

    /// Adds the reservation of a body that is being received, and returns its number.
    pub(super) fn begin(&mut self, holder: Option<IpAddr>, bytes: usize) -> u64 {
        self.next += 1;
        let grown = Instant::now();
        let incoming = Incoming { holder, bytes, grown, waits: false, waker: None };
        self.incoming.insert(self.next, incoming);
        self.next
    }

    /// Removes a body that is complete or was given up. Returns false if its reservation has given
    /// way.
    pub(super) fn end(&mut self, number: u64) -> bool {
        self.incoming.remove(&number).is_some()
    }

    /// Returns true if the body is being received and its reservation has not given way.
    pub(super) fn has(&self, number: u64) -> bool {
        self.incoming.contains_key(&number)
    }

    /// Sets the task that is woken when the reservation gives way. Returns false if it has already.
    pub(super) fn watch(&mut self, number: u64, waker: &Waker) -> bool {
        let Some(incoming) = self.incoming.get_mut(&number) else { return false };
        match &mut incoming.waker {
            Some(known) => known.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
        true
    }

    /// Registers a reservation that waits for memory. Returns false if too many wait already.
    pub(super) fn wait(&mut self, number: Option<u64>) -> bool {
        let has_place = self.waiting < MOST_WAITING;
        if has_place {
            self.waiting += 1;
            self.set_waits(number, true);
        }
        has_place
    }

    /// Ends the registration by [`Ledger::wait`].
    pub(super) fn stop_waiting(&mut self, number: Option<u64>) {
        self.waiting -= 1;
        self.set_waits(number, false);
    }

    fn set_waits(&mut self, number: Option<u64>, waits: bool) {
        if let Some(incoming) = number.and_then(|number| self.incoming.get_mut(&number)) {
            incoming.waits = waits;
            incoming.grown = Instant::now();
        }
    }

    /// Returns true if the holder is known, and would hold more than its share with `more` bytes.
    fn is_greedy(&self, holder: Option<IpAddr>, more: usize) -> bool {
        let held = holder.map(|holder| self.holders.get(&holder).copied().unwrap_or_default());
        held.is_some_and(|held| self.is_over_share(held.saturating_add(more)))
    }

    fn is_over_share(&self, held: usize) -> bool {
        held > self.most / 4
    }

    /// Returns the number of bytes of the budget that a reservation of `bytes` may not use.
    fn kept_from(&self, bytes: usize, is_greedy: bool) -> usize {
        if bytes > SMALL {
            self.most / 8
        } else if is_greedy {
            self.most / 16
        } else {
            0
        }
    }

    /// Returns the number of bytes that must become free before the asker can grow.
    fn missing(&self, asker: &Asker) -> usize {
        // Every reservation may use the first seven eighths. Usually they suffice.
        if self.taken.saturating_add(asker.more) <= self.most - self.most / 8 {
            return 0;
        }
        let is_greedy = self.is_greedy(asker.holder, asker.more);
        let most = self.most - self.kept_from(asker.bytes, is_greedy);
        self.taken.saturating_add(asker.more).saturating_sub(most)
    }

    /// Makes bodies give way until `missing` bytes are free. Returns false, and revokes nothing, if
    /// that is not possible. The revoked bytes count as free at once, because the tasks drop them
    /// as soon as they are woken.
    fn make_room(&mut self, asker: &Asker, missing: usize) -> bool {
        let oldest = self.incoming.keys().next().copied();
        let mut candidates: Vec<(Turn, u64, usize)> = self
            .incoming
            .iter()
            .filter(|(number, _)| asker.number != Some(**number))
            .filter_map(|(number, incoming)| {
                let turn = self.turn(asker, *number, incoming, oldest == Some(*number))?;
                Some((turn, *number, incoming.bytes))
            })
            .collect();
        if candidates.iter().map(|(_, _, bytes)| bytes).sum::<usize>() < missing {
            return false;
        }
        candidates.sort_unstable();
        let mut freed = 0;
        for (_, number, bytes) in candidates {
            if freed >= missing {
                break;
            }
            freed += bytes;
            self.revoke(number);
        }
        true
    }

    /// Returns the order in which a body gives way to the asker, or `None` if it does not.
    fn turn(
        &self,
        asker: &Asker,
        number: u64,
        incoming: &Incoming,
        is_oldest: bool,
    ) -> Option<Turn> {
        let is_slow = !incoming.waits && incoming.grown.elapsed() >= SLOW;
        let is_larger = asker.bytes <= TINY && incoming.bytes > asker.bytes;
        // The oldest body is spared here, so that two large ones do not revoke each other for ever.
        let is_greedy = !is_oldest
            && self.is_greedy(incoming.holder, 0)
            && !self.is_greedy(asker.holder, asker.more);
        if is_slow || is_larger || is_greedy {
            return Some(Turn::Slowest(incoming.grown));
        }
        let is_later = asker.number.is_some_and(|asking| asking < number);
        let gives_way = asker.may_preempt && incoming.waits && is_later;
        gives_way.then_some(Turn::Latest(Reverse(number)))
    }

    fn revoke(&mut self, number: u64) {
        if let Some(incoming) = self.incoming.remove(&number) {
            self.give_back(incoming.holder, incoming.bytes);
            if let Some(waker) = incoming.waker {
                waker.wake();
            }
        }
    }
}
