"""Git repositories in folders, and the commit that a revision stands for.

Nothing of a repository is executed, and of its configuration only the format of its objects is read: no
hooks, no filters, no included files, no checkout.
"""

from __future__ import annotations

import re
from pathlib import Path

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.framing.git_objects import COMMIT, MOST_BYTES, TAG, BadObject, Objects

_ID = re.compile(r"[0-9a-f]{40}")
_PLACES = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")
_MOST_TAGS = 100  # that lead from a tag to a commit
_FORMATS = re.compile(rb"^\s*(objectformat|refstorage)\s*=\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_NAMED = 8  # branches and tags that a message names


def is_git_folder(folder: Path) -> bool:
    """Whether a folder is laid out as git lays out its own (`.git`, or a bare repository)."""
    return all((folder / name).is_dir() for name in ("objects", "refs")) and (folder / "HEAD").is_file()


def git_folders(root: Path) -> list[Path]:
    """The folders of git's own of all repositories at or below `root`, sorted by their paths.

    Links are not followed, hidden folders but `.git` are passed over, and repositories inside a repository's
    work tree too. Raises DataError for a folder that cannot be listed, and for a work tree whose `.git` is a
    file, which leads elsewhere.
    """
    found: list[Path] = []
    todo = [root]
    while todo:
        folder = todo.pop()
        own = folder / ".git"
        if own.is_file():
            raise DataError(
                f"{folder}: its .git is a file that leads elsewhere; name the repository it belongs to, or "
                "clone it"
            )
        if own.is_dir() and not own.is_symlink() and is_git_folder(own):
            found.append(own)
        elif is_git_folder(folder):
            found.append(folder)
        else:
            try:
                inner = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink()]
            except OSError as error:
                raise DataError(
                    f"{folder}: cannot list the folder ({error.strerror}); grant access or exclude it"
                ) from error
            todo += [entry for entry in inner if not entry.name.startswith(".")]
    return sorted(found)


def resolve(folder: Path, revision: str) -> str:
    """The id of the commit that `revision` stands for, 40 hex digits.

    An id is meant as it stands; else the order is that of gitrevisions(7): HEAD and names below refs, then
    tags, branches and remote branches; tags are followed to their commit. Raises DataError with the cure.
    """
    _need_sha1(folder)
    oid = revision if _ID.fullmatch(revision) else _reference(folder, revision)
    with Objects(folder / "objects") as objects:
        for _ in range(_MOST_TAGS):
            try:
                kind, content = objects.read(bytes.fromhex(oid), MOST_BYTES)
            except BadObject as error:
                raise DataError(f"revision {revision!r}: {error}; fetch the repository again") from error
            if kind == COMMIT:
                return oid
            target = re.match(rb"object ([0-9a-f]{40})\n", content) if kind == TAG else None
            if target is None:
                break
            oid = target[1].decode()
    raise DataError(f"revision {revision!r} is a {kind}, no commit; name a branch, a tag or a commit")


def root_tree(objects: Objects, commit: str) -> bytes:
    """The id of a commit's tree, 20 bytes. Raises BadObject."""
    kind, content = objects.read(bytes.fromhex(commit), MOST_BYTES)
    found = re.match(rb"tree ([0-9a-f]{40})\n", content)
    if kind != COMMIT or found is None:
        raise BadObject(f"object {commit}: it is no sound commit")
    return bytes.fromhex(found[1].decode())


def _need_sha1(folder: Path) -> None:
    config = folder / "config"
    text = config.read_bytes() if config.is_file() else b""
    for name, value in _FORMATS.findall(text):
        if (name.lower(), value.lower()) not in ((b"objectformat", b"sha1"), (b"refstorage", b"files")):
            raise DataError(
                f"{config}: {name.decode('latin-1')} = {value.decode('latin-1')} is not read; clone the "
                "repository with `git init --object-format=sha1 --ref-format=files` and a fetch"
            )


def _reference(folder: Path, revision: str) -> str:
    from dulwich.refs import DiskRefsContainer, Ref, SymrefLoop

    references = DiskRefsContainer(folder)
    for place in _PLACES:
        name = place.format(revision).encode()
        if name != b"HEAD" and not name.startswith(b"refs/"):
            continue
        try:
            _, oid = references.follow(Ref(name))
        except (SymrefLoop, OSError, ValueError, KeyError):
            continue
        if oid is not None and _ID.fullmatch(oid.decode("latin-1")):
            return oid.decode()
    names = sorted(
        name.decode("utf-8", "backslashreplace").split("/", 2)[2]
        for name in references.allkeys()
        if name.startswith((b"refs/heads/", b"refs/tags/"))
    )
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    raise DataError(
        f"no revision {revision!r}; there are {shown or 'no branches and no tags'}, and commits by their 40 "
        "hex digits; set `revision`"
    )
