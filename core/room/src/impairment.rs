//! A bad network, made on purpose: what it does to the datagrams of a room, so that tests can tell how the rest bears it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

/// How much later a datagram comes that others overtake.
const OVERTAKEN: Duration = Duration::from_millis(20);
/// Datagrams that may be on their way; more are lost, as in a full queue of a network.
const ON_THE_WAY: usize = 8_192;

/// What happens to each datagram, of UDP alone, both ways. The same seed makes the same choices in the same order.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Impairment {
    /// Where the random choices begin.
    pub seed: u64,
    /// The share of datagrams that are lost, from 0 to 1; with 1 there is no UDP.
    pub loss: f64,
    /// The share of datagrams that are overtaken by those of the next 20 ms, from 0 to 1.
    pub reorder: f64,
    /// By how much datagrams are late at most. They stay in order.
    pub jitter: Duration,
}

impl Impairment {
    /// A network that does nothing to datagrams.
    pub const fn new(seed: u64) -> Self {
        Self { seed, loss: 0.0, reorder: 0.0, jitter: Duration::ZERO }
    }
}

/// The faults that all sockets of one connection share.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) impairment: Option<Impairment>,
    /// Datagrams that were lost, delayed or reordered.
    pub(super) impaired: Arc<AtomicU64>,
}

/// A bad network in front of one socket, both ways.
#[derive(Debug)]
pub(super) struct BadNetwork {
    incoming: Line<(SocketAddr, Vec<u8>)>,
    outgoing: Line<(SocketAddr, Vec<u8>)>,
    alarm: Pin<Box<Sleep>>,
    /// How many impaired datagrams are in `impaired` already.
    counted: u64,
    impaired: Arc<AtomicU64>,
}

impl BadNetwork {
    /// Returns the network of the socket `number`; `None` where the connection has no impairment.
    pub(super) fn new(faults: &Faults, number: u64) -> Option<Self> {
        let impairment = faults.impairment?;
        Some(Self {
            incoming: Line::new(impairment, 2 * number),
            outgoing: Line::new(impairment, 2 * number + 1),
            alarm: Box::pin(sleep_until(Instant::now().into())),
            counted: 0,
            impaired: Arc::clone(&faults.impaired),
        })
    }

    /// Sends a datagram into the network.
    pub(super) fn send(&mut self, contents: &[u8], destination: SocketAddr) {
        self.outgoing.push((destination, contents.to_vec()), Instant::now());
    }

    /// Returns the next datagram that comes out of the network: its source, and its size in
    /// `buffer`. Calls `receive` for datagrams of the socket, and `transmit` for those that have
    /// crossed the network.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
        receive: impl Fn(&mut Context<'_>, &mut [u8]) -> Poll<(SocketAddr, usize)>,
        transmit: impl Fn(&[u8], SocketAddr),
    ) -> Poll<(SocketAddr, usize)> {
        loop {
            while let Poll::Ready((source, size)) = receive(context, buffer) {
                self.incoming.push((source, buffer[..size].to_vec()), Instant::now());
            }
            let now = Instant::now();
            while let Some((destination, contents)) = self.outgoing.pop(now) {
                transmit(&contents, destination);
            }
            self.count();
            if let Some((source, contents)) = self.incoming.pop(now) {
                buffer[..contents.len()].copy_from_slice(&contents);
                return Poll::Ready((source, contents.len()));
            }
            let Some(due) = self.incoming.due().into_iter().chain(self.outgoing.due()).min() else {
                return Poll::Pending;
            };
            self.alarm.as_mut().reset(due.into());
            ready!(self.alarm.as_mut().poll(context));
        }
    }

    fn count(&mut self) {
        let all = self.incoming.impaired() + self.outgoing.impaired();
        self.impaired.fetch_add(all - self.counted, Ordering::Relaxed);
        self.counted = all;
    }
}

/// One direction of a bad network, without IO.
#[derive(Debug)]
pub(super) struct Line<T> {
    impairment: Impairment,
    random: oorandom::Rand64,
    /// By when they arrive, and the order in which they were sent.
    on_the_way: BTreeMap<(Instant, u64), T>,
    sent: u64,
    /// When the last one arrives that was not overtaken.
    last: Option<Instant>,
    /// How many were lost, delayed or overtaken.
    impaired: u64,
}

impl<T> Line<T> {
    /// `direction` tells the two directions of one seed apart.
    pub(super) fn new(impairment: Impairment, direction: u64) -> Self {
        let random = oorandom::Rand64::new(u128::from(impairment.seed) << 64 | u128::from(direction));
        Self { impairment, random, on_the_way: BTreeMap::new(), sent: 0, last: None, impaired: 0 }
    }

    /// A datagram is sent.
    pub(super) fn push(&mut self, datagram: T, now: Instant) {
        // Each takes the same number of random choices, so that what becomes of one decides nothing about others.
        let (loss, reorder, late) =
            (self.random.rand_float(), self.random.rand_float(), self.random.rand_float());
        if loss < self.impairment.loss || self.on_the_way.len() >= ON_THE_WAY {
            self.impaired += 1;
            return;
        }
        let mut at = now + self.impairment.jitter.mul_f64(late);
        if reorder < self.impairment.reorder {
            at += OVERTAKEN;
        } else {
            at = self.last.map_or(at, |last| last.max(at));
            self.last = Some(at);
        }
        self.impaired += u64::from(at > now);
        self.on_the_way.insert((at, self.sent), datagram);
        self.sent += 1;
    }

    /// When the next one arrives.
    pub(super) fn due(&self) -> Option<Instant> {
        self.on_the_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next one that has arrived.
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        let has_arrived = self.due().is_some_and(|at| at <= now);
        has_arrived.then(|| self.on_the_way.pop_first()).flatten().map(|(_, datagram)| datagram)
    }

    /// How many were lost, delayed or overtaken so far.
    pub(super) const fn impaired(&self) -> u64 {
        self.impaired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends one datagram each millisecond, and gives what arrives: when, in milliseconds, and which.
    fn arrivals(impairment: Impairment, count: u64) -> Vec<(u64, u64)> {
        let origin = Instant::now();
        let at = |ms: u64| origin + Duration::from_millis(ms);
        let mut line = Line::new(impairment, 0);
        let mut arrived = Vec::new();
        for ms in 0..count + 1_000 {
            if ms < count {
                line.push(ms, at(ms));
            }
            while let Some(datagram) = line.pop(at(ms)) {
                arrived.push((ms, datagram));
            }
        }
        assert_eq!(line.due(), None);
        arrived
    }

    fn bad(change: impl FnOnce(&mut Impairment)) -> Impairment {
        let mut impairment = Impairment::new(7);
        change(&mut impairment);
        impairment
    }

    #[test]
    fn a_network_without_faults_changes_nothing() {
        let expected: Vec<_> = (0..100).map(|n| (n, n)).collect();
        assert_eq!(arrivals(Impairment::new(1), 100), expected);
    }

    #[test]
    fn a_share_is_lost_and_the_same_one_each_time() {
        let lossy = bad(|impairment| impairment.loss = 0.05);
        let arrived = arrivals(lossy, 10_000);
        assert!((9_400..9_600).contains(&arrived.len()), "{}", arrived.len());
        assert_eq!(arrivals(lossy, 10_000), arrived);
        assert_ne!(arrivals(Impairment { seed: 8, ..lossy }, 10_000), arrived);
        assert!(arrivals(bad(|impairment| impairment.loss = 1.0), 100).is_empty());
    }

    #[test]
    fn late_datagrams_stay_in_order() {
        let arrived = arrivals(bad(|impairment| impairment.jitter = Duration::from_millis(200)), 10_000);
        assert!(arrived.iter().map(|(_, datagram)| *datagram).eq(0..10_000));
        let late = arrived.iter().map(|(at, datagram)| at - datagram);
        assert!(late.clone().max() > Some(150) && late.max() <= Some(200));
    }

    #[test]
    fn a_share_is_overtaken() {
        let arrived = arrivals(bad(|impairment| impairment.reorder = 0.1), 10_000);
        assert_eq!(arrived.len(), 10_000);
        let overtaken = arrived.windows(2).filter(|pair| pair[0].1 > pair[1].1).count();
        assert!((700..1_100).contains(&overtaken), "{overtaken}");
    }
}
