"""A program, not a module to import: carries out one command in a jail, watches it, and tells how it ended.

In: one argument, the JSON of an order (see `shell.py`). Out: the command's output on its own, and one JSON object on
the descriptor `status`. A bare interpreter runs it for each command: it imports little, and of the standard library
alone.

The jail is made of Linux namespaces: users (one, without privileges), processes, files (a new root of read-only system
folders, the workspace and a small /tmp), network (none), and what is left. Where an order has `program`, that is run
instead, and makes the jail: bubblewrap.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import resource
import signal
import socket
import struct
import sys
import time
from typing import Any

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MOUNT_SETATTR, PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41, "riscv64": 41}
AT_RECURSIVE, AT_FDCWD = 0x8000, -100
MNT_DETACH = 2
SET_PDEATHSIG, SET_NO_NEW_PRIVS = 1, 38
UID = 1000  # inside
TMP_BYTES = 64 * 1024 * 1024
LOOK_S = 0.1
DEPTH_MAX = 64

libc = ctypes.CDLL(None, use_errno=True)
Order = dict[str, Any]


def main() -> None:
    order: Order = json.loads(sys.argv[1])
    libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != order["parent"]:
        return  # it ended before it could be seen to
    os.set_inheritable(order["status"], False)
    try:
        child = _begin(order)
        told = _watch(child, order)
    except OSError as error:
        told = {"failed": f"{error.filename or ''} {error.strerror}".strip()}
    with open(order["status"], "w") as status:
        json.dump(told, status)


def _begin(order: Order) -> int:
    """Returns the process that all others of the command end with."""
    if not order["program"]:
        uid, gid = os.geteuid(), os.getegid()
        _check(libc.unshare(NEWUSER | NEWPID), "user and process namespaces")
        _put("/proc/self/setgroups", "deny")
        _put("/proc/self/uid_map", f"{UID} {uid} 1")
        _put("/proc/self/gid_map", f"{UID} {gid} 1")
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ours)
            libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            _become(order)
        except OSError as error:
            os.write(theirs, f"{error.filename or ''} {error.strerror}".strip().encode())
        except BaseException as error:
            os.write(theirs, repr(error).encode())
        os._exit(125)
    os.close(theirs)
    with open(ours) as pipe:  # closed by the start of the command
        failed = pipe.read()
    if failed:
        os.waitpid(child, 0)
        raise OSError(0, failed)
    return child


def _become(order: Order) -> None:
    if not order["program"]:
        _build(order)
    for name, value in order["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which the interpreter ignores
        signal.signal(number, signal.SIG_DFL)
    _check(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    argv = order["program"] or ["/bin/bash", "-c", order["command"]]
    os.execve(argv[0], argv, order["environment"])


def _build(order: Order) -> None:
    kinds = NEWNS | NEWIPC | NEWUTS | NEWCGROUP | (0 if order["network"] else NEWNET)
    _check(libc.unshare(kinds), "namespaces")
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    workspace = os.open(order["workspace"], os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    # Any folder will do for the new root to be put together on. What lies below is covered, for this process alone.
    base = "/tmp"
    sources = [(path, os.open(path, os.O_PATH)) for path in order["readable"] if os.path.exists(path)]
    devices = [(path, os.open(path, os.O_PATH)) for path in order["devices"]]
    _mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    for path, source in sources:
        if os.path.islink(path):
            os.symlink(os.readlink(path), base + path)
            continue
        _bind(source, base + path, is_folder=os.path.isdir(path), attributes=MS_RDONLY | MS_NOSUID | MS_NODEV)
    _mount("tmpfs", _made(base + "/dev"), "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for path, source in devices:
        _bind(source, base + path, is_folder=False, attributes=MS_NOSUID | MS_NOEXEC)
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        os.symlink(f"/proc/self/fd/{number}", f"{base}/dev/{name}")
    os.symlink("/proc/self/fd", f"{base}/dev/fd")
    _mount("none", base + "/dev", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)
    _mount("proc", _made(base + "/proc"), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _mount("tmpfs", _made(base + "/tmp"), "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={TMP_BYTES}")
    _bind(workspace, base + "/workspace", is_folder=True, attributes=MS_NOSUID | MS_NODEV)
    _enter(base)
    _limit_processes(order["processes"])
    _put("/proc/sys/user/max_user_namespaces", "0")  # in which a command had privileges again
    _check(libc.sethostname(b"workspace", 9), "host name")
    if not order["network"]:
        _raise_loopback()
    os.chdir("/workspace")


def _enter(base: str) -> None:
    os.mkdir(base + "/.outside")
    os.chdir(base)
    number = PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(0, f"{platform.machine()} is not known")
    _check(libc.syscall(number, b".", b".outside"), "new root")
    os.chdir("/")
    _check(libc.umount2(b"/.outside", MNT_DETACH), "old root")
    os.rmdir("/.outside")
    _mount("none", "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)


def _limit_processes(most: int) -> None:
    """The limit per user does not hold for root. From Linux 6.14 on a namespace has its own highest process number;
    before, this file is the whole machine's."""
    version = tuple(
        int("".join(filter(str.isdigit, part)) or 0) for part in os.uname().release.split(".")[:2]
    )
    if version >= (6, 14):
        _put("/proc/sys/kernel/pid_max", str(301 + most))


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))


def _watch(child: int, order: Order) -> Order:
    """Until the command ends, or is ended for going over a bound."""
    deadline = time.monotonic() + order["timeout_s"]
    look, stopped = 0, ""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return {"exit": os.waitstatus_to_exitcode(status), "stopped": stopped}
        if not stopped:
            stopped = _over(child, order, deadline, with_files=look % 5 == 0)
            if stopped:
                os.kill(child, signal.SIGKILL)
        look += 1
        time.sleep(0.005 if look < 20 or stopped else LOOK_S)


def _over(child: int, order: Order, deadline: float, *, with_files: bool) -> str:
    if time.monotonic() > deadline:
        return "time"
    family = _family(child, order["processes"] * 2)
    if len(family) > order["processes"] + 2:
        return "processes"
    if sum(map(_resident, family)) > order["memory"]:
        return "memory"
    if with_files and _too_much(order["workspace"], order["set_bytes_max"], order["entries_max"]):
        return "files"
    return ""


def _family(child: int, most: int) -> list[int]:
    found = [child]
    for process in found:
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{thread}/children") as file:
                    found += map(int, file.read().split())
        except OSError:
            continue  # it ended
        if len(found) > most:
            break
    return found


def _resident(process: int) -> int:
    try:
        with open(f"/proc/{process}/statm") as file:
            pages = file.read().split()
            return (int(pages[1]) - int(pages[2])) * resource.getpagesize()  # without what it shares
    except (OSError, IndexError):
        return 0


def _too_much(folder: str, size_max: int, entries_max: int) -> bool:
    size = entries = 0
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        if depth > DEPTH_MAX:
            return True
        try:
            with os.scandir(here) as scan:
                for each in scan:
                    state = each.stat(follow_symlinks=False)
                    entries += 1
                    size += state.st_blocks * 512
                    if each.is_dir(follow_symlinks=False):
                        waiting.append((each.path, depth + 1))
        except OSError:
            continue  # gone by now
        if size > size_max or entries > entries_max:
            return True
    return False


def _bind(source: int, target: str, *, is_folder: bool, attributes: int) -> None:
    if is_folder:
        _made(target)
    else:
        _made(os.path.dirname(target))
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT))
    _mount(f"/proc/self/fd/{source}", target, None, MS_BIND | MS_REC)
    os.close(source)
    # The bits of these three, and of MS_NOEXEC, are those of mount attributes.
    wanted = struct.pack("QQQQ", attributes, 0, 0, 0)
    _check(libc.syscall(MOUNT_SETATTR, AT_FDCWD, target.encode(), AT_RECURSIVE, wanted, len(wanted)), target)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    _check(
        libc.mount(
            source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), options.encode()
        ),
        f"mount {target}",
    )


def _made(folder: str) -> str:
    os.makedirs(folder, exist_ok=True)
    return folder


def _put(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _check(returned: int, what: str) -> None:
    if returned != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


if __name__ == "__main__":
    main()
