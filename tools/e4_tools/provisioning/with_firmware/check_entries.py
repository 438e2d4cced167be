"""Checks configurations by the code that reads them on a board.

This runs on the host, in a process of its own, because the tools do not import the board application. Standard input
is a JSON list of the entries of each configuration. Standard output is a JSON list with the problems of each.
"""

import json
import sys

from firmware import config

print(json.dumps([config.Config(entries).problems for entries in json.load(sys.stdin)]))
