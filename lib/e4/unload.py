"""Taking a module out of memory again, for code that a board needs seldom.

    from firmware import dns
    try:
        ...
    finally:
        unload(dns)

The import reads the module from flash again the next time. A module with machine code must not be unloaded: an ESP32
never frees executable memory, so each import of it would take more (MicroPython's `esp_native_code_commit`).
"""

import sys


def unload(module) -> None:
    """Forget a module, so that its code is freed once nobody uses it any more. Nothing is raised if it is gone already.

    Nothing happens on CPython, where heap is no concern and other code may hold classes of the module.
    """
    if sys.implementation.name != "micropython":
        return
    name = module.__name__
    sys.modules.pop(name, None)
    package, _, name = name.rpartition(".")
    # A package has its modules as attributes, too.
    if hasattr(sys.modules.get(package), name):
        delattr(sys.modules[package], name)
