"""Runs the tests of a folder on the MicroPython that runs this file: all of them, or only those in the files named.

The output ends with a line `N passed, N failed`. The exit code is 1 if a test has failed or if none has run.
"""

import gc
import os
import sys


def _run(module):
    passed = failed = 0
    for name in sorted(dir(module)):
        if not name.startswith("test_"):
            continue
        gc.collect()
        try:
            getattr(module, name)()
            passed += 1
        except Exception as error:
            failed += 1
            print("FAILED {}.{}".format(module.__name__, name))
            sys.print_exception(error)
    return passed, failed


def main(folder, *files):
    sys.path.insert(0, folder)
    passed = failed = 0
    before = set(sys.modules)
    for file in files or sorted(os.listdir(folder)):
        if not (file.startswith("test_") and file.endswith(".py")):
            continue
        try:
            counts = _run(__import__(file[:-3]))
        except Exception as error:
            print("FAILED to import", file)
            sys.print_exception(error)
            counts = 0, 1
        passed += counts[0]
        failed += counts[1]
        # Modules that one file has imported would otherwise leave the next file without memory.
        for name in set(sys.modules) - before:
            del sys.modules[name]
    print("{} passed, {} failed".format(passed, failed))
    sys.exit(1 if failed or not passed else 0)


main(*sys.argv[1:])
