//! The account of a budget: who holds what of it, and who gives way to whom.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

/// Parts up to this size may use the last eighth of a budget, so that a few large, slow bodies cannot
/// lock out everyone else. Half of it is for holders that have less than a quarter of the budget.
pub(super) const SMALL: usize = 1 << 20;
/// Anything larger that is still coming gives way to a part up to this size, which is no sooner there
/// than it is whole.
pub(super) const TINY: usize = 8 * 1024;
/// A body that has not grown for so long comes slowly.
const SLOW: Duration = Duration::from_millis(750);
/// The most that wait for room at a time: each of them looks again and again.
const MOST_WAITING: usize = 64;

/// The account of a budget.
#[derive(Debug)]
pub(super) struct Ledger {
    most: usize,
    taken: usize,
    /// The bytes that each known client holds.
    holders: BTreeMap<IpAddr, usize>,
    /// The parts of bodies that are not whole yet. Who came earlier has a lower number.
    incoming: BTreeMap<u64, Incoming>,
    next: u64,
    waiting: usize,
}

/// A part for a body that is still coming.
#[derive(Debug)]
struct Incoming {
    holder: Option<IpAddr>,
    bytes: usize,
    /// When it grew last, or stopped to wait for room.
    grown: Instant,
    /// True while it is not the sender who lets it wait.
    waits: bool,
    waker: Option<Waker>,
}

/// A part that is to grow.
pub(super) struct Asker {
    /// Its number, if its body is still coming.
    pub(super) number: Option<u64>,
    pub(super) holder: Option<IpAddr>,
    /// The bytes that it would have.
    pub(super) bytes: usize,
    /// The part of these bytes that it has not got yet.
    pub(super) more: usize,
    /// False where these bytes do not count for the holder.
    pub(super) is_noted: bool,
    /// True for one that has waited long enough to take from others that wait.
    pub(super) is_pressing: bool,
}

/// The order in which bodies give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// First those that have not grown for the longest time.
    Slowest(Instant),
    /// Then, of those that wait for room as well, the one that began last.
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

    /// Gives the asker what it asks for, if there is room or others give way; whether it has it.
    pub(super) fn ask(&mut self, asker: &Asker) -> bool {
        if asker.number.is_some_and(|number| !self.has(number)) {
            return false;
        }
        let missing = self.missing(asker);
        if missing > 0 && !self.make_room(asker, missing) {
            return false;
        }
        self.take(asker.holder.filter(|_| asker.is_noted), asker.more);
        if let Some(incoming) = asker.number.and_then(|number| self.incoming.get_mut(&number)) {
            incoming.bytes += asker.more;
            incoming.grown = Instant::now();
        }
        true
    }

    /// Notes a part whose body is still coming, and gives its number.
    pub(super) fn begin(&mut self, holder: Option<IpAddr>, bytes: usize) -> u64 {
        self.next += 1;
        let grown = Instant::now();
        let incoming = Incoming { holder, bytes, grown, waits: false, waker: None };
        self.incoming.insert(self.next, incoming);
        self.next
    }

    /// Notes that a body is whole, or will not come; false where its part has given way.
    pub(super) fn end(&mut self, number: u64) -> bool {
        self.incoming.remove(&number).is_some()
    }

    /// Tells whether a part is still coming and has not given way.
    pub(super) fn has(&self, number: u64) -> bool {
        self.incoming.contains_key(&number)
    }

    /// Wakes the task when the part gives way; false where it has already.
    pub(super) fn watch(&mut self, number: u64, waker: &Waker) -> bool {
        let Some(incoming) = self.incoming.get_mut(&number) else { return false };
        match &mut incoming.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        true
    }

    /// Takes a place among those that wait for room, if there is one.
    pub(super) fn wait(&mut self, number: Option<u64>) -> bool {
        let has_place = self.waiting < MOST_WAITING;
        if has_place {
            self.waiting += 1;
            self.set_waits(number, true);
        }
        has_place
    }

    pub(super) fn wait_no_more(&mut self, number: Option<u64>) {
        self.waiting -= 1;
        self.set_waits(number, false);
    }

    fn set_waits(&mut self, number: Option<u64>, waits: bool) {
        if let Some(incoming) = number.and_then(|number| self.incoming.get_mut(&number)) {
            incoming.waits = waits;
            incoming.grown = Instant::now();
        }
    }

    /// Tells whether somebody, if it is known who, has more than a share once he has `more`.
    fn is_greedy(&self, holder: Option<IpAddr>, more: usize) -> bool {
        let held = holder.map(|holder| self.holders.get(&holder).copied().unwrap_or_default());
        held.is_some_and(|held| self.is_over_share(held.saturating_add(more)))
    }

    fn is_over_share(&self, held: usize) -> bool {
        held > self.most / 4
    }

    /// The bytes that are kept from a part of `bytes`.
    fn kept_from(&self, bytes: usize, is_greedy: bool) -> usize {
        if bytes > SMALL {
            self.most / 8
        } else if is_greedy {
            self.most / 16
        } else {
            0
        }
    }

    /// The bytes that have to be given back before the asker can have what it asks for.
    fn missing(&self, asker: &Asker) -> usize {
        // Most find more room than is ever kept from anybody.
        if self.taken.saturating_add(asker.more) <= self.most - self.most / 8 {
            return 0;
        }
        let is_greedy = self.is_greedy(asker.holder, asker.more);
        let most = self.most - self.kept_from(asker.bytes, is_greedy);
        self.taken.saturating_add(asker.more).saturating_sub(most)
    }

    /// Lets as many bodies give way as it takes; none where all that may would not do. What they had counts as free: their tasks drop it as soon as they
    /// are woken.
    fn make_room(&mut self, asker: &Asker, missing: usize) -> bool {
        let oldest = self.incoming.keys().next().copied();
        let mut giving: Vec<(Turn, u64, usize)> = self
            .incoming
            .iter()
            .filter(|(number, _)| asker.number != Some(**number))
            .filter_map(|(number, incoming)| {
                let turn = self.turn(asker, *number, incoming, oldest == Some(*number))?;
                Some((turn, *number, incoming.bytes))
            })
            .collect();
        if giving.iter().map(|(_, _, bytes)| bytes).sum::<usize>() < missing {
            return false;
        }
        giving.sort_unstable();
        let mut given = 0;
        for (_, number, bytes) in giving {
            if given >= missing {
                break;
            }
            given += bytes;
            self.take_away(number);
        }
        true
    }

    /// Finds out whether a body gives way to the asker, and when it is its turn.
    fn turn(
        &self,
        asker: &Asker,
        number: u64,
        incoming: &Incoming,
        is_oldest: bool,
    ) -> Option<Turn> {
        let is_slow = !incoming.waits && incoming.grown.elapsed() >= SLOW;
        let is_larger = asker.bytes <= TINY && incoming.bytes > asker.bytes;
        // The oldest one is spared by this, so that two large ones do not drive each other out for ever.
        let is_greedy = !is_oldest
            && self.is_greedy(incoming.holder, 0)
            && !self.is_greedy(asker.holder, asker.more);
        if is_slow || is_larger || is_greedy {
            return Some(Turn::Slowest(incoming.grown));
        }
        let is_later = asker.number.is_some_and(|asking| asking < number);
        let gives_way = asker.is_pressing && incoming.waits && is_later;
        gives_way.then_some(Turn::Latest(Reverse(number)))
    }

    fn take_away(&mut self, number: u64) {
        if let Some(incoming) = self.incoming.remove(&number) {
            self.give_back(incoming.holder, incoming.bytes);
            if let Some(waker) = incoming.waker {
                waker.wake();
            }
        }
    }
}
