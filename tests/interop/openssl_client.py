"""The tests' own client over pyOpenSSL: Python's `ssl` cannot export keying material (tls-exporter, RFC 9266)."""

import asyncio

from OpenSSL import SSL
from xmpp import TLS, Client


class OpenSslClient(Client):
    """A client whose TLS records pass through an OpenSSL connection in memory."""

    def __init__(self, domain):
        super().__init__(domain)
        self.tls = None
        self.raw = None

    @classmethod
    async def open(cls, server, direct, domain):
        """Connects and negotiates TLS 1.3, up to the features that offer SASL."""
        loop = asyncio.get_running_loop()
        if direct:
            raw, client = await loop.create_connection(lambda: cls(domain), "127.0.0.1", server.tls_port)
        else:
            client = await cls.open_plain(server, domain)
            client.send(f"<starttls xmlns='{TLS}'/>")
            await client.read()
            raw = client.transport
        client._restart()
        await client._handshake(raw, domain)
        await client.header()
        return client

    async def _handshake(self, raw, domain):
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        self.raw, self.transport = raw, self
        self.tls = SSL.Connection(context, None)
        self.tls.set_tlsext_host_name(domain.encode())
        self.tls.set_connect_state()
        self.established = asyncio.Event()
        self._advance()
        await asyncio.wait_for(self.established.wait(), 10)

    def _advance(self):
        try:
            if not self.established.is_set():
                self.tls.do_handshake()
                self.established.set()
            while True:
                super().data_received(self.tls.recv(65536))
        except SSL.WantReadError:
            pass
        finally:
            self._flush()

    def _flush(self):
        try:
            while True:
                self.raw.write(self.tls.bio_read(65536))
        except SSL.WantReadError:
            pass

    def data_received(self, data):
        if self.tls is None:
            super().data_received(data)
        else:
            self.tls.bio_write(data)
            self._advance()

    # What the base class wants of a transport.
    def write(self, data):
        self.tls.sendall(data)
        self._flush()

    def is_closing(self):
        return self.raw.is_closing()

    def abort(self):
        self.raw.abort()

    def binding(self):
        return "tls-exporter", self.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
