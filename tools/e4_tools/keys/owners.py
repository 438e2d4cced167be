"""Who owns a file or a folder, and who else is in its group.

Windows has neither, and `os.stat` shows nothing of its access control lists. There ARE_KNOWN is false, and everything
is trusted: a file is protected by what it inherits from its folder.
"""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    ARE_KNOWN = False

    def is_trusted(status: os.stat_result) -> bool:
        """Return True, because nothing is known of the owner."""
        return True

    def is_private_group(status: os.stat_result) -> bool:
        """Return True, because nothing is known of a group."""
        return True

else:
    import grp
    import pwd

    ARE_KNOWN = True

    def is_trusted(status: os.stat_result) -> bool:
        """Tell whether something belongs to this user, or to root, who could do everything anyway."""
        return status.st_uid in (0, os.geteuid())

    def is_private_group(status: os.stat_result) -> bool:
        """Tell whether the owner of something is the only member of its group.

        The group has the name of the owner, lists nobody else, and is the main group of no other user that the system
        lists. A group or an owner without a name is not trusted.
        """
        try:
            owner = pwd.getpwuid(status.st_uid)
            group = grp.getgrgid(status.st_gid)
        except KeyError:
            return False
        others = {user.pw_name for user in pwd.getpwall() if user.pw_gid == status.st_gid} | set(group.gr_mem)
        return group.gr_name == owner.pw_name and others <= {owner.pw_name}
