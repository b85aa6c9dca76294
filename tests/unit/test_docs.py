"""The reference in docs/ says what the program does: its examples plan, and every key with its default, every field,
check, rule, failure and exit code is there.

Blocks of code say what they are. `yaml`: a whole study. `yaml fragment`: one but for its model. `yaml NAME.yaml`: a
file that lies beside the others. `yaml settings`: user settings. `text plan`: what `llem plan` prints of the study
before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from results_factory import cycles

from llem.cli.plan import print_plan
from llem.errors import CliExit
from llem.results import levels
from llem.results.statistics import statistic
from llem.results.study_result import StudyResult
from llem.study import Study, keys, make_plan, parse_study
from llem.study.datasets import builtin_prompts
from llem.study.keys import EXPERIMENT, Each, Key, Later, Leaf, Section, all_paths, find
from llem.study.prompt_files import READERS, parse_jsonl
from llem.study.rules import RULES
from llem.study.settings import parse_settings
from llem.study.study_keys import SETTINGS, STUDY, STUDY_KEYS
from llem.study.unavailable import _EXPERIMENT, _STUDY
from llem_runner.contract import EXIT_CODE_OF, ExperimentResult, FailureKind
from llem_runner.contract.result import DeviceEnergy, Energy, HostEnergy, Tokens
from llem_runner.metrics import quality
from llem_runner.power.readings import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("study-file", "results", "troubleshooting", "comparing-fairly")
STUDY_FILE, RESULTS, TROUBLESHOOTING, COMPARING = ((ROOT / "docs" / f"{name}.md").read_text() for name in PAGES)
README = (ROOT / "README.md").read_text()
NOT_SET = "–"


@dataclass(frozen=True)
class Block:
    """A block of code, and where it stands."""

    language: str
    kind: str
    text: str
    where: str

    @property
    def study(self) -> str:
        """Its text as a whole study."""
        return self.text if self.kind == "" else f"model: builtin:tiny-llama\n{self.text}"


def blocks(text: str, name: str) -> list[Block]:
    """The blocks of code of a page."""
    found = []
    for hit in re.finditer(r"^```(\w+) ?(.*)\n((?:.*\n)*?)```$", text, flags=re.MULTILINE):
        line = text.count("\n", 0, hit.start()) + 1
        found.append(Block(hit[1], hit[2], hit[3], f"{name}:{line}"))
    return found


BLOCKS = [*blocks(STUDY_FILE, "docs/study-file.md"), *blocks(README, "README.md")]
STUDIES = [block for block in BLOCKS if block.language == "yaml" and block.kind in ("", "fragment")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the studies of the reference lie upon."""
    for block in BLOCKS:
        if block.language == "yaml" and block.kind.endswith(".yaml"):
            (tmp_path / block.kind).write_text(block.text)
    return tmp_path


def parsed(block: Block, folder: Path) -> Study:
    return parse_study(block.study, source=folder / "study.yaml")


def rows(text: str, header: str) -> Iterator[list[str]]:
    """The cells of every row of the tables whose first header is `header`."""
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif inside and not set(line) <= set("|-"):
            yield cells
        inside = inside or bool(cells and cells[0] == header)


def in_backticks(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def section(text: str, title: str) -> str:
    """What stands between a heading and the next one of its level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


@pytest.mark.parametrize("block", STUDIES, ids=lambda block: block.where)
def test_every_study_of_the_reference_and_the_readme_plans(block: Block, folder: Path) -> None:
    plan = make_plan(parsed(block, folder))
    said = re.search(r"^# (\d+) experiments$", block.text, flags=re.MULTILINE)
    assert said is not None or block.where.startswith("README"), "say how many experiments it makes"
    assert said is None or len(plan.experiments) == int(said[1])
    assert not plan.skipped
    assert not plan.warnings


def test_the_plan_that_is_shown_is_the_one_that_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (index,) = (index for index, block in enumerate(BLOCKS) if (block.language, block.kind) == ("text", "plan"))
    study = parsed(BLOCKS[index - 1], folder)
    print_plan(study, make_plan(study))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == BLOCKS[index].text.splitlines()


def test_the_settings_and_the_prompts_that_are_shown_can_be_read() -> None:
    (settings,) = (block for block in BLOCKS if block.kind == "settings")
    assert parse_settings(settings.text, "config.yaml").runners["pytorch"].kind == "local"
    (prompts,) = (block for block in BLOCKS if block.language == "jsonl")
    assert [prompt.category for prompt in parse_jsonl(prompts.text.encode().splitlines(), "here")] == [
        "question",
        "poem",
    ]


def key_rows() -> dict[str, list[str]]:
    """Key → its row; a key has one."""
    found = list(rows(STUDY_FILE, "key"))
    keyed = {in_backticks(cells[0])[0]: cells for cells in found}
    assert len(keyed) == len(found)
    return keyed


def known_keys() -> dict[str, Key]:
    found: dict[str, Key] = {}
    for tree in (EXPERIMENT, STUDY):
        found |= {".".join(path): hit.key for path in all_paths(tree) if (hit := find(path, tree))}
    return found


def test_every_key_of_the_program_is_in_the_reference_and_no_other() -> None:
    assert key_rows().keys() == known_keys().keys() | set(STUDY_KEYS)


@pytest.mark.parametrize(("name", "key"), known_keys().items(), ids=known_keys())
def test_a_key_has_the_default_the_choices_and_the_limits_of_the_program(name: str, key: Key) -> None:
    _, takes, default, *_ = key_rows()[name]
    leaf = key.scalar if isinstance(key, Section) else key
    if not isinstance(leaf, Leaf):
        assert "a mapping" in takes
        assert default == NOT_SET
        return
    shown: Any = None if default == NOT_SET else yaml.safe_load(default.strip("`"))
    # `off` is false to YAML.
    assert ("off" if shown is False and isinstance(leaf.default, str) else shown) == leaf.default
    assert set(leaf.choices) <= set(in_backticks(takes))
    for limit in re.findall(r"[≥>≤<] -?[0-9]+", leaf.expected):
        assert limit in takes
    if "whole number" in leaf.expected:
        assert "whole number" in takes


def later(tree: Section, above: str = "") -> Iterator[str]:
    for name, key in tree.children.items():
        if isinstance(key, Later):
            yield above + name
        elif isinstance(key, Section):
            yield from later(key, f"{above}{name}.")


def test_what_is_not_available_yet_is_listed() -> None:
    listed = section(STUDY_FILE, "Not available yet")
    for name in (*_STUDY, *_EXPERIMENT, *keys.LATER_BACKENDS, "runners", "images"):
        assert f"`{name}" in listed, name
    for value in (value for name, refused in _EXPERIMENT.items() for value in refused_choices(name, refused)):
        assert value in listed
    for name in (*later(EXPERIMENT), *later(STUDY)):
        assert f"`{name.rsplit('.', 1)[-1] if name.split('.')[0] in ('runners', 'images') else name}`" in listed, name


def refused_choices(name: str, refused: Any) -> list[str]:
    hit = find(tuple(name.split(".")))
    return [choice for choice in hit.key.choices if refused(choice)] if hit and isinstance(hit.key, Leaf) else []


def test_every_skip_rule_is_in_the_reference_and_no_other() -> None:
    assert sorted(in_backticks(cells[0])[0] for cells in rows(STUDY_FILE, "rule")) == sorted(
        rule.name for rule in RULES
    )


def test_datasets_and_settings_are_described() -> None:
    datasets = section(STUDY_FILE, "Datasets")
    prompts = builtin_prompts()
    assert f"{len(prompts)} prompts in {len({prompt.category for prompt in prompts})} categories" in datasets
    assert [in_backticks(cells[0])[0] for cells in rows(datasets, "ending")] == list(READERS)
    settings = section(STUDY_FILE, "Environment and user settings")
    for name, key in SETTINGS.children.items():
        inner = key.value.children if isinstance(key, Each) else ()
        assert all(f"`{each}`" in settings for each in (name, *inner))


@pytest.mark.parametrize(
    ("title", "model"),
    [
        *(("`result.json`", model) for model in (ExperimentResult, Energy, HostEnergy, DeviceEnergy)),
        ("`study_result.json`", StudyResult),
    ],
)
def test_every_field_of_a_result_is_in_the_reference(title: str, model: type[Any]) -> None:
    named = {name.rsplit(".", 1)[-1] for name in in_backticks(section(RESULTS, title))}
    fields = {name for name, info in model.model_fields.items() if not info.exclude}
    assert not fields - named


def test_every_section_of_a_result_names_its_fields() -> None:
    described = {name: cells[1] for cells in rows(RESULTS, "field") for name in in_backticks(cells[0])}
    for section_name in (
        "window",
        "tokens",
        "requests",
        "recorder",
        "throughput",
        "latency",
        "compute",
        "memory",
        "thermal",
    ):
        model = ExperimentResult.model_fields[section_name].annotation
        inner = getattr(model, "model_fields", None) or model.__args__[0].model_fields  # type: ignore[union-attr]
        assert set(inner) <= set(in_backticks(described[section_name])), section_name


def test_the_columns_of_the_power_readings_are_in_the_reference() -> None:
    assert set(COLUMNS) <= set(in_backticks(RESULTS))


def test_every_quality_check_is_in_the_reference_with_its_limit() -> None:
    described = {in_backticks(cells[0])[0]: cells for cells in rows(RESULTS, "check of a run")}
    assert list(described) == list(quality.B_CHECKS)
    limits = {"counter_agrees": quality.AGREEMENT_PERCENT, "window_length": quality.WINDOW_S}
    for name, limit in {**limits, "bounds_width": quality.BOUNDS_PERCENT}.items():
        assert described[name][2].startswith(f"{limit:g} ")
    # A check that can be made has a function of its name.
    unmade = [name for name, cells in described.items() if cells[2] == "not made yet"]
    assert unmade == [name for name in quality.B_CHECKS if not hasattr(quality, name)]


def test_every_check_over_the_cycles_is_in_the_reference_with_its_limit() -> None:
    runs = cycles([1.0, 1.0, 1.0], {"energy.idle_power_w": 70.0})
    made = levels.experiment_quality(runs, statistic([1.0, 1.0, 1.0]), levels.idle_power(runs)).checks
    described = {in_backticks(cells[0])[0]: cells[2] for cells in rows(RESULTS, "check over the cycles")}
    assert described.keys() == {check.name for check in made}
    for check in made:
        assert check.limit is None or described[check.name].split()[0] == f"{check.limit:g}"


def test_every_kind_of_failure_is_in_the_reference_and_no_other() -> None:
    assert sorted(kind for cells in rows(RESULTS, "kind") for kind in in_backticks(cells[0])) == sorted(FailureKind)


def test_exit_codes_are_in_the_reference() -> None:
    codes = {int(cells[0]) for cells in rows(RESULTS, "`llem` ends with")}
    assert codes == set(CliExit) - {CliExit.GATE_FAILED}  # no command checks against a gate yet
    words = section(RESULTS, "When a run fails")
    for kind, code in EXIT_CODE_OF.items():
        if kind is not FailureKind.INTERRUPTED:
            assert f"{int(code)} `{kind}`" in re.sub(r"\s+", " ", words)


@pytest.mark.parametrize("text", [STUDY_FILE, RESULTS, TROUBLESHOOTING, COMPARING], ids=PAGES)
def test_links_lead_somewhere_here(text: str) -> None:
    headings = {path.name: anchors(path.read_text()) for path in (ROOT / "docs").glob("*.md")}
    for link in re.findall(r"\]\(([^)]+)\)", text):
        name, _, anchor = link.partition("#")
        assert anchor in (headings[name] if name else anchors(text)), link


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {"", *(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)}


def test_keys_that_are_named_in_the_other_pages_exist() -> None:
    known = known_keys().keys()
    fields = {f"energy.{name}" for name in Energy.model_fields} | {f"tokens.{name}" for name in Tokens.model_fields}
    for name in in_backticks(RESULTS + TROUBLESHOOTING + COMPARING):
        if re.fullmatch(r"(execution|warmup|energy|output|pytorch|vllm|decoder|tokens)\.[a-z_.]+", name):
            assert name in known | fields, name


def test_single_names_on_the_page_on_fairness_are_those_of_the_references() -> None:
    known = {part for name in re.findall(r"`([\w.]+)`", STUDY_FILE + RESULTS) for part in name.split(".")}
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", COMPARING))
    assert named
    assert named <= known
