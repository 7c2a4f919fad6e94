//! The templates of `ai-integration init`: one folder in `templates` for each, and a line in the
//! table below.
//!
//! `{{name}}` in a file is replaced by the model's name. Some files have other names in this
//! repository, because its own tools would use them under their real names.

use std::borrow::Cow;

use rust_embed::Embed;

/// The folder with the files that all Python templates share.
const PYTHON: &str = "python";
/// The names of files in this repository, and the names under which they are written.
const RENAMED: [(&str, &str); 3] = [
    ("dot-gitignore", ".gitignore"),
    ("dot-dockerignore", ".dockerignore"),
    ("Cargo.toml.in", "Cargo.toml"),
];
const NAME: &str = "{{name}}";

/// A template.
#[derive(Debug)]
pub(crate) struct Template {
    name: &'static str,
    language: Language,
    /// The flags of a first request, without the file at their end.
    question: &'static str,
    /// The file of the template at the end of these flags.
    file: Option<&'static str>,
}

#[derive(Debug, PartialEq, Eq)]
enum Language {
    Python,
    Rust,
}

const TEMPLATES: [Template; 5] = [
    Template {
        name: "image",
        language: Language::Python,
        question: "--filter edges --output edges.png --image",
        file: Some("photo.jpg"),
    },
    Template {
        name: "text",
        language: Language::Python,
        question: "--text",
        file: Some("article.txt"),
    },
    Template {
        name: "chat",
        language: Language::Python,
        question: "--message \"I need a holiday\"",
        file: None,
    },
    Template {
        name: "audio",
        language: Language::Python,
        question: "--audio",
        file: Some("speech.wav"),
    },
    Template {
        name: "rust",
        language: Language::Rust,
        question: "--text \"The cat sat on the mat. It purred.\"",
        file: None,
    },
];

/// The names of all templates.
pub(crate) const NAMES: [&str; TEMPLATES.len()] = {
    let mut names = [""; TEMPLATES.len()];
    let mut at = 0;
    while at < TEMPLATES.len() {
        names[at] = TEMPLATES[at].name;
        at += 1;
    }
    names
};

#[derive(Embed)]
#[folder = "templates"]
struct Files;

impl Template {
    /// Finds a template by its name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        TEMPLATES.iter().find(|template| template.name == name)
    }

    /// Returns the files for a model of this name, with their paths in its folder.
    pub(crate) fn files(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let shared = (self.language == Language::Python).then_some(PYTHON);
        let folders: Vec<&str> = shared.into_iter().chain([self.name]).collect();
        let files = Files::iter().filter_map(|path| {
            let (folder, inside) = path.split_once('/')?;
            let content = folders.contains(&folder).then(|| Files::get(&path))??;
            Some((written(inside), filled_in(content.data, name)))
        });
        files.collect()
    }

    /// Returns the commands that install the requirements of a model of this name, run it once, and
    /// serve it.
    pub(crate) fn commands(&self, name: &str) -> [String; 3] {
        let file = self.file.map(|file| format!(" {name}/{file}")).unwrap_or_default();
        let (install, program) = match self.language {
            Language::Python => (
                format!("python3 -m pip install -r {name}/requirements.txt"),
                format!("python3 {name}/entrypoint.py"),
            ),
            Language::Rust => (
                format!("cargo build --release --manifest-path {name}/Cargo.toml"),
                format!("{name}/target/release/model"),
            ),
        };
        let ask = format!("{program} {}{file}", self.question);
        [install, ask, format!("MODE=http {program}")]
    }
}

fn written(path: &str) -> String {
    let renamed = RENAMED.iter().find(|(here, _)| *here == path);
    renamed.map_or(path, |(_, written)| written).to_owned()
}

fn filled_in(content: Cow<'static, [u8]>, name: &str) -> Vec<u8> {
    match String::from_utf8(content.into_owned()) {
        Ok(text) => text.replace(NAME, name).into_bytes(),
        Err(binary) => binary.into_bytes(),
    }
}
