"""What a submission may use. Every limit that is hit becomes a named outcome, never a hang."""

from __future__ import annotations

import msgspec

__all__ = ["Limits"]

MIB = 2**20
_LARGE = 16 * 1024 * MIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one job. Seconds are wall time unless the name says CPU."""

    question_s: float = 10.0
    """One question and its answer."""
    start_s: float = 10.0
    """Start of a worker until it says hello."""
    job_s: float = 300.0
    """Everything together; what is not judged by then is a timeout."""
    cpu_s: int = 120
    """CPU time of one process."""
    question_cpu_s: float = 60.0
    """CPU time of all of the box's processes while one question is out."""
    job_cpu_s: float = 600.0
    """CPU time of all workers of the job."""
    memory_bytes: int = 1024 * MIB
    """Address space of one process, where no installed package may be imported."""
    box_memory_bytes: int = 2048 * MIB
    """Real memory of all processes of the box, its /tmp and /dev/shm included."""
    processes: int = 64
    """Processes and threads of one box."""
    network: bool = False
    """Whether the submission may open TCP and UDP sockets, on loopback only."""
    open_files: int = 256
    file_bytes: int = 256 * MIB
    """Size of one file."""
    scratch_bytes: int = 1024 * MIB
    """All files that one worker wrote."""
    scratch_files: int = 20_000
    """How many files and folders it made."""
    reply_bytes: int = 64 * MIB
    """One answer."""
    output_bytes: int = 16 * MIB
    """stdout and stderr together; more ends the worker."""
    output_kept_bytes: int = 64 * 1024
    """How much of each stream is kept for the report."""
    handles: int = 1_000_000
    """Objects of the submission that the judge may hold at once."""
    cell_s: float = 20.0
    """One notebook cell."""
    notebook_s: float = 120.0
    """The whole notebook."""
    notebook_memory_bytes: int = 4096 * MIB
    """Address space of the notebook's kernel (it loads NumPy and Matplotlib)."""

    def resource_limits(
        self,
        *,
        count_processes: bool = True,
        processes_before: int = 0,
        large_address_space: bool = False,
    ) -> dict[str, int]:
        """Amounts for one process by RLIMIT constant, without that prefix.

        `processes_before` run already and count against the same limit. Compilers and numerical
        libraries reserve far more address space than they use: `large_address_space` gives it.
        """
        limits = {
            "AS": max(self.memory_bytes, _LARGE) if large_address_space else self.memory_bytes,
            "CPU": self.cpu_s,
            "FSIZE": self.file_bytes,
            "NOFILE": self.open_files,
            "CORE": 1,  # too small for any, and a program that collects cores is not run for 1
        }
        if count_processes:
            limits["NPROC"] = self.processes + processes_before
        return limits
