"""Running user code, and the raw REPL with its raw-paste mode: the protocol that mpremote speaks."""

import gc
import io
import sys

from host import read_byte
from micropython import const

_CTRL_A = const(1)
_CTRL_B = const(2)
_CTRL_C = const(3)
_CTRL_D = const(4)
_CTRL_E = const(5)
_WINDOW = const(128)

# Frames of these host folders are part of the firmware on a board: its C code leaves no trace in a traceback.
_RUNTIME = __file__[: -len("repl.py")]


class Repl:
    """The console of one board: `raw` tells which of the two REPLs it is in."""

    def __init__(self, link, namespace, editor):
        self._link = link
        self._namespace = namespace
        self._editor = editor
        self._frozen = (link.config["frozen"] or "\n") + "/"
        self.raw = link.config["raw"]

    def serve(self):
        """Serve the REPLs forever."""
        while True:
            try:
                if self.raw:
                    self._raw_repl()
                else:
                    self._editor.friendly_repl(self)
                self.raw = not self.raw
            except KeyboardInterrupt:
                continue
            except MemoryError as error:
                gc.collect()
                self._print_error(error)

    def run_file(self, name):
        """Run boot.py or main.py; False if it failed. A SystemExit resets the board."""
        return self.run(lambda: execfile(name, self._namespace))  # noqa: F821 (built in)

    def run_source(self, source, mode, eof=""):
        """Compile and run the only item of the list `source`, taking it out so that its memory can be reused.

        `eof` is sent after the output and again after the traceback, if there is one.
        """
        return self.run(lambda: exec(compile(source.pop(), "<stdin>", mode), self._namespace), eof)  # noqa: S102 (a REPL)

    def run(self, action, eof=""):
        """Call `action` as user code; False if it raised, which is printed. SystemExit: soft reset, no return.

        No exception leaves this method. (A caller's `except` that an interrupt reached would be entered for ever:
        the VM, after an exception that came between two instructions, may take the wrong handler.)
        """
        error = None
        try:
            self._link.enter_user_code()
            action()
            # Inside the block, and again in its handler: an interrupt may arrive until this has returned.
            self._link.leave_user_code()
        except BaseException as raised:
            self._link.leave_user_code()
            error = raised
        sys.stdout.write(eof)
        if error is not None and not isinstance(error, SystemExit):
            self._print_error(error)
        sys.stdout.write(eof)
        if isinstance(error, SystemExit):
            self.soft_reset()
        return error is None

    def _print_error(self, error):
        try:
            text = io.StringIO()
            sys.print_exception(error, text)
            for line in text.getvalue().split("\n")[:-1]:
                if ('File "' + _RUNTIME) not in line:
                    print(line.replace(self._frozen, ""))
        except (MemoryError, UnicodeError):  # the message quotes bytes that are no text
            sys.print_exception(error)

    def soft_reset(self):
        """Restart the interpreter, staying in the present kind of REPL. Never returns."""
        self._namespace.clear()
        gc.collect()  # closes the files that user code left open
        print("MPY: soft reboot")
        self._link.reset("soft raw" if self.raw else "soft friendly")

    def _raw_repl(self):
        """Serve raw mode until Ctrl-B."""
        print("raw REPL; CTRL-B to exit")
        sys.stdout.write(">")
        line = bytearray()
        while (char := read_byte()) != _CTRL_B:
            if char == _CTRL_A and line[0:1] == b"\x05" and len(line[1:]) == 1:
                self._raw_paste(line[1])
                sys.stdout.write(">")
            elif char == _CTRL_A:
                sys.stdout.write("raw REPL; CTRL-B to exit\n>")
            elif char == _CTRL_D:
                self._run_raw(line)
                sys.stdout.write(">")
            elif char != _CTRL_C:
                line.append(char)
                continue
            line = bytearray()
        print()

    def _run_raw(self, line):
        sys.stdout.write("OK")
        if not line:
            print()
            self.soft_reset()
        self.run_source([bytes(line)], "exec", "\x04")

    def _raw_paste(self, command):
        """Receive source under flow control, then run it. `command`: the byte between Ctrl-E and Ctrl-A."""
        if command != ord("A"):
            sys.stdout.write("R\x00")
            return
        sys.stdout.buffer.write(b"R\x01" + bytes((_WINDOW, 0, 1)))
        source = bytearray()
        room = _WINDOW
        while (char := read_byte()) not in (_CTRL_C, _CTRL_D):
            source.append(char)
            room -= 1
            if not room:
                sys.stdout.write("\x01")
                room = _WINDOW
        sys.stdout.write("\x04")
        if char == _CTRL_C:
            self.run(_raise_interrupt, "\x04")
            return
        source = [bytes(source)]
        self.run_source(source, "exec", "\x04")


def _raise_interrupt():
    raise KeyboardInterrupt
