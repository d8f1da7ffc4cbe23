//! Where the configuration and the data are when nobody says so.

use std::{env, os::unix::fs::MetadataExt, path::PathBuf};

/// The configuration file, if there is one.
pub(super) fn usual_file() -> Option<PathBuf> {
    if let Some(said) = env::var_os("LINNET_CONFIG").filter(|said| !said.is_empty()) {
        return Some(said.into());
    }
    let own = directory("XDG_CONFIG_HOME", ".config").map(|directory| directory.join("linnet/linnet.toml"));
    let system = PathBuf::from("/etc/linnet/linnet.toml");
    let candidates = if is_root() { [Some(system), own] } else { [own, Some(system)] };
    candidates.into_iter().flatten().find(|path| path.exists())
}

/// The data directory.
pub(super) fn usual_data() -> Result<PathBuf, String> {
    // systemd may name several, separated by colons; the first is ours.
    let state = env::var("STATE_DIRECTORY").ok().and_then(|all| all.split(':').next().map(PathBuf::from));
    if let Some(state) = state.filter(|path| path.is_absolute()) {
        return Ok(state);
    }
    if is_root() {
        return Ok("/var/lib/linnet".into());
    }
    let home = directory("XDG_DATA_HOME", ".local/share").map(|directory| directory.join("linnet"));
    home.ok_or_else(|| "there is no home directory to keep the data in; say 'data' in the configuration".to_owned())
}

fn directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let said = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    said.or_else(|| {
        env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()).map(|home| home.join(below_home))
    })
}

/// The process' folder belongs to its effective user.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
