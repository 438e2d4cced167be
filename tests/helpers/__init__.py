"""What tests of several folders share. `helpers.portable` also runs on MicroPython."""
