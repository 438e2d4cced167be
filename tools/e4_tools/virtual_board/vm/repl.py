"""Runs user code, and serves the raw REPL with its raw-paste mode, which is the protocol of mpremote."""

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
_WINDOW = const(128)  # bytes that the host may send in raw-paste mode before the board asks for more

# The folder of these modules. Their frames are left out of tracebacks, because on a board their work is done by C code,
# which does not appear in a traceback.
_RUNTIME = __file__[: -len("repl.py")]


class Repl:
    """The console of a board. `raw` is True in the raw REPL, and False in the friendly REPL."""

    def __init__(self, link, namespace, editor):
        self._link = link
        self._namespace = namespace
        self._editor = editor
        # The host folder of frozen modules, which tracebacks do not show. Without one, no line contains this text.
        self._frozen = (link.config["frozen"] or "\n") + "/"
        self.raw = link.config["raw"]

    def serve(self):
        """Serve the two REPLs for ever."""
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
        """Run boot.py or main.py, and return False if it has failed. A SystemExit resets the board."""
        return self.run(lambda: execfile(name, self._namespace))  # noqa: F821 (built in)

    def run_source(self, source, mode, eof=""):
        """Compile and run the only item of the list `source`, and return False if that has failed.

        The item is taken out of the list, so that its memory can be used again. `eof` is sent after the output, and
        again after the place of the traceback.
        """
        return self.run(lambda: exec(compile(source.pop(), "<stdin>", mode), self._namespace), eof)  # noqa: S102 (a REPL)

    def run(self, action, eof=""):
        """Call `action` as user code. If it raises an exception, print it and return False.

        After a SystemExit, this resets the board and does not return. No other exception leaves this method: if an
        interrupt reached the `except` of a caller, the VM could enter that for ever, because after an exception
        between two instructions it may take the wrong handler.
        """
        error = None
        try:
            self._link.enter_user_code()
            action()
            # It is called inside the block and again in its handler: an interrupt may arrive until it returns.
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
        """Print the traceback of an exception as a board prints it."""
        try:
            text = io.StringIO()
            sys.print_exception(error, text)
            for line in text.getvalue().split("\n")[:-1]:
                if ('File "' + _RUNTIME) not in line:
                    print(line.replace(self._frozen, ""))
        except (MemoryError, UnicodeError):  # A message that quotes bytes may be no UTF-8.
            sys.print_exception(error)

    def soft_reset(self):
        """Restart the interpreter in the same kind of REPL. This never returns."""
        self._namespace.clear()
        gc.collect()  # This closes the files that user code has left open.
        print("MPY: soft reboot")
        self._link.reset("soft raw" if self.raw else "soft friendly")

    def _raw_repl(self):
        """Serve the raw REPL until Ctrl-B."""
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
        """Run the source that was sent, or reset the board if that is empty."""
        sys.stdout.write("OK")
        if not line:
            print()
            self.soft_reset()
        self.run_source([bytes(line)], "exec", "\x04")

    def _raw_paste(self, command):
        """Receive source with flow control and run it. `command` is the byte between Ctrl-E and Ctrl-A."""
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
    """Raise KeyboardInterrupt, as Ctrl-C does in user code."""
    raise KeyboardInterrupt
