"""The server under test: starts one on loopback with a throw-away data directory, makes accounts, stops it by pid.

`Linnet` is what the tests are for; `Prosody` (Debian's stock package) is the same interface over a server that we did
not write, to show that a test is right before it blames Linnet. What a server is known not to offer stands in `lacks`.
"""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

DOMAIN = "localhost"
ADMIN = "boss"
# Every password and every message body of the suite holds this word, so that a search of the logs finds a leak.
CANARY = "canary" + secrets.token_hex(6)


class ServerError(Exception):
    """The server did not start, stop or do what its command line was asked."""


def free_ports(count):
    """Ports that were free a moment ago: bound all at once so that they differ, then released."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


class Server:
    """What all servers under test share: directory, ports, process, log."""

    name = ""
    lacks = frozenset()

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix=f"interop-{self.name}-"))
        self.c2s_port, self.tls_port, self.https_port, self.http_port, self.s2s_port = free_ports(5)
        self.log_path = self.dir / "server.log"
        self.process = None
        self.passwords = {}
        # More arguments for starting the process.
        self.start_options = {}

    # What a server must say of itself.
    def command(self):
        """The command line that serves in the foreground."""
        raise NotImplementedError

    def add_account_now(self, name, password):
        """Creates an account; works while the server runs."""
        raise NotImplementedError

    # Life.
    def start(self, timeout=20.0):
        """Starts the process and returns the seconds until both ports accept."""
        began = time.monotonic()
        log = open(self.log_path, "ab")
        environment = {**os.environ, "HOME": str(self.dir), "NO_COLOR": "1"}
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.dir,
            env=environment,
            **self.start_options,
        )
        log.close()
        for port in (self.c2s_port, self.tls_port):
            while not self._accepts(port):
                if self.process.poll() is not None:
                    raise ServerError(f"{self.name} ended with {self.process.returncode} at start\n{self.log_tail()}")
                if time.monotonic() - began > timeout:
                    self.kill()
                    raise ServerError(f"{self.name}: port {port} not open after {timeout} s\n{self.log_tail()}")
                time.sleep(0.01)
        return time.monotonic() - began

    @staticmethod
    def _accepts(port):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    def stop(self, timeout=10.0):
        """Asks for a graceful stop and returns the exit code; kills what does not end in time."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"{self.name} did not end {timeout} s after SIGTERM\n{self.log_tail()}") from None

    def kill(self):
        """SIGKILL, at once."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def remove(self):
        """Ends the process if it still runs and removes its directory."""
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    # Accounts.
    async def account(self, name):
        """Makes the account `name` with a password of its own and returns its bare JID."""
        password = f"pw {CANARY} {secrets.token_hex(4)}"
        await asyncio.to_thread(self.add_account_now, name, password)
        self.passwords[name] = password
        return f"{name}@{DOMAIN}"

    # Looking at it.
    def log_text(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines=15):
        return "\n".join(f"    | {line}" for line in self.log_text().splitlines()[-lines:])

    def leaks(self):
        """Lines of the log that hold a password or a message body."""
        return [line for line in self.log_text().splitlines() if CANARY in line]

    def tls_context(self, highest=None):
        """A client context for the server's self-signed certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if highest:
            context.maximum_version = highest
        return context

    def run_cli(self, *arguments, stdin=""):
        """Runs one of the server's own commands to its end; returns its output, raises with it on failure."""
        done = subprocess.run(
            [str(a) for a in arguments], input=stdin, capture_output=True, text=True, timeout=20, cwd=self.dir
        )
        if done.returncode != 0:
            raise ServerError(f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout


class Linnet(Server):
    """Our binary. Its limits per address do not concern loopback, so hundreds of logins from there are no attack."""

    name = "linnet"

    def __init__(self, binary, more_config=""):
        super().__init__()
        self.binary = Path(binary).resolve()
        if not self.binary.exists():
            raise ServerError(f"{self.binary} does not exist; build it first: cargo build -p linnet")
        self.config = self.dir / "linnet.toml"
        self.config.write_text(
            f"""domain = "{DOMAIN}"
data = "{self.dir}/data"
admins = ["{ADMIN}@{DOMAIN}"]

[listen]
c2s = ["127.0.0.1:{self.c2s_port}"]
c2s_tls = ["127.0.0.1:{self.tls_port}"]
https = ["127.0.0.1:{self.https_port}"]
http = ["127.0.0.1:{self.http_port}"]
s2s = ["127.0.0.1:{self.s2s_port}"]

[contacts]
admin = ["xmpp:{ADMIN}@{DOMAIN}"]
{more_config}"""
        )

    def command(self):
        return [self.binary, "--config", self.config, "serve"]

    def add_account_now(self, name, password):
        self.run_cli(
            self.binary,
            "--config",
            self.config,
            "account",
            "add",
            f"{name}@{DOMAIN}",
            "--password-stdin",
            stdin=password,
        )


class Prosody(Server):
    """Debian's Prosody as an ordinary foreground process."""

    name = "prosody"
    # Not in the stock package, or known to differ from the specification there.
    lacks = frozenset({"0013", "0363", "0357", "0359", "cli", "sasl2", "sha512", "end-point", "unavailable-at-unsubscribe", "web"})

    def __init__(self):
        super().__init__()
        if not shutil.which("prosody"):
            raise ServerError("prosody is missing: apt-get install prosody")
        (self.dir / "data" / DOMAIN / "accounts").mkdir(parents=True)
        key, certificate = self.dir / "key.pem", self.dir / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={DOMAIN}"]
            + ["-addext", f"subjectAltName=DNS:{DOMAIN}", "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
        modules = (
            "disco roster saslauth tls blocklist private vcard_legacy pep ping time uptime version lastactivity adhoc "
            "admin_adhoc server_contact_info offline mam carbons user_account_management register presence message iq c2s smacks"
        )
        self.config = self.dir / "prosody.cfg.lua"
        self.config.write_text(
            f"""run_as_root = true
daemonize = false
pidfile = "{self.dir}/prosody.pid"
data_path = "{self.dir}/data"
log = {{ info = "{self.log_path}" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.c2s_port} }}
c2s_direct_tls_ports = {{ {self.tls_port} }}
c2s_require_encryption = true
ssl = {{ key = "{key}"; certificate = "{certificate}" }}
c2s_direct_tls_ssl = {{ key = "{key}"; certificate = "{certificate}" }}
authentication = "internal_plain"
allow_registration = false
admins = {{ "{ADMIN}@{DOMAIN}" }}
contact_info = {{ admin = {{ "xmpp:{ADMIN}@{DOMAIN}" }} }}
modules_enabled = {{ {", ".join(f'"{m}"' for m in modules.split())} }}
modules_disabled = {{ "s2s" }}
VirtualHost "{DOMAIN}"
"""
        )

    def command(self):
        return ["prosody", "--config", self.config, "-F"]

    def add_account_now(self, name, password):
        escaped = "".join(chr(b) if chr(b).isalnum() and b < 128 else f"%{b:02x}" for b in name.encode())
        file = self.dir / "data" / DOMAIN / "accounts" / f"{escaped}.dat"
        file.write_text(f'return {{ ["password"] = "{password}"; }};\n')


def start_server(kind, binary=None, more_config=""):
    """Makes and starts the server named by `kind`."""
    server = Prosody() if kind == "prosody" else Linnet(binary, more_config)
    try:
        server.start()
        server.add_account_now(ADMIN, password := f"pw {CANARY} boss")
        server.passwords[ADMIN] = password
    except Exception:
        server.remove()
        raise
    return server
