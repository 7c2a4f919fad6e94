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

fn piece(text: &str) -> Event {
    Event::Chunk { content_type: None, data: text.into() }
}

fn done() -> Outcome {
    Outcome { success: true, ..Outcome::default() }
}

#[tokio::test]
async fn what_was_put_together_is_the_first_piece_of_a_late_reader() {
    let channel = Channel::new(false, None);
    channel.chunk(None, "one ".into()).unwrap();
    channel.chunk(None, "two ".into()).unwrap();
    assert_eq!(channel.event().await, Some(piece("one two ")));
    channel.chunk(None, "three".into()).unwrap();
    assert_eq!(channel.event().await, Some(piece("three")));
    channel.end(Ok(done()));
    assert_eq!(channel.event().await, None);
    assert_eq!(channel.outcome().await, Ok(done()));
}

#[tokio::test]
async fn pieces_that_a_reader_leaves_are_in_the_outcome() {
    let channel = Channel::new(true, None);
    channel.offer(Event::Started);
    for text in ["one ", "two ", "three"] {
        channel.chunk(None, text.into()).unwrap();
    }
    assert_eq!(channel.event().await, Some(Event::Started));
    assert_eq!(channel.event().await, Some(piece("one ")));
    channel.end(Ok(done()));
    assert_eq!(channel.outcome().await.unwrap().data, "two three".into());
}

#[tokio::test]
async fn only_a_requester_that_follows_hears_of_more_than_the_answer() {
    for is_followed in [false, true] {
        let channel = Channel::new(is_followed, None);
        channel.offer(Event::Log("a line".to_owned()));
        channel.end(Ok(done()));
        assert_eq!(channel.event().await.is_some(), is_followed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_an_event_may_be_broken_off_and_begun_again() {
    let channel = Channel::new(true, None);
    let broken_off = timeout(Duration::from_secs(1), channel.event()).await;
    assert!(broken_off.is_err());
    channel.chunk(None, "one".into()).unwrap();
    let mut waiting = pin!(channel.event());
    assert_eq!(waiting.as_mut().now_or_never(), Some(Some(piece("one"))));
    {
        let waiting = pin!(channel.event());
        assert_eq!(waiting.now_or_never(), None);
        channel.chunk(None, "two".into()).unwrap();
        // It was woken, and is dropped before it looks.
    }
    assert_eq!(channel.event().await, Some(piece("two")));
}

#[tokio::test(start_paused = true)]
async fn a_full_window_is_waited_for_until_it_is_read_left_or_too_late() {
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
fn nothing_is_kept_for_a_requester_that_has_left() {
    for is_followed in [false, true] {
        let channel = Channel::new(is_followed, None);
        channel.chunk(None, "before".into()).unwrap();
        assert!(channel.leave());
        for _ in 0..100 {
            channel.chunk(None, "x".repeat(100_000).into()).unwrap();
        }
        let mut state = channel.state();
        assert!(state.events.is_empty() && state.pieces.take().is_none());
    }
}

#[test]
fn the_memory_of_the_inputs_is_held_as_long_as_the_job_or_its_requester_lasts() {
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
