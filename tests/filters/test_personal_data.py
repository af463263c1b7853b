"""Personal data: oracle, examples of each kind, actions, the ledger's cuts, and laws."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from corpusmill.filters.personal_data import PersonalData
from corpusmill.filters.rules.personal_tables import KINDS
from corpusmill.pipelines.records.ledger import Ledger
from corpusmill.pipelines.run.operators.fused import FusedMaps
from tests.oracles import filters_personal_data as oracle
from tests.oracles.filters_documents import TEXTS, check_split_law, documents

PARTS = st.sampled_from(
    [
        "a", "Z", "x9", "_", ".", "..", "-", "--", "-----", "@", "+", "(", ")", " ", ": ", "=", "'", '"', "/",
        "#", "card number 4111111111111111110 ",
        "0", "1", "7", "12", "49", "555", "0123", "2001", "2a00:", "::", ":", "abc", "com", ".de", "example",
        "john.doe", "@mail.org", "93.184.216.34",
        "192.168.0.1", "version ", "order ", "tel ", "Phone: ", "card ",
        "SSN ", "dni ", "bsn ", "pesel ", "aadhaar ", "personnummer ", "steuer-id ", "cpf ", "电话", "手机：",
        "415", "553", "1234", "(415) 553-1234", "415.553.1234", "+49 171 1234567", "+1", "030 1234567",
        "01 23 45 67 89", "138 1234 5678", "13812345678", "4111 1111 1111 1111", "378282246310005", "4111",
        "DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "11010519491231002X", "RSSMRA85T10A562S",
        "111.444.777-35", "11144477735", "12345678Z", "X1234567L", "111222333", "536-22-1234", "44051401359",
        "811218-9876", "2341 2341 2346", "86095742719", "185057800608491", "AKIAIOSFODNN7ABCDEFG",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345", "eyJhbGciOiJI.eyJzdWIiOiIx.dozjgNryP4J3jVm",
        "api_key", "token", "password = ", "secret: ", "9f86d081884c7d659a2feaa0c55ad015", "sk-",
        "x7Kq9Zr2Lm4Tn8Vb3Wc6", "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "MIIE\n",
        "\n", "é", "中", "1.2.3.4", "2024-01-31", "SG.", "EXAMPLE", "9999999999999999999999999999999999999",
    ]
)  # fmt: skip
MIXED = st.lists(PARTS | st.text("0123456789", max_size=5), max_size=14).map("".join)


def found(text: str, **options: object) -> list[tuple[str, str]]:
    """Kind and text of what is found."""
    outcome = PersonalData(**options).apply(documents([text]))  # type: ignore[arg-type]
    (spans,) = outcome.documents.column("personal_data.spans").to_pylist()
    data = text.encode()
    return [(span["kind"], data[span["start"] : span["end"]].decode()) for span in spans]


@settings(max_examples=600, deadline=None)
@given(MIXED | TEXTS)
def test_oracle(text: str) -> None:
    docs = PersonalData().apply(documents([text])).documents
    (spans,) = docs.column("personal_data.spans").to_pylist()
    assert [(span["kind"], span["start"], span["end"]) for span in spans] == oracle.spans(text)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(MIXED | st.none(), max_size=6), cut=st.integers(0, 6))
def test_split_law(texts: list[str | None], cut: int) -> None:
    check_split_law(PersonalData(ip="drop", key="count"), texts, min(cut, len(texts)))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(MIXED)
def test_a_masked_text_is_the_text_with_placeholders(text: str) -> None:
    outcome = PersonalData().apply(documents([text]))
    data, expected, at = text.encode(), b"", 0
    for kind, start, end in oracle.spans(text):
        expected += data[at:start] + f"<{kind}>".encode()
        at = end
    assert outcome.documents.text[0].as_py() == (expected + data[at:]).decode()
    assert sum(int(size[0]) for size in outcome.cut.values()) == sum(e - s for _, s, e in oracle.spans(text))


@pytest.mark.parametrize(
    ("text", "kind", "part"),
    [
        ("write to Jane.Roe+news@mail.example.co.uk.", "email", "Jane.Roe+news@mail.example.co.uk"),
        ("邮箱foo@qq.com，", "email", "foo@qq.com"),
        ("from 93.184.216.34:53", "ip", "93.184.216.34"),
        ("[2a00:1450:4001:81b::200e]", "ip", "2a00:1450:4001:81b::200e"),
        ("call +49 171 1234567, please", "phone", "+49 171 1234567"),
        ("(415) 553-2671", "phone", "(415) 553-2671"),
        ("手机：13812345678", "phone", "13812345678"),
        ("4111-1111-1111-1111 12/29", "card", "4111-1111-1111-1111"),
        ("3782 822463 10005", "card", "3782 822463 10005"),
        ("DE89 3704 0044 0532 0130 00 bei", "iban", "DE89 3704 0044 0532 0130 00"),
        ("11010519491231002X", "national_id", "11010519491231002X"),
        ("CF RSSMRA85T10A562S", "national_id", "RSSMRA85T10A562S"),
        ("SSN: 536-22-1234", "national_id", "536-22-1234"),
        ("card 4539148803436467001, uint64 6561316938846562432, see 7.18.1.5", "", ""),
        ("id AKIAIOSFODNN7ABCDEFG", "key", "AKIAIOSFODNN7ABCDEFG"),
        ('"api_key": "x7Kq9Zr2Lm4Tn8Vb3Wc6"', "key", "x7Kq9Zr2Lm4Tn8Vb3Wc6"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "key",
         "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"),
        ("a@example.com, a.b@mail.example.org, logo@2x.png, x@w.weight, git@github.com:a/b", "", ""),
        ("version 1.2.3.4, Firefox/3.6.13.2, 10.0.0.1, 192.0.2.7, 203.0.113.9, 1.2.3.4.5, v8.8.4.4", "", ""),
        ("2001:db8::1 fe80::1 std::vector 12:30:45 00:1a:2b:3c:4d:5e", "", ""),
        ("ISBN 978-3-16-148410-0, order 4111111111111111, 4111111111111112, 2024-01-31 12:00", "", ""),
        ("GB82WEST12345698765433, sha256: 9f86d081884c7d659a2feaa0c55ad015", "", ""),
        ("token = getUserAccessTokenFromRequest(), password = hunter2, AKIAIOSFODNN7EXAMPLE", "", ""),
        ("415-555-0123 order 415-553-1234 48.8566, 2.3522 01 02 03 04 05", "", ""),
    ],
)  # fmt: skip
def test_examples(text: str, kind: str, part: str) -> None:
    assert found(text) == ([(kind, part)] if kind else [])


def test_actions_counts_and_placeholders() -> None:
    texts = ["a@b.org 93.184.216.34", "4111 1111 1111 1111 a@b.org", None, "nothing"]
    stage = PersonalData(ip="count", card="drop", placeholders={"email": "[EMAIL]"})
    outcome = stage.apply(documents(texts))
    # What is dropped is masked whole, for the sample that is kept of it.
    assert outcome.documents.text.to_pylist() == ["[EMAIL] 93.184.216.34", "<card> [EMAIL]", None, "nothing"]
    assert outcome.reasons.to_pylist() == [None, "personal_card", None, None]
    assert outcome.documents.column("personal_data.email").to_pylist() == [1, 1, 0, 0]
    assert outcome.documents.column("personal_data.ip").to_pylist() == [1, 0, 0, 0]
    assert {name for name in stage.produces if "." in name} == {
        name for name in outcome.documents.table.column_names if "." in name
    }


def test_the_ledger_balances_and_no_sample_shows_what_was_found() -> None:
    ledger = Ledger()
    maps = FusedMaps([PersonalData(key="drop")], ledger)
    kept = maps.push(documents(["mail a@b.org", "AKIAIOSFODNN7ABCDEFG a@b.org"]))
    ledger.check("test")
    (entry,) = ledger.record()
    assert kept.text.to_pylist() == ["mail <email>"]
    assert (entry.bytes_in, entry.bytes_kept, entry.bytes_out) == (40, 5, 12)
    assert entry.cut == {"email": 7}
    assert entry.removed == {"personal_key": (1, 28)}
    (row,) = maps.removed().to_pylist()
    assert row["excerpt"] == "<key> <email>"
    assert "AKIA" not in str(row)
    assert '{"end": 20, "kind": "key", "start": 0}' in row["detail"]


def test_countries_and_entropy_are_options() -> None:
    assert found("11010519491231002X", countries=("br",)) == []
    weak = "api_key = 'a1a1a1a1a1a1a1a1a1'"
    assert found(weak) == []
    assert found(weak, min_entropy=0.9) == [("key", "a1a1a1a1a1a1a1a1a1")]


@pytest.mark.parametrize(
    "options",
    [{"email": "hide"}, {"placeholders": {"mail": "x"}}, {"countries": ("xx",)}, {"min_entropy": -1}],
)
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PersonalData(**options)  # type: ignore[arg-type]


def test_every_kind_has_its_action() -> None:
    assert set(KINDS) < set(PersonalData.model_fields)
