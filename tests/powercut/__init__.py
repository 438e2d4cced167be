"""The proof that no power cut loses a key or a command: a flash chip in RAM, a scripted life, and a judge."""
