//! Tasks: the kinds of work that clients of other protocols know, such as `chat`. The author of a
//! model declares its tasks, and a dialect serves the addresses of these tasks only.

use serde::Serialize;
use serde_json::Value as Json;

use crate::excerpt::shown;
use crate::likeness::hint;

macro_rules! tasks {
    ($($(#[$doc:meta])* $task:ident = $name:literal),+ $(,)?) => {
        /// A kind of work that clients of other protocols know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Task {
            $($(#[$doc])* $task),+
        }

        impl Task {
            /// Every task, in the order of the documentation.
            pub const ALL: &'static [Task] = &[$(Task::$task),+];

            /// Returns the name by which authors declare the task.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Task::$task => $name),+
                }
            }
        }
    };
}

tasks! {
    /// The next message of a conversation.
    Chat = "chat",
    /// The text that follows a given text.
    Completion = "completion",
    /// A vector of numbers that stands for a text.
    Embedding = "embedding",
    /// Labels with their scores.
    Classification = "classification",
    /// Objects in a picture, with their boxes.
    Detection = "detection",
    /// Areas of a picture.
    Segmentation = "segmentation",
    /// The text of a recording of speech.
    Transcription = "transcription",
    /// Speech from a text.
    Speech = "speech",
    /// A picture from a text, from a picture, or from both.
    Image = "image",
    /// Any other text.
    Text = "text",
}

impl Serialize for Task {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The tasks of a model, in the order in which its author declares them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Tasks(Vec<Task>);

impl Tasks {
    /// Reads a declaration from its JSON form: a name, a list of names, or `null` for no tasks.
    ///
    /// ```
    /// use ai_integration_contract::{Task, Tasks};
    /// use serde_json::json;
    ///
    /// let tasks = Tasks::parse(&json!(["chat", "embedding"])).unwrap();
    /// assert!(tasks.has(Task::Chat) && !tasks.has(Task::Speech));
    /// let error = Tasks::parse(&json!("chta")).unwrap_err();
    /// assert_eq!(error, r#"the task "chta" is not known: did you mean "chat"?"#);
    /// ```
    ///
    /// # Errors
    /// A sentence about a task that is not known, with the nearest one.
    pub fn parse(source: &Json) -> Result<Self, String> {
        let mut tasks = Tasks::default();
        match source {
            Json::Null => {}
            Json::Array(names) => {
                for name in names {
                    tasks.add(read(name)?);
                }
            }
            name => tasks.add(read(name)?),
        }
        Ok(tasks)
    }

    /// Adds a task, unless it is there already.
    pub fn add(&mut self, task: Task) {
        if !self.has(task) {
            self.0.push(task);
        }
    }

    /// Returns true if the model has this task.
    #[must_use]
    pub fn has(&self, task: Task) -> bool {
        self.0.contains(&task)
    }

    /// Returns true if the author declared no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the tasks in the order in which the author declared them.
    pub fn iter(&self) -> impl Iterator<Item = Task> {
        self.0.iter().copied()
    }
}

fn read(name: &Json) -> Result<Task, String> {
    let known = Task::ALL.iter().copied();
    if let Some(task) = known.clone().find(|task| name == task.name()) {
        return Ok(task);
    }
    let names: Vec<&str> = known.map(Task::name).collect();
    let hint = hint(name.as_str().unwrap_or_default(), &names);
    Err(format!("the task {} is not known: {hint}", shown(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tasks_are_a_name_or_a_list_of_names() {
        for (source, tasks) in [
            (json!(null), vec![]),
            (json!([]), vec![]),
            (json!("chat"), vec![Task::Chat]),
            (json!(["text", "chat", "text"]), vec![Task::Text, Task::Chat]),
        ] {
            assert_eq!(Tasks::parse(&source), Ok(Tasks(tasks)), "{source}");
        }
    }

    #[test]
    fn an_unknown_task_is_an_error_with_the_nearest() {
        for (source, expected) in [
            (json!("Chat"), r#"the task "Chat" is not known: did you mean "chat"?"#),
            (
                json!(["chat", "embeddings"]),
                r#"the task "embeddings" is not known: did you mean "embedding"?"#,
            ),
            (
                json!(7),
                "the task 7 is not known: known: chat, completion, embedding, classification, \
                 detection, segmentation, transcription, speech, image, text",
            ),
        ] {
            assert_eq!(Tasks::parse(&source).unwrap_err(), expected);
        }
    }
}
