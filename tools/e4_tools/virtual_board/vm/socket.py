"""Stand-in for `socket`: the host's sockets, which here behave as an ESP32's do.

`setblocking(True)` removes a timeout, where the Unix port keeps it: with that difference, code that waits for ever on
a board would not do so here. Names are resolved, and connections made, only while the board has WiFi.
"""

import io as _io
import select as _select
import sys as _sys
import time as _time

import network as _network
import usocket as _native  # the built-in module, whose name this one bears
from host import link as _link
from micropython import const
from usocket import *  # noqa: F403 (all that is not told otherwise below)

_POLL = const(3)
_CLOSE = const(4)
_GET_FILENO = const(10)
_EINVAL = const(22)
_EHOSTUNREACH = const(118)
_EAI_FAIL = const(-202)
_DNS_PORT = const(53)
_HERE = "127.0.0.1"
_RESOLVING_S = const(5)  # until the resolver gives up


def _online():
    return _network.WLAN(_network.STA_IF).isconnected()


def getaddrinfo(host, port, *more):
    """Resolve a name. OSError -202 without WiFi, or, after a while, without a name server; numbers need neither.

    The name server itself is the supervisor's. It finds every name that ends in `.test` on this machine, as here.
    """
    if host.replace(".", "").isdigit():
        return _native.getaddrinfo(host, _link.config["name_port"] if port == _DNS_PORT else port, *more)
    if not _online():
        raise OSError(_EAI_FAIL)
    if not _link.name_server_answers():
        _time.sleep(_RESOLVING_S)
        raise OSError(_EAI_FAIL)
    return _native.getaddrinfo(_HERE if host.endswith(".test") else host, port, *more)


class socket(_io.IOBase):  # noqa: N801 (the board's name for it)
    """A socket of the host. As a stream (for `select` and `ssl`) it is known by its descriptor."""

    def __init__(self, *kind, made=None):
        self._socket = native = made or _native.socket(*kind)
        self.read = native.read
        self.readinto = native.readinto
        self.readline = native.readline
        self.recv = native.recv
        self.recvfrom = native.recvfrom
        self.write = native.write
        self.send = native.send
        self.sendall = native.sendall
        self.sendto = native.sendto
        self.bind = native.bind
        self.listen = native.listen
        self.fileno = native.fileno
        self.close = native.close
        self.setsockopt = native.setsockopt
        self.settimeout = native.settimeout

    def setblocking(self, flag):
        """Wait for ever (True), or not at all (False)."""
        self.settimeout(None if flag else 0)

    def connect(self, address):
        """Connect to an address from `getaddrinfo`."""
        if not _online():
            raise OSError(_EHOSTUNREACH)
        self._socket.connect(address)

    def accept(self):
        """(socket, address) of the next connection to this one."""
        made, address = self._socket.accept()
        return socket(made=made), address

    def makefile(self, *_):
        """The socket, which is a stream already."""
        return self

    def ioctl(self, request, argument):
        """What streams are asked by the VM."""
        if request == _GET_FILENO:
            return self.fileno()
        if request == _POLL:
            poller = _select.poll()
            poller.register(self._socket, argument)
            ready = poller.poll(0)
            return ready[0][1] if ready else 0
        if request == _CLOSE:
            self.close()
            return 0
        return -_EINVAL


_sys.modules["usocket"] = _sys.modules["socket"]
