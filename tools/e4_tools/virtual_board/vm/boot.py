"""Starts a virtual board. It mounts the flash, hides the host, runs boot.py and main.py, and then serves the REPL.

This is the order of the ESP32 port. main.py does not run if boot.py has failed, or if the REPL is in raw mode.
"""

# Some modules need the link to the supervisor when they load, so they are imported after `host.connect`.
# ruff: noqa: PLC0415
import gc
import os
import sys

import host
import vfs
from micropython import const

_BOOT_PY = "# This file is executed on every boot (including wake-boot from deepsleep)\n"
_STAND_INS = ("machine", "network", "socket", "esp32", "ntptime")
_S_IFREG = const(0x8000)  # the bit of the mode of a regular file


def main(config_fd, namespace):
    """Run the board until its supervisor ends this process. User code gets the dict `namespace`, emptied."""
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
    """Return the littlefs on `flash`. Make one if the flash is blank. If it is damaged, print that and return None."""
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
    """Import the modules that the firmware of a real board contains.

    They are imported now, because the host's files are hidden later. A module is left out if a file of its name in the
    root of the flash takes its place.
    """
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
    """Tell whether the flash has a module or a package of this name in its root."""
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
    """Give the files of frozen modules the names that they have on a board, such as `umqtt/simple.py`.

    A path that begins with `prefix` loses its first `skip` characters.
    """
    for module in sys.modules.values():
        path = getattr(module, "__file__", "")
        if path.startswith(prefix):
            module.__file__ = path[skip:]


def _switch_root(file_system, editor):
    """Replace the file system and the import path of the host by those of the board."""
    import builtins

    builtins.input = editor.read_input
    vfs.umount("/")
    if file_system is not None:
        vfs.mount(file_system, "/")
        os.chdir("/")
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []


def _run_start_files(console):
    """Run boot.py. Then run main.py, unless boot.py has failed or the REPL is in raw mode."""
    if _is_file("boot.py") and not console.run_file("boot.py"):
        return
    if not console.raw and _is_file("main.py"):
        console.run_file("main.py")


def _is_file(name):
    """Tell whether there is a regular file of this name."""
    try:
        return bool(os.stat(name)[0] & _S_IFREG)
    except OSError:
        return False
