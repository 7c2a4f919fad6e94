//! Container images, run by podman or docker.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ai_integration_contract::Environment;
use serde_json::Value as Json;

use crate::check::running::{Outside, Running};

/// The programs that run containers. The first one that is installed is used.
const PROGRAMS: [&str; 2] = ["podman", "docker"];
/// The path of the check's folder inside the container.
pub(crate) const FOLDER: &str = "/ai-integration-check";

/// The time limit for the description of an image.
const INSPECTION_TIMEOUT: Duration = Duration::from_mins(1);

/// An image, and the program that runs its containers.
pub(crate) struct Image {
    pub(crate) name: OsString,
    program: &'static str,
    /// The image's `Config`, in the form that both programs print.
    pub(crate) settings: Json,
    started: AtomicUsize,
}

impl Image {
    /// Finds an image on this machine by its name.
    pub(crate) fn find(name: &OsString, environment: &Environment) -> Result<Self, String> {
        let shown = name.to_string_lossy();
        let folders = environment.variable("PATH").unwrap_or_default();
        let is_there = |program: &&str| {
            folders.split(':').any(|folder| Path::new(folder).join(program).is_file())
        };
        let Some(program) = PROGRAMS.into_iter().find(is_there) else {
            return Err(format!(
                "there is no program {shown}, and neither podman nor docker to look for an image of \
                 that name: name a file, or install one of them"
            ));
        };
        let mut command = Command::new(program);
        command.args(["image", "inspect"]).arg(name);
        let mut inspection = Running::start(command, None)
            .map_err(|error| format!("{program} cannot be executed: {error}"))?;
        inspection.wait(INSPECTION_TIMEOUT);
        let settings = serde_json::from_str::<Json>(&inspection.stdout()).ok();
        let Some(settings) = settings.and_then(|all| all.get(0)?.get("Config").cloned()) else {
            return Err(format!(
                "there is no program {shown}, and no image of that name: build it, or fetch it by \
                 `{program} pull {shown}`; {program} says: {}",
                inspection.last_lines()
            ));
        };
        Ok(Image { name: name.clone(), program, settings, started: AtomicUsize::new(0) })
    }

    /// Returns the command that runs a container, as locked down as the container format allows,
    /// and the commands that reach the container.
    pub(crate) fn command(
        &self,
        variables: &[(&str, String)],
        folder: &Path,
        has_network: bool,
    ) -> (Command, Outside) {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("ai-integration-check-{}-{number}", std::process::id());
        let mut command = Command::new(self.program);
        command.args(["run", "--rm", "--name", &name, "--pull=never"]);
        command.args(["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]);
        command.args(["--security-opt", "no-new-privileges"]);
        if self.program == "podman" {
            // Without this flag podman, unlike docker, makes more folders writable than the named
            // ones.
            command.arg("--read-only-tmpfs=false");
        }
        // The `z` sets the label of SELinux, which would deny the container access to the folder.
        command.arg("-v").arg(format!("{}:{FOLDER}:z", folder.display()));
        for (name, value) in variables {
            command.arg("-e").arg(format!("{name}={value}"));
            if *name == "PORT" {
                command.arg("-p").arg(format!("127.0.0.1:{value}:{value}"));
            }
        }
        if !has_network {
            command.args(["--network", "none"]);
        }
        command.arg(&self.name);
        let words = |words: &[&str]| {
            std::iter::once(self.program).chain(words.iter().copied()).map(OsString::from).collect()
        };
        let outside = Outside {
            terminate: words(&["kill", "--signal", "TERM", &name]),
            remove: words(&["rm", "--force", &name]),
        };
        (command, outside)
    }
}
