//! The flags: one for each input of the schema, and a few of the mode's own.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use ai_integration_contract::{Field, InputsSchema, RawInputs, RawValue, Shape};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// Flags of the mode itself. An input of one of these names is given as `--input-NAME`.
const OWN_FLAGS: &[&str] = &["help", "loop", "option", "output"];

/// What a command line says.
pub(super) struct Arguments {
    pub(super) raw: RawInputs,
    /// Where the result goes; standard output when `None`.
    pub(super) output: Option<PathBuf>,
    /// Whether the model is run again and again, to measure it.
    pub(super) endless: bool,
}

/// Why a command line is not carried out.
pub(super) enum Refusal {
    /// A usage error, or a call for help.
    Clap(clap::Error),
    /// A file that cannot be read.
    Message(String),
}

pub(super) fn parse(
    schema: &InputsSchema,
    program: &str,
    arguments: &[OsString],
) -> Result<Arguments, Refusal> {
    let command = command(schema, program);
    let words = std::iter::once(OsString::from(program)).chain(arguments.iter().cloned());
    let matches = command.try_get_matches_from(words).map_err(Refusal::Clap)?;
    let mut raw = RawInputs::new();
    let mut stdin_taken = false;
    for (name, field) in schema.fields() {
        let Some(words) = matches.get_many::<String>(&id(name)) else { continue };
        let values = words.map(|word| read(name, field, word, &mut stdin_taken));
        let mut values = values.collect::<Result<Vec<_>, _>>().map_err(Refusal::Message)?;
        let value = if field.items.is_some() { Some(RawValue::List(values)) } else { values.pop() };
        raw.extend(value.map(|value| (name.clone(), value)));
    }
    for option in matches.get_many::<String>("option").into_iter().flatten() {
        let Some((name, value)) = option.split_once('=') else {
            return Err(Refusal::Message(format!("--option {option:?} is not NAME=VALUE")));
        };
        raw.insert(name.to_owned(), RawValue::Text(value.to_owned()));
    }
    Ok(Arguments {
        raw,
        output: matches.get_one::<PathBuf>("output").cloned(),
        endless: own_flag(&matches, "loop"),
    })
}

/// The id of an input's argument, apart from those of the mode's own.
fn id(name: &str) -> String {
    format!("input {name}")
}

fn own_flag(matches: &ArgMatches, name: &str) -> bool {
    matches.get_one::<bool>(name).copied().unwrap_or_default()
}

/// The command whose help users read.
pub(super) fn command(schema: &InputsSchema, program: &str) -> Command {
    let inputs = schema.fields().iter().map(|(name, field)| input_argument(name, field));
    Command::new(program.to_owned())
        .bin_name(program.to_owned())
        .about("Runs the model on inputs from the command line")
        .after_help(
            "A result goes to standard output, or into the file given with --output. Messages go \
             to standard error.\nExit status: 0 the model succeeded, 1 it failed, 2 the command \
             line cannot be used.",
        )
        .args(inputs)
        .next_help_heading("Options")
        .disable_help_flag(true)
        .arg(
            Arg::new("help")
                .short('h')
                .long("help")
                .action(ArgAction::Help)
                .help("Print this help"),
        )
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help(
                    "Write the result to this file; - is standard output. A list goes to numbered \
                     files: out-1.png, out-2.png",
                ),
        )
        .arg(
            Arg::new("loop")
                .long("loop")
                .value_name("YES|NO")
                .num_args(0..=1)
                .require_equals(false)
                .default_missing_value("yes")
                .value_parser(clap::builder::BoolishValueParser::new())
                .help("Run the model again and again and show how long it takes; Ctrl-C ends it"),
        )
        .arg(
            Arg::new("option")
                .long("option")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help("Pass on an option that the schema does not mention"),
        )
}

fn input_argument(name: &str, field: &Field) -> Arg {
    let shape = field.shape();
    let long = if OWN_FLAGS.contains(&name) { format!("input-{name}") } else { name.to_owned() };
    let dashed = long.replace('_', "-");
    let value_name = match shape {
        Shape::Blob { .. } => "FILE",
        Shape::Text { format: None } => "TEXT|FILE",
        Shape::Text { .. } => "TEXT",
        Shape::Number { .. } => "NUMBER",
        Shape::Flag => "YES|NO",
        Shape::Choice => "CHOICE",
        Shape::Json => "JSON|FILE",
    };
    let mut help = field.description.clone().unwrap_or_else(|| match shape {
        Shape::Blob { media } if field.items.is_some() => {
            format!("Files for the {name} input ({media})")
        }
        Shape::Blob { media } => format!("File for the {name} input ({media})"),
        Shape::Choice => format!("The {name} input"),
        _ => format!("The {name} input: {}", field.expectation()),
    });
    let formats: Vec<&str> = field.constraints.formats.names().collect();
    if !formats.is_empty() {
        help = format!("{help} [formats: {}]", formats.join(", "));
    }
    if let Some(count) = &field.items {
        help = format!("{help} [{count}]");
    }
    if let Some(default) = &field.default {
        let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        help = format!("{help} [default: {default}]");
    } else if !field.required {
        help = format!("{help} [optional]");
    }
    let argument = Arg::new(id(name))
        .long(long.clone())
        .value_name(value_name)
        .required(field.required)
        .allow_negative_numbers(matches!(shape, Shape::Number { .. } | Shape::Choice | Shape::Json))
        .help_heading("Inputs")
        .help(help);
    let argument = if dashed == long { argument } else { argument.alias(dashed) };
    let argument = if field.items.is_some() {
        // Both `--f a --f b` and `--f a b`, which is what a shell makes of `--f *`.
        argument.action(ArgAction::Append).num_args(1..)
    } else {
        argument
    };
    match shape {
        Shape::Choice => {
            argument.value_parser(PossibleValuesParser::new(field.constraints.choice_labels()))
        }
        Shape::Flag if field.items.is_some() => argument,
        Shape::Flag => argument.num_args(0..=1).default_missing_value("yes"),
        _ => argument,
    }
}

/// Reads what a flag's word stands for: `-` is standard input, a path is the file, and anything
/// else is the value itself where the input is not a file.
fn read(name: &str, field: &Field, word: &str, stdin_taken: &mut bool) -> Result<RawValue, String> {
    let shape = field.shape();
    let reads_files =
        matches!(shape, Shape::Blob { .. } | Shape::Text { format: None } | Shape::Json);
    if !reads_files {
        return Ok(RawValue::Text(word.to_owned()));
    }
    if word == "-" {
        if std::mem::replace(stdin_taken, true) {
            return Err(format!("--{name} -: standard input is read by another input already"));
        }
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|error| format!("--{name} -: standard input cannot be read: {error}"))?;
        return Ok(RawValue::Bytes(bytes.into()));
    }
    let path = Path::new(word);
    match std::fs::read(path) {
        Ok(bytes) => Ok(RawValue::Bytes(bytes.into())),
        Err(_) if !matches!(shape, Shape::Blob { .. }) && !path.is_file() => {
            Ok(RawValue::Text(word.to_owned()))
        }
        Err(error) => Err(format!("--{name} {word}: the file cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema(source: &serde_json::Value) -> InputsSchema {
        InputsSchema::parse(source).0
    }

    fn raw(schema: &InputsSchema, words: &[&str]) -> RawInputs {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        match parse(schema, "model", &words) {
            Ok(arguments) => arguments.raw,
            Err(Refusal::Clap(error)) => panic!("{error}"),
            Err(Refusal::Message(message)) => panic!("{message}"),
        }
    }

    #[test]
    fn help_is_drawn_from_the_schema() {
        let schema = schema(&json!({
            "image": {"type": "image", "description": "The picture to read"},
            "style": {"type": "choice", "choices": ["mosaic", "candy"], "default": "candy"},
            "max_tokens": {"type": "integer", "min": 1, "max": 512, "required": false},
            "fast": {"type": "boolean", "default": false},
            "output": {"type": "text"},
        }));
        insta::assert_snapshot!(command(&schema, "python entrypoint.py").render_help());
    }

    #[test]
    fn inputs_named_like_our_own_flags_can_be_given() {
        let schema = schema(&json!({
            "output": {"type": "text"}, "loop": {"type": "integer"}, "help": {"type": "boolean"},
            "a_b": {"type": "text"},
        }));
        let words = [
            "--input-output",
            "x",
            "--input-loop",
            "-3",
            "--input-help",
            "--a-b",
            "c",
            "--option",
            "z=1=2",
        ];
        let raw = raw(&schema, &words);
        let text = |text: &str| RawValue::Text(text.to_owned());
        assert_eq!(raw["output"], text("x"));
        assert_eq!(raw["loop"], text("-3"));
        assert_eq!(raw["help"], text("yes"));
        assert_eq!(raw["a_b"], text("c"));
        assert_eq!(raw["z"], text("1=2"));
    }

    #[test]
    fn a_path_is_read_and_a_missing_file_is_an_error_only_where_a_file_is_needed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "content").unwrap();
        let schema =
            schema(&json!({"t": {"type": "text"}, "f": {"type": "file", "required": false}}));
        let path = file.path().to_str().unwrap();
        assert_eq!(raw(&schema, &["--t", path])["t"], RawValue::Bytes("content".into()));
        assert_eq!(
            raw(&schema, &["--t", "no/such/file"])["t"],
            RawValue::Text("no/such/file".into())
        );
        let words = ["--t", "x", "--f", "no/such/file"].map(OsString::from);
        assert!(matches!(parse(&schema, "model", &words), Err(Refusal::Message(_))));
    }
}
