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
async fn events_beside_chunks_leave_the_chunks_for_the_outcome() {
    let channel = Channel::new(true, None);
    let progress = |fraction| Event::Progress { fraction: Some(fraction), message: None };
    channel.chunk(Some("text/plain".to_owned()), "one ".into()).unwrap();
    channel.offer(progress(0.5));
    channel.chunk(None, "two ".into()).unwrap();
    assert_eq!(channel.event_beside_chunks().await, Some(progress(0.5)));
    assert_eq!(channel.event_beside_chunks().now_or_never(), None);
    channel.chunk(None, "three".into()).unwrap();
    channel.offer(progress(1.0));
    channel.end(Ok(done()));
    assert_eq!(channel.event_beside_chunks().await, Some(progress(1.0)));
    assert_eq!(channel.event_beside_chunks().await, None);
    let outcome = channel.outcome().await.unwrap();
    assert_eq!(outcome.content_type.as_deref(), Some("text/plain"));
    assert_eq!(outcome.data, "one two three".into());
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

#[tokio::test(start_paused = true)]
async fn a_concurrent_worker_may_send_more_once_half_of_the_window_was_read() {
    let channel = Channel::new(true, None);
    let quarter = || "x".repeat(WINDOW / 4).into();
    for _ in 0..4 {
        assert_eq!(channel.chunk_in_window(None, quarter()), Ok(None));
    }
    channel.event().await.unwrap();
    assert_eq!(channel.reading(), None);
    channel.event().await.unwrap();
    assert_eq!(channel.reading(), Some(Reading::Window(WINDOW / 2)));
    assert_eq!(channel.reading(), None);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_blocks_a_concurrent_worker_for_too_long_is_too_slow() {
    for (pause, expected) in [(MAX_BLOCKED / 2, false), (MAX_BLOCKED * 2, true)] {
        let channel = Channel::new(true, None);
        assert_eq!(channel.chunk_in_window(None, "x".repeat(WINDOW).into()), Ok(None));
        tokio::time::sleep(pause).await;
        channel.event().await.unwrap();
        assert_eq!(channel.reading() == Some(Reading::TooSlow), expected);
    }
}

#[test]
fn chunks_that_nobody_reads_one_by_one_never_block_a_concurrent_worker() {
    for has_left in [false, true] {
        let channel = Channel::new(false, None);
        if has_left {
            channel.leave();
        }
        let mut allowed = WINDOW;
        for _ in 0..100 {
            let data = "x".repeat(WINDOW / 3);
            allowed -= data.len();
            allowed += channel.chunk_in_window(None, data.into()).unwrap().unwrap_or(0);
        }
        assert!(allowed > WINDOW / 3);
    }
}

#[test]
fn a_concurrent_worker_that_ignores_the_window_is_found_out() {
    let channel = Channel::new(true, None);
    let sent = (0..100).map(|_| channel.chunk_in_window(None, "x".repeat(WINDOW / 4).into()));
    assert_eq!(sent.filter(|sent| *sent == Err(Exceeded)).count(), 100 - 8);
}

#[tokio::test]
async fn small_chunks_are_joined_only_for_a_reader_that_is_behind() {
    for data in [Data::from("ab"), Data::from(b"ab".to_vec())] {
        let channel = Channel::new(true, None);
        for _ in 0..1000 {
            channel.chunk_in_window(None, data.clone()).unwrap();
        }
        channel.end(Ok(done()));
        let (mut count, mut read) = (0, Vec::new());
        while let Some(Event::Chunk { data, .. }) = channel.event().await {
            count += 1;
            read.extend_from_slice(&data.into_bytes());
        }
        assert_eq!((count, read), (BEHIND, b"ab".repeat(1000)));
    }
}

#[tokio::test]
async fn empty_chunks_do_not_use_up_the_window_of_a_concurrent_worker() {
    for is_followed in [false, true] {
        let channel = Channel::new(is_followed, None);
        let mut allowed = WINDOW;
        for _ in 0..2 * WINDOW {
            allowed -= 1;
            allowed += channel.chunk_in_window(None, "".into()).unwrap().unwrap_or(0);
            if let Some(Reading::Window(bytes)) = channel.reading() {
                allowed += bytes;
            }
        }
        assert!(allowed >= WINDOW / 2);
    }
}
