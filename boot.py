"""Runs at every reset, before `main.py`, and when a tool opens the serial port. It must be quick."""

import gc
import os


def _finish_deployment():
    """Finish a deployment that was cut short, so that two versions never mix.

    The file `/e4.update` exists only then. Its lines are "+path" (rename `path.new` to `path`) and "-path" (remove it).
    A path may have spaces in it, so nothing but a newline ends a line.
    """
    try:
        with open("/e4.update") as file:
            lines = file.read().split("\n")[:-1]
    except OSError:
        return
    for line in lines:
        path = "/" + line[1:]
        try:
            if line[:1] == "+":
                os.rename(path + ".new", path)
            elif line:
                os.remove(path)
        except OSError as error:
            if error.errno != 2:  # ENOENT: it was done before
                raise
    os.remove("/e4.update")


_finish_deployment()
del _finish_deployment
# To collect before the heap is full of garbage keeps it from fragmenting over months.
gc.threshold(32768)
