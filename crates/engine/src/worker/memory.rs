//! The memory of a process.

/// Returns the resident memory of a process in bytes, including shared pages.
#[cfg(all(target_os = "linux", not(portable)))]
pub(crate) fn resident(pid: i32) -> Option<u64> {
    // The second number is the resident memory in pages; see proc(5).
    let numbers = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = numbers.split(' ').nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}

/// Returns the resident memory of a process in bytes, including shared pages.
#[cfg(any(not(target_os = "linux"), portable))]
pub(crate) fn resident(pid: i32) -> Option<u64> {
    let listed = std::process::Command::new("ps")
        .args(["-o", "rss=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let kibibytes: u64 = String::from_utf8(listed.stdout).ok()?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
