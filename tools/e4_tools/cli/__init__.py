"""The command `e4`, for boards, keys and fleets.

`commands` has a module for each noun. Each command calls the packages below (`board`, `provisioning`, `fleet`, ...) and
reports what they return. `shared` has what several commands need.
"""

from __future__ import annotations

import click

from e4_tools.cli.commands.board import board_commands
from e4_tools.cli.commands.client import client_group
from e4_tools.cli.commands.console import console_commands
from e4_tools.cli.commands.flash import flash_commands
from e4_tools.cli.commands.grant import grant_commands
from e4_tools.cli.commands.image import image_commands
from e4_tools.cli.commands.keys import key_commands
from e4_tools.cli.commands.message import message_commands
from e4_tools.cli.commands.prove import prove_commands
from e4_tools.cli.commands.provision import provision_commands
from e4_tools.cli.commands.store import store_group
from e4_tools.cli.commands.topic import topic_group
from e4_tools.virtual_board.cli import board_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="e4-micropython")
def main() -> None:
    """End-to-end encrypted MQTT for ESP32 boards: deploy, provision, command, or run a virtual board.

    Every command except board takes --json for scripts. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 broker, 4 board
    or port, 5 key store or its passphrase, 6 a name that is unknown or taken.

    Completion in bash: eval "$(_E4_COMPLETE=bash_source e4)"; zsh_source and fish_source for those shells.
    """


for command in (
    *board_commands,
    *flash_commands,
    *image_commands,
    *provision_commands,
    *prove_commands,
    *console_commands,
    *key_commands,
    client_group,
    topic_group,
    *grant_commands,
    store_group,
    *message_commands,
    board_command,
):
    main.add_command(command)
