"""The launcher: gives up rights for good, then becomes the program. Run as

    python -I -S launcher.py [--scope] [--offline] [--read PATH]… [--write PATH]… -- PROGRAM ARGUMENT…

With paths given, Landlock denies every other file; unix sockets, io_uring and the powers of root are gone as well, and
`--offline` takes the network away but for loopback (all of it where the system does not let us make a network of its
own). With `--scope` alone only the way to abstract unix sockets is closed: that goes before bubblewrap, which closes
all others. What is given up is so for every process that the program starts. Stand-alone, and cheap to start; the shim
uses `abi` and `limit_scope` in its own process.
"""

from __future__ import annotations

# ruff: noqa: PTH112, PTH123, RUF007, T201
import _ctypes
import os
import sys

TYPE_CHECKING = False  # importing it from typing would cost more than all the rest
if TYPE_CHECKING:
    import struct
    from collections.abc import Iterable
    from typing import Any
else:
    import _struct as struct  # the C half alone

TRUNCATES, DEVICES, SCOPES = 3, 5, 6
"""Landlock's versions from which on truncation, device calls and scopes are its."""
CREATE, ADD_RULE, RESTRICT, ALLOWED_VERSION = 444, 445, 446, 1
READ = 0b1101
"""execute, read a file, list a folder"""
FILE_READ = 0b101
FILE_WRITE = 0b10 | 1 << 14
"""write, truncate"""
ALL = (1 << 15) - 1
DEVICE_CALLS = 1 << 15
ABSTRACT_SOCKETS, SIGNALS = 1, 2
NO_NEW_PRIVILEGES, SECCOMP, DROP_BOUNDING = 38, 22, 24
NEW_USER, NEW_NET = 0x10000000, 0x40000000
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Machine → what the kernel calls it, number of `socket` there."""
IO_URING_SETUP, X32 = 425, 0x40000000
EACCES, ENOSYS = 13, 38


def call(name: str, *args: Any) -> int:
    """Calls a function of the C library; -1 where it fails or is not there."""
    here: Any = None
    try:
        return _ctypes.call_function(_ctypes.dlsym(_ctypes.dlopen(here, 0), name), args)
    except (OSError, AttributeError):
        return -1


def abi() -> int:
    """Landlock's version in this kernel; -1 where there is none."""
    return call("syscall", CREATE, None, 0, ALLOWED_VERSION) if sys.platform == "linux" else -1


def limit_scope(scopes: int = ABSTRACT_SOCKETS) -> None:
    """This process and all it starts reach no abstract socket (or process) outside any more. OSError when refused."""
    restrict(ruleset(0, scopes))


def ruleset(rights: int, scopes: int) -> int:
    """A descriptor of an empty set of rules that denies `rights` on all files."""
    attributes = struct.pack("QQQ", rights, 0, scopes)
    return checked(call("syscall", CREATE, attributes, len(attributes), 0), "Landlock")


def restrict(rules: int) -> None:
    """Puts a set of rules in force for good."""
    checked(call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no_new_privs")
    checked(call("syscall", RESTRICT, rules, 0), "Landlock")
    os.close(rules)


def checked(result: int, what: str) -> int:
    """The result; OSError when it says failure."""
    if result < 0:
        raise OSError(0, f"{what} is refused by the system")
    return result


def allow(rules: int, path: str, rights: int, handled: int) -> None:
    """Allows `rights` on a file or on all below a folder; what is not there is passed over."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    folder = os.path.isdir(f"/proc/self/fd/{fd}")
    fitting = rights if folder else rights & (FILE_READ | FILE_WRITE | DEVICE_CALLS)
    checked(call("syscall", ADD_RULE, rules, 1, struct.pack("=Qi", fitting & handled, fd), 0), f"a rule for {path}")
    os.close(fd)


def leave_network() -> bool:
    """Into a network of its own with nothing but loopback; False where the system does not allow that."""
    user, group = os.getuid(), os.getgid()
    spaces = NEW_NET if user == 0 else NEW_NET | NEW_USER
    if call("unshare", spaces) < 0:
        return False
    if user != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    any_socket = checked(call("socket", 2, 2, 0), "a socket")
    call("ioctl", any_socket, 0x8914, struct.pack("16sh22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
    os.close(any_socket)
    return True


def drop_powers() -> None:
    """Root without root's powers, now and after any exec."""
    for power in range(64):
        call("prctl", DROP_BOUNDING, power, 0, 0, 0)
    checked(call("capset", struct.pack("Ii", 0x20080522, 0), bytes(24)), "giving up root's powers")


def filter_calls(*, sockets: bool) -> None:
    """No unix socket (the way to the session's services), no io_uring, which knows another way to one.

    Without `sockets` none of any kind. Pairs of connected sockets stay allowed.
    """
    machine, socket_call = MACHINES[os.uname().machine]

    def refuse(error: int) -> tuple[int, int, int, int]:
        return (0x06, 0, 0, 0x00050000 | error)

    def if_not(value: int, skip: int) -> tuple[int, int, int, int]:
        return (0x15, 0, skip, value)

    program = [
        (0x20, 0, 0, 4),  # the machine that the call is made for
        *(if_not(machine, 1), (0x05, 0, 0, 1), refuse(EACCES)),
        (0x20, 0, 0, 0),  # its number
        *((0x35, 0, 1, X32), refuse(ENOSYS)),
        *(if_not(IO_URING_SETUP, 1), refuse(ENOSYS)),
        if_not(socket_call, 3 if sockets else 1),
        *(((0x20, 0, 0, 16), if_not(1, 1)) if sockets else ()),  # the socket's family: AF_UNIX?
        *(refuse(EACCES), (0x06, 0, 0, 0x7FFF0000)),
    ]
    code = bytearray(b"".join(struct.pack("HBBI", *step) for step in program))
    filters = struct.pack("HxxxxxxQ", len(program), address_of(code))
    checked(call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no_new_privs")
    checked(call("prctl", SECCOMP, 2, filters, 0, 0), "the filter of system calls")


def address_of(data: bytearray) -> int:
    """Where its bytes lie, as long as it lives; what `ctypes` would tell, without the price of importing it."""
    library: Any = _ctypes
    char = type(library._SimpleCData)("Char", (library._SimpleCData,), {"_type_": "c"})
    array = type(library.Array)("Bytes", (library.Array,), {"_type_": char, "_length_": len(data)})
    return library.addressof(array.from_buffer(data))


def confine(read: Iterable[str], write: Iterable[str], *, offline: bool) -> None:
    """All of it: network, powers, system calls, files. OSError when any of them is refused."""
    version = abi()
    handled = ALL | (DEVICE_CALLS if version >= DEVICES else 0)
    scopes = SIGNALS | ABSTRACT_SOCKETS if version >= SCOPES else 0
    sockets = not offline or leave_network()
    if os.getuid() == 0:
        drop_powers()
    rules = ruleset(handled, scopes)
    for path in read:
        allow(rules, path, READ, handled)
    for path in write:
        allow(rules, path, ALL | DEVICE_CALLS, handled)
    filter_calls(sockets=sockets)
    restrict(rules)


def main(words: list[str]) -> None:
    """See above. What is refused ends it with status 126, a program that is not there with 127."""
    end = words.index("--")
    options, argv = words[:end], words[end + 1 :]
    paths: dict[str, list[str]] = {"--read": [], "--write": []}
    for name, path in zip(options, options[1:], strict=False):
        if name in paths:
            paths[name].append(path)
    status = 126
    try:
        if paths["--read"]:
            confine(paths["--read"], paths["--write"], offline="--offline" in options)
        elif "--scope" in options:
            limit_scope()
        status = 127
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"{error.filename or argv[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
