//! What a server process and its children have used: processor time and resident memory, read from `/proc`.

use std::fs;
use std::io;

/// Ticks per second in `/proc/PID/stat`; Linux fixes them at 100 for user space on every platform we run on.
const TICKS_PER_S: f64 = 100.0;

/// Processor and memory use of a process tree at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Use {
    /// User and system seconds of all threads, ended children included.
    pub(crate) cpu_s: f64,
    /// Resident memory (`VmRSS`) in KiB.
    pub(crate) rss_kib: f64,
}

/// Sums up `root` and all its living descendants.
pub(crate) fn tree(root: u32) -> io::Result<Use> {
    let mut total = Use::default();
    let mut pending = vec![root];
    while let Some(pid) = pending.pop() {
        match one(pid) {
            Ok(own) => {
                total.cpu_s += own.cpu_s;
                total.rss_kib += own.rss_kib;
            }
            // A child may end between being listed and being read.
            Err(_) if pid != root => continue,
            Err(error) => return Err(error),
        }
        pending.extend(children(pid));
    }
    Ok(total)
}

fn one(pid: u32) -> io::Result<Use> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the name in brackets, may hold spaces: count from behind it.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // utime, stime, cutime and cstime are fields 14 to 17 (proc(5)).
    let ticks: u64 = rest.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let rss_kib = rss.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0.0);
    Ok(Use { cpu_s: ticks as f64 / TICKS_PER_S, rss_kib })
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn own_process_has_memory() {
        assert!(super::tree(std::process::id()).unwrap().rss_kib > 100.0);
    }
}
