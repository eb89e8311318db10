"""A run's result as a JSON document, and back."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.bench import Result
from benchmarks.figures import Figure, Finding, Target


@dataclass
class Measured:
    """A workload's result; `failed` says why there is none."""

    name: str
    title: str
    seconds: float
    result: Result = field(default_factory=Result)
    failed: str = ""


@dataclass
class Run:
    """All of one run."""

    made_at: str
    command: str
    seconds: float
    parity: dict[str, str]
    workloads: list[Measured]

    def write(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def read(cls, file: Path) -> "Run":
        document = json.loads(file.read_text("utf-8"))
        workloads = [_measured(each) for each in document.pop("workloads")]
        return cls(**document, workloads=workloads)


def _measured(document: dict[str, Any]) -> Measured:
    result = document.pop("result")
    findings = [_finding(each) for each in result.pop("findings")]
    arms = {name: Figure(**figure) for name, figure in result.pop("arms").items()}
    return Measured(**document, result=Result(findings=findings, arms=arms, **result))


def _finding(document: dict[str, Any]) -> Finding:
    target, figure, at_best = (document.pop(name) for name in ("target", "figure", "at_best"))
    return Finding(
        **document,
        figure=Figure(**figure),
        target=None if target is None else Target(**target),
        at_best=None if at_best is None else Figure(**at_best),
    )
