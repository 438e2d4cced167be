"""The parsers of the tools on the host."""
