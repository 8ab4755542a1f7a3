"""Every failure: one class each, with a stable code, the command's exit status and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from proxx.contracts.error_bases import (
    ClipFailure,
    ComparisonFailed,
    EnvironmentFailure,
    InvalidInput,
    JobStopped,
    Refusal,
)

# --- one clip failed: recorded, and the job continues with the next clip ---------------------------------


class SourceMissing(ClipFailure):
    code = "SOURCE_MISSING"
    remedy = "Restore the file or mount its volume, then create the job again or run the next attempt."


class SourceChanged(ClipFailure):
    code = "SOURCE_CHANGED"
    remedy = "The file is not the one the job was created from: restore the original, or create a new job."


class SourceUnreadable(ClipFailure):
    code = "SOURCE_UNREADABLE"
    remedy = "Check that it is a complete media file, that its storage works, and that this user may read it."


class SourceUnsupported(ClipFailure):
    code = "SOURCE_UNSUPPORTED"
    remedy = "Use the profile or toolchain the message suggests, if any; else convert the file or leave it out."


class NoVideo(ClipFailure):
    code = "NO_VIDEO"
    remedy = "Leave the file out: a proxy needs a picture."


class DecodeFailed(ClipFailure):
    code = "DECODE_FAILED"
    remedy = "The source is damaged: create the job from a new copy of it, or with --accept-damage for this clip."


class EncodeFailed(ClipFailure):
    code = "ENCODE_FAILED"
    remedy = "Read the clip's log; if the source plays correctly elsewhere, report the failure with that log."


class EncoderCrashed(ClipFailure):
    code = "ENCODER_CRASHED"
    remedy = "A signal ended the encoder: check memory and the system log, then run the next attempt."


class SourceTruncated(ClipFailure):
    code = "SOURCE_TRUNCATED"
    remedy = "The source is incomplete or its stated length is wrong: create the job from a new copy of the card."


class FramesMismatch(ClipFailure):
    code = "FRAMES_MISMATCH"
    remedy = "Nothing was published: the source is damaged or was misread. Report it with the clip's log."


class TimecodeMismatch(ClipFailure):
    code = "TIMECODE_MISMATCH"
    remedy = "Nothing was published: the proxy would not relink by timecode or reel. Report it with the clip's log."


class AudioMismatch(ClipFailure):
    code = "AUDIO_MISMATCH"
    remedy = "Nothing was published: tracks, channels or samples are wrong. Report it with the clip's log."


class FormatMismatch(ClipFailure):
    code = "FORMAT_MISMATCH"
    remedy = "Nothing was published: size, rate, colour or codec is wrong. Report it with the clip's log."


class OutputExists(ClipFailure):
    code = "OUTPUT_EXISTS"
    remedy = "Move that file, which was not touched, out of the way; then run the next attempt."


class OutputConflict(ClipFailure):
    code = "OUTPUT_CONFLICT"
    remedy = "Move the published file away, run the next attempt, compare the two files, and report it."


class OutputUnwritable(ClipFailure):
    code = "OUTPUT_UNWRITABLE"
    remedy = "Make sure that the output folder exists and this user can write to it, then run the next attempt."


# --- the job stops: the rest of its clips are NOT_RUN ----------------------------------------------------


class DiskFull(JobStopped):
    code = "DISK_FULL"
    remedy = "Free space for the working directory and the outputs, then run the next attempt or repeat the command."


class LockLost(JobStopped):
    code = "LOCK_LOST"
    remedy = (
        "An operator unlocked this attempt while it ran. At most one output, announced before, can have appeared "
        "since; it is complete and verified. See `proxx history`, then run the next attempt."
    )


class LedgerFailed(JobStopped):
    code = "LEDGER_FAILED"
    remedy = "The store did not record a step, so that step was not done. Fix the store, then see `proxx status`."


class Interrupted(JobStopped):
    code = "INTERRUPTED"
    remedy = "Run the next attempt when ready."


class WorkUnusable(JobStopped):
    code = "WORK_UNUSABLE"
    remedy = "Use --work with a folder that exists and that this user can write to, then run the next attempt."


class EngineFault(JobStopped):
    code = "ENGINE_FAULT"
    remedy = "This is a bug in proxx: please report it with the traceback. No partial output was published."


# --- this machine cannot make the job's bytes: refused before an attempt, or the job stops -----------------


class ToolchainMismatch(EnvironmentFailure):
    code = "TOOLCHAIN_MISMATCH"
    remedy = "Use a machine and an installation that match the message (`proxx doctor` shows what this one has)."


class ToolchainMissing(EnvironmentFailure):
    code = "TOOLCHAIN_MISSING"
    remedy = "Install proxx again with its pinned requirements (`proxx doctor` shows what is missing)."


# --- refused before an attempt begins --------------------------------------------------------------------


class LocaleUnusable(Refusal):
    code = "LOCALE_UNUSABLE"
    status = 6
    remedy = "Set PYTHONUTF8=1 or use a UTF-8 locale (LANG=C.UTF-8), then repeat the command."


class StoreMismatch(Refusal):
    code = "STORE_MISMATCH"
    status = 6
    remedy = "The job was dispatched from another store: name that store with --store."


class StoreRefused(Refusal):
    code = "STORE_REFUSED"
    status = 6
    remedy = "Use a store this version supports: a local or shared folder, or object storage with If-None-Match."


class StoreUnavailable(Refusal):
    code = "STORE_UNAVAILABLE"
    status = 6
    remedy = "Make the store reachable and writable for this user (`proxx doctor` tests it)."


class StoreDamaged(Refusal):
    code = "STORE_DAMAGED"
    status = 6
    remedy = "Restore the store's missing or unreadable object from a backup; its content is never guessed."


@dataclass(kw_only=True, eq=False)
class OutputClaimed(Refusal):
    """Another job owns the output. owner: that job's id. output: the place as this job writes it."""

    code = "OUTPUT_CLAIMED"
    status: ClassVar[int] = 4
    remedy = "Another job owns this output: choose another output, or retire that job with `proxx retire`."
    owner: str = ""
    output: str = ""


@dataclass(kw_only=True, eq=False)
class Locked(Refusal):
    """Another run holds the lock, taken at `since`. run_id: that run, so that a run sent twice recognises itself."""

    code = "LOCKED"
    status: ClassVar[int] = 4
    remedy = "Another process runs this attempt (see `proxx status`). If its machine is dead: `proxx unlock`."
    run_id: str = ""
    since: str = ""


class NotLocked(Refusal):
    code = "NOT_LOCKED"
    status = 4
    remedy = "There is nothing to unlock: see `proxx status`."


@dataclass(kw_only=True, eq=False)
class AttemptClosed(Refusal):
    """The attempt has ended. result: its recorded ExecutionResult, None if an operator closed it. run_id: its run."""

    code = "ATTEMPT_CLOSED"
    status: ClassVar[int] = 4
    remedy = "This attempt has ended and cannot run again. To try again, run the next one: `--attempt N`."
    result: Mapping[str, object] | None = None
    run_id: str = ""


class AttemptOutOfOrder(Refusal):
    code = "ATTEMPT_OUT_OF_ORDER"
    status = 4
    remedy = "Run attempts in order: the previous one must exist and be closed (see `proxx history`)."


class JobRetired(Refusal):
    code = "JOB_RETIRED"
    status = 4
    remedy = "The job is retired: it never runs again. Create a new job for this work."


class JobUnknown(Refusal):
    code = "JOB_UNKNOWN"
    status = 3
    remedy = "Check the id and the store (`proxx status` lists the store's jobs)."


class SpecInvalid(InvalidInput):
    code = "SPEC_INVALID"
    remedy = "Make the spec with `proxx create`; specs are not edited by hand."


class SpecAltered(InvalidInput):
    code = "SPEC_ALTERED"
    remedy = "The spec was changed after creation: use the original file, or create a new job."


class ProfileInvalid(InvalidInput):
    code = "PROFILE_INVALID"
    remedy = "Fix the problems listed; `proxx profiles NAME` prints a complete example."


class RootsInvalid(InvalidInput):
    code = "ROOTS_INVALID"
    status = 2
    remedy = "Write roots as name=/folder or name=s3://bucket/prefix, separated by `;` in PROXX_ROOTS."


class PlaceUnreachable(InvalidInput):
    code = "PLACE_UNREACHABLE"
    status = 6
    remedy = "Use a machine that can reach these places, or set its roots."


class StorageRefused(InvalidInput):
    code = "STORAGE_REFUSED"
    status = 6
    remedy = "Nothing was begun. Fix the problems listed, then repeat the command."


class PreflightRefused(InvalidInput):
    code = "PREFLIGHT_REFUSED"
    remedy = "Fix the problems listed, or leave those files out with --leave-out-refused. Nothing was written."


# --- a comparison after the job ----------------------------------------------------------------------------


class VerifyMismatch(ComparisonFailed):
    code = "VERIFY_MISMATCH"
    remedy = "The proxies listed are not what the job recorded: each line names what to do about its file."


class ReproduceMismatch(ComparisonFailed):
    code = "REPRODUCE_MISMATCH"
    remedy = "The second encode gave other bytes: keep both files and report them with the output of `proxx doctor`."


class ReproduceIncomplete(ComparisonFailed):
    code = "REPRODUCE_INCOMPLETE"
    status: ClassVar[int] = 6
    remedy = "Repeat it on a machine that has the toolchains and the sources listed."


class WouldNotRelink(ComparisonFailed):
    code = "WOULD_NOT_RELINK"
    remedy = "Keep the old profile and toolchain for edits that use these proxies; use the new ones for new work."
