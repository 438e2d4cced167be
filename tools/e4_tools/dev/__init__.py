"""For those who work on this project: the demonstration, the conformance run and the bench."""
