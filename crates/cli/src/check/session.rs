//! The state that the checks of one subject share: its server, its schema, and the files around it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use ai_integration_contract::InputsSchema;
use nix::sys::stat::fstat;
use tempfile::TempDir;

use crate::check::processes;
use crate::check::running::Running;
use crate::check::subject::{Start, Subject};
use crate::check::verdict::Verdict;

/// The time that processes have to end after the program.
const GRACE: Duration = Duration::from_secs(2);
/// The maximum number of files that are watched.
const WATCHED: usize = 20_000;
/// Folders that tools write. Changes in them are not the program's.
const UNWATCHED: [&str; 6] = ["__pycache__", "node_modules", "target", "venv", "dist", "build"];

/// A check.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// The text that the terminal shows while the check runs.
    pub(crate) title: &'static str,
    pub(crate) applies_to: AppliesTo,
    pub(crate) run: fn(&mut Session) -> Verdict,
}

/// The subjects that a check applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppliesTo {
    Any,
    Programs,
    Images,
}

/// The state of the check of one subject.
pub(crate) struct Session {
    pub(crate) subject: Subject,
    /// The time limit for one run of the program.
    pub(crate) limit: Duration,
    /// The reason why no further check makes sense.
    pub(crate) give_up_reason: Option<&'static str>,
    pub(crate) server: Option<Server>,
    pub(crate) schema: Option<InputsSchema>,
    /// True if the server gives results for samples. Otherwise later checks of requests are
    /// skipped, so that one fault is reported once.
    pub(crate) has_results: bool,
    /// True if the command line gives a result.
    pub(crate) has_command_line: bool,
    /// The command lines of processes that were left running.
    pub(crate) left_running: Vec<String>,
    /// True if such processes can be found.
    pub(crate) finds_processes: bool,
    /// The folder for the files of the check. A container shares it.
    shared: PathBuf,
    /// The parent of `shared`. It is removed together with the session.
    _folder: TempDir,
    /// The files around the program before the check, with the times of their last change.
    before: BTreeMap<PathBuf, SystemTime>,
}

/// The program as a server.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) port: u16,
}

impl Session {
    /// Begins to check a subject.
    pub(crate) fn new(subject: Subject, limit: Duration) -> io::Result<Self> {
        let folder = TempDir::with_prefix("ai-integration-check-")?;
        let shared = folder.path().join("shared");
        fs::create_dir(&shared)?;
        // The container runs as another user, who needs access. Other users of this machine have no
        // access, because the parent folder is closed to them.
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777))?;
        let finds_processes = matches!(subject, Subject::Program(_)) && processes::adopt();
        let mut session = Session {
            subject,
            limit,
            give_up_reason: None,
            server: None,
            schema: None,
            has_results: true,
            has_command_line: false,
            left_running: Vec::new(),
            finds_processes,
            shared,
            _folder: folder,
            before: BTreeMap::new(),
        };
        session.before = session.files();
        Ok(session)
    }

    /// Returns true if a check applies to this subject.
    pub(crate) fn has(&self, check: &Check) -> bool {
        let kind = match self.subject {
            Subject::Program(_) => AppliesTo::Programs,
            Subject::Image(_) => AppliesTo::Images,
        };
        check.applies_to == AppliesTo::Any || check.applies_to == kind
    }

    /// Returns the folder for the files of the check.
    pub(crate) fn folder(&self) -> &Path {
        &self.shared
    }

    /// Starts the program with `MODE` set to `mode`.
    pub(crate) fn start(&self, mode: &str, mut start: Start<'_>) -> Result<Running, String> {
        start.variables.push(("MODE", mode.to_owned()));
        self.start_without_mode(start)
    }

    /// Starts the program with `MODE` not set.
    pub(crate) fn start_without_mode(&self, mut start: Start<'_>) -> Result<Running, String> {
        start.variables.push(("AI_INTEGRATION_LOG_FORMAT", "human".to_owned()));
        start.variables.push(("AI_INTEGRATION_START_ATTEMPTS", "1".to_owned()));
        self.subject.start(&start, self.folder())
    }

    /// Waits for the end of a run, and records the processes that it leaves. Returns `None` if the
    /// run does not end.
    pub(crate) fn finish(&mut self, running: &mut Running, limit: Duration) -> Option<ExitStatus> {
        let status = running.wait(limit)?;
        if self.finds_processes {
            self.left_running.extend(processes::left_running(GRACE));
            processes::end_all();
        }
        Some(status)
    }

    /// Returns the files around the program that are new or changed since the session began.
    pub(crate) fn written(&self) -> Vec<PathBuf> {
        let now = self.files().into_iter();
        let is_new = |(file, time): &(PathBuf, SystemTime)| self.before.get(file) != Some(time);
        // The report may be one of these files: `ai-integration check … > report.txt`.
        let report = [fstat(io::stdout()), fstat(io::stderr())].map(Result::ok);
        let is_report = |file: &PathBuf| {
            let about = fs::metadata(file).ok();
            let place = about.map(|about| (about.dev(), about.ino()));
            report.iter().flatten().any(|report| place == Some((report.st_dev, report.st_ino)))
        };
        now.filter(is_new).map(|(file, _)| file).filter(|file| !is_report(file)).collect()
    }

    /// Returns the files in the program's folder and in the current folder, with the times of their
    /// last change.
    fn files(&self) -> BTreeMap<PathBuf, SystemTime> {
        let mut files = BTreeMap::new();
        if matches!(self.subject, Subject::Image(_)) {
            return files;
        }
        let beside = self.subject.file().and_then(|file| file.canonicalize().ok());
        let beside = beside.and_then(|file| Some(file.parent()?.to_owned()));
        let here = std::env::current_dir().ok();
        let beside =
            beside.filter(|beside| !here.as_ref().is_some_and(|here| beside.starts_with(here)));
        let mut folders: Vec<PathBuf> = here.into_iter().chain(beside).collect();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let Ok(about) = entry.metadata() else { continue };
                if name.starts_with('.') || UNWATCHED.contains(&&*name) {
                    continue;
                }
                if about.is_dir() {
                    folders.push(entry.path());
                } else if let Ok(time) = about.modified() {
                    files.insert(entry.path(), time);
                }
                if files.len() >= WATCHED || folders.len() >= WATCHED {
                    return files;
                }
            }
        }
        files
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The server must end first, because it has files open in the folder.
        self.server = None;
    }
}
