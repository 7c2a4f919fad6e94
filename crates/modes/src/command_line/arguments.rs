//! The flags: one for each input of the schema, and a few of the mode's own.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use ai_integration_contract::{Field, InputsSchema, RawInputs, RawValue, Shape};
use clap::builder::PossibleValuesParser;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::path_likeness::looks_like_path;

/// An abbreviation that fits `--output` and `--option`. It means `--output`, which is the older flag.
const SHORT_OUTPUT: &str = "o";
/// The flags of the mode itself. An input with one of these names is given as `--input-NAME`.
const OWN_FLAGS: &[&str] = &["help", "loop", "option", "output"];

/// A command line that has been read.
pub(super) struct Arguments {
    pub(super) raw: RawInputs,
    /// The file for the result; `None` for standard output.
    pub(super) output: Option<PathBuf>,
    /// True if the model is run repeatedly, to measure it.
    pub(super) is_endless: bool,
}

/// The reason why the model is not run.
pub(super) enum Refusal {
    /// A usage error, or a request for help.
    Clap(clap::Error),
    /// Another error, such as a file that cannot be read.
    Message(String),
}

pub(super) fn parse(
    schema: &InputsSchema,
    program: &str,
    arguments: &[OsString],
) -> Result<Arguments, Refusal> {
    let command = command(schema, program);
    let words: Vec<OsString> =
        std::iter::once(program.into()).chain(arguments.iter().cloned()).collect();
    let given = given_as_options(&command, &words);
    let is_given = |name: &&String| given.contains(name);
    let command = schema.fields().keys().filter(is_given).fold(command, |command, name| {
        command.mut_arg(id(name), |argument| argument.required(false))
    });
    let matches = match command.clone().try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(error) => return Err(refusal(&command, error)),
    };
    let mut given = words_of_flags(schema, &matches).map_err(Refusal::Message)?;
    given.extend(options(&matches).map_err(Refusal::Message)?);
    given.sort_by_key(|given| given.place);
    let mut raw = RawInputs::new();
    for Given { name, value, .. } in given {
        let Some(list) = list_of(schema, &name) else {
            // The last value replaces those before it.
            raw.insert(name, value);
            continue;
        };
        let items = raw.entry(list.to_owned()).or_insert_with(|| RawValue::List(Vec::new()));
        if let RawValue::List(items) = items {
            items.push(value);
        }
    }
    Ok(Arguments {
        raw,
        output: matches.get_one::<PathBuf>("output").cloned(),
        is_endless: own_flag(&matches, "loop"),
    })
}

/// Returns the list input to which a value with this name belongs: the input with the same name, or
/// the input `x` if the name is `x[]`, as in forms.
fn list_of<'a>(schema: &InputsSchema, name: &'a str) -> Option<&'a str> {
    let is_list = |name: &&str| schema.fields().get(*name).map(|field| field.items.is_some());
    let bare = || name.strip_suffix("[]").filter(|bare| is_list(bare) == Some(true));
    match is_list(&name) {
        Some(is_list) => is_list.then_some(name),
        None => bare(),
    }
}

/// A value of an input, and its position on the command line.
struct Given {
    place: usize,
    name: String,
    value: RawValue,
}

/// Reads the values that come with the flags of inputs.
fn words_of_flags(schema: &InputsSchema, matches: &ArgMatches) -> Result<Vec<Given>, String> {
    let mut given = Vec::new();
    let mut stdin_taken = false;
    for (name, field) in schema.fields() {
        let id = id(name);
        let (Some(words), Some(places)) = (matches.get_raw(&id), matches.indices_of(&id)) else {
            continue;
        };
        for (word, place) in words.zip(places) {
            let value = read(name, field, word, &mut stdin_taken)?;
            given.push(Given { place, name: name.clone(), value });
        }
    }
    Ok(given)
}

/// Reads the values that come with `--option`.
fn options(matches: &ArgMatches) -> Result<Vec<Given>, String> {
    let options = matches.get_many::<String>("option").into_iter().flatten();
    let places = matches.indices_of("option").into_iter().flatten();
    let given = options.zip(places).map(|(option, place)| {
        let (name, value) = option
            .split_once('=')
            .ok_or_else(|| format!("--option {option:?} is not NAME=VALUE"))?;
        Ok(Given { place, name: name.to_owned(), value: RawValue::Text(value.to_owned()) })
    });
    given.collect()
}

/// Turns an error of clap into a refusal. For an abbreviation that fits several flags, clap says
/// that no flag fits, so the refusal lists the flags.
fn refusal(command: &Command, error: clap::Error) -> Refusal {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
        return Refusal::Clap(error);
    };
    let begins = |long: &&str| flag.strip_prefix("--").is_some_and(|flag| long.starts_with(flag));
    let fitting = command.get_arguments().filter_map(|argument| {
        let longs = argument.get_long_and_visible_aliases()?;
        longs.into_iter().find(begins).map(|long| format!("--{long}"))
    });
    let fitting: Vec<String> = fitting.collect();
    if error.kind() != clap::error::ErrorKind::UnknownArgument || fitting.len() < 2 {
        return Refusal::Clap(error);
    }
    Refusal::Message(format!(
        "{flag} fits several flags: {}; write the whole flag",
        fitting.join(", ")
    ))
}

/// Returns the names of the inputs that are given with `--option`. Their own flags are then not
/// required. Returns no names if the command line cannot be parsed.
fn given_as_options(command: &Command, words: &[OsString]) -> Vec<String> {
    let lenient = command.clone().mut_args(|argument| argument.required(false));
    let matches = lenient.try_get_matches_from(words).ok();
    let options = matches.and_then(|mut matches| matches.remove_many::<String>("option"));
    let name = |option: String| option.split_once('=').map(|(name, _)| name.to_owned());
    options.into_iter().flatten().filter_map(name).collect()
}

/// Returns the id of an input's argument. It never equals the id of one of the mode's own flags.
fn id(name: &str) -> String {
    format!("input {name}")
}

fn own_flag(matches: &ArgMatches, name: &str) -> bool {
    matches.get_one::<bool>(name).copied().unwrap_or_default()
}

/// Builds the parser of the command line, whose help users read.
pub(super) fn command(schema: &InputsSchema, program: &str) -> Command {
    let inputs = schema.fields().iter().map(|(name, field)| input_argument(name, field));
    let is_short_output_free = schema
        .fields()
        .keys()
        .all(|name| !name.starts_with(SHORT_OUTPUT) || OWN_FLAGS.contains(&name.as_str()));
    let command = Command::new(program.to_owned())
        .bin_name(program.to_owned())
        .about("Runs the model on inputs from the command line")
        .after_help(
            "The result goes to standard output, or to the file given with --output. Messages go \
             to standard error.\nExit status: 0 if the model succeeded, 1 if it failed, 2 if the \
             command line is not valid or the result cannot be written.",
        )
        .infer_long_args(true)
        .args_override_self(true)
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
                .allow_hyphen_values(true)
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
                .help("Run the model repeatedly and print the time of each run; Ctrl-C stops it"),
        )
        .arg(
            Arg::new("option")
                .long("option")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .help(
                    "Give an input that the inputs schema does not have, or a text that must not \
                     be read as a file",
                ),
        );
    if is_short_output_free {
        command.mut_arg("output", |output| output.alias(SHORT_OUTPUT))
    } else {
        command
    }
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
    let argument = Arg::new(id(name))
        .long(long.clone())
        .value_name(value_name)
        .required(field.required)
        .allow_hyphen_values(field.items.is_none() && shape != Shape::Flag)
        .help_heading("Inputs")
        .help(help(name, field));
    let argument = if dashed == long { argument } else { argument.alias(dashed) };
    let argument = if field.items.is_some() {
        // A shell turns `--f *` into `--f a b`, which must mean the same as `--f a --f b`.
        let takes_negatives = matches!(shape, Shape::Number { .. } | Shape::Choice | Shape::Json);
        let argument = argument.action(ArgAction::Append).num_args(1..);
        argument.allow_negative_numbers(takes_negatives)
    } else {
        argument
    };
    if shape == Shape::Choice {
        let labels = field.constraints.choice_labels();
        return argument.value_parser(PossibleValuesParser::new(labels));
    }
    // A path need not be UTF-8.
    let argument = argument.value_parser(value_parser!(OsString));
    if shape == Shape::Flag && field.items.is_none() {
        argument.num_args(0..=1).default_missing_value("yes")
    } else {
        argument
    }
}

/// Returns the help of an input's flag: its description, formats, number of items and default.
fn help(name: &str, field: &Field) -> String {
    let mut help = field.description.clone().unwrap_or_else(|| match field.shape() {
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
    help
}

/// Reads the value of an input's flag. `-` means standard input, and a path means the file. Any
/// other text is the value itself, unless the input is a file or the text looks like a mistyped
/// path.
fn read(
    name: &str,
    field: &Field,
    word: &OsStr,
    stdin_taken: &mut bool,
) -> Result<RawValue, String> {
    let shape = field.shape();
    let text = word.to_str();
    let reads_files =
        matches!(shape, Shape::Blob { .. } | Shape::Text { format: None } | Shape::Json);
    if !reads_files {
        return match text {
            Some(text) => Ok(RawValue::Text(text.to_owned())),
            None => Err(format!("--{name} {}: this is not UTF-8", word.display())),
        };
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
    let error = match std::fs::read(word) {
        Ok(bytes) => return Ok(RawValue::Bytes(bytes.into())),
        Err(error) => error,
    };
    let unread = format!("--{name} {}: the file cannot be read: {error}", word.display());
    match text {
        // A word that is not UTF-8 can only be a path.
        None => Err(unread),
        Some(_) if matches!(shape, Shape::Blob { .. }) => Err(unread),
        Some(text) if Path::new(text).is_file() || looks_like_path(text) => {
            Err(format!("{unread}; if this is the text itself, give it as --option {name}={text}"))
        }
        Some(text) => Ok(RawValue::Text(text.to_owned())),
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
    fn help_is_made_from_the_schema() {
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
    fn a_path_is_read_and_a_missing_file_is_an_error_only_for_a_file_input() {
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
