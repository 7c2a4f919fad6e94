//! Finds processes that a program left running. On Linux this process adopts them.

#[cfg(target_os = "linux")]
pub(crate) use linux::{adopt, end_all, left_running};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{adopt, end_all, left_running};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::sync::OnceLock;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use nix::sys::prctl::set_child_subreaper;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, waitpid};
    use nix::unistd::Pid;

    const PAUSE: Duration = Duration::from_millis(20);
    /// The time limit for killed processes to end.
    const KILL_TIMEOUT: Duration = Duration::from_secs(5);

    /// The children that this process had before it adopted others. They do not belong to the
    /// program.
    static OWN: OnceLock<Vec<Pid>> = OnceLock::new();

    /// Asks the kernel to make this process the parent of orphans of its children. Returns true if
    /// the kernel does so.
    pub(crate) fn adopt() -> bool {
        OWN.get_or_init(children);
        set_child_subreaper(true).is_ok()
    }

    /// Waits up to `grace` until no child runs, and returns the command lines of those that still
    /// run.
    pub(crate) fn left_running(grace: Duration) -> Vec<String> {
        let deadline = Instant::now() + grace;
        loop {
            let left = adopted();
            if left.is_empty() || Instant::now() >= deadline {
                return left.into_iter().map(command_line).collect();
            }
            sleep(PAUSE);
        }
    }

    /// Kills the processes that the check started or adopted, and the orphans that these leave. Does
    /// nothing if orphans are not adopted.
    pub(crate) fn end_all() {
        let deadline = Instant::now() + KILL_TIMEOUT;
        loop {
            let left = adopted();
            if left.is_empty() || Instant::now() >= deadline {
                return;
            }
            for pid in left {
                let _ = kill(pid, Signal::SIGKILL);
            }
            sleep(PAUSE);
        }
    }

    /// Returns the running processes that the check started or adopted; none if orphans are not
    /// adopted.
    fn adopted() -> Vec<Pid> {
        let Some(own) = OWN.get() else { return Vec::new() };
        children().into_iter().filter(|pid| !own.contains(pid)).collect()
    }

    /// Returns the running children of this process, and collects those that have ended.
    fn children() -> Vec<Pid> {
        let own = std::process::id().to_string();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mine = pids.filter(|pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The process name, in parentheses, may contain any character.
            let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace());
            fields.is_some_and(|mut fields| fields.nth(1) == Some(&*own))
        });
        let collected = |pid: &Pid| {
            let status = waitpid(*pid, Some(WaitPidFlag::WNOHANG));
            status.is_ok_and(|status| status.pid().is_some())
        };
        mine.map(Pid::from_raw).filter(|pid| !collected(pid)).collect()
    }

    fn command_line(pid: Pid) -> String {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = words
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
            .map(String::from_utf8_lossy)
            .collect();
        if words.is_empty() { format!("process {pid}") } else { words.join(" ") }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::time::Duration;

    pub(crate) fn adopt() -> bool {
        false
    }

    pub(crate) fn left_running(_grace: Duration) -> Vec<String> {
        Vec::new()
    }

    pub(crate) fn end_all() {}
}
