"""Fetches Prosody and ejabberd as Debian packages and unpacks them beside the system.

Nothing is installed: apt works on lists and a status file of its own, so the distribution's
Prosody, which the functional tests use, stays as it is.
"""

import pathlib
import re
import shutil
import subprocess

MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# The versions to beat; anything else is shown with a warning in the table.
WANTED = {"prosody": "13.0.1", "ejabberd": "24.12"}
WITH_PROSODY = ["prosody", "lua5.4", "lua-sec", "lua-expat", "lua-filesystem", "lua-socket"]
WITH_EJABBERD = ["ejabberd", "erlang-p1-sqlite3"]
# Left out of apt's view of what is installed, so that it lists them all, whatever this machine has.
UNPACKED = re.compile(r"^Package: (erlang|ejabberd|prosody|lua|libodbc|libltdl)")


class Peers:
    """The unpacked tree and the version of each peer in it."""

    def __init__(self, root, versions):
        self.root = root
        self.versions = versions

    def warnings(self):
        """One line for each peer that is not of the wanted version."""
        return [
            f"{name} {self.versions[name]} was measured, not {wanted}: "
            "bookworm-backports was out of reach, so the distribution's version stands in."
            for name, wanted in WANTED.items()
            if not self.versions[name].startswith(wanted)
        ]


def fetch(cache):
    """Returns the `Peers` under `cache`, downloading them the first time."""
    root = cache / "peers"
    stamp = root / "versions"
    if not stamp.exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        _unpack(cache / "apt", root)
        versions = {name: _version(cache / "apt", name) for name in WANTED}
        stamp.write_text("".join(f"{name} {version}\n" for name, version in versions.items()))
    versions = dict(line.split() for line in stamp.read_text().splitlines())
    return Peers(root, versions)


def _unpack(apt, root):
    archives = apt / "cache" / "archives"
    for folder in (apt / "lists" / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    for old in archives.glob("*.deb"):
        old.unlink()
    (apt / "status").write_text(_status_without_peers())
    suites = ["bookworm", "bookworm-backports"]
    (apt / "sources.list").write_text(
        "".join(f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n" for suite in suites)
    )
    backports = _apt(apt, "update") and _download(apt, ["-t", "bookworm-backports"])
    if not backports:
        _from_distribution(apt)
    for package in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True)


def _from_distribution(apt):
    """The fallback: whatever the machine's own sources offer."""
    (apt / "sources.list").write_text(pathlib.Path("/etc/apt/sources.list").read_text()
                                      if pathlib.Path("/etc/apt/sources.list").exists() else "")
    parts = ["-o", "Dir::Etc::sourceparts=/etc/apt/sources.list.d"]
    if not (_apt(apt, *parts, "update") and _download(apt, parts)):
        raise SystemExit("bench: neither bookworm-backports nor the distribution's packages can be reached")


def _download(apt, options):
    return _apt(apt, "install", "--yes", "--no-install-recommends", "--download-only",
                *options, *WITH_PROSODY, *WITH_EJABBERD)


def _apt(apt, *arguments):
    own = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
        "Acquire::Retries": "2",
    }
    options = [word for key, value in own.items() for word in ("-o", f"{key}={value}")]
    with open(apt / "apt.log", "ab") as log:
        command = ["apt-get", "--quiet", *options, *arguments]
        # "Err:" lines leave apt's exit code at 0, so a failed update shows only in the download.
        return subprocess.run(command, stdout=log, stderr=log, timeout=600).returncode == 0


def _status_without_peers():
    paragraphs = pathlib.Path("/var/lib/dpkg/status").read_text().split("\n\n")
    return "\n\n".join(each for each in paragraphs if not UNPACKED.match(each))


def _version(apt, name):
    """The upstream version in the file name, such as 24.12 from ejabberd_24.12-3~bpo12+1_amd64.deb."""
    package = next((apt / "cache" / "archives").glob(f"{name}_*.deb"))
    return re.match(rf"{name}_(?:\d+%3a)?([0-9.]+)", package.name).group(1).rstrip(".")
