//! `ai-integration platforms`: the list of hosting platforms.

use ai_integration::ExitStatus;
use ai_integration_modes::console::say;
use ai_integration_modes::platform::{Profile, Sign, Source};
use ai_integration_modes::platforms::PLATFORMS;

/// Runs `ai-integration platforms`.
pub(crate) fn print() -> ExitStatus {
    let all: Vec<String> = PLATFORMS.iter().map(|profile| described(profile)).collect();
    say(all.join("\n").trim_end());
    ExitStatus::Done
}

fn described(profile: &Profile) -> String {
    let Profile { name, title, signs, mode, statuses, predict, .. } = profile;
    let experimental = if profile.is_experimental { " (experimental)" } else { "" };
    let shown = signs.iter().map(|sign| joined(sign.iter().map(Sign::to_string), " and "));
    let shown = match &joined(shown, "\n            or ")[..] {
        "" => format!("only AI_INTEGRATION_PLATFORM={name}"),
        shown => shown.to_owned(),
    };
    let mut lines = vec![
        format!("{name}: {title}{experimental}"),
        format!("  shown by  {shown}"),
        format!("  mode      {mode}"),
    ];
    if let Some(port) = profile.port {
        lines.push(format!("  port      {}", value(port)));
    }
    if *mode == "http" {
        let own = profile.health.iter().map(|health| value(health.address));
        let addresses =
            joined(["/ping", "/health"].map(str::to_owned).into_iter().chain(own), ", ");
        let numbers =
            [statuses.ready, statuses.loading, statuses.failed].map(|one| one.to_string());
        let [ready, loading, failed] = numbers;
        lines.push(format!(
            "  health    GET {addresses}: {ready} ready, {loading} loading, {failed} failed"
        ));
    }
    if !profile.model_dirs.is_empty() {
        let folders = profile.model_dirs.iter().map(|source| value(*source));
        lines.push(format!("  model     {}", joined(folders, ", ")));
    }
    lines.push(format!("  requests  {predict}"));
    lines.push(format!("  page      docs/platforms/{}\n", profile.page));
    lines.join("\n")
}

fn value(source: Source) -> String {
    match source {
        Source::Fixed(value) => value.to_owned(),
        Source::Variable(name) => format!("${name}"),
        Source::VariableOr(name, value) => format!("${name} (by default {value})"),
    }
}

fn joined(words: impl Iterator<Item = String>, between: &str) -> String {
    words.collect::<Vec<_>>().join(between)
}
