"""A board at a serial port: its raw REPL, its console, what it says of itself, and what is put on it."""
