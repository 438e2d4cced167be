"""Programs for people who work on this project: the demonstration, the conformance run and the bench."""
