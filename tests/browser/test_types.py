"""limen.d.ts declares what limen.js exports, and nothing else."""

import re
from pathlib import Path

import limen

STATIC = Path(limen.__file__).parent / "static"
MODULE, DECLARED = ((STATIC / name).read_text("utf-8") for name in ("limen.js", "limen.d.ts"))

_EXPORT = re.compile(r"^export class (\w+)", re.MULTILINE)
# What a class body has at its first level: methods, accessors and fields, none of them private.
_MEMBER = re.compile(r"^  (?:readonly |get |async )?(?!async )(\w+)(?=[(:?; ]| =)", re.MULTILINE)
_SET_IN_CONSTRUCTOR = re.compile(r"^    this\.(\w+) = ", re.MULTILINE)


def body(text: str, name: str) -> str:
    return re.split(rf"^export class {name}\b", text, flags=re.MULTILINE)[1].partition("\n}\n")[0]


def test_the_exports_are_declared() -> None:
    assert _EXPORT.findall(MODULE) == _EXPORT.findall(DECLARED)
    assert len(_EXPORT.findall(MODULE)) == 3


def test_the_members_are_declared() -> None:
    for name in _EXPORT.findall(MODULE):
        has = {
            *_MEMBER.findall(body(MODULE, name)),
            *_SET_IN_CONSTRUCTOR.findall(body(MODULE, name)),
        }
        declared = set(_MEMBER.findall(body(DECLARED, name)))
        inherited = {"name", "addEventListener"}  # of Error and EventTarget
        assert has - inherited == declared - inherited
        assert len(declared) > 1


def test_the_options_are_declared() -> None:
    taken = MODULE.partition("  constructor({\n    url")[2].partition("  } = {}) {")[0]
    options = DECLARED.partition("interface LimenOptions {")[2].partition("\n}\n")[0]

    assert {"url", *re.findall(r"^    (\w+) = ", taken, re.MULTILINE)} == {
        *re.findall(r"^  (\w+)\?:", options, re.MULTILINE)
    }
