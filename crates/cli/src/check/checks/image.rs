//! Checks the image's settings: its entry point, arguments and user.

use serde_json::Value as Json;

use crate::check::session::{AppliesTo, Check, Session};
use crate::check::subject::Subject;
use crate::check::verdict::{Fault, Verdict};

pub(crate) const CHECK: Check = Check {
    name: "image",
    title: "checking the image's settings",
    applies_to: AppliesTo::Images,
    run: check,
};

fn check(session: &mut Session) -> Verdict {
    match &session.subject {
        Subject::Image(image) => verdict(&image.settings),
        Subject::Program(_) => Verdict::Skipped("a program is not an image".to_owned()),
    }
}

fn verdict(settings: &Json) -> Verdict {
    let entrypoint = words(&settings["Entrypoint"]);
    let arguments = words(&settings["Cmd"]);
    let example = "ENTRYPOINT [\"python3\", \"entrypoint.py\"]";
    if entrypoint.is_empty() {
        return Fault::new(
            "the image has no ENTRYPOINT, so the arguments of a container replace the program",
            format!("name the program in the exec form: {example}"),
        )
        .into();
    }
    if entrypoint.len() >= 2 && entrypoint[1] == "-c" && entrypoint[0].ends_with("sh") {
        return Fault::new(
            "ENTRYPOINT runs a shell, which gets the signals and the arguments instead of the program",
            format!("write it in the exec form, with brackets: {example}"),
        )
        .into();
    }
    if !arguments.is_empty() {
        return Fault::new(
            format!("CMD gives the program arguments: {}", arguments.join(" ")),
            "remove CMD, and put the program's words into ENTRYPOINT",
        )
        .into();
    }
    let user = settings["User"].as_str().unwrap_or_default();
    let number = user.split(':').next().unwrap_or_default().parse::<u32>();
    match number {
        Ok(1..) => Verdict::Passed(format!("it runs {} as user {user}", entrypoint.join(" "))),
        _ => Verdict::Doubtful(Fault::new(
            format!("its user is {}, which Kubernetes refuses under runAsNonRoot", user_name(user)),
            "set USER to a number that is not 0: USER 1000",
        )),
    }
}

fn user_name(user: &str) -> &str {
    if user.is_empty() { "root" } else { user }
}

fn words(setting: &Json) -> Vec<&str> {
    setting.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_fault_of_an_image_is_reported() {
        let good = ["python3", "entrypoint.py"];
        for (settings, words) in [
            (json!({"User": "1000"}), "no ENTRYPOINT"),
            (json!({"Entrypoint": ["/bin/sh", "-c", "python3 x.py"], "User": "1000"}), "shell"),
            (json!({"Entrypoint": good, "Cmd": ["--x"], "User": "1000"}), "arguments: --x"),
            (json!({"Entrypoint": good}), "user is root"),
            (json!({"Entrypoint": good, "User": "model"}), "user is model"),
            (
                json!({"Entrypoint": good, "Cmd": null, "User": "1000:1000"}),
                "python3 entrypoint.py",
            ),
        ] {
            let reported = format!("{:?}", verdict(&settings));
            assert!(reported.contains(words), "{reported}");
        }
    }
}
