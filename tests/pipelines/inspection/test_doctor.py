"""Damage anywhere in a run's output is found, and named with its cure."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill.pipelines.inspection import doctor as doctor_module
from corpusmill.pipelines.inspection.doctor import doctor, render_doctor
from corpusmill.pipelines.records.codec import Json
from corpusmill.pipelines.records.ledger import LedgerEntry
from corpusmill.pipelines.storage import file_faults
from corpusmill.pipelines.storage.run_folder import RunFolder
from corpusmill.pipelines.system.kernel_cache import kernel_digest, use_kernel_cache

Copies = Callable[[], RunFolder]


def _faults(found: Json) -> dict[str, str]:
    return {check.name: check.detail for check in found.faults}


def test_the_environment_names_its_parts() -> None:
    found = doctor(None)
    names = {check.name for check in found.checks}
    assert {"python", "pyarrow", "numba", "memory", "disk", "kernel cache", "ray", "torch"} <= names
    assert {"onnxruntime", "ufal-kenlm"} <= names
    for check in found.checks:
        assert check.detail
        assert bool(check.cure) == (not check.ok) or check.name == "processors"


def test_a_missing_library_is_a_fault_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor_module.CORE, "no-such-library", "no_such_library")
    monkeypatch.setitem(
        doctor_module.OPTIONAL, "no-such-extra", ("no_such_extra", "nothing", "pip install it")
    )
    found = doctor(None)
    assert _faults(found)["no-such-library"] == "not installed"
    extra = next(check for check in found.checks if check.name == "no-such-extra")
    assert extra.ok
    assert "pip install it" in extra.detail
    assert "no-such-library: not installed\n  cure: pip install" in render_doctor(found)


def test_a_module_may_be_of_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("like-numpy", "unlike-numpy"):
        monkeypatch.setitem(doctor_module.OPTIONAL, name, ("numpy", "nothing", "pip install it"))
    monkeypatch.setitem(doctor_module._INSTEAD, "like-numpy", "numpy")
    found = {check.name: check for check in doctor(None).checks}
    assert found["like-numpy"].ok
    assert found["like-numpy"].detail.startswith("numpy ")
    assert not found["unlike-numpy"].ok
    assert "does not belong to unlike-numpy" in found["unlike-numpy"].detail


def test_the_kernel_cache_is_the_folder_that_workers_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> tuple[bool, str]:
        (check,) = [check for check in doctor(None).checks if check.name == "kernel cache"]
        return check.ok, check.detail

    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = tmp_path / "corpusmill" / f"kernels-{kernel_digest()[:16]}"
    assert told() == (True, str(place))
    use_kernel_cache()
    assert os.environ["NUMBA_CACHE_DIR"] == str(place)
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(file))
    assert told() == (False, str(file))


def test_a_sound_run_has_no_faults(run: RunFolder) -> None:
    found = doctor(run)
    assert not [name for name in _faults(found) if name.startswith(("step", "ledger", "run"))]
    assert "balance" in render_doctor(found)


def test_one_flipped_bit_and_a_missing_file(copy_of: Copies) -> None:
    copy = copy_of()
    web, pack = copy.current_step("web"), copy.current_step("pack")
    assert web is not None
    assert pack is not None
    path = web.data / "00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (pack.data / "shard-00000.arrow").unlink()
    quick = _faults(doctor(copy))
    assert [name for name in quick if name.startswith("step")] == ["step pack"]
    assert quick["step pack"].endswith("shard-00000.arrow: missing")
    (pack.data / "shard-00001.arrow").write_bytes(b"short")
    one, three = (doctor(copy, deep=True, workers=workers) for workers in (1, 3))
    assert _faults(one) == _faults(three)
    assert one.checks[-1].detail.endswith("with their hashes; 3 of them missing or wrong")
    faults = _faults(three)
    assert "its bytes differ" in faults["step web"]
    assert re.fullmatch(r"\S+00\.arrow: missing; \S+01\.arrow: 5 bytes, its .*", faults["step pack"])
    assert "step code" not in faults


def test_what_was_read_is_told(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(file_faults, "sha256_file", lambda path: read.append(str(path)) or "")
    file_faults._sha256_once.cache_clear()
    told = {check.name: check for check in doctor(run).checks}
    assert told["bytes"].ok
    assert re.fullmatch(r"\S+ [kM]B in \d+ files not read, .*; --deep reads them", told["bytes"].detail)
    assert told["step web"].detail.endswith("files of their sizes")
    assert read == []
    file_faults._sha256_once.cache_clear()
    (last,) = [check for check in doctor(run, deep=True).checks if check.name == "bytes"]
    assert "compared with their hashes; " in last.detail  # none of which is as the receipt says here
    assert len(read) == int(last.detail.split()[3].replace(",", ""))
    file_faults._sha256_once.cache_clear()


def test_a_ledger_that_does_not_balance(copy_of: Copies) -> None:
    copy = copy_of()
    step = copy.current_step("dedup.exact")
    assert step is not None
    manifest = step.need_manifest()
    first, *others = manifest.ledger
    wrong = replace(first, documents_kept=first.documents_kept - 1)
    step.write_manifest(replace(manifest, ledger=(wrong, *others)))
    assert "documents came in" in _faults(doctor(copy))["ledger"]


@pytest.mark.parametrize("step_name", ["web", "dedup.exact", "encode", "decontaminate"])
def test_bytes_that_do_not_add_up_are_found_though_the_seal_holds(copy_of: Copies, step_name: str) -> None:
    copy = copy_of()
    step = copy.current_step(step_name)
    assert step is not None
    manifest = step.need_manifest()

    def one_more(ledger: tuple[LedgerEntry, ...]) -> tuple[LedgerEntry, ...]:
        return replace(ledger[0], bytes_out=ledger[0].bytes_out + 1), *ledger[1:]

    first, *others = manifest.units
    first = replace(first, ledger=one_more(first.ledger))
    step.write_manifest(replace(manifest, ledger=one_more(manifest.ledger), units=(first, *others)))
    assert f"step {step_name}" in _faults(doctor(copy))["ledger"]


def test_an_edited_figure_breaks_the_seal_and_the_cure_is_one_command(copy_of: Copies) -> None:
    copy = copy_of()
    step = copy.current_step("web")
    assert step is not None
    (segment,) = step.found_segments()
    for path, fault in (
        (step.manifest_path, "its content differs from its seal"),
        (segment.path, "its bytes differ from its name's digest, or it belongs to another step"),
    ):
        whole = path.read_bytes()
        edited = re.sub(rb'"bytes_out": (\d+)', rb'"bytes_out": 1\1', whole)
        path.write_bytes(edited if edited != whole else whole[:600] + b"?" + whole[601:])
        check = next(c for c in doctor(copy).checks if c.name == "step web")
        assert check.detail == f"{path}: {fault}"
        where = re.escape(shlex.quote(str(copy.path)))
        assert re.fullmatch(rf"corpusmill run \S*recipe\.yaml --out {where} --repair", check.cure)
        path.write_bytes(whole)
    assert "step web" not in _faults(doctor(copy))


def test_a_file_too_many_and_a_pointer_that_was_altered(copy_of: Copies) -> None:
    copy = copy_of()
    step = copy.current_step("code")
    assert step is not None
    (step.data / "00007.parquet").write_bytes(b"more")
    (step.path / "receipts").mkdir()
    (step.path / "receipts" / "00007.json").write_text("{}", encoding="utf-8")
    assert "00007.parquet: not a file of its step" in _faults(doctor(copy))["step code"]
    (step.data / "00007.parquet").unlink()
    assert "00007.json: not a file of its step" in _faults(doctor(copy))["step code"]
    text = copy.current_path.read_text(encoding="utf-8")
    copy.current_path.write_text(text.replace('"pack"', '"pakc"'), encoding="utf-8")
    assert _faults(doctor(copy))["current.json"].endswith("its content differs from its seal")


def test_a_broken_manifest_is_a_finding_and_not_a_crash(copy_of: Copies) -> None:
    copy = copy_of()
    step = copy.current_step("code")
    assert step is not None
    step.manifest_path.write_text("{", encoding="utf-8")
    found = doctor(copy)
    faults = _faults(found)
    assert found.checks[-1].detail.endswith("; those of 1 step without sound receipts were not looked at")
    assert "not valid JSON" in faults["step code"]
