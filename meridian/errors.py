"""Every exception of the package hangs on one tree, so that a caller can catch as widely as needed.

An error is a small class named for the state of the thing. It carries that state as fields,
builds its message from them (``Page 7 is full: need 120 bytes, have 96``), and also subclasses
the builtin a user would already catch. Leaves live beside the code that raises them; a test
compares this drawing with the classes.

    MeridianError
    ├── ActorDeadlock
    ├── ActorFailed
    ├── AggregatorUsed
    ├── AlreadySent
    ├── BadAssignment
    ├── BadCapacity
    ├── BadCommand
    ├── BadReport
    ├── BadTelemetryFrame
    ├── BadTiming
    ├── BaselineCorrupt
    ├── BaselineMissing
    ├── BlockingPoolClosed
    ├── BoxUnavailable
    ├── BrokenSeal
    ├── BrokerElsewhere
    ├── BrokerUsed
    ├── BuildError
    ├── CapstoneLocked
    ├── ChannelClosed
    ├── ClusterError
    ├── CohortBusy
    ├── CohortStopped
    ├── CriterionFailed
    ├── CurriculumError
    ├── DuplicateSource
    ├── EditedExercise
    ├── Elapsed
    ├── Empty
    ├── FailpointError
    ├── FingerprintMismatch
    ├── ForeignGuard
    ├── FrameTooLarge
    ├── Full
    ├── GradebookError
    ├── GuardReleased
    ├── HandlerNameTaken
    ├── IllegalOrder
    ├── JoinTimeout
    ├── LabNotFound
    ├── Lagged
    ├── LockConsumed
    ├── LockOrderViolation
    ├── LockTimeout
    ├── LostGuard
    ├── LsmError
    │   ├── CorruptTable
    │   ├── EngineClosed
    │   ├── EngineFailed
    │   ├── EngineLocked
    │   ├── FrozenError
    │   ├── ManifestCorrupt
    │   ├── ManifestMissing
    │   ├── MissingTable
    │   └── OutOfOrder
    ├── MachineBusy
    ├── MutantError
    ├── NoFreePort
    ├── NoReplays
    ├── NoResult
    ├── NoSuchModule
    ├── NoSuchVersion
    ├── NotANotebook
    ├── NotAvailable
    ├── NotDeterministic
    ├── NotEnoughCpus
    ├── NotMainThread
    ├── OtherGrader
    ├── PassUsed
    ├── PoisonError
    ├── PolledAfterCompletion
    ├── PoolClosed
    ├── PopTimeout
    ├── PortInUse
    ├── ProcessFailed
    ├── ProcessLost
    ├── ProgressBusy
    ├── ProgressCorrupt
    ├── ProgressTooNew
    ├── PropagationError
    ├── QueueBroken
    ├── QueueError
    ├── QueueFull
    ├── QueueShutdown
    ├── QuizError
    ├── QuizOver
    ├── RecordingLost
    ├── ReentrantLockError
    │   └── UpgradeError
    ├── RemoteError
    │   ├── RemoteAttributeError
    │   └── RemoteTypeError
    ├── ReplyDropped
    ├── RingClosed
    ├── RingCorrupt
    ├── RingMismatch
    ├── RuntimeFolderUnsafe
    ├── RuntimeNotRunning
    ├── RuntimeUsed
    ├── ScenarioStuck
    ├── ScopeClosed
    ├── SelectExhausted
    ├── SendClosed
    ├── SendTimeout
    ├── ShuttingDown
    ├── SignalTaken
    ├── Smallest
    ├── Stalled
    ├── StorageError
    │   ├── BTreeError
    │   │   ├── DuplicateKey
    │   │   ├── IndexNeedsRebuild
    │   │   ├── KeyRange
    │   │   └── LatchHeld
    │   ├── BadFormat
    │   ├── CorruptPage
    │   │   ├── BadMagic
    │   │   ├── BadPageType
    │   │   ├── BadSlot
    │   │   ├── ChecksumMismatch
    │   │   ├── MisdirectedPage
    │   │   └── TreeCorrupt
    │   ├── FileLocked
    │   ├── PageOutOfRange
    │   ├── PinError
    │   ├── PinLeak
    │   ├── PoolExhausted
    │   ├── RecordNotFound
    │   ├── RecordTooLarge
    │   ├── StorageClosed
    │   │   └── PagesLost
    │   └── TruncatedFile
    ├── StoreError
    ├── SubmissionRefused
    ├── SuiteError
    ├── TaskAborted
    ├── TleError
    │   ├── BadChecksum
    │   ├── BadColumns
    │   ├── BadLineLength
    │   ├── BadTleFile
    │   ├── CatalogNumberMismatch
    │   ├── ElementOutOfRange
    │   └── StrayLines
    ├── TooManyPairs
    ├── TrackerClosed
    ├── TruncatedFrame
    ├── UnknownHandler
    ├── UnknownKey
    ├── UnknownReplay
    ├── UnknownSource
    ├── UsageError
    ├── VerdictError
    ├── WorkerLost
    ├── WorkersKilled
    ├── WouldDeadlock
    ├── WrongThread
    └── WrongType
"""

from __future__ import annotations

from typing import Any

__all__ = ["MeridianError"]


class MeridianError(Exception):
    """Base of every error that Meridian raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with the message, which is not what `__init__` takes, and
        # an error that cannot be unpickled hangs the process pool it came from.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    cls: type[MeridianError], args: tuple[Any, ...], state: dict[str, Any]
) -> MeridianError:
    error = cls.__new__(cls, *args)
    error.args = args  # OSError keeps them elsewhere
    error.__dict__.update(state)
    return error
