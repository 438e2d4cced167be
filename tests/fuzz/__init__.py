"""The fuzzers: random input for everything that parses what comes from a broker, a board, a file or a person.

`table` lists all parsers. A new parser gets a class, in `portable` if it also runs on MicroPython and in `host` if not,
and one line in that table.
"""
