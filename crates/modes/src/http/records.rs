//! Requests with several records, such as the rows of a tensor. Each record is a job of its own. The
//! request succeeds if all of them succeed; the first failure cancels the others.

use std::sync::Arc;

use ai_integration_contract::{Error, Kind, Outcome};
use ai_integration_engine::{Model, Ticket};
use futures_util::future::try_join_all;
use tokio::task::yield_now;

use crate::http::app::App;
use crate::http::failure::Failure;
use crate::http::inputs::call::Call;
use crate::http::inputs::request::RequestInputs;

/// Runs one job for each record, and returns the outcomes in the order of the records.
pub(crate) async fn run(
    app: &App,
    model: &Arc<Model>,
    call: Call,
    records: Vec<RequestInputs>,
) -> Result<Vec<Outcome>, Failure> {
    outcomes(submit(app, model, call, records).await?).await
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
    mut call: Call,
    records: Vec<RequestInputs>,
) -> Result<Vec<Ticket>, Failure> {
    check_count(records.len(), app.max_records())?;
    let mut requests = Vec::with_capacity(records.len());
    for inputs in records {
        if !requests.is_empty() {
            // Other requests get a turn between the records of this one.
            yield_now().await;
        }
        requests.push(app.prepare(model, &mut call, inputs).await?);
    }
    let mut tickets = Vec::with_capacity(requests.len());
    for request in requests {
        tickets.push(app.engine().submit(request).await?);
    }
    Ok(tickets)
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
