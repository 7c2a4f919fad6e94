use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;

use super::*;
use crate::job::budget::Budget;
use crate::job::id::JobId;
use crate::job::ticket::{Jobs, Ticket};

#[derive(Debug)]
struct Nowhere;

impl Jobs for Nowhere {
    fn cancel(&self, _id: JobId) {}

    fn position(&self, _id: JobId) -> Option<usize> {
        None
    }
}

fn chunk(text: &str) -> Event {
    Event::Chunk { content_type: None, data: text.into() }
}

fn done() -> Outcome {
    Outcome { success: true, ..Outcome::default() }
}

#[tokio::test]
async fn a_late_reader_gets_the_earlier_chunks_as_one() {
    let channel = Channel::new(false, None);
    channel.chunk(None, "one ".into()).unwrap();
    channel.chunk(None, "two ".into()).unwrap();
    assert_eq!(channel.event().await, Some(chunk("one two ")));
    channel.chunk(None, "three".into()).unwrap();
    assert_eq!(channel.event().await, Some(chunk("three")));
    channel.end(Ok(done()));
    assert_eq!(channel.event().await, None);
    assert_eq!(channel.outcome().await, Ok(done()));
}

#[tokio::test]
async fn chunks_that_were_not_read_are_in_the_outcome() {
    let channel = Channel::new(true, None);
    channel.offer(Event::Started);
    for text in ["one ", "two ", "three"] {
        channel.chunk(None, text.into()).unwrap();
    }
    assert_eq!(channel.event().await, Some(Event::Started));
    assert_eq!(channel.event().await, Some(chunk("one ")));
    channel.end(Ok(done()));
    assert_eq!(channel.outcome().await.unwrap().data, "two three".into());
}

#[tokio::test]
async fn only_a_requester_that_follows_its_job_gets_log_lines() {
    for is_followed in [false, true] {
        let channel = Channel::new(is_followed, None);
        channel.offer(Event::Log("a line".to_owned()));
        channel.end(Ok(done()));
        assert_eq!(channel.event().await.is_some(), is_followed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_an_event_may_be_cancelled_and_repeated() {
    let channel = Channel::new(true, None);
    let cancelled = timeout(Duration::from_secs(1), channel.event()).await;
    assert!(cancelled.is_err());
    channel.chunk(None, "one".into()).unwrap();
    let mut waiting = pin!(channel.event());
    assert_eq!(waiting.as_mut().now_or_never(), Some(Some(chunk("one"))));
    {
        let waiting = pin!(channel.event());
        assert_eq!(waiting.now_or_never(), None);
        channel.chunk(None, "two".into()).unwrap();
        // The future was woken, and is dropped before it is polled again.
    }
    assert_eq!(channel.event().await, Some(chunk("two")));
}

#[tokio::test(start_paused = true)]
async fn a_full_window_blocks_until_it_is_read_or_left_or_the_time_is_over() {
    let full = || {
        let channel = Channel::new(true, None);
        channel.chunk(None, "x".repeat(WINDOW).into()).unwrap();
        assert!(channel.chunk(None, "y".into()).is_err());
        channel
    };
    let channel = full();
    let (passed_on, event) = tokio::join!(channel.pass_on(None, "y".into()), channel.event());
    assert!(passed_on && event.is_some());

    let channel = full();
    let read = async {
        tokio::task::yield_now().await;
        channel.outcome().await
    };
    let passed_on = async {
        let passed_on = channel.pass_on(None, "y".into()).await;
        channel.end(Ok(done()));
        passed_on
    };
    let (passed_on, outcome) = tokio::join!(passed_on, read);
    assert!(passed_on);
    assert_eq!(outcome.unwrap().data.len(), WINDOW + 1);

    let channel = full();
    let leave = async { channel.leave() };
    let (passed_on, goes_on) = tokio::join!(channel.pass_on(None, "y".into()), leave);
    assert!(passed_on && goes_on);
    assert!(channel.state().events.is_empty());

    let channel = full();
    assert!(!channel.pass_on(None, "y".into()).await);
}

#[test]
fn nothing_is_kept_after_the_ticket_is_dropped() {
    for is_followed in [false, true] {
        let channel = Channel::new(is_followed, None);
        channel.chunk(None, "before".into()).unwrap();
        assert!(channel.leave());
        for _ in 0..100 {
            channel.chunk(None, "x".repeat(100_000).into()).unwrap();
        }
        let mut state = channel.state();
        assert!(state.events.is_empty() && state.chunks.take().is_none());
    }
}

#[test]
fn the_memory_of_the_inputs_is_reserved_until_job_and_ticket_are_gone() {
    let budget = Budget::new(100);
    let open = || {
        let mut reservation = budget.reserve(None);
        assert!(reservation.grow_to(60));
        Ticket::new(JobId(1), Arc::new(Nowhere), false, Some(reservation))
    };
    let (ticket, responder) = open();
    drop(ticket);
    assert_eq!(budget.taken(), 60);
    drop(responder);
    assert_eq!(budget.taken(), 0);
    let (ticket, responder) = open();
    responder.answer(Ok(done()));
    assert_eq!(budget.taken(), 60);
    drop(ticket);
    assert_eq!(budget.taken(), 0);
}
