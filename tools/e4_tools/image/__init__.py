"""The contents of a chip's flash in one file: MicroPython, its partitions, and a file system with files of ours."""
