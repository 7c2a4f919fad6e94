//! Waits for the failure of a model that cannot be started.

use ai_integration_engine::State;
use tokio::sync::watch;

/// Waits until the model has failed for good, and logs the reason. If the program's files are
/// watched, this logs each failure and waits on, because a change of the files may repair the
/// program.
pub(crate) async fn start_failure(
    state: &mut watch::Receiver<State>,
    is_watched: bool,
    for_people: bool,
) {
    loop {
        if let Ok(State::Failed(error)) =
            state.wait_for(|state| matches!(state, State::Failed(_))).await.as_deref()
        {
            let message = &error.message;
            if !is_watched {
                // A log for people has the program's output already.
                if for_people {
                    tracing::error!("{message}");
                } else {
                    tracing::error!("{error}");
                }
                return;
            }
            // The author works on the program, and sees its output on the terminal.
            tracing::error!("{message}; the program is tried again when its files change");
        }
        if state.wait_for(|state| !matches!(state, State::Failed(_))).await.is_err() {
            return;
        }
    }
}
