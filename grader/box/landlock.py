"""The Landlock tier: walls that a process builds around itself, for machines without bubblewrap.

The worker shares the machine's namespaces, but can read only the system's libraries, Python and the
submission, write only its scratch folder, and make none of the system calls that reach further:
see `grader.inside.landlock` and `grader.inside.seccomp`. As root it is a spare user besides. Weaker
than ``bwrap``: it can learn that a file exists, it shares the machine's loopback where a capstone
needs a network, and there is no POSIX shared memory (so no locks of `multiprocessing`).
"""

from __future__ import annotations

import os
from pathlib import Path

from grader.box.base import BoxUnavailable, Plan, Spawn
from grader.box.system import python_executable, system_folders, tasks_of_this_user
from grader.inside import landlock, seccomp

__all__ = ["LandlockBox", "missing"]

_READS = (
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg"),
)

_START_WITH_IT = (
    "Use Linux 5.13 or later and start it with landlock first in lsm=: "
    "GRUB_CMDLINE_LINUX='lsm=landlock,lockdown,yama,integrity,apparmor,bpf' in "
    "/etc/default/grub, then sudo update-grub and a restart"
)


class LandlockBox:
    """A child process whose workers confine themselves; see the module."""

    tier = "landlock"

    def spawn(self, plan: Plan) -> Spawn:
        if plan.network and landlock.abi() < landlock.ABI_TCP:
            raise BoxUnavailable(
                self.tier,
                f"this kernel's Landlock (version {landlock.abi()}) cannot keep a server off the "
                "rest of the network",
                "Use Linux 6.7 or later, or install bubblewrap: sudo apt-get install bubblewrap",
            )
        reads, lists = [*map(str, system_folders()), *_READS], []
        for folder in plan.libraries:
            hidden = {path for path in plan.hidden if path.parent == folder}
            if hidden:  # rights reach all below, so grant every entry but these
                lists.append(str(folder))
                reads += [str(path) for path in folder.iterdir() if path not in hidden]
            else:
                reads.append(str(folder))
        return Spawn(
            argv=(python_executable(),),
            submission=str(plan.submission),
            scratch=str(plan.scratch),
            runtime=str(plan.runtime),
            libraries=tuple(os.fspath(folder) for folder in plan.libraries),
            uid=plan.uid,
            processes_before=0 if plan.uid is not None else tasks_of_this_user(),
            walls=True,
            reads=tuple(reads),
            lists=tuple(lists),
            writes=(os.devnull,),
        )


def missing() -> tuple[str, str]:
    """Why this tier does not work here, and the fix; both empty when the kernel has all of it."""
    if not Path("/proc/self").exists():
        return "no /proc is mounted", "Mount it: sudo mount -t proc proc /proc"
    if not seccomp.supported():
        machine = os.uname().machine
        return (
            f"the filter of system calls is not written for {machine}",
            "Use x86_64 or aarch64, or install bubblewrap: sudo apt-get install bubblewrap",
        )
    if not landlock.abi():
        return "this kernel has no Landlock, or started without it", _START_WITH_IT
    return "", ""
