"""Where things are in the file system of a board.

Code on boards repeats some of these names: `firmware/config.py` the paths of keys and configuration, `boot.py` the path
of the update and the suffix, `on_board/provision.py` the path of the pending proof. A test compares them.
"""

from __future__ import annotations

CONFIG_PATH = "/e4.json"
KEYS_PATH = "/e4.keys"  # the root of the store; the names of its other files and its folder begin with this one
PENDING_PATH = "/e4.pending"  # a proof of a key that the host has not confirmed yet
CA_PATH = "/e4.ca"  # the names of certificates begin with this
UPDATE_PATH = "/e4.update"  # the list of changes that a deployment has decided on and not yet carried out
VERSION_PATH = "/e4.version"  # the version of our files
FILL_PATH = "/e4.fill"  # a file that uses flash up while a board is wiped
FOLDERS = ("/lib/e4", "/firmware")  # every module in there is ours
TEMPORARY = ".new"  # the suffix of a file that takes its real name when it is complete
