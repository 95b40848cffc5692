"""What a submission may use. Every limit that is hit becomes a named outcome, never a hang."""

from __future__ import annotations

import msgspec

__all__ = ["Limits"]

MIB = 2**20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one job. Seconds are wall time unless the name says CPU."""

    question_s: float = 10.0
    """One question and its answer."""
    start_s: float = 10.0
    """Start of a worker until it says hello."""
    job_s: float = 300.0
    """Everything together; what is not judged by then is a timeout."""
    cpu_s: int = 120
    """CPU time of one worker process."""
    memory_bytes: int = 1024 * MIB
    """Address space of one worker process."""
    processes: int = 64
    """Processes and threads of one box."""
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

    def resource_limits(self, *, count_processes: bool) -> dict[str, int]:
        """Amounts for one worker by RLIMIT constant, without that prefix."""
        limits = {
            "AS": self.memory_bytes,
            "CPU": self.cpu_s,
            "FSIZE": self.file_bytes,
            "NOFILE": self.open_files,
            "CORE": 0,
        }
        if count_processes:
            limits["NPROC"] = self.processes
        return limits
