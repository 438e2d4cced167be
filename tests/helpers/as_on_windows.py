"""Runs `e4`, or imports all our modules, with nothing of the system but what Windows has too.

    python -m helpers.as_on_windows e4 ARGUMENT ...
    python -m helpers.as_on_windows import MODULE ...

Our modules alone are treated so: they cannot import a POSIX module, they see no attribute of `os`, `select`, `signal`
and `socket` that Windows lacks, and `sys.platform` says `win32` to them. The standard library and the packages that we
use see the system as it is, because they cannot do their work in another way on it. So this shows what our modules
need, and not that those packages work on Windows.
"""

from __future__ import annotations

import builtins
import importlib
import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

_OURS = ("e4", "e4_tools", "cryptolib", "firmware")
_MISSING_MODULES = ("curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
# What the documentation of Python 3.11 says of each module, "Availability: Unix".
_MISSING = {
    "os": "chown chroot confstr ctermid fchdir fchmod fchown fdatasync fork forkpty fpathconf fstatvfs getegid geteuid "
    "getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority getresgid getresuid getsid getuid getxattr "
    "initgroups killpg lchown lockf login_tty major makedev memfd_create minor mkfifo mknod nice openpty pathconf "
    "pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn posix_spawnp pread preadv pwrite pwritev readv "
    "register_at_fork sched_getaffinity sendfile set_blocking get_blocking setegid seteuid setgid setgroups setpgid "
    "setpriority setregid setresgid setresuid setreuid setsid setuid setxattr statvfs sync sysconf tcgetpgrp tcsetpgrp "
    "ttyname uname wait wait3 wait4 waitid writev O_CLOEXEC O_DIRECTORY O_DSYNC O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC "
    "P_ALL P_PID WNOHANG",
    "select": "devpoll epoll kqueue poll",
    "signal": "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 alarm getitimer "
    "pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait sigwaitinfo",
    "socket": "AF_UNIX CMSG_LEN socketpair_unix",
}
_BINARY = 0x8000  # the value of `O_BINARY` on Windows
_ALL_NAMES = "import"


class _WindowsModule(ModuleType):
    """A module without what Windows lacks. `instead` has what is otherwise there."""

    def __init__(self, real: ModuleType, instead: Mapping[str, Any]) -> None:
        super().__init__(real.__name__)
        self.__dict__.update(instead, _real=real, _missing=frozenset(_MISSING.get(real.__name__, "").split()))

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__["_missing"]:
            raise AttributeError(f"module {self.__name__} has no attribute {name} on Windows")
        return getattr(self.__dict__["_real"], name)


class _Descriptors:
    """The functions of `os` that behave in another way on Windows, as far as our modules use them."""

    def __init__(self) -> None:
        self._of_text: set[int] = set()  # descriptors in which Windows would change the ends of lines

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        """Open a file, and no folder. Without O_BINARY the descriptor is one of text."""
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        descriptor = os.open(path, flags & ~_BINARY, mode)
        (self._of_text.discard if flags & _BINARY else self._of_text.add)(descriptor)
        return descriptor

    def _check(self, descriptor: int) -> int:
        if descriptor in self._of_text:
            raise AssertionError("on Windows this file would be one of text, because it was opened without O_BINARY")
        return descriptor

    def fdopen(self, descriptor: int, *arguments: Any, **options: Any) -> Any:
        return os.fdopen(self._check(descriptor), *arguments, **options)

    def write(self, descriptor: int, data: Any) -> int:
        return os.write(self._check(descriptor), data)

    def read(self, descriptor: int, size: int) -> bytes:
        return os.read(self._check(descriptor), size)

    def rename(self, source: Any, target: Any) -> None:
        """Rename a file. Windows replaces no other file by this; `os.replace` does."""
        if os.path.lexists(target):
            raise FileExistsError(17, "File exists", str(source), 17, str(target))
        os.rename(source, target)


def _restrict_modules() -> None:
    """From now on, have our modules see what Windows has."""
    files = _Descriptors()
    changed = ("open", "fdopen", "write", "read", "rename")
    of_os = {**{name: getattr(files, name) for name in changed}, "O_BINARY": _BINARY, "supports_fd": frozenset()}
    seen = {
        "os": _WindowsModule(os, of_os),
        "select": _WindowsModule(select, {}),
        "signal": _WindowsModule(signal, {}),
        "socket": _WindowsModule(socket, {}),
        "stat": _WindowsModule(stat, {}),
        "sys": _WindowsModule(sys, {"platform": "win32"}),
    }
    real_import = builtins.__import__

    def import_module(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 (the name that callers use)
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        importer = str((globals or {}).get("__name__", ""))
        if level or importer.partition(".")[0] not in _OURS:
            return real_import(name, globals, locals, fromlist, level)
        if name.partition(".")[0] in _MISSING_MODULES:
            raise ModuleNotFoundError(f"no module {name} on Windows, which {importer} wants", name=name)
        return seen.get(name) or real_import(name, globals, locals, fromlist, level)

    builtins.__import__ = import_module


def main() -> None:
    _restrict_modules()
    what, *arguments = sys.argv[1:]
    if what == _ALL_NAMES:
        for name in arguments:
            importlib.import_module(name)
            print(name)
        return
    from e4_tools.cli import main as e4  # noqa: PLC0415 (it must see the restricted modules)

    e4(arguments, prog_name="e4")


if __name__ == "__main__":
    main()
