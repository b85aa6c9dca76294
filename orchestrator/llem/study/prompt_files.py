"""Prompt files: `.jsonl`, `.csv`, `.parquet` and `.txt`, each read strictly and with words for what is wrong with it.

Nothing is guessed or left out: a row that is no prompt stops the study before anything is measured on the wrong text.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from llem.errors import UsageError

TEXT_NAMES = ("text", "prompt")
CATEGORY_NAMES = ("category", "source")
MAX_FILE_BYTES = 256_000_000
MAX_PROMPT_CHARS = 4_000_000
"""Far above any context window; a file without line ends is no list of prompts."""


@dataclass(frozen=True)
class AskedPrompt:
    """A prompt and the category that its file gives it ("" where there is none)."""

    text: str
    category: str = ""


def read_prompt_file(path: Path) -> list[AskedPrompt]:
    """The prompts of a file, in its order; at least one. Raises UsageError naming file, row and what to do."""
    try:
        if not path.exists():
            raise UsageError(f"dataset {path}: no such file. Paths are relative to the study file that names them.")
        if not path.is_file():
            raise UsageError(f"dataset {path}: not a regular file. Name a file: {', '.join(READERS)}.")
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            raise UsageError(f"dataset {path}: ending {path.suffix!r} is none of {', '.join(READERS)}.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"dataset {path}: larger than {MAX_FILE_BYTES:,} bytes. Keep the prompts you ask.")
        prompts = reader(path)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise UsageError(f"dataset {path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not prompts:
        raise UsageError(f"dataset {path}: holds no prompts.")
    return prompts


def parse_jsonl(lines: Iterable[bytes], where: str) -> list[AskedPrompt]:
    """Prompts from lines of JSON objects with the key `text` (or `prompt`) and maybe `category` (or `source`)."""
    prompts = []
    for number, line in _text_lines(lines, where):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            _wrong(where, f"line {number}", f'not JSON ({error}). Each line must be an object like {{"text": "…"}}')
        if not isinstance(row, dict):
            _wrong(where, f"line {number}", 'not an object. Each line must be one like {"text": "…"}')
        name = next((name for name in TEXT_NAMES if name in row), None)
        if name is None:
            keys = ", ".join(map(str, row)) or "none"
            _wrong(where, f"line {number}", f"looked for the key text or prompt, found: {_shortened(keys)}")
        category = next((row[name] for name in CATEGORY_NAMES if name in row), None)
        prompts.append(_prompt(row[name], category, where, f"line {number}"))
    return prompts


def _read_jsonl(path: Path) -> list[AskedPrompt]:
    with path.open("rb") as file:
        return parse_jsonl(_bounded_lines(file, str(path)), str(path))


def _read_txt(path: Path) -> list[AskedPrompt]:
    """One prompt a line; blank lines are skipped."""
    with path.open("rb") as file:
        lines = list(_text_lines(_bounded_lines(file, str(path)), str(path)))
    return [_prompt(line, None, str(path), f"line {number}") for number, line in lines]


def _read_csv(path: Path) -> list[AskedPrompt]:
    """The column `text` or `prompt`, or the only column. The first row is the header."""
    where = str(path)
    text = _decoded(path.read_bytes(), where, "the file").removeprefix("\ufeff")
    limit = csv.field_size_limit(MAX_PROMPT_CHARS)
    try:
        # strict: an unterminated quote would swallow the rest of the file into one prompt.
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(rows, [])]
        if not header:
            return []
        text_column, category_column = _columns(header, where)
        prompts = []
        for row in rows:
            if not row:
                continue
            at = f"line {rows.line_num}"
            if len(row) != len(header):
                _wrong(where, at, f"{len(row)} fields, but the header has {len(header)}. Quote fields that hold commas")
            category = None if category_column is None else row[category_column]
            prompts.append(_prompt(row[text_column], category, where, at))
        return prompts
    except csv.Error as error:
        raise UsageError(f"dataset {where}: line {rows.line_num}: not CSV: {error}.") from error
    finally:
        csv.field_size_limit(limit)


def _read_parquet(path: Path) -> list[AskedPrompt]:
    """The column `text` or `prompt`, or the only column."""
    import pyarrow
    import pyarrow.parquet

    where = str(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            text_column, category_column = _columns(file.schema_arrow.names, where)
            groups = range(file.metadata.num_row_groups)
            if sum(file.metadata.row_group(index).total_byte_size for index in groups) > MAX_FILE_BYTES:
                raise UsageError(f"dataset {where}: unpacks to more than {MAX_FILE_BYTES:,} bytes.")
            names = file.schema_arrow.names
            wanted = [names[column] for column in (text_column, category_column) if column is not None]
            table = file.read(columns=wanted)
            texts = table.column(wanted[0]).to_pylist()
            categories = table.column(wanted[1]).to_pylist() if len(wanted) > 1 else [None] * len(texts)
    except pyarrow.ArrowException as error:
        raise UsageError(f"dataset {where}: not a readable Parquet file: {_shortened(str(error))}.") from error
    pairs = zip(texts, categories, strict=True)
    return [_prompt(text, category, where, f"row {row}") for row, (text, category) in enumerate(pairs, start=1)]


READERS: dict[str, Callable[[Path], list[AskedPrompt]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".txt": _read_txt,
}
"""Ending → reader."""


def _columns(names: Sequence[str], where: str) -> tuple[int, int | None]:
    category = next((names.index(name) for name in CATEGORY_NAMES if name in names), None)
    for name in TEXT_NAMES:
        if name in names:
            return names.index(name), category
    # "text;category" is one column only to somebody who splits at commas.
    if len(names) == 1 and not any(separator in names[0] for separator in ";\t|"):
        return 0, None
    found = _shortened(", ".join(names))
    raise UsageError(
        f"dataset {where}: looked for the column text or prompt (or a single column), found: {found}. "
        "Rename the column with the prompts to text; fields are separated by commas."
    )


def _bounded_lines(file: io.BufferedIOBase, where: str) -> Iterator[bytes]:
    limit = 4 * MAX_PROMPT_CHARS
    number = 1
    while line := file.readline(limit + 1):
        if len(line) > limit:
            _wrong(where, f"line {number}", f"longer than {limit:,} bytes. There must be one prompt a line")
        yield line
        number += 1


def _text_lines(lines: Iterable[bytes], where: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(lines, start=1):
        line = _decoded(raw, where, f"line {number}").rstrip("\r\n")
        line = line.removeprefix("\ufeff") if number == 1 else line
        if line.strip():
            yield number, line


def _decoded(raw: bytes, where: str, at: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"dataset {where}: {at}: not UTF-8 text (byte {error.start} is 0x{raw[error.start]:02x}). "
            "Save the file as UTF-8."
        ) from error


def _prompt(text: Any, category: Any, where: str, at: str) -> AskedPrompt:
    if not isinstance(text, str):
        _wrong(where, at, f"the prompt is {_kind(text)}, not text")
    if not text.strip():
        _wrong(where, at, "the prompt is empty. Remove the row")
    if "\x00" in text:
        _wrong(where, at, "the prompt holds a NUL character; is this a text file?")
    if len(text) > MAX_PROMPT_CHARS:
        _wrong(where, at, f"the prompt is longer than {MAX_PROMPT_CHARS:,} characters")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        _wrong(where, at, "the prompt holds half of a surrogate pair (a broken \\u escape)")
    if category is not None and not isinstance(category, str):
        _wrong(where, at, f"the category is {_kind(category)}, not text")
    return AskedPrompt(text, category or "")


def _kind(value: Any) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def _wrong(where: str, at: str, what: str) -> NoReturn:
    raise UsageError(f"dataset {where}: {at}: {what}.")
