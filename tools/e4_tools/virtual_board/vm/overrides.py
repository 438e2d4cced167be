"""What the VM's built-in modules must say or hide so that user code finds a board.

Built-in modules cannot be changed, but an object in `sys.modules` is imported in their place.
"""

import os
import socket
import sys
from collections import namedtuple

import micropython
import network
import vfs
from host import MACHINE

_NTP_PORT = 123
_EAI_FAIL = -202


def install_overrides(link):
    """Put the changed modules in place. Imports after this call get them."""
    implementation = _implementation()
    uname = namedtuple("uname", ("sysname", "nodename", "release", "version", "machine"))
    release = ".".join(str(part) for part in implementation.version[:3])
    version = "v" + release + " on " + sys.version.split(" on ")[-1]
    about = uname("esp32", "esp32", release, version, MACHINE)

    _replace(micropython, {"kbd_intr": link.kbd_intr}, ())
    _replace(vfs, {}, ("VfsPosix",))
    _replace(
        os,
        {"uname": lambda: about, "sync": lambda: None, "dupterm": _dupterm},
        ("VfsPosix", "system", "getenv", "putenv", "unsetenv"),
    )
    _replace(socket, {"getaddrinfo": _names(link.config["time_ports"])}, ())
    _replace(
        sys,
        {"platform": "esp32", "implementation": implementation},
        ("executable", "atexit", "exc_info"),
    )


def _implementation():
    names = ("name", "version", "_machine", "_mpy", "_build", "_thread")
    real = sys.implementation
    values = [MACHINE if name == "_machine" else getattr(real, name, None) for name in names]
    return namedtuple("implementation", names)(*values)


def _names(time_ports):
    """A `getaddrinfo` for which every time server is one of the supervisor's, each name a different one."""
    known = []

    def getaddrinfo(host, port, *hints):
        if port != _NTP_PORT:
            return socket.getaddrinfo(host, port, *hints)
        if not network.WLAN(network.STA_IF).isconnected():
            raise OSError(_EAI_FAIL)
        if host not in known:
            known.append(host)
        return socket.getaddrinfo("127.0.0.1", time_ports[known.index(host) % len(time_ports)], *hints)

    return getaddrinfo


def _dupterm(stream=None, index=0):
    """The second console of a board; this one has only its serial line."""
    if stream is not None:
        raise ValueError("invalid dupterm index")


def _replace(module, replaced, hidden):
    class Module:
        def __getattr__(self, name):
            if name in replaced:
                return replaced[name]
            if name in hidden:
                raise AttributeError(f"'module' object has no attribute '{name}'")
            return getattr(module, name)

        def __setattr__(self, name, value):
            setattr(module, name, value)

    sys.modules[module.__name__] = Module()
