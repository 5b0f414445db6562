"""Reads and writes files, whole or not at all and through no link, and says what the system refuses."""

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from experiments.errors import BadInput, Ending, NotRead, NotSaved

PART = ".part"  # the ending of a file that is being written
#: what an OSError says of the files that are there; all others say something of the disk, or of its user
OF_FILES = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP),
}
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
#: what libraries tell of in exceptions of their own, such as TensorStore in ValueErrors
TOLD = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EBUSY, errno.ESTALE, errno.ETIMEDOUT),
)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system refuses of a file or folder, within its block, into NotSaved."""
    try:
        yield
    except Exception as error:
        reason = None if isinstance(error, Ending) else refusal(error)
        if reason is None:
            raise
        raise NotSaved(
            f"{path} cannot be written ({reason}): what was saved before is intact, and once the disk is in "
            "order the same command goes on from there."
        ) from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the system refuses of a file or folder that may be there, within its block, into NotRead."""
    try:
        yield
    except Exception as error:
        reason = None if isinstance(error, Ending) else refusal(error, OF_FILES)
        if reason is None:
            raise
        raise NotRead(
            f"{path} cannot be read ({reason}): nothing was changed, and once the disk is in order the same "
            "command goes on from there."
        ) from error


def refusal(error: BaseException, but: set[int] = frozenset()) -> str | None:
    """Returns the system's words, where it refused something and an error came of that; None elsewhere.

    but: the codes that do not count.
    """
    for each in _behind(error):
        if isinstance(each, OSError) and each.errno is not None and each.errno not in but:
            return os.strerror(each.errno)
        if isinstance(each, MemoryError):
            return os.strerror(errno.ENOMEM)
        words = (os.strerror(code) for code in TOLD)
        if told := next((text for text in words if text in str(each)), None):
            return told
    return None


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error, those that it groups, and those that it came of."""
    while error is not None:
        yield error
        for part in getattr(error, "exceptions", ()):
            yield from _behind(part)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a new file that takes the place of `path` once it is whole; after a kill, `path` is as it was.

    The new file is made under a name that nothing had, so that no link is followed and no other process
    writes into it. Raises: NotSaved.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
    with writing(path):
        try:
            with open(part, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        _sync(path.parent)


def write(path: Path, text: str) -> None:
    """Writes a whole text file; after a kill, the file is whole or as it was. Raises: NotSaved."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def make(workdir: Path) -> None:
    """Makes the folder of a run or a sweep, where there is none yet.

    Raises: BadInput for a bad path; NotSaved.
    """
    try:
        new = not os.path.lexists(workdir)
        workdir.mkdir(parents=True, exist_ok=True)
    except RecursionError:
        start = f"{str(workdir)[:60]} ..."
        raise BadInput(f"--workdir={start}: lies in too many folders that do not exist yet.") from None
    except OSError as error:
        if error.errno in OF_FILES or (new and error.errno in DENIED):
            raise BadInput(f"--workdir={workdir}: cannot be written ({error.strerror}).") from error
        with writing(workdir):
            raise


def append(path: Path) -> BinaryIO:
    """Opens a file for adding to its end, unbuffered; makes a new one where there is none.

    Raises: OSError, also where a link stands in its place.
    """
    return open(path, "ab", buffering=0, opener=lambda path, how: os.open(path, how | os.O_NOFOLLOW, 0o666))


def size(path: Path) -> int | None:
    """Returns the size of a file in bytes; None where there is none. Raises: NotRead."""
    try:
        with reading(path):
            return os.stat(path).st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sync(folder: Path) -> None:
    """Brings the names in a folder to the disk; some file systems have no way to."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def from_json(text: str | bytes) -> Any:
    """Returns what the text of a JSON file holds.

    Raises: ValueError for what is no JSON, or is nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep.") from None


def to_json(value: Any) -> str:
    """Writes JSON for a file that people read too."""
    return json.dumps(value, indent=2) + "\n"
