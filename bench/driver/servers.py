"""How each server is configured, started and stopped: one class per server.

A server runs from a *state* folder, copied from a template that holds the accounts and rosters, so
every measurement starts from the same data in a fresh process.
"""

import hashlib
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

DOMAIN = "localhost"
PASSWORD = "linnet-bench"
START_TIMEOUT_S = 60


class Server:
    """One server under test. `name` is the key in results, `label` the column's head."""

    name = ""
    label = ""
    # Scenarios that it cannot do.
    lacks = ()

    def __init__(self, certificate, key):
        self.certificate = certificate
        self.key = key
        self.port = free_port()
        # Where clients connect that will not use TLS.
        self.plain_port = self.port
        self.process = None
        self.state = None

    def configure(self, state):
        """Writes the configuration into the folder `state`, where the process will run."""
        raise NotImplementedError

    def command(self, state):
        """Returns (arguments, environment) of the process; it stays in the foreground."""
        raise NotImplementedError

    def prepare(self, state, load):
        """Makes accounts and rosters in `state`; `load(server, *arguments)` runs the load generator."""
        self.start(state)
        try:
            load(self, "setup", "--register")
        finally:
            self.stop()

    def identity(self):
        """Bytes that change when the accounts have to be made anew, besides the label."""
        return b""

    def size_bytes(self):
        """Size of the program when it is a single file, or None."""
        return None

    def start(self, state):
        """Starts the server in `state`; returns the ms from exec to the first accepted connection."""
        self.state = pathlib.Path(state)
        self.configure(self.state)
        arguments, environment = self.command(self.state)
        with open(self.state / "output.log", "ab") as output:
            began = time.monotonic()
            self.process = subprocess.Popen(
                [str(each) for each in arguments], env={**os.environ, **environment}, cwd=self.state,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        while time.monotonic() - began < START_TIMEOUT_S:
            if accepts(self.port):
                return (time.monotonic() - began) * 1000
            if self.process.poll() is not None:
                break
            time.sleep(0.001)
        log = (self.state / "output.log").read_text(errors="replace")[-2000:]
        self.stop()
        raise SystemExit(f"bench: {self.label} does not accept connections:\n{log}")

    def stop(self):
        """Ends the process, with SIGKILL when SIGTERM has not done it within 15 s."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None


class Linnet(Server):
    """Limits on bytes off, as the peers run without shapers; a listener without TLS for the rows without."""

    name = "linnet"
    label = "Linnet"

    def __init__(self, certificate, key, binary):
        super().__init__(certificate, key)
        self.binary = pathlib.Path(binary).resolve()
        self.plain_port = free_port()

    def configure(self, state):
        (state / "linnet.toml").write_text(f"""
domain = "{DOMAIN}"
data = "{state}/data"
log = "warn"

[listen]
c2s = ["127.0.0.1:{self.port}"]
c2s_tls = []
https = []
http = []
plaintext = ["127.0.0.1:{self.plain_port}"]

[tls]
certificate = "{self.certificate}"
key = "{self.key}"

[limits]
bytes_per_second = 0
stanzas_per_second = 0
strangers_per_hour = 0
""")

    def command(self, state):
        return [self.binary, "--config", state / "linnet.toml", "serve"], {}

    def prepare(self, state, load):
        self.configure(state)
        accounts = state / "accounts"
        accounts.write_text("".join(f"{name}@{DOMAIN} {PASSWORD}\n" for name in load(self, "names")))
        importing = [self.binary, "--config", state / "linnet.toml", "account", "import", accounts]
        subprocess.run(importing, check=True, stdout=subprocess.DEVNULL, timeout=300)
        self.start(state)
        try:
            load(self, "setup")
        finally:
            self.stop()

    def identity(self):
        return hashlib.sha256(self.binary.read_bytes()).digest()

    def size_bytes(self):
        return self.binary.stat().st_size


class Prosody(Server):
    """Generational collector, epoll, limits and s2s off: its best configuration that we know of."""

    name = "prosody"
    lacks = ("login again", "large archive")

    def __init__(self, certificate, key, peers):
        super().__init__(certificate, key)
        self.root = peers.root
        self.label = f"Prosody {peers.versions['prosody']}"

    def configure(self, state):
        source = self.root / "usr/lib/prosody"
        (state / "data").mkdir(exist_ok=True)
        (state / "prosody.cfg.lua").write_text(f"""
run_as_root = true
daemonize = false
pidfile = "{state}/prosody.pid"
data_path = "{state}/data"
plugin_paths = {{ }}
log = {{ warn = "{state}/prosody.log" }}
network_backend = "epoll"
network_settings = {{ nagle = false }}
gc = {{ mode = "generational" }}
modules_enabled = {{
  "roster"; "saslauth"; "tls"; "disco"; "ping"; "time"; "version"; "blocklist"; "private"; "carbons";
  "pep"; "smacks"; "csi_simple"; "mam"; "register_ibr"; "vcard4"; "vcard_legacy";
}}
modules_disabled = {{ "s2s" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.port} }}
c2s_direct_tls_ports = {{ }}
c2s_require_encryption = false
allow_registration = true
authentication = "internal_hashed"
storage = "internal"
archive_expires_after = "never"
certificates = "{state}"
ssl = {{ certificate = "{self.certificate}"; key = "{self.key}" }}
VirtualHost "{DOMAIN}"
Component "rooms.{DOMAIN}" "muc"
modules_enabled = {{ "muc_mam" }}
""")
        script = (self.root / "usr/bin/prosody").read_text()
        script = script.replace("'/usr/lib/prosody'", f"'{source}'")
        script = script.replace("'/usr/lib/prosody/modules/'", f"'{source}/modules/'")
        (state / "prosody").write_text(script)

    def command(self, state):
        lua, native = self.root / "usr/share/lua/5.4", self.root / "usr/lib/x86_64-linux-gnu"
        environment = {
            "LUA_PATH_5_4": f"{lua}/?.lua;{lua}/?/init.lua;;",
            "LUA_CPATH_5_4": f"{native}/lua/5.4/?.so;;",
            "LD_LIBRARY_PATH": str(native),
        }
        interpreter = self.root / "usr/bin/lua5.4"
        return [interpreter, state / "prosody", "--config", state / "prosody.cfg.lua", "-F"], environment


class Ejabberd(Server):
    """Mnesia for accounts and rosters, archive on SQLite in WAL mode, no shapers, no busy waiting."""

    name = "ejabberd"
    lacks = ("login again", "large archive")

    def __init__(self, certificate, key, peers):
        super().__init__(certificate, key)
        self.root = peers.root
        self.version = peers.versions["ejabberd"]
        self.label = f"ejabberd {self.version}"

    def configure(self, state):
        for folder in ("mnesia", "logs"):
            (state / folder).mkdir(exist_ok=True)
        # Older ones do not know how to make the tables themselves.
        makes_tables = int(self.version.split(".")[0]) >= 24
        database = state / "archive.db"
        if not database.exists():
            connection = sqlite3.connect(database)
            connection.execute("PRAGMA journal_mode=WAL")  # stays with the file
            if not makes_tables:
                connection.executescript((self.root / "usr/share/ejabberd/sql/lite.sql").read_text())
            connection.close()
        pem = state / "server.pem"
        pem.write_bytes(pathlib.Path(self.certificate).read_bytes() + pathlib.Path(self.key).read_bytes())
        (state / "inetrc").write_text('{lookup,["file","native"]}.\n{host,{127,0,0,1}, ["localhost"]}.\n')
        (state / "ejabberd.yml").write_text(f"""
hosts: ["{DOMAIN}"]
loglevel: warning
certfiles: ["{pem}"]
ca_file: "{pem}"
auth_method: internal
auth_password_format: scram
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
default_db: mnesia
sql_type: sqlite
sql_database: "{database}"
{"update_sql_schema: true" if makes_tables else ""}
registration_timeout: infinity
cache_size: 100000
acme: {{auto: false}}
listen:
  - {{port: {self.port}, ip: "127.0.0.1", module: ejabberd_c2s, starttls: true, max_stanza_size: 262144, backlog: 1024}}
access_rules:
  register: {{allow: all}}
  c2s: {{allow: all}}
shaper: {{}}
modules:
  mod_blocking: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_client_state: {{}}
  mod_disco: {{}}
  mod_mam: {{db_type: sql, default: always}}
  mod_muc: {{host: "rooms.{DOMAIN}", db_type: mnesia}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_privacy: {{}}
  mod_private: {{}}
  mod_pubsub: {{plugins: ["flat", "pep"]}}
  mod_register: {{access: register, ip_access: all}}
  mod_roster: {{versioning: true}}
  mod_stream_mgmt: {{}}
  mod_time: {{}}
  mod_vcard: {{search: false}}
  mod_version: {{}}
""")

    def command(self, state):
        erlang = self.root / "usr/lib/erlang"
        binaries = next(erlang.glob("erts-*")) / "bin"
        native = self.root / "usr/lib/x86_64-linux-gnu"
        environment = {
            "ROOTDIR": str(erlang), "BINDIR": str(binaries), "EMU": "beam", "PROGNAME": "erl",
            "ERL_LIBS": f"{native}:{erlang}/lib", "LD_LIBRARY_PATH": str(native), "ERL_MAX_PORTS": "32000",
            "ERL_MAX_ETS_TABLES": "1400", "ERL_INETRC": str(state / "inetrc"), "HOME": str(state),
            "EJABBERD_CONFIG_PATH": str(state / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(state / "logs/ejabberd.log"),
            "ERL_CRASH_DUMP": str(state / "logs/crash.dump"),
        }
        return [
            binaries / "erlexec", "+K", "true", "+P", "250000", "+sbwt", "none", "+sbwtdcpu", "none",
            "+sbwtdio", "none", "-noinput", "-mnesia", "dir", f'"{state}/mnesia"', "-s", "ejabberd",
        ], environment


def accepts(port):
    """Whether something on the loopback interface takes connections on `port`."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def copy_state(template, state):
    """Replaces the folder `state` by a copy of `template`."""
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(template, state)
