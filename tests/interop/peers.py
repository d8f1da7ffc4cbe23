"""Servers that talk to each other: each has a domain, an address of the loopback network and a certificate of its own.

Where a domain is, Linnet is told in its configuration; the others ask hosts files, or the name server of `names.py`.
"""

import random
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from names import NameServer
from server import Server, ServerError

PORT, DIRECT = 5269, 5270


class Network:
    """A piece of the loopback network for one run, so that two runs on one machine do not meet."""

    def __init__(self):
        self.base = f"127.{random.randrange(16, 240)}.{random.randrange(1, 250)}"
        self.dir = Path(tempfile.mkdtemp(prefix="interop-authority-"))
        self.addresses = {}
        self.names = NameServer()
        self.authority("authority")

    def address(self, domain):
        """The address of a domain; those of services are that of their parent."""
        for known, address in self.addresses.items():
            if domain == known or domain.endswith("." + known):
                return address
        self.addresses[domain] = f"{self.base}.{len(self.addresses) + 1}"
        return self.addresses[domain]

    def remove(self):
        self.names.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    # Certificates.
    def _openssl(self, *arguments):
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, cwd=self.dir)
        if done.returncode != 0:
            raise ServerError(f"openssl {arguments}: {done.stderr}")

    def authority(self, name):
        """Makes an authority and gives the file of its certificate."""
        key, certificate = self.dir / f"{name}.key", self.dir / f"{name}.pem"
        if not certificate.exists():
            self._openssl(
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 30,
                "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign", "-keyout", key, "-out", certificate,
            )  # fmt: skip
        return certificate

    def certificate(self, domain, authority="authority", names=None, expired=False, clients=True):
        """A certificate for a domain and its services: (file of the chain, file of the key)."""
        self.authority(authority)
        name = f"{domain}-{secrets.token_hex(3)}"
        key, request, certificate = (self.dir / f"{name}.{end}" for end in ("key", "csr", "pem"))
        names = names or [domain, f"*.{domain}"]
        extensions = self.dir / f"{name}.ext"
        usage = "serverAuth,clientAuth" if clients else "serverAuth"
        extensions.write_text(
            f"subjectAltName={','.join('DNS:' + one for one in names)}\nextendedKeyUsage={usage}\n"
            "basicConstraints=CA:FALSE\n"
        )
        self._openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", f"/CN={domain}", "-keyout", key, "-out", request,
        )  # fmt: skip
        # `openssl x509` of before 3.4 knows dates in the past only as a negative number of days.
        dates = ["-days", -1 if expired else 7]
        signed = [
            "x509", "-req", "-in", request, "-CA", self.dir / f"{authority}.pem", "-CAkey",
            self.dir / f"{authority}.key", "-CAcreateserial", "-extfile", extensions, "-out", certificate,
        ]  # fmt: skip
        self._openssl(*signed, *dates)
        for file in (key, certificate):
            file.chmod(0o644)
        return certificate, key


class LinnetPeer(Server):
    """Our server with a domain of its own. `options`: more lines of its configuration, by section."""

    name = "linnet"

    def __init__(self, binary, network, domain, certificate=None, options=None, s2s=True):
        super().__init__()
        self.binary, self.network, self.domain = Path(binary).resolve(), network, domain
        self.address = network.address(domain)
        self.certificate = certificate or network.certificate(domain)
        self.options = options or {}
        self.s2s = s2s
        self.config = self.dir / "linnet.toml"

    def write(self, hosts=(), **federation):
        """Writes the configuration. `hosts`: domains and where they are, as Linnet's configuration says it."""
        said = {"authorities": [str(self.network.dir / "authority.pem")], "hosts": list(hosts), **federation}
        lines = "\n".join(f"{key} = {_toml(value)}" for key, value in said.items())
        more = "\n".join(f"[{section}]\n{text}" for section, text in self.options.items() if section)
        s2s, direct = ([f"{self.address}:{PORT}"], [f"{self.address}:{DIRECT}"]) if self.s2s else ([], [])
        self.config.write_text(
            f"""domain = "{self.domain}"
data = "{self.dir}/data"
log = "debug"
admins = ["boss@{self.domain}"]
{self.options.get("", "")}
[tls]
certificate = "{self.certificate[0]}"
key = "{self.certificate[1]}"
[listen]
c2s = ["127.0.0.1:{self.c2s_port}"]
c2s_tls = ["127.0.0.1:{self.tls_port}"]
https = []
http = []
s2s = {_toml(s2s)}
s2s_tls = {_toml(direct)}
[federation]
{lines}
{more}"""
        )
        return self

    def command(self):
        return [self.binary, "--config", self.config, "serve"]

    def cli(self, *arguments, stdin=""):
        return self.run_cli(self.binary, "--config", self.config, *arguments, stdin=stdin)

    def add_account_now(self, name, password):
        self.cli("account", "add", f"{name}@{self.domain}", "--password-stdin", stdin=password)

    def place(self, direct=False):
        """Where it is, for the `hosts` of others."""
        port = f"tls:{self.address}:{DIRECT}" if direct else f"{self.address}:{PORT}"
        return [f"{self.domain}={port}", f"pubsub.{self.domain}={port}", f"conference.{self.domain}={port}"]


def _toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return str(value) if isinstance(value, (int, float)) else '"' + str(value) + '"'


class ProsodyPeer(Server):
    """Debian's Prosody. `options`: lines of its configuration, before the hosts."""

    name = "prosody"

    def __init__(self, network, domain, certificate=None, options=""):
        super().__init__()
        if not shutil.which("prosody"):
            raise ServerError("prosody is missing: apt-get install prosody lua-unbound")
        self.network, self.domain = network, domain
        self.address = network.address(domain)
        self.certificate = certificate or network.certificate(domain)
        self.options = options
        (self.dir / "data" / self._encoded(domain) / "accounts").mkdir(parents=True)
        self.config = self.dir / "prosody.cfg.lua"

    @staticmethod
    def _encoded(name):
        return "".join(chr(b) if chr(b).isalnum() and b < 128 else f"%{b:02x}" for b in name.encode())

    def write(self, hosts=()):
        """Writes the configuration. `hosts`: pairs of a domain and its address."""
        table = self.dir / "hosts"
        table.write_text("".join(f"{address} {domain}\n" for domain, address in hosts))
        certificate, key = self.certificate
        modules = "disco roster saslauth tls dialback ping time version carbons register presence message iq c2s s2s smacks"
        self.config.write_text(
            f"""run_as_root = true
daemonize = false
pidfile = "{self.dir}/prosody.pid"
data_path = "{self.dir}/data"
log = {{ debug = "{self.log_path}" }}
unbound = {{ hoststxt = "{table}"; resolvconf = false; forward = {{ "127.0.0.1@1" }} }}
c2s_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.c2s_port} }}
c2s_direct_tls_ports = {{ {self.tls_port} }}
s2s_interfaces = {{ "{self.address}" }}
s2s_ports = {{ {PORT} }}
s2s_direct_tls_interfaces = {{ "{self.address}" }}
s2s_direct_tls_ports = {{ {DIRECT} }}
c2s_require_encryption = true
s2s_require_encryption = true
ssl = {{ key = "{key}"; certificate = "{certificate}"; cafile = "{self.network.dir}/authority.pem" }}
c2s_direct_tls_ssl = {{ key = "{key}"; certificate = "{certificate}" }}
s2s_direct_tls_ssl = {{ key = "{key}"; certificate = "{certificate}"; cafile = "{self.network.dir}/authority.pem" }}
authentication = "internal_plain"
modules_enabled = {{ {", ".join(f'"{m}"' for m in modules.split())} }}
{self.options}
VirtualHost "{self.domain}"
Component "conference.{self.domain}" "muc"
"""
        )
        return self

    def command(self):
        return ["prosody", "--config", self.config, "-F"]

    def add_account_now(self, name, password):
        file = self.dir / "data" / self._encoded(self.domain) / "accounts" / f"{self._encoded(name)}.dat"
        file.write_text(f'return {{ ["password"] = "{password}"; }};\n')

    def place(self, direct=False):
        port = f"tls:{self.address}:{DIRECT}" if direct else f"{self.address}:{PORT}"
        return [f"{self.domain}={port}", f"conference.{self.domain}={port}"]


class EjabberdPeer(Server):
    """Debian's ejabberd, run by Erlang itself and not by its script, which wants a user of its own."""

    name = "ejabberd"

    def __init__(self, network, domain, certificate=None, options="", direct=False):
        super().__init__()
        self.direct = direct
        self.home = next(iter(sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin"))), None)
        if self.home is None:
            raise ServerError("ejabberd is missing: apt-get install ejabberd")
        self.network, self.domain = network, domain
        self.address = network.address(domain)
        self.certificate = certificate or network.certificate(domain)
        self.options = options
        self.config = self.dir / "ejabberd.yml"
        self.node = f"peer{secrets.token_hex(4)}@localhost"

    def write(self, hosts=()):
        """Writes the configuration. `hosts`: pairs of a domain and its address."""
        # It asks the operating system for addresses, which only knows those that are addresses already.
        for domain, address in hosts:
            self.network.names.service(domain, address, DIRECT if self.direct else PORT, self.direct)
        server = f"{{nameserver,{{127,0,0,1}},{self.network.names.port}}}.\n"
        (self.dir / "inetrc").write_text("{resolv_conf,\"\"}.\n{lookup,[file,dns]}.\n{host,{127,0,0,1},[\"localhost\"]}.\n" + server)
        (self.dir / "mnesia").mkdir(exist_ok=True)
        chain = self.dir / "server.pem"
        chain.write_bytes(b"".join(Path(file).read_bytes() for file in self.certificate))
        self.config.write_text(
            f"""hosts: ["{self.domain}"]
loglevel: debug
certfiles: ["{chain}"]
ca_file: "{self.network.dir}/authority.pem"
auth_method: internal
acme: {{auto: false}}
s2s_use_starttls: required
s2s_dns_timeout: 1
s2s_dns_retries: 1
{self.options}
listen:
  - {{port: {self.c2s_port}, ip: "127.0.0.1", module: ejabberd_c2s, starttls_required: true}}
  - {{port: {self.tls_port}, ip: "127.0.0.1", module: ejabberd_c2s, tls: true}}
  - {{port: {PORT}, ip: "{self.address}", module: ejabberd_s2s_in}}
  - {{port: {DIRECT}, ip: "{self.address}", module: ejabberd_s2s_in, tls: true}}
access_rules:
  c2s: {{allow: all}}
  register: {{allow: all}}
modules:
  mod_disco: {{}}
  mod_muc: {{}}
  mod_ping: {{}}
  mod_register: {{access: register, ip_access: all}}
  mod_roster: {{}}
  mod_s2s_dialback: {{}}
  mod_stream_mgmt: {{}}
  mod_version: {{}}
"""
        )
        # Erlang tells other programs on this machine nothing: no node has a name in the network.
        self.start_options = {}
        return self

    def command(self):
        arguments = [
            "-noinput", "-noshell", "-mnesia", "dir", f'"{self.dir}/mnesia"', "-ejabberd", "config",
            f'"{self.config}"', "-s", "ejabberd",
        ]  # fmt: skip
        environment = [f"ERL_INETRC={self.dir}/inetrc", f"EJABBERD_LOG_PATH={self.dir}/ejabberd.log"]
        environment += [f"ERL_LIBS={self.home.parent.parent}", f"EJABBERD_CONFIG_PATH={self.config}"]
        return ["env", *environment, "erl", *arguments]

    def log_text(self):
        file = self.dir / "ejabberd.log"
        return super().log_text() + (file.read_text(errors="replace") if file.exists() else "")

    def add_account_now(self, name, password):
        raise ServerError("accounts of ejabberd are registered in band")

    def place(self, direct=False):
        port = f"tls:{self.address}:{DIRECT}" if direct else f"{self.address}:{PORT}"
        return [f"{self.domain}={port}", f"conference.{self.domain}={port}"]
