"""The parsers of the library and of the board application. These modules run on CPython and on MicroPython."""
