//! Processes that a program left behind. On Linux this command adopts them, and so finds them.

#[cfg(target_os = "linux")]
pub(crate) use linux::{adopt, end_all, left};

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::{adopt, end_all, left};

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
    /// The time in which killed processes have to be gone.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// The children that this process had before it adopted others, which are none of the program's.
    static OWN: OnceLock<Vec<Pid>> = OnceLock::new();

    /// Has the kernel give this process the orphans of what it starts; returns whether it will.
    pub(crate) fn adopt() -> bool {
        OWN.get_or_init(children);
        set_child_subreaper(true).is_ok()
    }

    /// Waits until no child runs, for `grace` at most, and returns the command lines of those that do.
    pub(crate) fn left(grace: Duration) -> Vec<String> {
        let deadline = Instant::now() + grace;
        loop {
            let left = adopted();
            if left.is_empty() || Instant::now() >= deadline {
                return left.into_iter().map(command_line).collect();
            }
            sleep(PAUSE);
        }
    }

    /// Kills every child, and what is adopted then; nothing where orphans are not adopted.
    pub(crate) fn end_all() {
        let deadline = Instant::now() + PATIENCE;
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

    /// The children that are the program's; none where orphans are not adopted.
    fn adopted() -> Vec<Pid> {
        let Some(own) = OWN.get() else { return Vec::new() };
        children().into_iter().filter(|pid| !own.contains(pid)).collect()
    }

    /// The children of this process that run; those that have ended are collected.
    fn children() -> Vec<Pid> {
        let own = std::process::id().to_string();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mine = pids.filter(|pid: &i32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The name, in parentheses, may have anything in it.
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

    pub(crate) fn left(_grace: Duration) -> Vec<String> {
        Vec::new()
    }

    pub(crate) fn end_all() {}
}
