"""What a probe has found: one document for programs, lines for people. No token is in either."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from limen.cli.output import table
from limen.probe.run import Report, Result, Verdict
from limen.probe.sending import Target
from limen.verify.hostile import Need, Untried

_REMEDIES: dict[Need | None, str] = {
    "jwks": "name the issuer with --issuer, or give its key set with --jwks-file",
    "key": "let a test issuer sign, and give its private key with --key-file",
    "ended": "sign in, keep the token, sign out, and give it with --ended-token-file",
    "expired": "give an old token with --expired-token-file",
    None: "nothing; it does not apply",
}

# In a table of many attacks the eye must find these.
_MARKS: dict[Verdict, str] = {
    "accepted": "ACCEPTED",
    "error": "ERROR",
    "noted": "noted",
    "refused": "refused",
    "unclear": "unclear",
}

_ERROR_WHY = "The service answered with an error of its own: something hostile reached code that"
_ERROR_WHY += " did not expect it. Often nobody gets in so, but it can be repeated at will."
_ERROR_FIX = "Catch what your JWT library raises, all of it, and answer 401."


def document(target: Target, report: Report, untried: Sequence[Untried]) -> dict[str, object]:
    """Return the report for programs."""
    counts = Counter(result.verdict for result in report.results)
    return {
        "url": target.shown,
        "conclusive": not report.doubt,
        "doubt": report.doubt or None,
        "control": {
            "with_token": str(report.with_token),
            "without_token": str(report.without_token),
            "afterwards": None if report.afterwards is None else str(report.afterwards),
        },
        "counts": {verdict: counts[verdict] for verdict in _MARKS},
        "findings": [_told(result) for result in report.results if result.is_finding],
        "notes": [_told(result) for result in report.results if result.verdict == "noted"],
        "results": [_short(result) for result in report.results],
        "unsent": [{"attack": each.attack.name, "name": each.name} for each in report.unsent],
        "untried": [
            {
                "attacks": list(each.attacks),
                "because": each.because,
                "remedy": _REMEDIES[each.needs],
            }
            for each in untried
        ],
    }


def lines(report: Report, untried: Sequence[Untried]) -> Iterator[str]:
    """Yield the report for people."""
    yield f"valid token: {report.with_token}   no token: {report.without_token}"
    if report.results:
        yield ""
        yield from table([("ATTACK", "SENT", "ANSWERS", "VERDICT"), *_rows(report.results)])
    for (attack, verdict), found in _grouped(report.results):
        yield from _explained(attack, verdict, found)
    if untried:
        yield ""
        yield "Not tried:"
    for each in untried:
        yield f"  {', '.join(each.attacks)}: {each.because}."
        yield f"    To try: {_REMEDIES[each.needs]}."
    yield ""
    yield _summary(report)


def _rows(results: Iterable[Result]) -> Iterator[tuple[str, str, str, str]]:
    for name, group in groupby(results, lambda result: result.hostile.attack.name):
        found = list(group)
        answers = Counter(str(result.answer) for result in found)
        verdicts = Counter(_MARKS[result.verdict] for result in found)
        yield name, str(len(found)), _counted(answers), _counted(verdicts)


def _counted(things: Counter[str]) -> str:
    if len(things) == 1:
        return next(iter(things))
    return ", ".join(f"{number} x {thing}" for thing, number in things.items())


def _grouped(results: Iterable[Result]) -> Iterator[tuple[tuple[str, str], list[Result]]]:
    told = [result for result in results if result.is_finding or result.verdict == "noted"]
    told.sort(key=_place)
    for (_, name, verdict), group in groupby(told, _place):
        yield (name, verdict), list(group)


def _place(result: Result) -> tuple[int, str, str]:
    order = ("high", "low", "note").index(result.hostile.attack.severity)
    return order, result.hostile.attack.name, result.verdict


def _explained(attack: str, verdict: str, found: Sequence[Result]) -> Iterator[str]:
    told = _told(found[0])
    yield ""
    yield f"{told['severity'].upper()}  {attack}: {verdict}"
    yield f"  What:  {'; '.join(f'{each.hostile.name} ({each.answer})' for each in found)}"
    yield f"  Why:   {told['why']}"
    yield f"  Fix:   {told['fix']}"


def _summary(report: Report) -> str:
    counts = Counter(result.verdict for result in report.results)
    findings = sum(result.is_finding for result in report.results)
    said = f"{len(report.results)} hostile requests: {counts['refused']} refused,"
    said += f" {counts['accepted']} accepted, {counts['error']} errors, {counts['noted']} noted,"
    said += (
        f" {counts['unclear']} unclear; {findings or 'no'} finding{'' if findings == 1 else 's'}."
    )
    return f"{said} INCONCLUSIVE. {report.doubt}" if report.doubt else said


def _told(result: Result) -> dict[str, str]:
    is_error, attack = result.verdict == "error", result.hostile.attack
    return {
        **_short(result),
        "severity": "low" if is_error else attack.severity,
        "why": _ERROR_WHY if is_error else attack.why,
        "fix": _ERROR_FIX if is_error else attack.fix,
    }


def _short(result: Result) -> dict[str, str]:
    return {
        "attack": result.hostile.attack.name,
        "name": result.hostile.name,
        "answer": str(result.answer),
        "verdict": result.verdict,
    }
