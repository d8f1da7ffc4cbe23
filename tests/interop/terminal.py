"""A program with a screen: runs it under a pseudo terminal, types into it, reads what stands on its screen."""

import asyncio
import fcntl
import os
import struct
import termios
import time

import pyte

ROWS, COLUMNS = 50, 160


class Terminal:
    """One program and its screen."""

    def __init__(self, name):
        self.name = name
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=2000)
        self.stream = pyte.ByteStream(self.screen)
        self.changed = asyncio.Event()
        self.process = None
        self.master = None

    async def start(self, command, home):
        """Starts the program with `home` as its home and configuration directory."""
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_CONFIG_HOME": f"{home}/config",
            "XDG_DATA_HOME": f"{home}/data",
            "XDG_CACHE_HOME": f"{home}/cache",
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
        }
        self.process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=home,
            env=environment,
            start_new_session=True,
            # The new session's terminal, so that the program gets its size and its hang-up.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self):
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self.master)
        self.stream.feed(data)
        self.changed.set()

    def text(self):
        """What stands on the screen now."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    async def shows(self, *wanted, timeout=12.0):
        """Waits until every one of the wanted texts stands on the screen."""
        await self._until(lambda text: all(w in text for w in wanted), " and ".join(map(repr, wanted)), timeout)

    async def shows_one_of(self, *wanted, timeout=12.0):
        """Waits until one of the texts stands on the screen."""
        await self._until(lambda text: any(w in text for w in wanted), " or ".join(map(repr, wanted)), timeout)

    async def _until(self, holds, what, timeout):
        deadline = time.monotonic() + timeout
        while not holds(self.text()):
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), deadline - time.monotonic())
            except TimeoutError:
                lines = "\n".join(f"    [{line}]" for line in self.text().splitlines() if len(line.strip()) > 1)
                raise AssertionError(f"{self.name} does not show {what} but\n{lines}") from None

    def type(self, line):
        """Types a line and Enter."""
        os.write(self.master, line.encode() + b"\r")

    async def close(self):
        """Ends the program."""
        if self.process and self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 2)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if self.master is not None:
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.master)
