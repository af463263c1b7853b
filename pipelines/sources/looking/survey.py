"""What data lies in a folder: files in groups that one reader reads, each with patterns, counts and bytes.

Files are told apart by their suffixes, below a compression, and where these say nothing by their first
bytes. A group has the files of one kind below one entry of the folder. Data sets of the Hugging Face Hub and
git repositories are groups of their own, as folders that one reader reads. Hidden files, links to folders,
and folders of runs are passed over; what cannot be read and what no reader reads is listed with its reason.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from corpusmill.pipelines.sources.assembly.code_languages import code_language
from corpusmill.pipelines.sources.licences.files import is_evidence
from corpusmill.pipelines.sources.looking.formats import format_of, head_of, text_format
from corpusmill.pipelines.sources.looking.hub_layout import data_files
from corpusmill.pipelines.sources.looking.whole_folders import is_checkout, kind_of_folder

MOST_FILES = 200_000  # of a folder that are looked through
_TOLD_BYTES = 4096
MOST_TOLD = 200  # files without a telling suffix whose first bytes are read
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_SUFFIXES = {
    suffix: kind
    for kind, suffixes in {
        "jsonl": ".jsonl .ndjson .jsonlines .json",
        "parquet": ".parquet .pq",
        "arrow": ".arrow .feather",
        "csv": ".csv .tsv",
        "warc": ".warc .wet",
        "arc": ".arc",
        "html": ".html .htm .xhtml",
        "text": ".txt .text .md .markdown .rst .tex",
        "tar": ".tar .tgz .tbz2 .txz",
        "zip": ".zip",
    }.items()
    for suffix in suffixes.split()
}
PROSE = ("text", "html", "jsonl", "csv")  # kinds of which a folder of source code has some, too
_DATA_SUFFIXES = (".jsonl", ".ndjson", ".jsonlines", ".csv", ".tsv")  # never a part of source code
_BY_CONTENT = {"parquet", "warc", "arc", "arrow", "tar", "zip", "jsonl", "html"}


@dataclass
class Group:
    """Files of one kind, which is a reader's name, below `top`, an entry of the folder ("": the folder).

    `suffixes`: those of its files, as written, each with its number; `files`: names below the folder, sorted;
    `plain`: files named one by one, since no suffix tells them from others.
    """

    top: str
    kind: str
    suffixes: Counter[str] = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    deep: bool = False  # whether some lie in folders below `top`
    plain: bool = False
    folder: bool = False  # whether the reader reads `top` as a whole

    def of_files(self, names: Iterable[str]) -> Group:
        """Those of its files that are named, to be named one by one."""
        made = Group(self.top, self.kind, plain=True)
        for name in names:
            made.suffixes[_suffix(name)] += 1
            _add(made, name, self.sizes[name])
        return made

    def of_suffixes(self, suffixes: Iterable[str]) -> Group:
        """Those of its files that have one of these suffixes."""
        wanted = set(suffixes)
        made = Group(self.top, self.kind, plain=self.plain)
        for name in self.files:
            if (suffix := _suffix(name)) in wanted:
                made.suffixes[suffix] += 1
                _add(made, name, self.sizes[name])
        return made

    def patterns(self) -> list[str]:
        """Patterns that its files match, relative to the folder."""
        if self.folder:
            return [self.top or "."]
        if self.plain:
            return list(self.files)
        before = (f"{self.top}/" if self.top else "") + ("**/" if self.deep and self.top else "")
        return [f"{before}*{suffix}" for suffix in sorted(self.suffixes)]


@dataclass
class Survey:
    """What lies in a folder: groups of files, and what is left out, by reason with its files."""

    groups: list[Group]
    left_out: dict[str, list[str]]
    whole: bool  # whether all files were looked through


def survey(folder: Path) -> Survey:
    """The groups of a folder's files. Raises OSError where the folder itself cannot be listed."""
    left_out: dict[str, list[str]] = defaultdict(list)
    groups: dict[tuple[str, str], Group] = {}
    unknown: list[tuple[str, str]] = []  # top and name
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    found: list[tuple[str, str, str, int]] = []  # top, name, kind, bytes
    whole = True
    seen = _Folders()
    for number, (name, path) in enumerate(_files(folder, left_out, seen)):
        if number == MOST_FILES:
            whole = False
            break
        top = name.split("/", 1)[0] if "/" in name else ""
        kind = kind_of(name)
        size = path.stat().st_size
        if kind is None:
            unknown.append((top, name))
        else:
            kinds[top][kind] += 1
            found.append((top, name, kind, size))
    root = sum(kinds.values(), Counter())
    whole_root = "" in seen.checkouts and root["tree"] >= sum(root[one] for one in PROSE if one != "jsonl")
    for top, name, kind, size in found:
        here = root if whole_root else kinds[top]
        code = here["tree"] and here["tree"] >= sum(here[one] for one in PROSE if one != "jsonl")
        suffix = _suffix(name)
        if code and kind in PROSE and suffix.lower() not in _DATA_SUFFIXES and (top or whole_root):
            kind = "tree"  # what stands beside source code belongs to it
        if kind == "tree" and (repository := seen.checkout_of(name)) is not None:
            seen.read_by_git["" if whole_root else top].add(repository)
            continue
        group = groups.setdefault((top, kind), Group(top, kind))
        group.suffixes[suffix] += 1
        _add(group, name, size)
    for number, (top, name) in enumerate(unknown):
        if seen.checkout_of(name) is not None and not kinds[top].keys() - {"tree", *PROSE}:
            continue  # the reader of repositories judges what is in them
        if kinds[top]["tree"] and is_evidence(name.rsplit("/", 1)[-1]):
            continue  # the reader of source code takes licences from it
        told = _by_content(folder / name) if number < MOST_TOLD else None
        if told in _BY_CONTENT:
            group = groups.setdefault((top, f"{told} "), Group(top, str(told), plain=True))
            group.suffixes[_suffix(name)] += 1
            _add(group, name, (folder / name).stat().st_size)
        else:
            left_out[_no_reader(told)].append(name)
    for top, repositories in seen.read_by_git.items():
        group = groups.setdefault((top, "git"), Group(top, "git", folder=True))
        for name in sorted(repositories):
            group.files.append(name or ".")
            group.bytes += _bytes_below(folder / name)
    for name in seen.data_sets:
        group = groups.setdefault((name, "hugging_face"), Group(name, "hugging_face", folder=True))
        for path in data_files(folder / name):
            _add(group, path.relative_to(folder).as_posix(), path.stat().st_size)
    order = sorted(groups.values(), key=lambda group: (group.top, group.kind, group.plain))
    for group in order:
        group.files.sort()
    return Survey(order, {why: sorted(names) for why, names in sorted(left_out.items())}, whole)


@dataclass
class _Folders:
    """Folders that one reader may read as a whole, by their names below the folder that is looked through."""

    data_sets: list[str] = field(default_factory=list)
    checkouts: list[str] = field(default_factory=list)  # work trees of git repositories
    read_by_git: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by top

    def checkout_of(self, name: str) -> str | None:
        """The work tree that a file lies in."""
        inside = (one for one in self.checkouts if not one or name.startswith(f"{one}/"))
        return next(inside, None)


def _bytes_below(repository: Path) -> int:
    """Bytes of the objects of a git repository, in its `.git` or bare."""
    own = repository / ".git"
    objects = (own if own.is_dir() else repository) / "objects"
    return sum(file.stat().st_size for file in objects.glob("??*/*") if file.is_file())


def kind_of(name: str) -> str | None:
    """The reader that the suffix of a file tells, `tree` for source code, or None."""
    last = name.rsplit("/", 1)[-1]
    lower = last.lower()
    packed = next((suffix for suffix in _COMPRESSED if lower.endswith(suffix)), "")
    suffix = Path(lower.removesuffix(packed)).suffix
    kind = _SUFFIXES.get(suffix)
    if kind is not None and not (packed and kind in ("parquet", "arrow", "zip")):
        return kind
    return "tree" if not packed and code_language(last) is not None else None


def _add(group: Group, name: str, size: int) -> None:
    group.files.append(name)
    group.sizes[name] = size
    group.bytes += size
    group.deep = group.deep or name.count("/") > (1 if group.top else 0)


def _suffix(name: str) -> str:
    """The suffix of a file with that of its compression, as written; of a whole name its own."""
    last = name.rsplit("/", 1)[-1]
    packed = next((suffix for suffix in _COMPRESSED if last.lower().endswith(suffix)), "")
    inner = Path(last[: len(last) - len(packed)]).suffix
    return inner + last[len(last) - len(packed) :] if inner else last


def _by_content(path: Path) -> str | None:
    head, _ = head_of(path)
    return format_of(head) or text_format(head) or ("text" if _is_prose(head) else None)


def _is_prose(head: bytes) -> bool:
    try:
        head[:_TOLD_BYTES].decode()
    except UnicodeDecodeError as error:
        return error.start > 0 and error.start >= min(len(head), _TOLD_BYTES) - 3  # cut in a character
    return b"\0" not in head[:_TOLD_BYTES] and bool(head.strip())


def _no_reader(told: str | None) -> str:
    """Why a file of this format, told by its content, is left out."""
    if told == "text":
        return "text under a name that tells no format; name it in a source of `text` if you want it"
    return f"no reader reads {told or 'this kind of file'}"


def _files(folder: Path, left_out: dict[str, list[str]], seen: _Folders) -> Iterator[tuple[str, Path]]:
    """Name below the folder and path of every file that can be read, in the order of their names.

    Folders that one reader reads as a whole are added to `seen`, without the files of data sets and bare
    repositories.
    """
    todo = [""]
    while todo:
        below = todo.pop()
        try:
            entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
        except OSError as error:
            if not below:
                raise
            left_out[f"cannot be listed ({(error.strerror or str(error)).lower()})"].append(below)
            continue
        names = {entry.name for entry in entries}
        if "current.json" in names:
            left_out["a run of corpusmill"].append(below or ".")
            continue
        kind = kind_of_folder(folder / below, names)
        if kind == "hugging_face":
            seen.data_sets.append(below)
            continue
        if kind == "git":
            seen.read_by_git[below.split("/", 1)[0]].add(below)
            continue
        if is_checkout(folder / below, names):
            seen.checkouts.append(below)
        folders = []
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.name.startswith("."):
                continue
            if not _is_text(entry.name):
                left_out["their names are not UTF-8"].append(
                    name.encode("utf-8", "backslashreplace").decode()
                )
            elif entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif entry.is_symlink() and not Path(entry.path).is_file():
                left_out["links that lead to no file"].append(name)
            elif entry.is_file() and entry.stat().st_size == 0:
                left_out["empty"].append(name)
            elif entry.is_file() and not os.access(entry.path, os.R_OK):
                left_out["cannot be read; change their permissions"].append(name)
            elif entry.is_file():
                yield name, Path(entry.path)
        todo += reversed(folders)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
