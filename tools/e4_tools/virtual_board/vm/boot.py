"""Start-up of the virtual board: bring up the flash, hide the host, run boot.py and main.py, then the REPL.

The order is that of the ESP32 port: mount, boot.py, main.py (not if boot.py failed or in raw mode), REPL.
"""

# ruff: noqa: PLC0415 (some modules need the link to the supervisor when they load)
import gc
import os
import sys

import host
import vfs
from micropython import const

_BOOT_PY = "# This file is executed on every boot (including wake-boot from deepsleep)\n"
_STAND_INS = ("machine", "network", "socket", "esp32", "ntptime")
_S_IFREG = const(0x8000)


def main(config_fd, namespace):
    """Run the board until its supervisor ends this process. `namespace` becomes the namespace of user code."""
    link = host.connect(config_fd)
    import editor
    import repl
    from flash import Flash

    namespace.clear()
    namespace["__name__"] = "__main__"
    flash = Flash(link.open_descriptor("flash"), link.config["blocks"])
    file_system = _open_file_system(flash)
    _load_frozen(link, file_system)
    _switch_root(file_system, editor)
    gc.collect()
    link.tell("up")
    console = repl.Repl(link, namespace, editor)
    if file_system is not None:
        _run_start_files(console)
    console.serve()


def _open_file_system(flash):
    """Return the littlefs on `flash`, after making one on a blank flash. Print why and return None if it is damaged."""
    try:
        return vfs.VfsLfs2(flash)
    except OSError:
        if not flash.is_blank():
            print("The filesystem on the flash image looks corrupt: it is neither littlefs v2 nor blank.")
            print("Nothing was changed. Copy the image to examine it; delete it to start with an empty flash.")
            return None
    print("Performing initial setup")
    vfs.VfsLfs2.mkfs(flash)
    file_system = vfs.VfsLfs2(flash)
    with file_system.open("boot.py", "w") as file:
        file.write(_BOOT_PY)
    return file_system


def _load_frozen(link, file_system):
    """Import what is in the firmware of a real board, unless a file in the root of the flash shadows it."""
    import overrides

    names = list(_STAND_INS)
    frozen = link.config["frozen"]
    if frozen:
        _collect_modules(frozen, "", names)
        sys.path.insert(0, frozen)
    for name in names:
        if not _is_shadowed(file_system, name.split(".")[0]):
            __import__(name)
    # The modules of the virtual board itself must not be found by applications, which may have modules of these names.
    for module in ("host", "boot", "flash", "repl", "editor", "overrides"):
        sys.modules.pop(module, None)
    if frozen:
        _relabel(len(frozen) + 1, frozen)
    overrides.install_overrides(link)


def _collect_modules(folder, package, names):
    """Append the dotted names of all modules below the host folder `folder` to `names`."""
    for entry in os.ilistdir(folder):
        name = entry[0]
        if name.endswith(".py") and name != "__init__.py":
            names.append(package + name[:-3])
        elif entry[1] & 0x4000 and not name.startswith((".", "_")):
            _collect_modules(folder + "/" + name, package + name + ".", names)


def _is_shadowed(file_system, name):
    if file_system is None:
        return False
    for candidate in (name, name + ".py", name + ".mpy"):
        try:
            file_system.stat(candidate)
            return True
        except OSError:
            continue
    return False


def _relabel(skip, prefix):
    """Name the files of frozen modules as on a board (`umqtt/simple.py`), not by their place on the host."""
    for module in sys.modules.values():
        path = getattr(module, "__file__", "")
        if path.startswith(prefix):
            module.__file__ = path[skip:]


def _switch_root(file_system, editor):
    """Replace the host's file system by the board's, and the host's import path by the board's."""
    import builtins

    builtins.input = editor.read_input
    vfs.umount("/")
    if file_system is not None:
        vfs.mount(file_system, "/")
        os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []


def _run_start_files(console):
    """Run boot.py, and main.py if boot.py did not fail and nobody waits for a raw REPL."""
    if _is_file("boot.py") and not console.run_file("boot.py"):
        return
    if not console.raw and _is_file("main.py"):
        console.run_file("main.py")


def _is_file(name):
    try:
        return bool(os.stat(name)[0] & _S_IFREG)
    except OSError:
        return False
