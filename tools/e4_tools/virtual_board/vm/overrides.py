"""Changes the built-in modules of the VM, so that user code finds what it would find on a board.

Built-in modules themselves cannot be changed, but an object in `sys.modules` is imported in their place.
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
    """Put the changed modules in place. Later imports get them."""
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
    """Return `sys.implementation` with the machine of a virtual board."""
    names = ("name", "version", "_machine", "_mpy", "_build", "_thread")
    real = sys.implementation
    values = [MACHINE if name == "_machine" else getattr(real, name, None) for name in names]
    return namedtuple("implementation", names)(*values)


def _names(time_ports):
    """Return a `getaddrinfo` that finds every time server at one of the UDP ports of the supervisor's time servers.

    Names get these ports in turn, so that several names belong to different servers.
    """
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
    """Refuse a second console, because a virtual board has only its serial line."""
    if stream is not None:
        raise ValueError("invalid dupterm index")


def _replace(module, replaced, hidden):
    """Have imports of `module` get an object that is like it, but changes some names and hides others."""

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
