"""Prompt files: what is read, and what each broken one is told."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from llem.errors import UsageError
from llem.study import prompt_files
from llem.study.prompt_files import AskedPrompt, read_prompt_file

PROMPTS = ["Why, and how?", 'She said "no".', "two\nlines", "Größe über 9000 – 日本"]


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def texts(path: Path) -> list[str]:
    return [prompt.text for prompt in read_prompt_file(path)]


@pytest.mark.parametrize("key", ["text", "prompt"])
def test_claim_11_jsonl_with_text_or_prompt(tmp_path: Path, key: str) -> None:
    lines = "".join(json.dumps({key: text, "more": 1}, ensure_ascii=False) + "\n\n" for text in PROMPTS)
    assert texts(write(tmp_path / "a.jsonl", lines)) == PROMPTS


@pytest.mark.parametrize("header", ["id,text", "prompt,id", "anything"])
def test_claim_11_csv_with_a_text_column_or_a_single_one(tmp_path: Path, header: str) -> None:
    quoted = ['"' + text.replace('"', '""') + '"' for text in PROMPTS]
    row = {"id,text": "1,{}", "prompt,id": "{},1", "anything": "{}"}[header]
    content = header + "\r\n" + "\r\n".join(row.format(text) for text in quoted)
    assert texts(write(tmp_path / "a.csv", content)) == PROMPTS


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_claim_11_parquet_with_a_text_column(tmp_path: Path, type_: pa.DataType) -> None:
    table = pa.table({"id": list(range(4)), "text": pa.array(PROMPTS, pa.string()).cast(type_)})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet") == PROMPTS


def test_claim_11_txt_is_one_prompt_a_line_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    assert texts(write(tmp_path / "a.TXT", "\ufeffone\r\n\r\n  \ntwo \n\tthree")) == ["one", "two ", "\tthree"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", '\ufeff{"text": "x"}'), ("a.csv", "\ufefftext,id\nx,1"), ("a.txt", "\ufeffx")],
)
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, name: str, content: str) -> None:
    assert texts(write(tmp_path / name, content)) == ["x"]


@pytest.mark.parametrize("column", ["category", "source"])
def test_categories_come_from_category_or_source(tmp_path: Path, column: str) -> None:
    jsonl = write(tmp_path / "a.jsonl", f'{{"text": "x", "{column}": "c"}}\n{{"text": "y", "{column}": null}}')
    csv = write(tmp_path / "a.csv", f"text,{column}\nx,c\ny,\n")
    pa.parquet.write_table(pa.table({"text": ["x", "y"], column: ["c", None]}), tmp_path / "a.parquet")
    for path in (jsonl, csv, tmp_path / "a.parquet"):
        assert read_prompt_file(path) == [AskedPrompt("x", "c"), AskedPrompt("y", "")]


BROKEN: list[tuple[str, bytes | str, str]] = [
    ("a.jsonl", "", "holds no prompts"),
    ("a.txt", "\n \n", "holds no prompts"),
    ("a.csv", "", "holds no prompts"),
    ("a.csv", "text\n", "holds no prompts"),
    ("a.jsonl", '{"text": "x"}\n{"text": ', "line 2: not JSON"),
    ("a.jsonl", "[" * 100_000, "line 1: not JSON"),
    ("a.jsonl", '{"text": "x"}\n["x"]', "line 2: not an object"),
    ("a.jsonl", '{"question": "x", "answer": "y"}', "looked for the key text or prompt, found: question, answer"),
    ("a.jsonl", '{"text": 5}', "line 1: the prompt is of type int, not text"),
    ("a.jsonl", '{"text": null}', "line 1: the prompt is null, not text"),
    ("a.jsonl", '{"text": "x"}\n\n{"text": "  "}', "line 3: the prompt is empty"),
    ("a.jsonl", '{"text": "a\\u0000b"}', "line 1: the prompt holds a NUL"),
    ("a.jsonl", '{"text": "\\ud800"}', "line 1: the prompt holds half of a surrogate pair"),
    ("a.jsonl", '{"text": "x", "category": 3}', "the category is of type int"),
    ("a.jsonl", b"\x89PNG\r\n\x1a\n", "line 1: not UTF-8 text"),
    ("a.txt", b"fine\n\xff\xfe", "line 2: not UTF-8 text"),
    ("a.txt", b"a\x00b\n", "line 1: the prompt holds a NUL"),
    ("a.csv", b"text\n\xe9t\xe9", "not UTF-8 text"),
    ("a.csv", "a,b\n1,2\n", "looked for the column text or prompt .or a single column., found: a, b"),
    ("a.csv", "text;category\nx;y\n", "separated by commas"),
    ("a.csv", "text,id\nx\n", "line 2: 1 fields, but the header has 2"),
    ("a.csv", "text,id\nx, and y,2\n", "line 2: 3 fields, but the header has 2"),
    ("a.csv", 'text,id\n"never closed,1\nx,2\n', "not CSV"),
    ("a.csv", "text,id\n,1\n", "line 2: the prompt is empty"),
    ("a.parquet", b"PAR1 and then junk PAR1", "not a readable Parquet file"),
    ("a.parquet", b"", "not a readable Parquet file"),
    ("a.doc", "x", "ending '.doc' is none of .jsonl, .csv, .parquet, .txt"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_claim_21_a_broken_dataset_gets_one_clear_message(
    tmp_path: Path, name: str, content: bytes | str, message: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(UsageError, match=message) as raised:
        read_prompt_file(path)
    assert str(path) in str(raised.value)


def test_claim_21_parquet_without_text_or_with_other_types_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.table({"a": ["x"], "b": ["y"]}), path)
    with pytest.raises(UsageError, match="looked for the column text or prompt"):
        read_prompt_file(path)
    pa.parquet.write_table(pa.table({"text": [1, 2]}), path)
    with pytest.raises(UsageError, match="row 1: the prompt is of type int"):
        read_prompt_file(path)
    pa.parquet.write_table(pa.table({"text": ["x", None]}), path)
    with pytest.raises(UsageError, match="row 2: the prompt is null"):
        read_prompt_file(path)


def test_claim_21_missing_folder_and_pipe_are_refused_and_nothing_hangs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_prompt_file(tmp_path / "missing.jsonl")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="not a regular file"):
        read_prompt_file(tmp_path / "folder.csv")
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UsageError, match="not a regular file"):
        read_prompt_file(tmp_path / "pipe.txt")


def test_claim_21_an_unreadable_dataset_says_why(tmp_path: Path) -> None:
    loop = tmp_path / "loop.txt"
    loop.symlink_to(loop)
    with pytest.raises(UsageError, match=r"cannot be read|no such file"):
        read_prompt_file(loop)
    with pytest.raises(UsageError, match="cannot be read: File name too long"):
        read_prompt_file(tmp_path / ("x" * 300 + ".txt"))


@contextmanager
def not_root() -> Iterator[None]:
    """Root may read everything: as root, the test is nobody for a moment."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_claim_21_a_dataset_without_permission_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "x")
    path.chmod(0)
    with not_root(), pytest.raises(UsageError, match="cannot be read: Permission denied"):
        read_prompt_file(path)


def test_caps_on_file_and_prompt_are_errors_with_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_files, "MAX_PROMPT_CHARS", 10)
    long = "x" * 11
    for name, content in (("a.txt", long), ("a.jsonl", f'{{"text": "{long}"}}'), ("a.csv", f"text\n{long}\n")):
        with pytest.raises(UsageError, match=r"longer than|field larger than field limit"):
            read_prompt_file(write(tmp_path / name, content))
    with pytest.raises(UsageError, match="line 2: longer than 40 bytes"):
        read_prompt_file(write(tmp_path / "b.txt", "fine\n" + "x" * 50))
    monkeypatch.setattr(prompt_files, "MAX_FILE_BYTES", 20)
    with pytest.raises(UsageError, match="larger than 20 bytes"):
        read_prompt_file(write(tmp_path / "c.txt", "short\n" * 5))
