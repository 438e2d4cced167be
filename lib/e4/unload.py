"""Taking a module out of memory again, for code that a board needs seldom.

The code that needs the module imports it inside a function, and unloads it at the end of that function, also where it
fails.

The import reads the module from flash again the next time. A module with machine code must not be unloaded: an ESP32
never frees executable memory, so each import of it would take more (MicroPython's `esp_native_code_commit`).
"""

import sys


def unload(module) -> None:
    """Forget a module, so that its code is freed once nobody uses it any more. Nothing is raised if it is gone already.

    What is imported again has new classes. So an exception that others catch must not be of a class of such a module.
    """
    name = module.__name__
    sys.modules.pop(name, None)
    package, _, name = name.rpartition(".")
    # A package has its modules as attributes, too.
    if hasattr(sys.modules.get(package), name):
        delattr(sys.modules[package], name)
