"""The proof that no power cut loses a key or a command.

`flash` is a flash chip in RAM whose power can be cut, `life` is the script of what happens to a board, and `model`
says what the board must know at every point of it. `cuts`, `exceptions` and `full` run the script with power cuts,
with exceptions and on a full flash. `filled` fills the flash in every way, and `application` has boards whose
applications keep it full.
"""
