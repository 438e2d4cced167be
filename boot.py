"""Runs at every reset, before `main.py`, and when a tool opens the serial port: keep it quick."""

import gc
import os


def _finish_deployment():
    """Carry out what a deployment was about to do when it was cut short, so that two versions never mix.

    `/e4.update` is there only then. A line of it is "+path": `path.new` takes that name; or "-path": it goes.
    """
    try:
        with open("/e4.update") as file:
            lines = file.read().split()
    except OSError:
        return
    for line in lines:
        path = "/" + line[1:]
        try:
            if line[0] == "+":
                os.rename(path + ".new", path)
            else:
                os.remove(path)
        except OSError as error:
            if error.errno != 2:  # done already
                raise
    os.remove("/e4.update")


_finish_deployment()
del _finish_deployment
# Collect before the heap is full of garbage: less fragmentation in the months that a board runs.
gc.threshold(32768)
