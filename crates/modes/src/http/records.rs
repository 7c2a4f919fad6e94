//! Requests with several records, such as the rows of a tensor. Each record is a job of its own. The
//! request succeeds if all of them succeed; the first failure cancels the others.

use std::sync::Arc;

use ai_integration_contract::{Error, Kind, Outcome, RawValue};
use ai_integration_engine::{Model, Ticket};
use futures_util::future::try_join_all;
use tokio::task::yield_now;

use crate::http::app::App;
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::request::{RequestInputs, footprint, length as extent};

/// Runs one job for each record, and returns the outcomes in the order of the records.
pub(crate) async fn run(
    app: &App,
    model: &Arc<Model>,
    call: Call,
    records: Vec<RequestInputs>,
) -> Result<Vec<Outcome>, Failure> {
    outcomes(submit(app, model, call, records).await?).await
}

/// Runs one job for each record like [`run`]. A failure names the number of its record, of which the
/// first is `first`.
pub(crate) async fn run_numbered(
    app: &App,
    model: &Arc<Model>,
    call: Call,
    records: Vec<RequestInputs>,
    first: usize,
) -> Result<Vec<Outcome>, Failure> {
    let named = |(index, failure): (usize, Failure)| failure.of_record(first + index);
    let tickets = submit_each(app, model, call, records).await.map_err(named)?;
    let outcomes = tickets
        .into_iter()
        .enumerate()
        .map(async |(index, ticket)| outcome(ticket).await.map_err(|failure| (index, failure)));
    try_join_all(outcomes).await.map_err(named)
}

/// Returns the size of the results in bytes.
pub(crate) fn size(outcomes: &[Outcome]) -> usize {
    outcomes.iter().map(|outcome| outcome.data.len()).sum()
}

/// Waits for the outcomes of all jobs. The first failure cancels the others.
pub(crate) async fn outcomes(tickets: Vec<Ticket>) -> Result<Vec<Outcome>, Failure> {
    try_join_all(tickets.into_iter().map(outcome)).await
}

async fn outcome(ticket: Ticket) -> Result<Outcome, Failure> {
    Failure::check_outcome(ticket.outcome().await?)
}

/// Queues one job for each record, as soon as the inputs of all records fit the schema. If one of
/// them does not, or the queue has no room for all, then no job runs.
pub(crate) async fn submit(
    app: &App,
    model: &Arc<Model>,
    call: Call,
    records: Vec<RequestInputs>,
) -> Result<Vec<Ticket>, Failure> {
    submit_each(app, model, call, records).await.map_err(|(_, failure)| failure)
}

/// Does what [`submit`] does. A failure comes with the index of its record.
async fn submit_each(
    app: &App,
    model: &Arc<Model>,
    mut call: Call,
    records: Vec<RequestInputs>,
) -> Result<Vec<Ticket>, (usize, Failure)> {
    check_count(records.len(), app.max_records()).map_err(|error| (0, error.into()))?;
    let mut requests = Vec::with_capacity(records.len());
    for (index, inputs) in records.into_iter().enumerate() {
        if !requests.is_empty() {
            // Other requests get a turn between the records of this one.
            yield_now().await;
        }
        let request = app.prepare(model, &mut call, inputs).await;
        requests.push(request.map_err(|failure| (index, failure))?);
    }
    let mut tickets = Vec::with_capacity(requests.len());
    for (index, request) in requests.into_iter().enumerate() {
        let ticket = app.engine().submit(request).await;
        tickets.push(ticket.map_err(|error| (index, error.into()))?);
    }
    Ok(tickets)
}

/// Returns the same inputs for each of several jobs, at most `limit`. The content of files is shared;
/// the memory of the other values is reserved for each job. Each job also takes its part of the memory
/// of the body, which has `length` bytes.
pub(crate) fn copies(
    inputs: RequestInputs,
    length: usize,
    count: usize,
    limit: usize,
) -> Result<Vec<RequestInputs>, Failure> {
    check_count(count, limit)?;
    let RequestInputs { raw, mut reservation } = inputs;
    let copied: usize = raw.values().map(of_copy).sum();
    let part = copied + length / count.max(1);
    if !reservation.add(copied.saturating_mul(count.saturating_sub(1))) {
        return Err(Failure::full());
    }
    let mut all = Vec::with_capacity(count);
    for _ in 1..count {
        all.push(RequestInputs { raw: raw.clone(), reservation: reservation.split(part) });
    }
    all.push(RequestInputs { raw, reservation });
    Ok(all)
}

/// Returns the memory in bytes that a copy of a value takes up.
fn of_copy(value: &RawValue) -> usize {
    match value {
        RawValue::Bytes(_) => 0,
        RawValue::List(items) => items.iter().map(|item| size_of_val(item) + of_copy(item)).sum(),
        RawValue::Text(_) | RawValue::Json(_) => extent(value) + footprint(value),
    }
}

/// Refuses a request with more records than the queue has room for.
pub(crate) fn check_count(records: usize, limit: usize) -> Result<(), Error> {
    if records <= limit {
        return Ok(());
    }
    let message = format!(
        "the request has {records} records, and the server's queue has room for {limit}; send fewer \
         records in a request (AI_INTEGRATION_QUEUE is the operator's limit)"
    );
    Err(Error::new(Kind::TooLarge, message))
}
