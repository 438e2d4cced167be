"""A stand-in for the module `socket`. It makes the sockets of the host behave as those of an ESP32 do.

On an ESP32, `setblocking(True)` removes a timeout, while the Unix port keeps it. Without this change, code that waits
for ever on a board would not do so here. Names are resolved and connections are made only while the board has WiFi.
"""

import io as _io
import select as _select
import sys as _sys
import time as _time

import network as _network
import usocket as _native  # the built-in module, which has the name of this one
from host import link as _link
from micropython import const
from usocket import *  # noqa: F403 (all that is not defined below)

_POLL = const(3)
_CLOSE = const(4)
_GET_FILENO = const(10)
_EINVAL = const(22)
_EHOSTUNREACH = const(118)
_EAI_FAIL = const(-202)
_DNS_PORT = const(53)
_HERE = "127.0.0.1"
_RESOLVING_S = const(5)  # how long the resolver of a board waits for a name server


def _online():
    """Tell whether the board has WiFi."""
    return _network.WLAN(_network.STA_IF).isconnected()


def getaddrinfo(host, port, *more):
    """Return the addresses of a name. A numeric address needs neither WiFi nor a name server.

    Raises OSError -202 without WiFi, and, after five seconds, without a name server. Names that end in `.test` belong
    to this machine. Port 53 becomes the port of the supervisor's name server, which treats such names likewise.
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
    """A socket of the host. It is a stream that `select` and `ssl` can use through its descriptor.

    `made` is a socket of the host that exists already.
    """

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
        """Have the socket wait for ever (True), or not at all (False)."""
        self.settimeout(None if flag else 0)

    def connect(self, address):
        """Connect to an address that `getaddrinfo` returned. Raises OSError without WiFi."""
        if not _online():
            raise OSError(_EHOSTUNREACH)
        self._socket.connect(address)

    def accept(self):
        """Wait for a connection, and return a socket for it and the address of the other side."""
        made, address = self._socket.accept()
        return socket(made=made), address

    def makefile(self, *_):
        """Return the socket itself, which is a stream already."""
        return self

    def ioctl(self, request, argument):
        """Answer a request of the VM to a stream."""
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
