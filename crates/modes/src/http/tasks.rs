//! The check that a model has a task of the address that a client uses.

use ai_integration_contract::Task;
use ai_integration_engine::Model;

use crate::http::failure::{Failure, Refusal};

/// Refuses a request for a model that has none of these tasks. The message names the first one.
pub(crate) fn check(model: &Model, tasks: &[Task]) -> Result<(), Failure> {
    if tasks.iter().any(|task| model.tasks.has(*task)) {
        return Ok(());
    }
    let name = tasks.first().map_or("", |task| task.name());
    let message = format!(
        "the model does not have the task {name:?}; its author declares it with task={name:?}"
    );
    Err(Failure::refused(Refusal::NotFound, message))
}

#[cfg(test)]
mod tests {
    use ai_integration_contract::Tasks;
    use serde_json::json;

    use super::*;
    use crate::http::failure::Wording;

    #[test]
    fn a_model_needs_one_of_the_tasks() {
        let tasks = Tasks::parse(&json!(["text", "completion"])).unwrap();
        let model = Model { tasks, ..Model::default() };
        assert!(check(&model, &[Task::Chat, Task::Completion]).is_ok());
        let failure = check(&model, &[Task::Chat, Task::Image]).unwrap_err();
        assert_eq!(
            failure.detail(Wording::Full),
            "the model does not have the task \"chat\"; its author declares it with task=\"chat\""
        );
    }
}
