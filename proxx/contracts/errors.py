"""Every way a job can end badly: one class an outcome, a stable code, the CLI exit status, what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from proxx.contracts.error_bases import ClipFailure, InvalidInput, JobStopped, Refusal

# --- one clip failed: recorded, the job goes on with the next clip ---------------------------------------


class SourceMissing(ClipFailure):
    code = "SOURCE_MISSING"
    remedy = "Mount or restore the file where the spec says it is, then run the next attempt."


class SourceChanged(ClipFailure):
    code = "SOURCE_CHANGED"
    remedy = "The file is not the one the job was created for: restore it, or create a new job from it."


class SourceUnreadable(ClipFailure):
    code = "SOURCE_UNREADABLE"
    remedy = "Check that the file is a camera file, is whole, and may be read by this user."


class SourceUnsupported(ClipFailure):
    code = "SOURCE_UNSUPPORTED"
    remedy = "Convert it with the tool named, or choose the toolchain or profile named."


class NoVideo(ClipFailure):
    code = "NO_VIDEO"
    remedy = "Leave the file out: a proxy needs a picture."


class DecodeFailed(ClipFailure):
    code = "DECODE_FAILED"
    remedy = "The source is damaged: copy it again from the card, or create with --accept-damage for this clip."


class EncodeFailed(ClipFailure):
    code = "ENCODE_FAILED"
    remedy = "Read the clip's log; if the source is good, report it with the argv."


class EncoderCrashed(ClipFailure):
    code = "ENCODER_CRASHED"
    remedy = "The encoder was ended by a signal: check memory and the system log, then run the next attempt."


class SourceTruncated(ClipFailure):
    code = "SOURCE_TRUNCATED"
    remedy = "The source holds less than it declares: copy it again from the card."


class FramesMismatch(ClipFailure):
    code = "FRAMES_MISMATCH"
    remedy = "Frames are missing or too many: the source is damaged or was read wrongly; nothing was published."


class TimecodeMismatch(ClipFailure):
    code = "TIMECODE_MISMATCH"
    remedy = "The proxy would not relink by timecode or reel; nothing was published. Report it with the log."


class AudioMismatch(ClipFailure):
    code = "AUDIO_MISMATCH"
    remedy = "Tracks, channels or samples differ from the source; nothing was published. Report it with the log."


class FormatMismatch(ClipFailure):
    code = "FORMAT_MISMATCH"
    remedy = "Size, rate, colour or codec differ from the spec; nothing was published. Report it with the log."


class OutputExists(ClipFailure):
    code = "OUTPUT_EXISTS"
    remedy = "A file that is not this job's is in the way: move it, then run the next attempt. It was not touched."


class OutputConflict(ClipFailure):
    code = "OUTPUT_CONFLICT"
    remedy = "Keep both: move the published file away, run the next attempt, compare, and report it."


class OutputUnwritable(ClipFailure):
    code = "OUTPUT_UNWRITABLE"
    remedy = "Make the output folder exist and be writable for this user, then run the next attempt."


# --- the job stops: the rest of its clips are NOT_RUN ----------------------------------------------------


class DiskFull(JobStopped):
    code = "DISK_FULL"
    remedy = "Free space where the working directory and the outputs are, then run the next attempt."


class LockLost(JobStopped):
    code = "LOCK_LOST"
    remedy = (
        "An operator unlocked this attempt while it ran. At most one output, announced before, can have appeared "
        "since, whole and verified. See `proxx history`, then run the next attempt."
    )


class LedgerFailed(JobStopped):
    code = "LEDGER_FAILED"
    remedy = "The store refused an event; an unlogged action did not happen. Mend the store, then see `proxx status`."


class Interrupted(JobStopped):
    code = "INTERRUPTED"
    remedy = "It was stopped on request. Run the next attempt when wanted."


class WorkUnusable(JobStopped):
    code = "WORK_UNUSABLE"
    remedy = "Give a folder that exists and is writable for this user as --work, then run the next attempt."


class EngineFault(JobStopped):
    code = "ENGINE_FAULT"
    remedy = "This is a bug of proxx: please report it with the traceback. Nothing half-made was published."


# --- refused before an attempt begins --------------------------------------------------------------------


class ToolchainMismatch(Refusal):
    code = "TOOLCHAIN_MISMATCH"
    status = 6
    remedy = "Use a machine and an installation that have exactly what is named (`proxx doctor` shows what is here)."


class ToolchainMissing(Refusal):
    code = "TOOLCHAIN_MISSING"
    status = 6
    remedy = "Install proxx again with its pinned requirements (`proxx doctor` shows what is missing)."


class LocaleUnusable(Refusal):
    code = "LOCALE_UNUSABLE"
    status = 6
    remedy = "Run it with PYTHONUTF8=1, or in a locale of UTF-8 (LANG=C.UTF-8)."


class StoreMismatch(Refusal):
    code = "STORE_MISMATCH"
    status = 6
    remedy = "This is another store than the one the job was dispatched from: give the right --store."


class StoreRefused(Refusal):
    code = "STORE_REFUSED"
    status = 6
    remedy = "Use a store proxx can prove exclusive: a local or shared folder, object storage with If-None-Match."


class StoreUnavailable(Refusal):
    code = "STORE_UNAVAILABLE"
    status = 6
    remedy = "Make the store reachable and writable for this user (`proxx doctor` tests it)."


class StoreDamaged(Refusal):
    code = "STORE_DAMAGED"
    status = 6
    remedy = "An object of the store is missing or cannot be read: restore it from a copy; nothing is guessed."


@dataclass(kw_only=True, eq=False)
class OutputClaimed(Refusal):
    """owner: the job that has it. output: as this job writes it."""

    code = "OUTPUT_CLAIMED"
    status: ClassVar[int] = 4
    remedy = "Another job owns this output: choose another, or `proxx retire` that job."
    owner: str = ""
    output: str = ""


@dataclass(kw_only=True, eq=False)
class Locked(Refusal):
    """run_id: the run that holds it, so that the same run sent twice knows itself. since: when it took it."""

    code = "LOCKED"
    status: ClassVar[int] = 4
    remedy = "Another process runs this attempt (`proxx status`). If its machine is dead: `proxx unlock`."
    run_id: str = ""
    since: str = ""


class NotLocked(Refusal):
    code = "NOT_LOCKED"
    status = 4
    remedy = "There is nothing to unlock: see `proxx status`."


@dataclass(kw_only=True, eq=False)
class AttemptClosed(Refusal):
    """result: the ExecutionResult as recorded, None where an operator closed it. run_id: the run it was."""

    code = "ATTEMPT_CLOSED"
    status: ClassVar[int] = 4
    remedy = "This attempt has ended and is never run again. To try again ask for the next: `--attempt N`."
    result: Mapping[str, object] | None = None
    run_id: str = ""


class AttemptOutOfOrder(Refusal):
    code = "ATTEMPT_OUT_OF_ORDER"
    status = 4
    remedy = "Attempts are asked for one after another: the previous one must exist and be closed."


class JobRetired(Refusal):
    code = "JOB_RETIRED"
    status = 4
    remedy = "The job was ended for good; create a new job for this work."


class JobUnknown(Refusal):
    code = "JOB_UNKNOWN"
    status = 3
    remedy = "Check the id and the store (`proxx status` lists what is there)."


class SpecInvalid(InvalidInput):
    code = "SPEC_INVALID"
    remedy = "Make the spec with `proxx create`; specs are not edited by hand."


class SpecAltered(InvalidInput):
    code = "SPEC_ALTERED"
    remedy = "The spec was changed after creation: use the original file, or create a new job."


class ProfileInvalid(InvalidInput):
    code = "PROFILE_INVALID"
    remedy = "Mend the fields named; `proxx profiles NAME` prints a complete example."


class RootsInvalid(InvalidInput):
    code = "ROOTS_INVALID"
    status = 2
    remedy = "Write roots as name=/folder or name=s3://bucket/prefix, with `;` between them in PROXX_ROOTS."


class PlaceUnreachable(InvalidInput):
    code = "PLACE_UNREACHABLE"
    status = 6
    remedy = "Run it on a machine that has these places, or set its roots."


class StorageRefused(InvalidInput):
    code = "STORAGE_REFUSED"
    status = 6
    remedy = "Nothing was begun. Mend what is named, then try the same again."


class PreflightRefused(InvalidInput):
    code = "PREFLIGHT_REFUSED"
    remedy = "Mend what is named, or leave those files out with --leave-out-refused. Nothing was written."


# --- compared afterwards ---------------------------------------------------------------------------------


class VerifyMismatch(InvalidInput):
    code = "VERIFY_MISMATCH"
    status: ClassVar[int] = 5
    remedy = "The named proxies are not what the job recorded: move them away and run the next attempt."


class ReproduceMismatch(InvalidInput):
    code = "REPRODUCE_MISMATCH"
    status: ClassVar[int] = 5
    remedy = "A second encode gave other bytes: keep both files and report it with the output of `proxx doctor`."


class ReproduceIncomplete(InvalidInput):
    code = "REPRODUCE_INCOMPLETE"
    status: ClassVar[int] = 6
    remedy = "Repeat it on a machine that has the toolchains and the sources named."


class WouldNotRelink(InvalidInput):
    code = "WOULD_NOT_RELINK"
    status: ClassVar[int] = 5
    remedy = "Keep the profile and the toolchain for edits that have these proxies; use the new ones for new work."
