"""The table of all parsers. A new parser is added here, and nowhere else.

This module runs on CPython and on MicroPython.
"""

# For each parser: its name, its share of the inputs, and the class in this package that tests it. Those in `portable`
# also run on MicroPython. A parser that is slow has a small share.
TABLE = (
    # The library: payloads from the broker, and the files of its store.
    ("e4.commands.parse", 60, "portable.library.PlainCommand"),
    ("e4.unprotect", 30, "portable.library.Payload"),
    ("e4.siv", 30, "portable.library.Sealed"),
    ("e4.Client.unprotect", 30, "portable.library.Session"),
    ("e4.names", 30, "portable.library.Name"),
    ("e4.records", 30, "portable.library.Records"),
    ("e4.FileStore, root", 10, "portable.stores.Root"),
    ("e4.FileStore, record", 10, "portable.stores.Record"),
    # The board application: the broker, the services of its network, its files, its console.
    ("firmware.packets", 40, "portable.broker.Packets"),
    ("firmware.link", 30, "portable.broker.Answers"),
    ("firmware.inbox", 20, "portable.broker.Arrivals"),
    ("firmware.dns, answers", 40, "portable.services.NameAnswer"),
    ("firmware.dns, names", 20, "portable.services.HostName"),
    ("firmware.sntp", 30, "portable.services.TimeAnswer"),
    ("firmware.clock", 30, "portable.services.Time"),
    ("firmware.rtc", 20, "portable.services.Kept"),
    ("firmware.entries", 30, "portable.settings.Entries"),
    ("firmware.config", 20, "portable.settings.File"),
    ("firmware.filters", 40, "portable.settings.Filter"),
    ("firmware.console, lines", 30, "portable.settings.Typed"),
    ("firmware.console, text", 30, "portable.settings.Shown"),
    ("firmware.secure", 20, "portable.settings.Certificate"),
    ("boot.py", 20, "portable.settings.Update"),
    # The tools: files.
    ("key file", 20, "host.files.KeyFile"),
    ("key file in a folder", 10, "host.files.KeyFileInFolder"),
    ("names of new key files", 5, "host.files.NewKeyFiles"),
    ("password file", 20, "host.files.PasswordFile"),
    ("table of a factory", 20, "host.files.NameTable"),
    ("ledger", 10, "host.files.LedgerFile"),
    ("CA certificate", 10, "host.files.AuthorityFile"),
    ("image of MicroPython", 20, "host.files.ImageFile"),
    ("image for a flash", 2, "host.files.FlashFile"),
    ("budgets", 10, "host.files.BudgetFile"),
    ("test vectors", 10, "host.files.VectorFile"),
    ("key store, secrets", 20, "host.store.SealedSecret"),
    ("key store, lock", 20, "host.store.Slot"),
    ("key store, file", 1, "host.store.StoreFile"),
    # The tools: what a person says.
    ("address of a broker", 20, "host.words.BrokerAddress"),
    ("--set", 20, "host.words.SettingEntries"),
    ("location of a key store", 10, "host.words.StoreLocation"),
    ("key in hexadecimal", 20, "host.words.HexKey"),
    ("password", 10, "host.words.Password"),
    ("label", 2, "host.words.Label"),
    ("topic to publish on", 20, "host.words.PublishTopic"),
    ("name of a port", 10, "host.words.PortName"),
    ("options of a virtual board", 10, "host.words.VirtualBoardOptions"),
    # The tools: what a board says.
    ("result of a board", 30, "host.boards.Result"),
    ("board, inspection", 4, "host.boards.Inspection"),
    ("board, deployment", 4, "host.boards.Deployment"),
    ("board, provisioning", 4, "host.boards.Provisioning"),
    ("board, wiping", 4, "host.boards.Wiping"),
    ("console of a board", 5, "host.boards.Console"),
    ("output of esptool", 20, "host.boards.EsptoolOutput"),
    # The tools: what comes from a broker, or from a virtual board.
    ("e4 listen", 20, "host.messages.Heard"),
    ("question for a name", 20, "host.messages.NameQuestion"),
    ("question for the time", 20, "host.messages.TimeQuestion"),
    ("answer of a supervisor", 20, "host.words.SupervisorAnswer"),
    # All commands of `e4`.
    ("command lines", 4, "host.command_line.CommandLine"),
)


def load(where):
    """Return a new object of the class at this place in the package."""
    module, _, name = where.rpartition(".") if hasattr(where, "rpartition") else _split(where)
    return getattr(__import__("fuzz." + module, None, None, (name,)), name)()


def _split(where):
    at = where.rfind(".")
    return where[:at], ".", where[at + 1 :]
