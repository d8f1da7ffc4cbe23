"""A name server of a few lines: SRV and A records from a table, and that there is no such name for all else."""

import ipaddress
import socket
import struct
import threading

A, SRV = 1, 33


class NameServer:
    """Answers on a UDP port of loopback. `records`: lower-case name to a list of (type, data)."""

    def __init__(self):
        self.records = {}
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def service(self, domain, address, port, direct=False, priority=1, weight=1):
        """An SRV record of a domain's servers. The target is the address itself: some ask the system for its address."""
        label = "_xmpps-server" if direct else "_xmpp-server"
        data = struct.pack("!HHH", priority, weight, port) + _name(address)
        self.records.setdefault(f"{label}._tcp.{domain}", []).append((SRV, data))
        self.records.setdefault(address, [(A, ipaddress.IPv4Address(address).packed)])

    def stop(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(2048)
                self.socket.sendto(self._answer(question), peer)
            except OSError:
                return
            except (IndexError, struct.error):
                continue

    def _answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii", "replace").lower())
            at += 1 + question[at]
        (kind,) = struct.unpack("!H", question[at + 1 : at + 3])
        name = ".".join(labels)
        self.asked.append((name, kind))
        known = self.records.get(name)
        found = [data for one, data in known or [] if one == kind]
        flags = 0x8580 | (0 if known is not None else 3)
        head = question[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0)
        rows = [b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 1, len(data)) + data for data in found]
        return head + question[12 : at + 5] + b"".join(rows)


def _name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"
