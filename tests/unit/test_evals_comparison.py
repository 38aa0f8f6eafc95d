"""Statistics, comparison of reports, the gate, and reports as files."""

from __future__ import annotations

import json
import random
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flowbuilder.cli.app import app
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.evals import CaseReport, Finding, Report
from flowbuilder.evals.comparison import Scored, compare_reports, read_scores, scores_of
from flowbuilder.evals.dataset import Expectation
from flowbuilder.evals.evaluators import judge
from flowbuilder.evals.reportfiles import report_html, report_json, report_junit, write_report
from flowbuilder.evals.runner import Observation
from flowbuilder.evals.statistics import bootstrap, paired, pass_at, pass_hat
from flowbuilder.flow import Flow
from flowbuilder.plan import Usage

NASTY = "<script src='https://x.example/a.js'>&\x00\x1f\ud800]]> \"é"


def case(name: str, value: float, *, trial: int = 1, seconds: float = 1.5) -> CaseReport:
    return CaseReport(
        name=name,
        goal=NASTY,
        findings=(
            Finding(evaluator="outcome", value=True),
            Finding(evaluator="step_f1", value=value, reason="" if value == 1 else NASTY),
            Finding(evaluator="kind", value="a label"),
        ),
        planned=("a.get", NASTY),
        certain=False,
        usage=Usage(calls=1, prompt_tokens=5, seconds=seconds),
        seconds=seconds,
        trial=trial,
    )


def report(*cases: CaseReport, planner: str = "rules") -> Report:
    return Report(suite="mine", planner=planner, model=None, cases=cases)


def scored(*values: float, suite: str = "mine") -> Scored:
    cases = {f"c{number}": {"score": value} for number, value in enumerate(values)}
    return Scored(title="x", suite=suite, cases=cases)


def test_an_interval_is_about_the_mean_and_always_the_same() -> None:
    rng = random.Random(1)
    values = [float(rng.random() < 0.7) for _ in range(400)]
    found = bootstrap(values)
    mean = sum(values) / len(values)
    expected = 1.96 * (mean * (1 - mean) / len(values)) ** 0.5
    assert found.low < mean < found.high
    assert found.high - found.low == pytest.approx(2 * expected, rel=0.15)
    assert bootstrap(values) == found
    assert bootstrap(values, seed=5) != found
    assert bootstrap([]) == bootstrap([0.0])
    assert (bootstrap([1.0, 1.0]).low, bootstrap([1.0, 1.0]).high) == (1, 1)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = random.Random(3)
    held = 0
    for seed in range(40):
        values = [float(rng.random() < 0.6) for _ in range(60)]
        found = bootstrap(values, seed=seed)
        held += found.low <= 0.6 <= found.high
    assert held >= 34


def test_signs_of_few_differences_are_looked_at_one_by_one() -> None:
    lost = paired([1, 1, 1, 0.5], [0, 0.5, 1, 0.25])
    assert (lost.better, lost.worse, lost.cases) == (0, 3, 4)
    assert lost.difference == pytest.approx(-1.75 / 4)
    assert lost.p_worse == pytest.approx(1 / 8)
    assert lost.p_any == pytest.approx(2 / 8)
    differences = [-0.3, 0.2, -0.1, 0.4, -0.5]
    sums = [sum(s * d for s, d in zip(signs, differences, strict=True))
            for signs in product((1, -1), repeat=5)]  # fmt: skip
    expected = sum(total <= sum(differences) + 1e-9 for total in sums) / 32
    assert paired([0.0] * 5, differences).p_worse == pytest.approx(expected)


def test_many_differences_are_drawn_from() -> None:
    rng = random.Random(2)
    before = [rng.random() for _ in range(300)]
    worse = paired(before, [value - 0.1 * rng.random() for value in before])
    assert worse.p_worse < 0.001
    assert worse.interval.high < 0
    same = paired(before, [value + rng.uniform(-0.1, 0.1) for value in before])
    assert 0.01 < same.p_any <= 1
    assert paired(before, before).p_worse == 1
    better = paired(before, [value + 0.05 for value in before])
    assert better.p_worse > 0.99
    with pytest.raises(ValueError, match="shorter"):
        paired([1.0, 2.0], [1.0])


def test_pass_hat_and_pass_at_count_draws_without_returning() -> None:
    assert pass_hat(3, 4, 2) == pytest.approx(3 / 6)
    assert pass_at(1, 4, 2) == pytest.approx(3 / 6)
    assert (pass_hat(0, 4, 1), pass_hat(4, 4, 4), pass_hat(3, 4, 4)) == (0, 1, 0)
    assert (pass_at(0, 3, 3), pass_at(1, 3, 3)) == (0, 1)


def test_a_report_of_trials_tells_how_often_all_pass() -> None:
    tried = [case("a", value, trial=n) for n, value in enumerate((1, 1, 0.5, 1), start=1)]
    tried += [case("b", 1, trial=n) for n in range(1, 5)]
    found = report(*tried)
    assert found.pass_hat() == {
        1: pytest.approx((0.75 + 1) / 2),
        2: pytest.approx((0.5 + 1) / 2),
        3: pytest.approx((0.25 + 1) / 2),
        4: pytest.approx((0 + 1) / 2),
    }
    document = json.loads(report_json(found))
    assert document["pass_k"]["4"] == 0.5
    assert document["pass_at_k"] == {"1": 0.875, "2": 1, "3": 1, "4": 1}
    assert [item.get("trial") for item in document["cases"]] == [None, 2, 3, 4] * 2
    assert report(case("a", 1)).pass_hat() == {}
    # each case is drawn as one: four equal trials are no more news than one
    single = report(case("a", 0.875), case("b", 1)).intervals()
    assert found.intervals()["step_f1"] == single["step_f1"]


def test_the_gate_sees_a_loss_of_three_points_among_five_hundred_cases() -> None:
    rng = random.Random(11)
    seen = false = 0
    for trial in range(12):
        before = [float(rng.random() < 0.8) for _ in range(500)]
        won = [n for n, value in enumerate(before) if not value]
        lost = [n for n, value in enumerate(before) if value]
        for loss in (True, False):
            after = list(before)
            changed = rng.sample(lost, 23 if loss else 8) + rng.sample(won, 8)
            for n in changed:
                after[n] = 1 - after[n]
            found = compare_reports(scored(*before), scored(*after), seed=trial)
            seen += loss and not found.passed
            false += not loss and not found.passed
    assert seen >= 10
    assert false == 0


def test_a_loss_can_also_be_bounded() -> None:
    before, after = scored(1, 1, 1, 1), scored(1, 1, 1, 0)
    assert compare_reports(before, after).passed
    assert not compare_reports(before, after, max_drop=0.2).passed
    assert compare_reports(before, after, max_drop=0.25).passed
    many, fewer = scored(*[1] * 20), scored(*[0] * 6, *[1] * 14)
    assert not compare_reports(many, fewer).passed
    assert compare_reports(many, fewer, alpha=0).passed


def test_cases_that_are_gone_count_nothing_right() -> None:
    before, after = scored(1, 1, 1), scored(1)
    found = compare_reports(before, after, max_drop=0.5)
    assert found.missing == ("c1", "c2")
    assert found.scores["score"].after == pytest.approx(1 / 3)
    assert not found.passed
    assert compare_reports(after, before).added == ("c1", "c2")
    assert compare_reports(after, before).scores["score"].cases == 1


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue) as suites:
        compare_reports(scored(1), scored(1, suite="other"))
    assert suites.value.code == "report_invalid"
    with pytest.raises(InvalidValue) as unknown:
        compare_reports(scored(1), scored(1), only=["nothing"])
    assert "score" in str(unknown.value.hint)
    with pytest.raises(NotFound):
        read_scores(tmp_path / "none.json")
    for number, text in enumerate(("[]", "{}", '{"cases": [1]}', "nonsense", "null")):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        with pytest.raises(InvalidValue):
            read_scores(path)


def test_scores_are_read_from_a_report_with_its_trials() -> None:
    found = scores_of(report(case("a", 1), case("a", 0.5, trial=2), case("b", 0)).as_json())
    assert found.cases == {
        "a": {"passed": 0.5, "outcome": 1, "step_f1": 0.75},
        "b": {"passed": 0, "outcome": 1, "step_f1": 0},
    }


def test_reports_without_timings_are_the_same_byte_for_byte() -> None:
    slow = report(case("a", 0.5, seconds=9.25), case("b", 1, seconds=3))
    fast = report(case("a", 0.5, seconds=0.1), case("b", 1, seconds=0.2))
    for writer in (report_json, report_junit, report_html):
        assert writer(slow, timings=False) == writer(fast, timings=False)
        assert writer(slow) == writer(slow)
        assert writer(slow) != writer(fast)


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_loads_nothing_and_shows_texts_as_they_are() -> None:
    text = report_html(report(case("a", 0.5), case("b", 1)))
    page = Page()
    page.feed(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not {"src", "href", "onclick"} & {name for name, _ in page.attributes}
    assert "url(" not in text
    assert "<script src='https://x.example/a.js'>" in page.text
    assert "1 of 2 passed" in page.text
    assert "0.750" in page.text


def test_junit_is_xml_that_names_every_case_and_failure() -> None:
    text = report_junit(report(case("a", 0.5, seconds=2), case("b", 1), case("b", 1, trial=2)))
    root = ElementTree.fromstring(text.encode("utf-8", "replace"))
    (suite,) = root
    assert suite.attrib == {
        "name": "mine", "tests": "3", "failures": "1", "errors": "0", "time": "5.000",
    }  # fmt: skip
    assert [item.get("name") for item in suite] == ["a", "b", "b (trial 2)"]
    (failure,) = suite[0]
    assert failure.tag == "failure"
    assert "<script" in str(failure.text)
    assert re.search("step_f1", str(failure.get("message")))


def test_files_are_written_by_their_suffix(tmp_path: Path) -> None:
    found = report(replace(case("a", 0.5), goal="plain"))
    for suffix in (".json", ".xml", ".html"):
        write_report(found, tmp_path / f"r{suffix}")
        assert (tmp_path / f"r{suffix}").stat().st_size > 0
    with pytest.raises(InvalidValue) as refused:
        write_report(found, tmp_path / "r.txt")
    assert refused.value.code == "report_suffix"


def compared(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    done = CliRunner().invoke(app, ["--json", "eval", "compare", *arguments])
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.exit_code, lines, done.output


def test_the_command_compares_and_closes_the_gate(tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    cases = [replace(case(f"c{n}", 1), goal="g", planned=()) for n in range(12)]
    before.write_text(report_json(report(*cases)))
    spoilt = [
        replace(item, findings=(Finding(evaluator="step_f1", value=0.5, reason="r"),))
        for item in cases
    ]
    after.write_text(report_json(report(*spoilt, planner="model")))
    code, (line,), _ = compared(str(before), str(after))
    assert code == 1
    assert line["type"] == "comparison"
    assert [text.split()[0] for text in line["regressions"]] == ["passed", "step_f1"]
    assert line["scores"]["step_f1"]["difference"] == -0.5
    assert compared(str(after), str(before))[0] == 0
    assert compared(str(before), str(after), "--score", "outcome")[0] == 0
    assert compared(str(before), str(after), "--score", "nothing")[0] == 2
    assert compared(str(before), str(tmp_path / "none.json"))[0] == 2
    text = CliRunner().invoke(
        app, ["--no-json", "eval", "compare", str(before), str(after)], terminal_width=200
    )
    assert "worse: step_f1 1.000 → 0.500" in text.stdout


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "line 1, column 1"),
        (b'{"suite": "mine",', "line 1, column 18"),
        (b"\xff\x00", "byte 0"),
        (b"[]", "it is no object"),
        (b"{}", "/suite: is missing"),
        (b'{"suite": "mine", "planner": "rules"}', "/cases: is missing"),
        (b'{"suite": "mine", "planner": "rules", "cases": {}}', "/cases: "),
        (b'{"suite": "mine", "planner": "rules", "cases": []}', "/cases: there are no cases"),
        (b'{"suite": "mine", "planner": "rules", "cases": [1]}', "/cases/0: is no object"),
        (
            b'{"suite": "mine", "planner": "rules", "cases": [{"name": "a", "findings": []}]}',
            "/cases/0/passed: is missing",
        ),
        (
            b'{"suite": "mine", "planner": "rules", "cases":'
            b' [{"name": "a", "passed": "x", "findings": []}]}',
            "/cases/0/passed: ",
        ),
        (
            b'{"suite": "mine", "planner": "rules", "cases":'
            b' [{"name": "a", "passed": true, "findings": [{"evaluator": "x"}]}]}',
            "/cases/0/findings/0/value: is missing",
        ),
        (b'{"suite": "mine", "planner": NaN, "cases": []}', "/planner: NaN"),
    ],
)
def test_a_broken_report_is_told_by_file_and_place(
    tmp_path: Path, content: bytes, told: str
) -> None:
    sound, broken = tmp_path / "sound.json", tmp_path / "broken.json"
    sound.write_text(report_json(report(replace(case("a", 1), goal="g", planned=()))))
    broken.write_bytes(content)
    for files in ((sound, broken), (broken, sound)):
        code, (line,), text = compared(*map(str, files))
        assert code == 2
        assert line["type"] == "error"
        message = line["error"]["message"]
        assert message.startswith(f"{broken} is no report of a suite: ")
        assert told in message
        assert "error:" in text
    assert compared(str(sound), str(sound))[0] == 0


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    code, (line,), _ = compared(str(tmp_path), str(tmp_path))
    assert code == 2
    assert line["error"]["message"] == f"{tmp_path} cannot be read: Is a directory"


GOLD: dict[str, Any] = {
    "flow": "f",
    "steps": [
        {"id": "a", "tool": "file.read", "args": {"path": "x"}},
        {"id": "b", "tool": "text.count", "args": {"text": "${{ steps.a.text }}"}},
    ],
}


def test_a_gold_flow_is_judged_as_a_graph() -> None:
    expect = Expectation(flow=GOLD)
    renamed = json.loads(json.dumps(GOLD).replace("steps.a.", "steps.z.").replace('"a"', '"z"'))
    for document in (GOLD, renamed):
        seen = Observation(outcome="plan", flow=Flow.model_validate(document))
        assert all(finding.passed for finding in judge(expect, seen))
    wrong = {**GOLD, "steps": [GOLD["steps"][0], {**GOLD["steps"][1], "tool": "text.join"}]}
    seen = Observation(outcome="plan", flow=Flow.model_validate(wrong), certain=True)
    found = {finding.evaluator: finding for finding in judge(expect, seen)}
    assert found["step_f1"].value == 0.5
    assert found["step_f1"].reason == "missing text.count; extra text.join"
    assert found["exact"].value is False
    assert found["honest"].value is False
    nothing = {item.evaluator: item for item in judge(expect, Observation(outcome="refusal"))}
    assert nothing["step_f1"].value == 0
    assert nothing["order_needed"].value == 0
